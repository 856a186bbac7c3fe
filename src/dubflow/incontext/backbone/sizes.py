"""What a published checkpoint is, from the names and shapes of its tensors.

Shapes cannot lie about what fits; a stated configuration can, and most files state none. What shapes do not tell (heads
of 2.0, the width of the text encoder from 2.3 on) comes from the file's ``config``, else it is the published number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from dubflow.errors import BadInput
from dubflow.incontext.backbone.settings import BackboneSettings, Version, published
from dubflow.incontext.backbone.tensor_file import TensorFacts

Facts = Mapping[str, TensorFacts]
_GATE = "transformer_blocks.0.attn1.to_gate_logits.weight"
_HEADS = 32
_CONNECTOR_HEADS = {"2.0": 30, "2.3": 32, "2.5": 32}
_TEXT_WIDTH = 3840
_AUDIO_LATENTS = 8


def detect_version(parts: Mapping[str, Iterable[str]]) -> Version:
    """Which LTX-2 the tensors are of.

    Args:
        parts: diffusers' tensor names of each part; the transformer's are needed, others are checked against them.

    Raises:
        BadInput: ``incontext.unknown_base`` for another model, ``incontext.version_mismatch`` for parts of two
            versions.
    """
    names = set(parts.get("transformer", ()))
    if not {"proj_in.weight", "audio_proj_in.weight", "transformer_blocks.0.audio_to_video_attn.to_q.weight"} <= names:
        raise unknown("its transformer has no audio stream beside the video stream")
    captions, gates = "caption_projection.linear_1.weight" in names, _GATE in names
    keyframes = "keyframes_abs_pos_embedding" in names
    bias = "transformer_blocks.0.ff.net.0.proj.bias" in names
    found: Version
    if captions and not (gates or keyframes) and bias:
        found = "2.0"
    elif gates and not captions and not keyframes and bias:
        found = "2.3"
    elif gates and not captions and keyframes and not bias:
        found = "2.5"
    else:
        seen = {"caption projection": captions, "gated attention": gates, "keyframe embedding": keyframes}
        has = [name for name, there in (seen | {"feed-forward bias": bias}).items() if there]
        raise unknown(f"no version has exactly this: {', '.join(has) or 'none of the marks'}")
    later = found != "2.0"
    for part, mark, what in (
        ("connectors", "video_text_proj_in.weight", "a projection for each modality"),
        ("vocoder", "bwe_generator.conv_in.weight", "bandwidth extension"),
        ("vae", "decoder.up_blocks.3.upsamplers.0.conv.conv.weight", "four decoding steps"),
    ):
        there = set(parts.get(part, ()))
        if there and (mark in there) != later:
            raise BadInput(
                "incontext.version_mismatch",
                f"The transformer is of version {found}, but the {part} {'lacks' if later else 'has'} {what}.",
                "Take all parts from one release; they are not portable between versions.",
                version=found,
                part=part,
            )
    return found


def settings_of(parts: Mapping[str, Facts], metadata: Mapping[str, str]) -> BackboneSettings:
    """Settings that build exactly the parts with these facts (diffusers' names); of missing parts, what fits the rest.

    Raises:
        BadInput: ``incontext.unknown_base``, ``incontext.version_mismatch``.
    """
    version = detect_version(parts)
    stated, transformer = _stated(metadata), parts["transformer"]
    try:
        return BackboneSettings.model_validate(
            {
                "version": version,
                "transformer": _transformer(transformer, stated),
                "video_vae": _video_vae(parts["vae"]) if "vae" in parts else _video_tokens(transformer),
                "audio_vae": _audio_vae(parts["audio_vae"]) if "audio_vae" in parts else _audio_tokens(transformer),
                "vocoder": _vocoder(parts["vocoder"], version) if "vocoder" in parts else {},
                "text": _text(parts["connectors"], stated, version) if "connectors" in parts else _prompts(transformer),
            }
        )
    except (KeyError, IndexError, ZeroDivisionError, ValidationError) as error:
        raise unknown(f"its sizes do not belong together ({error})") from error


def unknown(why: str) -> BadInput:
    """The error for a model that is no LTX-2 that is known here."""
    return BadInput(
        "incontext.unknown_base",
        f"This is no LTX-2 that is known here: {why}.",
        "Known are the audio-video models 2.0, 2.3 and 2.5.",
    )


def _stated(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """The transformer's section of the configuration in a file's header."""
    if "config" not in metadata:
        return {}
    try:
        stated = json.loads(metadata["config"])
        section = dict(stated.get("transformer", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise unknown(f"the configuration in its header cannot be read ({error})") from error
    rope = str(section.get("rope_type", "split")).lower()
    if rope != "split":
        raise unknown(f"it states {rope} rotary embeddings, and all published weights are split")
    return section


def _transformer(facts: Facts, stated: Mapping[str, Any]) -> dict[str, Any]:
    width, audio_width = facts["proj_in.weight"].shape[0], facts["audio_proj_in.weight"].shape[0]
    heads = facts[_GATE].shape[0] if _GATE in facts else int(stated.get("num_attention_heads", _HEADS))
    if width % heads or audio_width % heads:
        raise unknown(f"{heads} heads do not divide widths of {width} and {audio_width}")
    return {
        "layers": _count(facts, "transformer_blocks"),
        "heads": heads,
        "head_dim": width // heads,
        "audio_head_dim": audio_width // heads,
        "double_precision": stated.get("frequencies_precision", "float64") == "float64",
    }


def _video_vae(facts: Facts) -> dict[str, Any]:
    depths = [_count(facts, f"encoder.down_blocks.{level}.resnets") for level in range(4)]
    depth = depths[0] if len({*depths, _count(facts, "encoder.mid_block.resnets")}) == 1 else None
    return {
        "latent_channels": facts["latents_mean"].shape[0],
        # The first convolution is as wide as a latent; the first level that is named comes after the first step.
        "base_channels": facts["encoder.down_blocks.1.resnets.0.conv1.conv.weight"].shape[0],
        "depth": depth,
    }


def _video_tokens(transformer: Facts) -> dict[str, Any]:
    return {"latent_channels": transformer["proj_in.weight"].shape[1]}


def _audio_tokens(transformer: Facts) -> dict[str, Any]:
    width = transformer["audio_proj_in.weight"].shape[1]
    return {"latent_channels": _AUDIO_LATENTS, "mel_bins": 4 * width // _AUDIO_LATENTS, "base_channels": width}


def _prompts(transformer: Facts) -> dict[str, Any]:
    captions = transformer.get("caption_projection.linear_1.weight")
    return {"width": captions.shape[1]} if captions else {}


def _audio_vae(facts: Facts) -> dict[str, Any]:
    base, latents = facts["encoder.conv_in.conv.weight"].shape[0], facts["decoder.conv_in.conv.weight"].shape[1]
    levels = [facts[f"encoder.down.{level}.block.0.conv2.conv.weight"].shape[0] for level in range(3)]
    return {
        "latent_channels": latents,
        "base_channels": base,
        "mel_bins": 4 * base // latents,
        "multipliers": tuple(level // base for level in levels),
        "depth": _count(facts, "encoder.down.0.block"),
    }


def _vocoder(facts: Facts, version: Version) -> dict[str, Any]:
    first = "" if version == "2.0" else "vocoder."
    blocks = _count(facts, f"{first}resnets") // _count(facts, f"{first}upsamplers")
    sizes = {
        "channels": facts[f"{first}conv_in.weight"].shape[0],
        "kernels": tuple(facts[f"{first}resnets.{block}.convs1.0.weight"].shape[2] for block in range(blocks)),
    }
    if version != "2.0":
        sizes["extension_channels"] = facts["bwe_generator.conv_in.weight"].shape[0]
    return sizes


def _text(facts: Facts, stated: Mapping[str, Any], version: Version) -> dict[str, Any]:
    if version == "2.0":
        width, inputs = facts["text_proj_in.weight"].shape
    else:
        inputs = facts["video_text_proj_in.weight"].shape[1]
        width = int(stated.get("caption_channels") or _TEXT_WIDTH)
    if inputs % width:
        raise unknown(f"a text encoder of width {width} does not give features of width {inputs}")
    gate = "video_connector.transformer_blocks.0.attn1.to_gate_logits.weight"
    heads = facts[gate].shape[0] if gate in facts else stated.get("connector_num_attention_heads")
    registers = facts["video_connector.learnable_registers"].shape[0]
    tokens = published(version).text.tokens
    return {
        "width": width,
        "layers": inputs // width - 1,
        "tokens": tokens if tokens % registers == 0 else registers,
        "connector_layers": _count(facts, "video_connector.transformer_blocks"),
        "connector_heads": int(heads or _CONNECTOR_HEADS[version]),
        "registers": registers,
    }


def _count(facts: Facts, prefix: str) -> int:
    """How many numbered members a list of modules has."""
    member = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    return len({found[1] for name in facts if (found := member.match(name))})
