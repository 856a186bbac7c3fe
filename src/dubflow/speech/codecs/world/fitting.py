"""Fits the codec to speech of many voices; the same recordings and seed give the same books."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dubflow.config import Strict
from dubflow.errors import BadInput
from dubflow.progress import Progress, reporting
from dubflow.speech.codecs import BOOK_SIZE, Tokens
from dubflow.speech.codecs.world.analysis import Features, analyse
from dubflow.speech.codecs.world.codec import (
    WorldCodec,
    prosody_of,
    read_prosody,
)
from dubflow.speech.codecs.world.model import WorldModel, arrays_of, model_of
from dubflow.speech.codecs.world.normalisation import VoiceModel, gate, measure_traits, shape_of
from dubflow.speech.codecs.world.quantizer import ResidualQuantizer, fit_residual
from dubflow.speech.codecs.world.voice_fitting import ROUNDS, Voiced, fit_voice_model

Floats = NDArray[np.float64]


class WorldSettings(Strict):
    """How the codec is fitted."""

    classes: int = Field(default=24, ge=1, le=256, description="Sound classes in which voices differ differently.")
    rank: int = Field(default=32, ge=0, le=128, description="Ways in which voices differ beside one common offset.")
    iterations: int = Field(default=12, ge=1, le=100, description="Passes of k-means over all frames for each book.")


@dataclass(frozen=True, eq=False)
class Recording:
    """Speech of one person: who, and the features of an utterance."""

    speaker: str
    features: Features


def fit_world(
    speech: Iterable[tuple[str, NDArray[np.float32]]],
    *,
    seed: int,
    settings: WorldSettings | None = None,
    progress: Progress | None = None,
) -> WorldCodec:
    """A codec fitted to pairs of a speaker's name and a 16 kHz waveform ``[N]``.

    Raises:
        BadInput: ``speech.too_little_speech``, ``speech.bad_waveform``.
        WrongUse: ``install.missing_extra``.
    """
    with nullcontext(progress) if progress is not None else reporting("fit", None, "steps") as report:
        recordings = []
        for speaker, waveform in speech:
            recordings.append(Recording(speaker, analyse(waveform)))
            report.advance()
        report.expect(len(recordings) + fit_steps(settings or WorldSettings()))
        return fit_recordings(recordings, seed=seed, settings=settings, progress=report)


def fit_steps(settings: WorldSettings) -> int:
    """Steps that :func:`fit_recordings` reports."""
    return ROUNDS + settings.iterations * sum(Tokens.BOOKS.values())


def fit_recordings(
    recordings: Sequence[Recording], *, seed: int, settings: WorldSettings | None = None, progress: Progress
) -> WorldCodec:
    """:func:`fit_world` for speech that is analysed already; ``progress`` advances by :func:`fit_steps`."""
    settings = settings or WorldSettings()
    frames = sum(len(one.features) for one in recordings)
    if frames < 2 * BOOK_SIZE:
        raise BadInput(
            "speech.too_little_speech",
            f"{frames / 80:.0f} s of speech cannot fill books of {BOOK_SIZE} entries.",
            "Fit on a minute at the very least, better on ten minutes of many voices.",
        )
    rng = np.random.default_rng(seed)
    usual = _usual_aperiodicity(recordings)
    voices = _fit_voices(recordings, usual, settings, rng, progress.advance)
    return WorldCodec(_stored(_fit_books(recordings, usual, voices, settings, rng, progress.advance)))


def _usual_aperiodicity(recordings: Sequence[Recording]) -> Floats:
    voiced = np.concatenate([one.features.voiced for one in recordings])
    bands = np.concatenate([one.features.aperiodicity for one in recordings])
    return np.array([bands[voiced == kind].mean() if (voiced == kind).any() else 0.0 for kind in (False, True)])


def _fit_voices(
    recordings: Sequence[Recording],
    usual: Floats,
    settings: WorldSettings,
    rng: np.random.Generator,
    on_round: Callable[[], None],
) -> VoiceModel:
    by_speaker: dict[str, list[tuple[Floats, Floats]]] = {}
    for one in recordings:
        weight = gate(one.features.cepstrum[:, 0] - measure_traits(one.features).level)
        shape = shape_of(one.features, one.features.voiced, usual)
        sounding = weight > 0.1
        by_speaker.setdefault(one.speaker, []).append((shape[sounding], weight[sounding]))
    speakers = [
        Voiced(np.concatenate([shape for shape, _ in parts]), np.concatenate([weight for _, weight in parts]))
        for parts in by_speaker.values()
    ]
    speakers = [speaker for speaker in speakers if len(speaker.shape)]
    if sum(len(speaker.shape) for speaker in speakers) < 2 * settings.classes:
        raise BadInput("speech.too_little_speech", "The recordings are silent.", "Fit on speech.")
    return fit_voice_model(speakers, classes=settings.classes, rank=settings.rank, rng=rng, on_round=on_round)


def _fit_books(
    recordings: Sequence[Recording],
    usual: Floats,
    voices: VoiceModel,
    settings: WorldSettings,
    rng: np.random.Generator,
    on_step: Callable[[], None],
) -> WorldModel:
    """Prosody, then content with the prosody as it will be read, then acoustic with both."""

    def fit(vectors: Sequence[NDArray[np.float32]], name: str) -> ResidualQuantizer:
        return fit_residual(
            np.concatenate(vectors),
            books=Tokens.BOOKS[name],
            size=BOOK_SIZE,
            iterations=settings.iterations,
            rng=rng,
            on_step=on_step,
        )

    empty = {name: ResidualQuantizer(np.zeros((0, BOOK_SIZE, 1), np.float32)) for name in Tokens.BOOKS}
    codec = WorldCodec(WorldModel(voices, usual, **empty))
    speakers = [codec.speaker_of(one.features) for one in recordings]
    wanted = [prosody_of(one.features, traits) for one, (traits, _) in zip(recordings, speakers, strict=True)]
    prosody = fit(wanted, "prosody")
    spoken = [read_prosody(prosody.decode(prosody.encode(vectors))) for vectors in wanted]
    said = [
        codec.content_of(one.features, voice, read)
        for one, (_, voice), read in zip(recordings, speakers, spoken, strict=True)
    ]
    content = fit(said, "content")
    rest = [
        codec.acoustic_of(one.features, traits, voice, read, content.decode(content.encode(vectors)))
        for one, (traits, voice), read, vectors in zip(recordings, speakers, spoken, said, strict=True)
    ]
    return WorldModel(voices, usual, prosody, content, fit(rest, "acoustic"))


def _stored(model: WorldModel) -> WorldModel:
    """The model as it comes back from a file, so that a fitted and a loaded codec give the same tokens."""
    return model_of(arrays_of(model))
