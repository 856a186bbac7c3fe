"""Validation: the loss on clips held out, and a few of them spoken, drawn and written down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.flow.noise import generators, seed_of
from dubflow.diflow.inference.clips import dub_clips
from dubflow.diflow.inference.items import DubbedSpeech, Sentence, SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.inference.speaking import speak
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.pictures import MelPanel, draw_alignment, draw_mels, phone_intervals
from dubflow.diflow.stored import Network
from dubflow.diflow.training.batches import Arrays
from dubflow.diflow.training.modules import StageModule
from dubflow.media.encode import write_audio
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.durations import FRAME_RATE, SAMPLE_RATE
from dubflow.speech.intervals import Interval
from dubflow.speech.inventory import SYMBOLS
from dubflow.speech.mel import log_mel
from dubflow.tracking import RunLog
from dubflow.training.steps import moved


def held_loss(module: StageModule, network: Network, batches: Iterable[Any]) -> dict[str, float]:
    """Means of the loss parts over ``batches``, by clip, with ``network`` in the module's place.

    The noise is the same at every validation, so that curves show the model and not the draw.
    """
    sums: dict[str, float] = defaultdict(float)
    clips = 0
    trained, module.network = module.network, network
    try:
        for batch in batches:
            speech = module.speech(batch)
            sources = generators([seed_of(module.settings.seed, "held", place) for place in speech.places])
            parts = module.loss(moved(batch, module.device), sources)
            clips += len(speech.clips)
            for name, value in ({"loss": parts.total} | dict(parts.values)).items():
                sums[name] += float(value) * len(speech.clips)
    finally:
        module.network = trained
    return {f"val/{name}": total / clips for name, total in sums.items()}


@dataclass(frozen=True)
class Spoken:
    """One clip said aloud: its name, its tokens, and the plan where there was a picture."""

    clip: str
    tokens: Tokens
    plan: DubbedSpeech | None


def say(network: Network, prepared: PreparedSet, clips: Sequence[str]) -> list[Spoken]:
    """Say the texts of ``clips`` by either network, each in the voice of :func:`reference_of`."""
    settings = InferenceSettings()
    if isinstance(network, DubberNetwork):
        asked = [silent_clip(prepared[clip], reference_of(prepared, clip)) for clip in clips]
        plans = dub_clips(network, asked, settings)
        return [Spoken(clip, plan.tokens, plan) for clip, plan in zip(clips, plans, strict=True)]
    assert isinstance(network, TtsNetwork)
    sentences = [sentence(prepared[clip], reference_of(prepared, clip)) for clip in clips]
    return [Spoken(clip, tokens, None) for clip, tokens in zip(clips, speak(network, sentences, settings), strict=True)]


def reference_of(prepared: PreparedSet, clip: str) -> Tokens:
    """Codec tokens of the next clip of the same speaker and split, in the order of the index; of the clip itself
    where its speaker is unknown or has no other."""
    mine = prepared.info(clip)
    if mine.speaker is not None:
        own = [
            other for other in prepared if prepared.info(other).speaker == mine.speaker and "speaker" in prepared[other]
        ]
        clip = own[(own.index(clip) + 1) % len(own)]
    return tokens_of(prepared[clip])


def tokens_of(arrays: Arrays) -> Tokens:
    """The codec tokens of a prepared clip."""
    return Tokens(arrays["prosody"], arrays["content"], arrays["acoustic"], arrays["speaker"])


def sentence(arrays: Arrays, reference: Tokens) -> Sentence:
    """A prepared clip's text, to be said in a reference's voice."""
    return Sentence(phonemes=arrays["phones"], stress=arrays["stress"], reference=reference)


def silent_clip(arrays: Arrays, reference: Tokens) -> SilentClip:
    """A prepared clip without its sound, to be said in a reference's voice."""
    return SilentClip(
        phonemes=arrays["phones"],
        stress=arrays["stress"],
        lips=arrays["lip"],
        face=arrays["face"],
        speaker=reference.speaker,
        reference=reference,
    )


def write_spoken(
    spoken: Sequence[Spoken], prepared: PreparedSet, codec: Codec, folder: Path, log: RunLog, where: str
) -> None:
    """Sound, mel picture and (with a picture to fit) alignment map of each clip: in ``folder``, and in the log."""
    folder.mkdir(parents=True, exist_ok=True)
    world = prepared.index.world
    for one in spoken:
        arrays, stem = prepared[one.clip], one.clip.replace("/", "_")
        said = codec.decode(one.tokens)
        truth = MelPanel("spoken for real", log_mel(original(arrays, codec)), _phones(arrays))
        phones = () if one.plan is None else phone_intervals(arrays["phones"], one.plan.frame_durations, FRAME_RATE)
        title = f"{one.clip}: {prepared.info(one.clip).transcript or ''}"
        write_audio(folder / f"{stem}.wav", said, SAMPLE_RATE)
        draw_mels(
            folder / f"{stem}.png", [truth, MelPanel("generated", log_mel(said), phones)], title=title, world=world
        )
        if one.plan is not None:
            draw_alignment(
                folder / f"{stem}.alignment.png",
                one.plan.video_map,
                [SYMBOLS[phone] for phone in arrays["phones"]],
                title=title,
                searched=one.plan.frame_durations,
                true=arrays["frame_durations"],
                world=world,
            )
        for path in sorted(folder.glob(f"{stem}.*")):
            log.artifact(path, where)


def original(arrays: Arrays, codec: Codec) -> NDArray[np.float32]:
    """A prepared clip's sound ``[N]``, or what the codec makes of its tokens where the sound was not kept."""
    if "waveform" in arrays:
        return arrays["waveform"].astype(np.float32) / 32768
    return codec.decode(tokens_of(arrays))


def _phones(arrays: Arrays) -> tuple[Interval, ...]:
    return phone_intervals(arrays["phones"], arrays["token_durations"])
