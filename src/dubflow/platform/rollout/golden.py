"""Golden dubs: the drawn head says other sentences at each look, with both versions in turn, and a judge listens.

The sentences are GRID's commands in the language of the contest, about as long as the clip; phones are heard by the
phone judge that comes with the package (embedded world: it knows synthetic voices). Both versions get the same clip,
sentence and seed, so what makes a sentence hard cancels in the comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.dubbing.engine import Engine, Job
from dubflow.dubbing.jobs import DubTask, plan_task
from dubflow.dubbing.request import SELF, DubOptions, DubRequest, SegmentText
from dubflow.dubbing.voice import read_voice
from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.platform.rollout.checks import GoldenPair
from dubflow.serving.golden import CLIP, STEPS, dub_golden
from dubflow.speech.phonemes import phonemize
from dubflow.talkers.scripts import GridCommand

LANGUAGES = ("en", "es", "ru", "fr", "de", "it", "el")
"""That sentences are there for, the best heard first."""
_BROKEN_SERVER = ("serving.unavailable", "serving.no_key", "serving.nothing_served")


class Hears(Protocol):
    """Whoever writes down phones."""

    def hear(self, waveform: NDArray[np.float32]) -> list[str]:
        """Phones of a 16 kHz mono waveform ``[N]``."""


@dataclass(frozen=True)
class Sentence:
    """One thing to say, and the phones that should be heard of it."""

    text: str
    language: str
    phones: tuple[str, ...]
    seed: int


def language_of(spoken: Sequence[str], others: Sequence[str]) -> str:
    """A language that both versions speak.

    Raises:
        WrongUse: ``platform.no_golden_language``.
    """
    for one in LANGUAGES:
        if one in spoken and one in others:
            return one
    raise WrongUse(
        "platform.no_golden_language",
        f"Candidate ({', '.join(spoken)}) and champion ({', '.join(others)}) share no language of the golden dubs.",
        f"There are sentences in {', '.join(LANGUAGES)}.",
    )


def sentences(count: int, language: str, look: int) -> tuple[Sentence, ...]:
    """``count`` different commands; another ``look``, other ones."""
    rng = np.random.default_rng([look, 20261121])
    found: dict[str, Sentence] = {}
    while len(found) < count:
        text = " ".join(GridCommand.draw(rng).script(language).words)
        phones = tuple(phone.symbol for phone in phonemize(text, language))
        found.setdefault(text, Sentence(text, language, phones, seed=len(found)))
    return tuple(found.values())


def job_of(sentence: Sentence) -> Job:
    """The golden clip with another sentence, planned."""
    options = DubOptions(steps=STEPS, seed=sentence.seed, no_face="speak")
    request = DubRequest(
        clip=CLIP,
        segments=(SegmentText(text=sentence.text),),
        language=sentence.language,
        reference=SELF,
        options=options,
    )
    _, plan = plan_task(DubTask(request, CLIP.with_suffix(".dub.mp4")))
    voice = read_voice(CLIP, options, own=True)
    return Job(CLIP, plan.frames, plan.segments, sentence.language, voice, options)


def compare_golden(
    candidate: Engine[Any],
    champion: Engine[Any],
    asked: Sequence[Sentence],
    judge: Hears,
    *,
    within_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[GoldenPair]:
    """Each sentence by both versions; who goes first alternates, so that neither has the warmer machine.

    Raises:
        WrongUse: ``platform.rollout_stopped``.
        OurFault: what says that there is no server at all (``serving.unavailable``, …): no word about the candidate.
    """
    for number, sentence in enumerate(asked):
        if stopped():
            raise WrongUse("platform.rollout_stopped", "The judgement was stopped: the candidate is wanted back.")
        job = job_of(sentence)
        own, other = (
            (_spoken(candidate, job, within_s), _spoken(champion, job, within_s))
            if number % 2
            else reversed((_spoken(champion, job, within_s), _spoken(candidate, job, within_s)))
        )
        yield GoldenPair(
            sentence=sentence.text,
            phones=len(sentence.phones),
            candidate_errors=_errors(sentence, own, judge),
            champion_errors=_errors(sentence, other, judge),
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


def _errors(sentence: Sentence, spoken: _Spoken, judge: Hears) -> int:
    if spoken.waveform is None:
        return len(sentence.phones)
    return phone_errors([sentence.phones], [judge.hear(spoken.waveform)]).errors
