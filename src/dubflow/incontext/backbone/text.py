"""Prompts to text features: Gemma's hidden states of every layer, normalised and projected, through the connectors.

Two stages, because the first needs a large text encoder and depends on the prompt alone: *prompt features* (before the
connectors, what LTX trainers cache as ``conditions``) and *text features* (after them, what the transformer attends
to).
From 2.3 on the widths of video and audio differ in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone


@dataclass(frozen=True)
class PromptFeatures:
    """Features before the connectors: ``video`` ``[B, L, Dv]``, ``audio`` ``[B, L, Da]``, ``mask`` ``[B, L]`` bool.

    Prompts are padded on the left; the mask is true on their tokens.
    """

    video: Tensor
    audio: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TextFeatures:
    """What the transformer attends to: ``video`` ``[B, L, Dv]``, ``audio`` ``[B, L, Da]``, ``mask`` ``[B, L]`` bool.

    With learned registers, as published, every position counts and the mask is true everywhere.
    """

    video: Tensor
    audio: Tensor
    mask: Tensor


def batched_text(items: Sequence[TextFeatures]) -> TextFeatures:
    """Features of any lengths as one batch, padded on the right under the mask; attention to text knows no places."""
    length = max(one.mask.shape[1] for one in items)

    def padded(values: Tensor) -> Tensor:
        missing = length - values.shape[1]
        return torch.cat([values, values.new_zeros(len(values), missing, *values.shape[2:])], dim=1)

    video, audio, mask = ([getattr(one, name) for one in items] for name in ("video", "audio", "mask"))
    return TextFeatures(*(torch.cat([padded(values) for values in each]) for each in (video, audio, mask)))


class TextCache:
    """Prompt features by content in a folder: one safetensors file for a prompt under given weights.

    The connectors are trained for one text encoder and stand for it, so cached prompts need no encoder at all.
    """

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        """A cache for ``backbone``; the folder may be shared by several."""
        self.folder = Path(folder)
        self._weights = f"{fingerprint(backbone.connectors)} {backbone.version} {backbone.text_tokens}"

    def path(self, prompt: str) -> Path:
        """Where the features of ``prompt`` lie or will lie."""
        key = hashlib.sha256(f"{self._weights}\n{prompt}".encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, prompt: str) -> PromptFeatures | None:
        """The features of ``prompt``, a batch of one on the CPU; None where they are missing or damaged."""
        try:
            found = load_file(self.path(prompt))
            return PromptFeatures(found["video"], found["audio"], found["mask"].bool())
        except (FileNotFoundError, SafetensorError, KeyError):
            return None

    def put(self, prompt: str, features: PromptFeatures) -> None:
        """Keep the features of ``prompt``."""
        tensors = {"video": features.video, "audio": features.audio, "mask": features.mask.to(torch.uint8)}
        with atomic_file(self.path(prompt)) as part:
            # Clones, because the two streams of 2.0 are one tensor and the format refuses to store it twice.
            save_file({name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()}, part)


def encode_text(backbone: Backbone, prompts: Sequence[str], cache: TextCache | None = None) -> TextFeatures:
    """Text features of ``prompts``, on the backbone's device in its dtype.

    Raises:
        BadInput: ``incontext.prompt_too_long``.
        WrongUse: ``incontext.no_text_encoder`` for a prompt that is not cached when the encoder was dropped.
    """
    return connect_text(backbone, prompt_features(backbone, prompts, cache))


@torch.no_grad()
def prompt_features(backbone: Backbone, prompts: Sequence[str], cache: TextCache | None = None) -> PromptFeatures:
    """Features before the connectors; one prompt at a time, because all layers of a large encoder weigh much."""
    found = []
    for prompt in prompts:
        features = cache.get(prompt) if cache else None
        if features is None:
            features = _encode(backbone, prompt)
            if cache:
                cache.put(prompt, features)
        found.append(features)
    device = backbone.device
    return PromptFeatures(
        torch.cat([each.video.to(device) for each in found]),
        torch.cat([each.audio.to(device) for each in found]),
        torch.cat([each.mask.to(device) for each in found]),
    )


@torch.no_grad()
def connect_text(backbone: Backbone, features: PromptFeatures) -> TextFeatures:
    """The connectors: padding gives way to learned registers, two small transformers read the rest."""
    return connected(backbone, features)


def tokenized(backbone: Backbone, prompt: str) -> tuple[Tensor, Tensor]:
    """Ids and mask of a prompt, ``[L]`` each on the CPU, padded on the left.

    Raises:
        BadInput: ``incontext.prompt_too_long``.
        WrongUse: ``incontext.no_text_encoder`` where the tokenizer was not loaded.
    """
    tokenizer = backbone.tokenizer
    if tokenizer is None:
        raise _no_encoder()
    tokenizer.padding_side = "left"
    length = backbone.text_tokens
    unpadded = tokenizer(prompt.strip(), add_special_tokens=True)["input_ids"]
    if len(unpadded) > length:
        raise BadInput(
            "incontext.prompt_too_long",
            f"The prompt has {len(unpadded)} tokens, and this backbone reads {length}.",
            "Dub in shorter windows, or shorten the description; nothing is cut off silently.",
        )
    inputs = tokenizer([prompt.strip()], padding="max_length", max_length=length, return_tensors="pt")
    return inputs["input_ids"][0], inputs["attention_mask"][0]


def features_of_tokens(backbone: Backbone, ids: Tensor, mask: Tensor) -> PromptFeatures:
    """Features before the connectors of tokens ``[B, L]``, with gradients; for whoever trains the encoder."""
    encoder = backbone.text_encoder
    if encoder is None:
        raise _no_encoder()
    # Without the language-model head, whose logits over a large vocabulary nobody needs.
    body = getattr(encoder, "model", encoder)
    states = body(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
    return _project(backbone, torch.stack(list(states), dim=-1), mask)


def connected(backbone: Backbone, features: PromptFeatures) -> TextFeatures:
    """:func:`connect_text` with gradients."""
    connectors = backbone.connectors
    dtype = connectors.dtype
    additive = (features.mask.to(dtype) - 1) * torch.finfo(dtype).max
    additive = additive[:, None, None, :]
    video, left = connectors.video_connector(features.video.to(dtype), additive)
    audio, _ = connectors.audio_connector(features.audio.to(dtype), additive)
    mask = left.reshape(features.mask.shape) >= 0
    return TextFeatures((video * mask.unsqueeze(-1)).to(backbone.dtype), audio.to(backbone.dtype), mask)


def _encode(backbone: Backbone, prompt: str) -> PromptFeatures:
    if backbone.text_encoder is None or backbone.tokenizer is None:
        raise _no_encoder()
    ids, mask = (one[None].to(backbone.device) for one in tokenized(backbone, prompt))
    return features_of_tokens(backbone, ids, mask)


def _no_encoder() -> WrongUse:
    return WrongUse(
        "incontext.no_text_encoder",
        "This prompt is not among the cached ones and the text encoder was not loaded.",
        "Load the backbone with its text encoder once; features are cached after that.",
    )


def _project(backbone: Backbone, states: Tensor, mask: Tensor) -> PromptFeatures:
    """Normalise and project hidden states ``[B, L, width, layers]``, as the connectors' own forward does."""
    from diffusers.pipelines.ltx2.connectors import per_layer_masked_mean_norm, per_token_rms_norm

    connectors = backbone.connectors
    states = states.to(connectors.dtype)
    if not connectors.config.per_modality_projections:
        normed = per_layer_masked_mean_norm(states, mask.sum(dim=-1), states.device, "left")
        shared = connectors.text_proj_in(normed)
        return PromptFeatures(shared, shared, mask.bool())
    normed = per_token_rms_norm(states).flatten(2, 3)
    normed = torch.where(mask.bool().unsqueeze(-1), normed, torch.zeros_like(normed))
    config = connectors.config
    video = normed * (config.video_hidden_dim / config.caption_channels) ** 0.5
    audio = normed * (config.audio_hidden_dim / config.caption_channels) ** 0.5
    return PromptFeatures(connectors.video_text_proj_in(video), connectors.audio_text_proj_in(audio), mask.bool())
