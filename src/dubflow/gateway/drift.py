r"""Is what comes in still like what the model learnt from? Distances between a window of live clips and a reference.

For a number (speaker, length ratio, noise, face size) the distance is that of Kolmogorov and Smirnov on the reference's
own grid, :math:`D = \max_i |F_{live}(x_i) - F_{ref}(x_i)|`; for languages it is the total variation of their shares,
:math:`\frac12 \sum_l |p_l - q_l|`. Both lie in 0..1. An alarm needs at least :data:`LEAST` clips and a distance above

.. math:: \max\left(t,\; \sqrt{\tfrac{\ln(2/\alpha)}{2n}} + \sqrt{\tfrac{\ln(2/\alpha)}{2m}}\right)

for n live and m reference clips (Dvoretzky, Kiefer and Wolfowitz with Massart's constant, once for each sample), so
that chance alone raises one with a probability below :math:`2 \alpha`. For k languages the expected distance of small
samples, :math:`\frac12 \sqrt{k/n} + \frac12 \sqrt{k/m}`, is added, and the roots bound what is above it (McDiarmid).
The practical floor ``t`` says which difference matters at all. Limits of the method: ``docs/observability.md``.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from dubflow.atomic import write_text
from dubflow.config import Strict
from dubflow.errors import BadInput, OurFault
from dubflow.locking import alone_in

Number = Literal["speaker", "length_ratio", "noise_db", "face_size"]
NUMBERS: tuple[Number, ...] = ("speaker", "length_ratio", "noise_db", "face_size")
LANGUAGE = "language"
WINDOW = 200
"""Clips of the sliding window."""
LEAST = 20
ALPHA = 1e-4
FLOOR = {"speaker": 0.3, "length_ratio": 0.3, "noise_db": 0.3, "face_size": 0.3, LANGUAGE: 0.25}
"""Distances below these are of no practical meaning."""
REFERENCE = "drift.json"
LIVE = "drift.jsonl"
_GRID = 41
_DIGITS = 4
_PATIENCE_S = 5.0
_MOST_BYTES = 2**20  # then the file is cut back to its last lines


class Distribution(Strict):
    """A number over the reference's clips, as its distribution function on a grid."""

    at: tuple[float, ...] = Field(min_length=1, description="Values, ascending.")
    share: tuple[float, ...] = Field(description="Of the clips that are at most so.")
    below: tuple[float, ...] = Field(description="Of the clips that are less: where many are equal, the two differ.")
    clips: int = Field(gt=0)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        rising = all(a < b for a, b in zip(self.at, self.at[1:], strict=False))
        if not len(self.at) == len(self.share) == len(self.below):
            raise ValueError("values and shares do not fit")
        steps = [one for pair in zip(self.below, self.share, strict=True) for one in pair]
        if not rising or steps != sorted(steps) or not 0 <= steps[0] <= steps[-1] <= 1:
            raise ValueError("this is no distribution function")
        return self

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of the finite values among these."""
        # Rounded like what is compared with it, so that equal stays equal.
        finite = np.sort(np.round([one for one in values if math.isfinite(one)], _DIGITS))
        at = np.unique(np.quantile(finite, np.linspace(0, 1, _GRID), method="inverted_cdf"))
        below, share = _shares(finite, at)
        return cls(at=_plain(at), share=_plain(share), below=_plain(below), clips=len(finite))

    def distance(self, values: Sequence[float]) -> float:
        """Of Kolmogorov and Smirnov, on the grid."""
        below, share = _shares(np.sort(np.round(values, _DIGITS)), np.asarray(self.at))
        return float(max(np.abs(share - self.share).max(), np.abs(below - self.below).max()))


class DriftReference(Strict):
    """What the model learnt from; lies beside the model as ``drift.json``."""

    format: Literal["dubflow.drift/1"] = "dubflow.drift/1"
    corpus: str
    world: Literal["embedded", "real"]
    numbers: dict[Number, Distribution]
    languages: dict[str, float] = Field(description="Shares; their sum is 1.")
    clips: int = Field(gt=0)
    phone_s: float = Field(gt=0, description="Mean length of a phone, for the length that a text asks for.")
    voices: tuple[tuple[float, ...], ...] = Field(description="Mean sound of every speaker of the reference.")
    spread: tuple[float, ...] = Field(description="Deviation of a recording from its speaker's mean, by coordinate.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(len(voice) != len(self.spread) for voice in self.voices) or min(self.spread, default=1) <= 0:
            raise ValueError("voices and spread do not fit")
        return self


class Measured(Strict):
    """One live clip: numbers and a language, nothing else of it."""

    model: str = Field(max_length=300, description="Engine whose reference it is compared with.")
    at: float = Field(description="Seconds since 1970.")
    language: str = Field(max_length=35)
    speaker: float | None = None
    length_ratio: float | None = None
    noise_db: float | None = None
    face_size: float | None = None


@dataclass(frozen=True)
class Drift:
    """How far one feature is from the reference.

    Attributes:
        distance, threshold: 0 to 1. clips: in the window.
    """

    feature: str
    distance: float
    threshold: float
    clips: int

    @property
    def alarm(self) -> bool:
        """Whether it has drifted, with enough clips to say so."""
        return self.clips >= LEAST and self.distance > self.threshold


@dataclass(frozen=True)
class Window:
    """Live clips of one model, the newest ones, and its reference (None: it came without one)."""

    reference: DriftReference | None
    clips: tuple[Measured, ...]

    def report(self) -> list[Drift]:
        """One entry a feature that was measured at all; nothing without a reference."""
        if self.reference is None or not self.clips:
            return []
        found = []
        for name, known in self.reference.numbers.items():
            values = [value for one in self.clips if (value := getattr(one, name)) is not None and math.isfinite(value)]
            if values:
                limit = threshold(name, len(values), known.clips)
                found.append(Drift(name, known.distance(values), limit, len(values)))
        spoken = Counter(one.language.partition("-")[0] for one in self.clips)
        kinds = len(set(spoken) | set(self.reference.languages))
        limit = threshold(LANGUAGE, len(self.clips), self.reference.clips, kinds)
        found.append(Drift(LANGUAGE, variation(spoken, self.reference.languages), limit, len(self.clips)))
        return found


def _shares(values: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of sorted ``values`` that are less than, and at most, each of ``at``."""
    below, share = (np.searchsorted(values, at, side=side) / len(values) for side in ("left", "right"))
    return below, share


def _plain(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(map(float, np.round(numbers, 6)))


def variation(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Total variation between counted and expected shares."""
    total = sum(counts.values())
    return sum(abs(counts.get(one, 0) / total - shares.get(one, 0.0)) for one in {*counts, *shares}) / 2


def threshold(feature: str, live: int, reference: int, kinds: int = 0) -> float:
    """From which distance on it is drift, for so many clips; see the module."""
    chance = sum(math.sqrt(math.log(2 / ALPHA) / (2 * n)) for n in (live, reference))
    expected = sum(math.sqrt(kinds / n) / 2 for n in (live, reference))
    return min(1.0, max(FLOOR[feature], chance + expected))


def read_reference(folder: Path) -> DriftReference | None:
    """The reference that lies beside a model; None where there is none.

    Raises:
        BadInput: ``gateway.bad_drift_reference``.
    """
    path = Path(folder) / REFERENCE
    if not path.is_file():
        return None
    try:
        return DriftReference.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "gateway.bad_drift_reference", f"{path.name} is no reference for drift.", "Make it again from the corpus."
        ) from error


def add_measured(state: Path, measured: Measured) -> None:
    """Put a clip into the window of a server's folder; several workers may do so at once.

    Raises:
        OurFault: ``gateway.drift_busy``.
    """
    path = Path(state) / LIVE
    busy = OurFault("gateway.drift_busy", "Another process writes measurements.", "Try again in a few seconds.")
    with alone_in(Path(state) / ".drift", busy, _PATIENCE_S):
        with path.open("ab") as file:
            # A line of its own, also behind half a line that a killed process left.
            file.write(b"\n" + measured.model_dump_json().encode() + b"\n")
            file.flush()
            size = os.fstat(file.fileno()).st_size
        if size > _MOST_BYTES:
            kept = path.read_text(encoding="utf-8", errors="replace").splitlines()[-4 * WINDOW :]
            write_text(path, "".join(f"{line}\n" for line in kept))


def read_window(state: Path, model: str, folder: Path) -> Window:
    """The last clips that ``model`` dubbed, and the reference in its ``folder``.

    Raises:
        BadInput: ``gateway.bad_drift_reference``.
    """
    try:
        lines = (Path(state) / LIVE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = [one for line in lines if (one := _measured(line)) is not None and one.model == model]
    return Window(read_reference(folder), tuple(found[-WINDOW:]))


def _measured(line: str) -> Measured | None:
    # Half a line of a process that was killed counts for nothing.
    try:
        return Measured.model_validate(json.loads(line))
    except ValueError:
        return None
