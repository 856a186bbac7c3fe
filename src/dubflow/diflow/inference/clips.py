"""Stage 2 at work: texts to silent clips.

Letters: B batch, N phonemes, F frames, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dubflow.diflow.flow.noise import seed_of
from dubflow.diflow.inference.batching import (
    asked,
    buckets,
    device_of,
    padded,
    references_batch,
    speakers_batch,
    text_batch,
)
from dubflow.diflow.inference.following import Between, Dropped, Follow, between_steps
from dubflow.diflow.inference.generation import draw_tokens
from dubflow.diflow.inference.items import DubbedSpeech, SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.dubber import DubberNetwork, Picture
from dubflow.diflow.nets.prompt import Reference
from dubflow.errors import WrongUse
from dubflow.speech.durations import frames_to_tokens


def dub_clips(
    network: DubberNetwork,
    clips: Sequence[SilentClip],
    settings: InferenceSettings | None = None,
) -> list[DubbedSpeech]:
    """Say each text to its clip; answers in their order, of ``L = ceil(16 F / 5)`` tokens each.

    Raises:
        BadInput: ``diflow.too_long``, ``diflow.more_phones_than_units`` where the network's settings say so.
        WrongUse: ``diflow.bad_shapes`` for features or speaker vectors of another size, ``diflow.bad_reference`` for a
            network that is prompted where a clip has no reference.
        OurFault: ``diflow.not_finite``.
    """
    settings = settings or InferenceSettings()
    dubbed = _dub(network, clips, settings, None)
    return [dubbed[item] for item in range(len(clips))]


def dub_followed(
    network: DubberNetwork, clips: Sequence[SilentClip], settings: InferenceSettings, follow: Follow
) -> list[DubbedSpeech | None]:
    """As :func:`dub_clips`, told step by step; None for each item that was dropped on the way."""
    dubbed = _dub(network, clips, settings, follow)
    return [None if follow.stopped(item) else dubbed.get(item) for item in range(len(clips))]


def _dub(
    network: DubberNetwork, clips: Sequence[SilentClip], settings: InferenceSettings, follow: Follow | None
) -> dict[int, DubbedSpeech]:
    _check_features(network, clips)
    dubbed: dict[int, DubbedSpeech] = {}
    with asked(network, settings):
        for batch in buckets([frames_to_tokens(clip.frames) for clip in clips], settings):
            kept = batch if follow is None else [item for item in batch if not follow.stopped(item)]
            between = None if follow is None else between_steps(follow, kept, settings.sampler.steps)
            try:
                spoken = _dub_batch(network, [clips[item] for item in kept], settings, between) if kept else []
            except Dropped:
                continue
            dubbed.update(zip(kept, spoken, strict=True))
    return dubbed


def _check_features(network: DubberNetwork, clips: Sequence[SilentClip]) -> None:
    wanted = (network.settings.lip_features, network.settings.face_features)
    for clip in clips:
        if (clip.lips.shape[1], clip.face.shape[1]) != wanted:
            raise WrongUse(
                "diflow.bad_shapes",
                f"Lips {list(clip.lips.shape)} and face {list(clip.face.shape)} are not the {wanted} features of this "
                "network.",
                "Extract them as its training data was.",
            )


def _prompts(
    network: DubberNetwork, clips: Sequence[SilentClip], lengths: Sequence[int], settings: InferenceSettings
) -> Reference | None:
    """The references' prompts, where the network wants any; it says so itself when they are missing."""
    references = [clip.reference for clip in clips if clip.reference is not None]
    if not network.settings.acoustic_prompt or len(references) < len(clips):
        return None
    pad = network.settings.books.vocabulary.pad
    return references_batch(references, lengths, settings.prompt_share, pad, device_of(network))


def _dub_batch(
    network: DubberNetwork, clips: Sequence[SilentClip], settings: InferenceSettings, between: Between | None
) -> list[DubbedSpeech]:
    device = device_of(network)
    text = text_batch([clip.phonemes for clip in clips], [clip.stress for clip in clips], device)
    picture = Picture(
        padded([np.asarray(clip.lips.T, np.float32) for clip in clips], device).transpose(1, 2),
        padded([np.asarray(clip.face.T, np.float32) for clip in clips], device).transpose(1, 2),
        torch.tensor([clip.frames for clip in clips], device=device),
    )
    speakers = [np.asarray(clip.speaker, np.float32) for clip in clips]
    plan = network.plan(text, picture)
    synchronized = plan.synchronized
    lengths = synchronized.lengths.tolist()
    reference = _prompts(network, clips, lengths, settings)
    context = network.context(plan, speakers_batch(speakers, network.settings.speaker, device), reference)
    seeds = [seed_of(settings.seed, clip.seed) for clip in clips]
    tokens = draw_tokens(network.denoiser, context, plan.content, lengths, seeds, speakers, settings, between)

    durations = synchronized.alignment.durations.cpu().numpy()
    crowded = synchronized.alignment.relaxed.tolist()
    video = synchronized.video_map.weights.float().cpu().numpy()
    speech = synchronized.speech_map.weights.float().cpu().numpy()
    return [
        DubbedSpeech(
            tokens=tokens[row],
            frame_durations=durations[row, : len(clip.phonemes)],
            video_map=video[row, : clip.frames, : len(clip.phonemes)],
            speech_map=speech[row, : lengths[row], : len(clip.phonemes)],
            crowded=bool(crowded[row]),
        )
        for row, clip in enumerate(clips)
    ]
