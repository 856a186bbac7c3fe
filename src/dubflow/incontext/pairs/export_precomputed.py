"""Pairs as the ``.precomputed`` tree of LTX trainers: latents and prompt features, one ``.pt`` file of each a pair.

Layout and names as :mod:`dubflow.incontext.training.precomputed` reads them. Files are plain tensors and numbers, as
the format wants; nothing of ours is ever read from ``.pt`` but by that reader, with ``weights_only=True``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dubflow.atomic import atomic_dir
from dubflow.faces.landmarks import Landmarker
from dubflow.incontext.backbone.audio import audio_latents
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import prompt_features
from dubflow.incontext.pairs.export_dataset import accepted_pairs
from dubflow.incontext.pairs.manifest import PairManifest
from dubflow.incontext.training.encoding import encode_pairs
from dubflow.incontext.training.latents import LatentSet, PairLatents
from dubflow.incontext.training.precomputed import ROOT
from dubflow.incontext.training.settings import FPS, DataSettings
from dubflow.progress import Progress, Silent


def export_precomputed(
    pairs: PairManifest,
    backbone: Backbone,
    settings: DataSettings,
    cache: Path,
    out: Path,
    *,
    landmarker: Landmarker | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the accepted pairs as ``.precomputed`` into the folder ``out``, which appears whole.

    Args:
        backbone: with its text encoder: features before the connectors are not kept in our cache.
        cache: where pairs are encoded, or found encoded.
        landmarker: finds faces for pairs without a mask.

    Returns:
        How many pairs; those that cannot be encoded are left out, as in training.

    Raises:
        BadInput: ``incontext.nothing_to_export``, ``incontext.nothing_to_train_on``.
        WrongUse: ``incontext.folder_exists``, ``incontext.no_text_encoder``.
    """
    accepted_pairs(pairs, out)
    progress = progress or Silent()
    encode_pairs(pairs, backbone, cache, settings, landmarker=landmarker, progress=progress)
    latents = LatentSet(cache)
    with atomic_dir(Path(out)) as part:
        for name, pair in latents.index.pairs.items():
            assert pair.prompt is not None  # they come from a manifest
            _write(part / ROOT, name, latents[name], pair.prompt, backbone)
    return len(latents)


def _write(root: Path, name: str, pair: PairLatents, prompt: str, backbone: Backbone) -> None:
    channels = backbone.geometry.audio_latent_channels
    content: dict[str, Mapping[str, Any]] = {"conditions": _conditions(backbone, prompt)}
    for folder, video, audio in (
        ("", pair.target_video, pair.target_audio),
        ("reference_", pair.context_video, pair.context_audio),
    ):
        content[f"{folder}latents"] = _video(video)
        content[f"{folder}audio_latents"] = _audio(audio_latents(audio, channels))
    if pair.mask is not None:
        content["masks"] = {"masks": pair.mask.float()}
    for folder, values in content.items():
        path = root / folder / f"{name}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(values), path)


def _video(latents: Tensor) -> dict[str, Any]:
    frames, rows, columns = latents.shape[1:]
    return {"latents": latents.contiguous(), "num_frames": frames, "height": rows, "width": columns, "fps": float(FPS)}


def _audio(latents: Tensor) -> dict[str, Any]:
    _, steps, bins = latents.shape
    return {
        "latents": latents.contiguous(),
        "num_time_steps": steps,
        "frequency_bins": bins,
        "duration": steps / FPS,
    }


def _conditions(backbone: Backbone, prompt: str) -> dict[str, Tensor]:
    features = prompt_features(backbone, [prompt])
    # Clones, because the two streams of 2.0 are one tensor.
    return {
        "video_prompt_embeds": features.video[0].cpu().clone(),
        "audio_prompt_embeds": features.audio[0].cpu().clone(),
        "prompt_attention_mask": features.mask[0].cpu().clone(),
    }
