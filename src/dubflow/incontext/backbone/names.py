"""Names of tensors: as the published checkpoints have them, and as diffusers' classes have them.

Every mapping works on whole components between dots, goes both ways, and is exact: no name is a substring of another's
replacement. Published names lie under ``model.diffusion_model.`` (transformer and connectors), ``vae.``,
``audio_vae.``, ``vocoder.`` and ``text_embedding_projection.``.
"""

from __future__ import annotations

import re

TRANSFORMER_PREFIX = "model.diffusion_model."
PROJECTION_PREFIX = "text_embedding_projection."

_TRANSFORMER = {
    "patchify_proj": "proj_in",
    "audio_patchify_proj": "audio_proj_in",
    "adaln_single": "time_embed",
    "audio_adaln_single": "audio_time_embed",
    "prompt_adaln_single": "prompt_adaln",
    "audio_prompt_adaln_single": "audio_prompt_adaln",
    "av_ca_video_scale_shift_adaln_single": "av_cross_attn_video_scale_shift",
    "av_ca_audio_scale_shift_adaln_single": "av_cross_attn_audio_scale_shift",
    "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate",
    "av_ca_v2a_gate_adaln_single": "av_cross_attn_audio_v2a_gate",
    "scale_shift_table_a2v_ca_video": "video_a2v_cross_attn_scale_shift_table",
    "scale_shift_table_a2v_ca_audio": "audio_a2v_cross_attn_scale_shift_table",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
}
_CONNECTORS = {
    "video_embeddings_connector": "video_connector",
    "audio_embeddings_connector": "audio_connector",
    "transformer_1d_blocks": "transformer_blocks",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
}
_PROJECTIONS = {
    "aggregate_embed": "text_proj_in",
    "video_aggregate_embed": "video_text_proj_in",
    "audio_aggregate_embed": "audio_text_proj_in",
}
_VOCODER = {
    "ups": "upsamplers",
    "resblocks": "resnets",
    "conv_pre": "conv_in",
    "conv_post": "conv_out",
    "act_post": "act_out",
}
_STATISTICS = {
    "per_channel_statistics.mean-of-means": "latents_mean",
    "per_channel_statistics.std-of-means": "latents_std",
}
_ENCODER_LEVELS = 4
_BLOCK = re.compile(r"(encoder\.down_blocks|decoder\.up_blocks)\.(\d+)\.(.*)")


def transformer_name(published: str) -> str:
    """diffusers' name of a transformer's tensor or module, prefixes left out on both sides."""
    return _replaced(published, _TRANSFORMER)


def published_transformer_name(name: str) -> str:
    """The inverse of :func:`transformer_name`."""
    return _replaced(name, _inverse(_TRANSFORMER))


def part_name(published: str) -> tuple[str, str] | None:
    """Part and diffusers' name of a tensor of a published checkpoint; None for one that diffusers does not have."""
    if published.startswith(PROJECTION_PREFIX):
        return "connectors", _replaced(published.removeprefix(PROJECTION_PREFIX), _PROJECTIONS)
    if published.startswith(TRANSFORMER_PREFIX):
        name = published.removeprefix(TRANSFORMER_PREFIX)
        if name.split(".")[0] in _CONNECTORS:
            return "connectors", _replaced(name, _CONNECTORS)
        return "transformer", transformer_name(name)
    part, _, name = published.partition(".")
    if part in ("vae", "audio_vae"):
        if name.startswith("per_channel_statistics."):
            return (part, _STATISTICS[name]) if name in _STATISTICS else None
        return part, _video_vae_name(name) if part == "vae" else name
    if part == "vocoder":
        if name.startswith("resampler."):
            return None  # computed, not stored, by diffusers
        return part, ".".join(_VOCODER.get(piece, piece) for piece in name.split(".") if piece != "lowpass")
    return None


def published_name(part: str, name: str) -> str:
    """The inverse of :func:`part_name`."""
    if part == "transformer":
        return TRANSFORMER_PREFIX + published_transformer_name(name)
    if part == "connectors":
        first = name.split(".")[0]
        if first in _PROJECTIONS.values():
            return PROJECTION_PREFIX + _replaced(name, _inverse(_PROJECTIONS))
        return TRANSFORMER_PREFIX + _replaced(name, _inverse(_CONNECTORS))
    statistics = _inverse(_STATISTICS)
    if part in ("vae", "audio_vae") and name in statistics:
        return f"{part}.{statistics[name]}"
    if part == "vae":
        return f"vae.{_published_video_vae_name(name)}"
    if part == "vocoder":
        renamed = _replaced(name, _inverse(_VOCODER))
        return f"vocoder.{renamed.replace('.downsample.filter', '.downsample.lowpass.filter')}"
    return f"{part}.{name}"


def _video_vae_name(name: str) -> str:
    """Published blocks are one list of levels and the steps between them; diffusers nests the steps in levels."""
    name = name.replace(".res_blocks.", ".resnets.").replace(".last_time_embedder.", ".time_embedder.")
    name = name.replace(".last_scale_shift_table", ".scale_shift_table")
    found = _BLOCK.fullmatch(name)
    if not found:
        return name
    where, index, rest = found[1], int(found[2]), found[3]
    level, step = divmod(index, 2)
    if where == "encoder.down_blocks":
        if index == 2 * _ENCODER_LEVELS:
            return f"encoder.mid_block.{rest}"
        return f"{where}.{level}.{'downsamplers.0.' if step else ''}{rest}"
    if index == 0:
        return f"decoder.mid_block.{rest}"
    return f"{where}.{level}.upsamplers.0.{rest}" if step else f"{where}.{level - 1}.{rest}"


def _published_video_vae_name(name: str) -> str:
    found = _BLOCK.fullmatch(name)
    if name.startswith("encoder.mid_block."):
        name = f"encoder.down_blocks.{2 * _ENCODER_LEVELS}.{name.removeprefix('encoder.mid_block.')}"
    elif name.startswith("decoder.mid_block."):
        name = f"decoder.up_blocks.0.{name.removeprefix('decoder.mid_block.')}"
    elif found and found[1] == "encoder.down_blocks":
        step = found[3].startswith("downsamplers.0.")
        name = f"{found[1]}.{2 * int(found[2]) + step}.{found[3].removeprefix('downsamplers.0.')}"
    elif found:
        step = found[3].startswith("upsamplers.0.")
        name = f"{found[1]}.{2 * int(found[2]) + 2 - step}.{found[3].removeprefix('upsamplers.0.')}"
    if name.startswith("decoder."):
        name = re.sub(r"^decoder\.time_embedder\.", "decoder.last_time_embedder.", name)
        name = re.sub(r"^decoder\.scale_shift_table$", "decoder.last_scale_shift_table", name)
    return name.replace(".resnets.", ".res_blocks.")


def _replaced(name: str, table: dict[str, str]) -> str:
    return ".".join(table.get(piece, piece) for piece in name.split("."))


def _inverse(table: dict[str, str]) -> dict[str, str]:
    return {value: key for key, value in table.items()}
