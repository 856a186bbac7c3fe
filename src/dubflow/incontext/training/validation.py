"""Validation: the loss on pairs held out, and a few of them dubbed by the real inference and written as clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from dubflow.incontext.backbone.audio import decode_audio
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import decode_video
from dubflow.incontext.inference.sampling import ClipLatents, GuidedText, dub_latents
from dubflow.incontext.inference.settings import InferenceSettings
from dubflow.incontext.training.examples import Example, loss_of
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.module import LoraModule
from dubflow.incontext.training.settings import FPS, LoraTraining
from dubflow.media.encode import write_clip
from dubflow.training.seeds import seed_of
from dubflow.training.steps import moved


@torch.no_grad()
def held_loss(module: LoraModule, examples: Iterable[Example]) -> dict[str, float]:
    """Means of the loss parts over pairs held out; their noise is the same at every validation."""
    sums: dict[str, float] = defaultdict(float)
    count = 0
    for example in examples:
        parts = loss_of(module.transformer, moved(example, module.device), module.settings)
        count += 1
        for name, value in ({"loss": parts.total} | dict(parts.values)).items():
            sums[name] += float(value)
    return {f"val/{name}": total / max(1, count) for name, total in sums.items()}


def as_trained(inference: InferenceSettings, training: LoraTraining, *, guided: bool) -> InferenceSettings:
    """The settings of an inference under which the adapter that is trained may run."""
    changes = {
        "masks": training.scheme.model_dump(),
        "order": training.order,
        "audio_positions": training.audio_positions,
        "first_frame": inference.first_frame and training.first_frame_p > 0,
        "guidance": inference.guidance if guided else 1.0,
        "refine": None,
    }
    return InferenceSettings.model_validate(inference.model_dump() | changes)


def dub_pairs(
    backbone: Backbone,
    latents: LatentSet,
    ids: Sequence[str],
    inference: InferenceSettings,
    training: LoraTraining,
    device: torch.device,
    *,
    reuse: bool = True,
) -> list[ClipLatents]:
    """Dubs of the pairs' contexts by their prompts; each has the same noise at every validation.

    Args:
        reuse: compute what is constant over the steps once; not where weights are in shards.
    """
    negative = latents.negative()
    settings = as_trained(inference, training, guided=negative is not None).model_copy(update={"reuse": reuse})
    dubs = []
    for name in ids:
        pair = moved(latents[name], device)
        source = ClipLatents(pair.context_video[None].float(), pair.context_audio[None].float())
        text = GuidedText(pair.text, moved(negative, device) if settings.guidance != 1 else None)
        dubs.append(dub_latents(backbone, source, text, settings, [seed_of(training.seed, "dub", name)]))
    return dubs


def write_dubs(backbone: Backbone, ids: Sequence[str], dubs: Sequence[ClipLatents], folder: Path) -> list[Path]:
    """The dubs as clips of 25 frames a second in ``folder``."""
    paths = []
    for name, dub in zip(ids, dubs, strict=True):
        frames = decode_video(backbone, dub.video[0])
        sound, rate = decode_audio(backbone, dub.audio[0])
        path = folder / f"{name.replace('/', '_')}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = round(Fraction(len(frames), FPS) * rate)
        mono = sound.mean(axis=0)[:samples]  # the vocoder gives a little less than the tokens stand for
        write_clip(path, frames, FPS, np.pad(mono, (0, samples - len(mono))), rate)
        paths.append(path)
    return paths
