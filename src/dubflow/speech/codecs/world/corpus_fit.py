"""From files of sound to a codec on disk, with its card and what it loses."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubflow.errors import BadInput
from dubflow.media.decode import read_audio
from dubflow.progress import reporting
from dubflow.speech.codecs.world.analysis import HOP, SAMPLE_RATE, analyse
from dubflow.speech.codecs.world.fitting import Recording, WorldSettings, fit_recordings, fit_steps
from dubflow.speech.codecs.world.losses import measure_losses
from dubflow.speech.codecs.world.storage import Card, Origin, refuse_existing, save_world

_KEPT_OUT = 10  # one recording of so many
_MOST_KEPT_OUT = 24


@dataclass(frozen=True)
class Source:
    """A file with one person's speech; an empty speaker is a person of his own."""

    path: Path
    speaker: str
    language: str
    seconds: float


def fit_sources(
    sources: Sequence[Source],
    out: Path,
    *,
    corpus: str,
    seed: int,
    minutes: float,
    settings: WorldSettings | None = None,
) -> Card:
    """Fit on at most ``minutes`` of the sources, drawn by ``seed`` over all speakers, and write the folder ``out``.

    Raises:
        BadInput: ``speech.too_little_speech``, and what reading sound raises.
        WrongUse: ``speech.codec_folder_exists``, ``install.missing_extra``.
    """
    refuse_existing(out)
    settings = settings or WorldSettings()
    chosen = choose(sources, 60 * minutes, seed)
    if not chosen:
        raise BadInput("speech.too_little_speech", "The corpus has no clips to fit to.", "Render or import some first.")
    with reporting("fit", None, "steps") as progress:
        progress.expect(len(chosen) + fit_steps(settings))
        recordings = []
        for number, source in enumerate(chosen):
            speaker = source.speaker or f"recording {number}"
            recordings.append(Recording(speaker, analyse(read_audio(source.path, SAMPLE_RATE))))
            progress.advance()
        kept_out = recordings[::_KEPT_OUT][:_MOST_KEPT_OUT] if len(recordings) >= _KEPT_OUT else []
        fitted = [one for one in recordings if not any(one is other for other in kept_out)]
        codec = fit_recordings(fitted, seed=seed, settings=settings, progress=progress)
    words = [
        "dubflow",
        "codec",
        "fit",
        corpus,
        "--out",
        Path(out).name,
        "--seed",
        str(seed),
        "--minutes",
        f"{minutes:g}",
    ]
    origin = Origin(
        corpus=corpus,
        recordings=len(fitted),
        speakers=len({one.speaker for one in fitted}),
        seconds=sum(len(one.features) for one in fitted) * HOP / SAMPLE_RATE,
        languages=sorted({source.language for source in chosen if source.language}),
        seed=seed,
        settings=settings,
        command=shlex.join(words),
    )
    return save_world(codec, out, origin=origin, losses=measure_losses(codec, (one.features for one in kept_out)))


def choose(sources: Sequence[Source], seconds: float, seed: int) -> list[Source]:
    """Sources of about so many seconds, every speaker's turn in order, each speaker's own in random order."""
    rng = np.random.default_rng([seed, 0x77])
    by_speaker: dict[str, list[Source]] = {}
    for number, source in enumerate(sources):
        by_speaker.setdefault(source.speaker or f"recording {number}", []).append(source)
    queues = [iter([own[i] for i in rng.permutation(len(own))]) for own in by_speaker.values()]
    chosen: list[Source] = []
    left = seconds
    for source in _in_turn(queues):
        if left <= 0:
            break
        chosen.append(source)
        left -= source.seconds
    return chosen


def _in_turn(queues: Sequence[Iterator[Source]]) -> Iterator[Source]:
    waiting = list(queues)
    while waiting:
        going = []
        for queue in waiting:
            source = next(queue, None)
            if source is not None:
                going.append(queue)
                yield source
        waiting = going
