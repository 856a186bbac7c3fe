"""Golden dubs: the drawn head says its sentence with other noise each time, by both versions in turn; a judge listens.

The sentence is the golden clip's own, in English, because there the lips say what is to be heard: the embedded
world's starter has 29 % of its phones wrong there, and 70 to 86 % in sentences that the lips do not say, where a worse
model could hardly be told from it. Phones are heard by the phone judge that comes with the package (embedded world: it
knows synthetic voices). Both versions get the same clip and the same seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.engine import Engine, Job
from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.platform.rollout.checks import GoldenPair
from dubflow.serving.golden import LANGUAGE, TEXT, dub_golden, golden_job
from dubflow.speech.phonemes import phonemize

_MOST_DUBS = 10_000
_BROKEN_SERVER = ("serving.unavailable", "serving.no_key", "serving.nothing_served", "serving.not_loaded")
"""Says something of the server, such as that it was started again, and nothing of a version."""


class Hears(Protocol):
    """Whoever writes down phones."""

    def hear(self, waveform: NDArray[np.float32]) -> list[str]:
        """Phones of a 16 kHz mono waveform ``[N]``."""


def check_languages(*spoken: Sequence[str]) -> None:
    """Whether every version speaks the golden clip's language.

    Raises:
        WrongUse: ``platform.no_golden_language``.
    """
    for one in spoken:
        if LANGUAGE not in one:
            raise WrongUse(
                "platform.no_golden_language",
                f"The golden clip speaks {LANGUAGE}; a version here knows {', '.join(one) or 'nothing'}.",
                "Judge with dubflow evaluate and dubflow gate, and promote with dubflow models promote.",
            )


def golden_seeds(dubs: int, look: int) -> tuple[int, ...]:
    """Of the noise of each dub; other ones at each look (from 1)."""
    return tuple(look * _MOST_DUBS + number for number in range(dubs))


def golden_phones() -> tuple[str, ...]:
    """That should be heard."""
    return tuple(phone.symbol for phone in phonemize(TEXT, LANGUAGE))


def compare_golden(
    candidate: Engine[Any],
    champion: Engine[Any],
    seeds: Sequence[int],
    judge: Hears,
    *,
    within_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[GoldenPair]:
    """A dub of each seed by both versions; who goes first alternates, so that neither has the warmer machine.

    Raises:
        WrongUse: ``platform.rollout_stopped``.
        OurFault: what says that the server is not well (``serving.unavailable``, …), and nothing of the candidate.
    """
    planned, phones = golden_job(), golden_phones()
    for number, seed in enumerate(seeds):
        if stopped():
            raise WrongUse("platform.rollout_stopped", "The judgement was stopped: the candidate is wanted back.")
        job = replace(planned, options=planned.options.model_copy(update={"seed": seed}))
        own, other = (
            (_spoken(candidate, job, within_s), _spoken(champion, job, within_s))
            if number % 2
            else reversed((_spoken(champion, job, within_s), _spoken(candidate, job, within_s)))
        )
        yield GoldenPair(
            seed=seed,
            phones=len(phones),
            candidate_errors=_errors(phones, own, judge),
            champion_errors=_errors(phones, other, judge),
            candidate_s=own.seconds,
            champion_s=other.seconds,
            candidate_failed=own.failed,
            champion_failed=other.failed,
        )


@dataclass(frozen=True, eq=False)
class _Spoken:
    waveform: NDArray[np.float32] | None
    seconds: float
    failed: str = ""


def _spoken(engine: Engine[Any], job: Job, within_s: float) -> _Spoken:
    began = time.monotonic()
    try:
        dub = dub_golden(engine, within_s, job)
    except OurFault as error:
        if error.code in _BROKEN_SERVER:
            raise
        return _Spoken(None, time.monotonic() - began, error.code)
    except DubflowError as error:
        return _Spoken(None, time.monotonic() - began, error.code)
    return _Spoken(dub.waveform, dub.seconds)


def _errors(phones: Sequence[str], spoken: _Spoken, judge: Hears) -> int:
    if spoken.waveform is None:
        return len(phones)
    return phone_errors([phones], [judge.hear(spoken.waveform)]).errors
