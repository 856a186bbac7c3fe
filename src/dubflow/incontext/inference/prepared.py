"""The transformer on tokens whose positions, text and layout stay while their noise falls.

Positions and the prompt are the same at every step, so rotary embeddings and the projected text are computed once. All
tokens of an item have one of two noise levels, 0 or the item's own, so the time embeddings are computed for these two
and handed out to the tokens, where the plain pass computes them for every token. The result is the plain pass's, to
rounding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dubflow.incontext.attention import KeptReferences, installed
from dubflow.incontext.backbone.text import TextFeatures
from dubflow.incontext.forward import Velocities, forward, inputs
from dubflow.incontext.masks import Layout, MaskScheme
from dubflow.incontext.tokens import ContextTokens, ModalityTokens

_Embedded = tuple[Tensor, Tensor]


class PreparedPass:
    """Gives what :func:`dubflow.incontext.forward.forward` gives, for tokens that differ in latents and level only.

    A transformer whose modules are moved by hooks (offloading) runs the plain pass: its parts may not be called singly.
    """

    def __init__(
        self,
        transformer: Any,
        tokens: ContextTokens,
        text: TextFeatures,
        masks: MaskScheme,
        references: KeptReferences | None = None,
    ) -> None:
        self._net, self._masks, self._text = transformer, masks, text
        self._layout, self._references = Layout.of(tokens, masks), references
        self._state = installed(transformer)
        self._plain = _is_hooked(transformer)
        if self._plain:
            return
        given = inputs(transformer, tokens, text)
        dtype, batch = given["hidden_states"].dtype, tokens.batch
        video, audio = given["video_coords"], given["audio_coords"]
        bias = given["encoder_attention_mask"]
        if bias is not None:
            bias = ((1 - bias) * -10000.0).unsqueeze(1)
        self._constant: dict[str, Any] = {
            **_projected_text(transformer, given, batch),
            "video_rotary_emb": transformer.rope(video),
            "audio_rotary_emb": transformer.audio_rope(audio),
            "ca_video_rotary_emb": transformer.cross_attn_rope(video[:, :1]),
            "ca_audio_rotary_emb": transformer.cross_attn_audio_rope(audio[:, :1]),
            "encoder_attention_mask": bias,
            "audio_encoder_attention_mask": bias,
        }
        self._scale = float(transformer.config.timestep_scale_multiplier)
        self._gate = float(transformer.config.cross_attn_timestep_scale_multiplier) / self._scale
        self._cross = bool(given["use_cross_timestep"])
        self._still = {name: self._embed(name, video.new_zeros(1), dtype) for name in _EMBEDDERS}

    def __call__(self, tokens: ContextTokens) -> Velocities:
        """Velocities of the targets."""
        if self._plain:
            return forward(self._net, tokens, self._text, self._masks, layout=self._layout, references=self._references)
        with self._state.using(self._layout, self._references):
            video, audio = self._run(tokens)
        return Velocities(video[:, tokens.video.target], audio[:, tokens.audio.target])

    def _run(self, tokens: ContextTokens) -> tuple[Tensor, Tensor]:
        net = self._net
        dtype = net.dtype
        hidden, sound = net.proj_in(tokens.video.latents.to(dtype)), net.audio_proj_in(tokens.audio.latents.to(dtype))
        video_time, video_shown = self._per_token("time_embed", tokens.video, dtype)
        audio_time, audio_shown = self._per_token("audio_time_embed", tokens.audio, dtype)
        # From 2.3 on what crosses is modulated by the other modality's level, one for all tokens.
        over, under = (tokens.audio, tokens.video) if self._cross else (tokens.video, tokens.audio)
        crossing = {
            "temb_ca_scale_shift": self._crossing("av_cross_attn_video_scale_shift", over, dtype),
            "temb_ca_gate": self._crossing("av_cross_attn_video_a2v_gate", over, dtype),
            "temb_ca_audio_scale_shift": self._crossing("av_cross_attn_audio_scale_shift", under, dtype),
            "temb_ca_audio_gate": self._crossing("av_cross_attn_audio_v2a_gate", under, dtype),
        }
        prompt = dict.fromkeys(("temb_prompt", "temb_prompt_audio"))
        if net.prompt_modulation and net.config.use_prompt_adaln_single:
            prompt["temb_prompt"] = self._embed("prompt_adaln", tokens.video.level, dtype)[0][:, None]
            prompt["temb_prompt_audio"] = self._embed("audio_prompt_adaln", tokens.audio.level, dtype)[0][:, None]
        for block in net.transformer_blocks:
            hidden, sound = block(
                hidden_states=hidden,
                audio_hidden_states=sound,
                temb=video_time,
                temb_audio=audio_time,
                **crossing,
                **prompt,
                **self._constant,
            )
        return (
            _shown(hidden, net.norm_out, net.scale_shift_table, video_shown, net.proj_out),
            _shown(sound, net.audio_norm_out, net.audio_scale_shift_table, audio_shown, net.audio_proj_out),
        )

    def _embed(self, name: str, level: Tensor, dtype: torch.dtype) -> _Embedded:
        """What the embedder ``name`` makes of noise levels ``[n]``: ``[n, parameters]`` and ``[n, dim]``."""
        factor = self._scale * (self._gate if name.endswith("_gate") else 1.0)
        module = getattr(self._net, name)
        parameters, embedded = module(level.float() * factor, batch_size=len(level), hidden_dtype=dtype)
        return parameters, embedded

    def _per_token(self, name: str, tokens: ModalityTokens, dtype: torch.dtype) -> _Embedded:
        noisy, clean = self._embed(name, tokens.level, dtype), self._still[name]
        held = tokens.clean[:, :, None]
        return torch.where(held, clean[0], noisy[0][:, None]), torch.where(held, clean[1], noisy[1][:, None])

    def _crossing(self, name: str, tokens: ModalityTokens, dtype: torch.dtype) -> Tensor:
        if self._cross:
            return self._embed(name, tokens.level, dtype)[0][:, None]
        return self._per_token(name, tokens, dtype)[0]


_EMBEDDERS = (
    "time_embed",
    "audio_time_embed",
    "av_cross_attn_video_scale_shift",
    "av_cross_attn_video_a2v_gate",
    "av_cross_attn_audio_scale_shift",
    "av_cross_attn_audio_v2a_gate",
)


def _is_hooked(transformer: nn.Module) -> bool:
    """Whether accelerate or diffusers move this module's parts when it is called."""
    hook = getattr(transformer, "_diffusers_hook", None)
    return hasattr(transformer, "_hf_hook") or (hook is not None and bool(hook.hooks))


def _projected_text(transformer: Any, given: dict[str, Any], batch: int) -> dict[str, Tensor]:
    video, audio = given["encoder_hidden_states"], given["audio_encoder_hidden_states"]
    if transformer.config.use_prompt_embeddings:
        video, audio = transformer.caption_projection(video), transformer.audio_caption_projection(audio)
    return {
        "encoder_hidden_states": video.reshape(batch, -1, video.shape[-1]),
        "audio_encoder_hidden_states": audio.reshape(batch, -1, audio.shape[-1]),
    }


def _shown(hidden: Tensor, norm: nn.Module, table: Tensor, embedded: Tensor, project: nn.Module) -> Tensor:
    shift, scale = (table[None, None] + embedded[:, :, None]).unbind(dim=2)
    answer: Tensor = project(norm(hidden) * (1 + scale) + shift)
    return answer


class ReferenceCache:
    """Keys and values of the references in every self-attention, taken in one pass over the references alone."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._taking = True

    @classmethod
    def of(cls, transformer: Any, tokens: ContextTokens, text: TextFeatures, masks: MaskScheme) -> ReferenceCache:
        """What ``tokens``' references are under ``masks`` and this text."""
        cache = cls()
        alone = tokens.references()
        # Nobody of the references asks across: the layout of isolated references, whatever the adapter's scheme is.
        isolated = masks.model_copy(update={"av": "isolated", "self_attention": "full"})
        forward(transformer, replace(alone).at(0.0), text, isolated, references=cache)
        cache._taking = False
        return cache

    def join(self, place: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`dubflow.incontext.attention.KeptReferences`."""
        if self._taking:
            self._kept[place] = (keys, values)
            return keys, values
        kept_keys, kept_values = self._kept[place]
        return torch.cat([kept_keys, keys], dim=2), torch.cat([kept_values, values], dim=2)


def why_not_exact(transformer: Any, masks: MaskScheme) -> str | None:
    """Why keeping the references' keys and values changes the result; None where it does not.

    It changes nothing when nothing that a reference computes depends on the step: it looks at no target, in its own
    modality or the other, and neither text nor gates are modulated by the noise level.
    """
    if masks.av != "isolated":
        return f"under the mask {masks.av!r} references look at targets of the other modality"
    if masks.self_attention != "reference_isolated":
        return "in full self-attention references look at targets"
    if transformer.prompt_modulation and transformer.config.use_prompt_adaln_single:
        return "this base modulates the text by the noise level"
    if bool(transformer.config.cross_attn_mod or transformer.config.audio_cross_attn_mod):
        return "this base modulates what crosses by the other modality's noise level"
    return None
