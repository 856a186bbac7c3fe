"""A package becomes something to serve: checked, spoken with once, and described.

The check runs in a process of its own, so what a broken model does to it (memory, a crash in native code) is not done
to the server. Nothing that the server loads later has not spoken the golden clip here first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.parallel import map_unordered
from dubflow.registry.package.manifest import PACKAGE, read_manifest
from dubflow.serving.heard import Heard
from dubflow.serving.state import Kind, Served, now

FORMAT: Literal["dubflow.export/1"] = "dubflow.export/1"
FILE, MODEL = "export.json", "model"
MOST_PHONES_WRONG = 0.9
"""Of the golden clip, as the phone judge hears it: the starter's .35; networks of random weights were above 1.4."""


class Exported(Strict):
    """What stands in ``export.json``, beside the folder ``model``."""

    format: Literal["dubflow.export/1"] = FORMAT
    version: int = Field(ge=0, description="Of the registry; 0: from no registry.")
    package: str | None = Field(None, description="Digest of the package; None for a stored model.")
    kind: Kind
    engine: str
    world: Literal["embedded", "real"]
    languages: tuple[str, ...]
    heard: Heard = Field(description="The golden clip, dubbed without a server.")
    phones_wrong: float | None = Field(None, description="Phone error rate of it; None where it knows no English.")
    triton_s: float | None = Field(None, description="Seconds of the same dub on a Triton; None where none was asked.")
    seconds: float = Field(ge=0, description="How long it took to load it and to dub.")
    made: str = Field(description="UTC, ISO 8601.")

    def served(self, folder: Path) -> Served:
        """It as the state names it; ``folder`` is the export's."""
        return Served(
            version=self.version,
            package=self.package,
            kind=self.kind,
            engine=self.engine,
            world=self.world,
            languages=self.languages,
            folder=(folder / MODEL).resolve(),
            since=now(),
        )


def read_export(folder: Path) -> Exported:
    """The description of an export.

    Raises:
        BadInput: ``serving.not_an_export``.
    """
    path = Path(folder) / FILE
    try:
        return Exported.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise BadInput(
            "serving.not_an_export", f"{folder} is no export of a model ({path.name}: {error}).", "Export it again."
        ) from error


def export_model(folder: Path, version: int, check: Callable[[Path], Exported] | None = None) -> Exported:
    """Check the model in ``folder/model`` and describe it in ``folder/export.json``.

    Args:
        folder: with the package or stored model in ``model``; whose signature and licences have been looked at.
        check: loads a model and speaks with it; by default :func:`spoken` in a process of its own.

    Raises:
        BadInput: what loading says; ``serving.golden_failed``, ``serving.no_speech``, ``serving.wrong_kind``.
        OurFault: ``parallel.child_died`` where the process that loaded it was killed.
    """
    folder = Path(folder)
    found = (check or speak_apart)(folder / MODEL)
    described = found.model_copy(update={"version": version})
    write_json(folder / FILE, described.model_dump(mode="json"))
    return described


def speak_apart(model: Path) -> Exported:
    """:func:`spoken` in a process of its own.

    Raises:
        as :func:`export_model`.
    """
    # Two workers: with one the work would be done here. The second is never started.
    return next(found for _, found in map_unordered(spoken, [model], workers=2))


def spoken(model: Path) -> Exported:
    """Load the model (a package or a stored model) in this process and dub the golden clip.

    Raises:
        as :func:`export_model`.
    """
    from dubflow.serving.golden import LANGUAGE, dub_golden

    started = time.monotonic()
    package = None
    if (model / PACKAGE).is_file():
        manifest = read_manifest(model)
        package = manifest.digest
        if manifest.kind != "diflow":
            raise BadInput(
                "serving.wrong_kind",
                f"{manifest.name} is of the kind {manifest.kind!r}, which no engine of this server speaks.",
                "Promote a model of DiFlowDubber.",
            )
    from dubflow.dubbing.diflow_engine import DiflowEngine

    engine = DiflowEngine.open(model)
    dub = dub_golden(engine)
    phones_wrong = _phones_wrong(engine.id, dub.waveform) if LANGUAGE in engine.languages else None
    return Exported(
        version=0,
        package=package,
        kind="diflow",
        engine=engine.id,
        world=engine.world,
        languages=engine.languages,
        heard=dub.heard,
        phones_wrong=phones_wrong,
        seconds=round(time.monotonic() - started, 3),
        made=now(),
    )


def _phones_wrong(engine: str, waveform: NDArray[np.float32]) -> float:
    """Phone error rate of the golden clip's English.

    Raises:
        BadInput: ``serving.no_speech`` where hardly a phone is right.
    """
    from dubflow.judging.phone_judge.rates import phone_errors
    from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
    from dubflow.serving.golden import LANGUAGE, TEXT
    from dubflow.speech.phonemes import phonemize

    wanted = [phone.symbol for phone in phonemize(TEXT, LANGUAGE)]
    rate = phone_errors([wanted], [PhoneRecogniser.open().hear(waveform)]).mean
    if rate > MOST_PHONES_WRONG:
        raise BadInput(
            "serving.no_speech",
            f"{engine} dubs the golden clip, and {100 * rate:.0f} % of its phones are wrong.",
            "The model makes sounds but does not speak: promote another version.",
            phones_wrong=rate,
        )
    return round(float(rate), 4)
