"""The authors' public first stage (DiFlow-TTS) as a :class:`~dubflow.diflow.nets.tts.TtsNetwork`.

The network that comes out computes what theirs computes (``folding``); what is left out is their codec, which has an
importer of its own, and in older files the separator that closed a prompt.

Two things the file does not tell:

- the phonemes behind the rows of its table. The network keeps the rows and their numbers, so its text is made of the
  authors' symbol ids and not of this project's inventory. Their stress is part of the symbol: ours has no effect.
- whether its time runs backwards. The public code trains with the masked share as the time, while its sampler starts
  at 0; which of the two a file was trained with shows in :func:`time_flip_losses`, the lower loss being the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from dubflow.diflow.flow.loss import posterior_cross_entropy
from dubflow.diflow.importing import folding
from dubflow.diflow.importing.layout import BLOCK, CODEC, CODES, ESTIMATOR, PREDICTOR, PublicLayout, layout_of
from dubflow.diflow.nets.denoiser import Context, FlowDenoiser
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.errors import BadInput
from dubflow.faces.features.weights import read_weights

_WRONG_TABLE = 1e-3


def import_public_tts(path: Path, *, time_flip: bool = False, fft_heads: int = 4) -> TtsNetwork:
    """Read a checkpoint (``.ckpt``, opened without running code) or a state dict as ``.safetensors``.

    Raises:
        BadInput: ``faces.weights_missing``, ``faces.bad_weights`` for files that cannot be read; as
            :func:`tts_from_public`.
    """
    return tts_from_public(read_weights(path), time_flip=time_flip, fft_heads=fft_heads)


def tts_from_public(state: Mapping[str, Tensor], *, time_flip: bool = False, fft_heads: int = 4) -> TtsNetwork:
    """A network in eval mode from the tensors of a file.

    Args:
        state: named tensors; those of ``codec_model`` are passed over.
        time_flip: the network knows time as its masked share.
        fft_heads: attention heads of the text side, 4 as published.

    Raises:
        BadInput: ``diflow.not_public_weights`` unless names, shapes, fixed tables and values are as they must be.
    """
    own = {name: tensor for name, tensor in state.items() if not name.startswith(CODEC)}
    layout = layout_of(own, fft_heads=fft_heads, time_flip=time_flip)
    _check_values(own, layout)
    network = TtsNetwork(layout.settings)
    ours = _text_side(own, layout) | _denoiser(own, layout)
    network.load_state_dict({name: value.to(torch.float32) for name, value in ours.items()}, strict=True)
    return network.eval()


@torch.no_grad()
def time_flip_losses(
    denoiser: FlowDenoiser, batches: Iterable[tuple[Tensor, Tensor, Tensor, Context]]
) -> tuple[float, float]:
    """Eq. 1 with time as it is and with time flipped; the network's setting is as before afterwards.

    Args:
        denoiser: of an imported network.
        batches: ``x_1`` ``[B, m + k, L]``, ``x_t`` ``[B, m + k, L]``, ``t`` ``[B]`` and the context of each batch.
            Real speech, tokenised by the codec that the weights were trained with.
    """
    before, losses, known = denoiser.time.flip, [], list(batches)
    try:
        for flip in (False, True):
            denoiser.time.flip = flip
            parts = [
                float(
                    posterior_cross_entropy(
                        denoiser(noisy, t, context), target, noisy, vocabulary=denoiser.books.vocabulary
                    )
                )
                for target, noisy, t, context in known
            ]
            losses.append(sum(parts) / len(parts))
    finally:
        denoiser.time.flip = before
    return losses[0], losses[1]


def _check_values(state: Mapping[str, Tensor], layout: PublicLayout) -> None:
    broken = sorted(name for name, value in state.items() if not bool(torch.isfinite(value).all()))
    if broken:
        raise _refused(f"{broken[0]} is not finite")
    width, heads = layout.settings.denoiser.width, layout.settings.denoiser.heads
    size = width // heads
    rotary = 10_000.0 ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    table = folding.interleaved_positions(layout.max_length + 1, layout.settings.width)
    content, acoustic = layout.settings.books.content, layout.settings.books.acoustic
    fixed = {ESTIMATOR + "segment_ids": torch.tensor([0, *[1] * content, *[2] * acoustic])}
    for name in state:
        if name.endswith("rotary.inv_freq"):
            fixed[name] = rotary
        elif name.endswith("position_enc"):
            fixed[name] = table.unsqueeze(0)
    for name, value in fixed.items():
        if not torch.allclose(state[name].double(), value.double(), rtol=0, atol=_WRONG_TABLE):
            raise _refused(f"{name} is not the fixed table that it should be")


def _text_side(state: Mapping[str, Tensor], layout: PublicLayout) -> dict[str, Tensor]:
    """Encoder, durations and content model, their channels in our order."""
    order = folding.channel_order(layout.settings.width)
    text = layout.settings.text
    symbols = state["PCM.text_encoder.src_word_emb.weight"][:, order]
    ours = {"encoder.symbols.weight": symbols, "encoder.stresses.weight": torch.zeros(3, symbols.shape[1])}
    targets = [
        *(f"encoder.blocks.blocks.{i}." for i in range(text.encoder_blocks)),
        *(f"content.refiner.blocks.{i}." for i in range(text.refiner_blocks)),
        *(f"content.predictor.layers.{i}." for i in range(layout.settings.books.content)),
    ]
    for target, source in zip(targets, layout.fft_blocks(), strict=True):
        ours |= _fft(state, source, target, order)

    first, second = (PREDICTOR + f"conv_layer.conv1d_{i}.conv." for i in (1, 2))
    ours["durations.convolutions.0.weight"] = state[first + "weight"][:, order]
    ours["durations.convolutions.0.bias"] = state[first + "bias"]
    ours |= _same(state, second, "durations.convolutions.1.")
    for place in (0, 1):
        ours |= _same(state, PREDICTOR + f"conv_layer.layer_norm_{place + 1}.", f"durations.norms.{place}.")
    ours |= _same(state, PREDICTOR + "linear_layer.", "durations.line.")

    ours["content.bridge.weight"] = state["PCM.bridge_decoder.weight"][order][:, order]
    ours["content.bridge.bias"] = state["PCM.bridge_decoder.bias"][order]
    ours["content.projection.line.weight"] = state["PCM.proj_out.0.weight"][:, order]
    ours["content.projection.line.bias"] = state["PCM.proj_out.0.bias"]
    head = folding.line_as_mlp(state["PCM.head.weight"][:CODES, order], state["PCM.head.bias"][:CODES])
    for book in range(layout.settings.books.content):  # one line serves all books there
        ours |= {f"content.head.books.{book}.{name}": value for name, value in head.items()}
    return ours


def _fft(state: Mapping[str, Tensor], source: str, target: str, order: Tensor) -> dict[str, Tensor]:
    attention, feed = source + "slf_attn.", source + "pos_ffn."
    projections = ("w_qs", "w_ks", "w_vs")
    return {
        target + "attention.inputs.weight": torch.cat([state[f"{attention}{p}.weight"][:, order] for p in projections]),
        target + "attention.inputs.bias": torch.cat([state[f"{attention}{p}.bias"] for p in projections]),
        target + "attention.output.weight": state[attention + "fc.weight"][order],
        target + "attention.output.bias": state[attention + "fc.bias"][order],
        target + "attention_norm.weight": state[attention + "layer_norm.weight"][order],
        target + "attention_norm.bias": state[attention + "layer_norm.bias"][order],
        target + "widen.weight": state[feed + "w_1.weight"][:, order],
        target + "widen.bias": state[feed + "w_1.bias"],
        target + "narrow.weight": state[feed + "w_2.weight"][order],
        target + "narrow.bias": state[feed + "w_2.bias"][order],
        target + "filter_norm.weight": state[feed + "layer_norm.weight"][order],
        target + "filter_norm.bias": state[feed + "layer_norm.bias"][order],
    }


def _denoiser(state: Mapping[str, Tensor], layout: PublicLayout) -> dict[str, Tensor]:
    mask = CODES + layout.specials - 1
    rows = [*range(CODES + 1), mask]  # codes, pad, mask: without the separator of older files
    join = state[ESTIMATOR + "x_proj.weight"]
    skip, skip_bias = folding.long_skip(state[ESTIMATOR + "proj_in.weight"], state[ESTIMATOR + "proj_in.bias"])
    ours = {
        "join.weight": join,
        "join.bias": folding.joined_bias(
            join,
            state[ESTIMATOR + "x_proj.bias"],
            state[ESTIMATOR + "segment_embed.weight"],
            state[ESTIMATOR + "segment_ids"],
        ),
        "skip.weight": skip,
        "skip.bias": skip_bias,
        **_same(state, ESTIMATOR + "time_embed.time_mlp.", "time.mlp."),
        **_same(state, ESTIMATOR + "spk_embed.", "speaker."),
        **_same(state, ESTIMATOR + "final_layer.adaLN_modulation.1.", "final.line."),
        **_same(state, ESTIMATOR + "final_layer.linear.", "final_line."),
    }
    for kind, name in enumerate(("prosody", "acoustic")):
        ours[f"embedders.{name}.weight"] = state[f"FDFD.audio_embed.audio_embed.{kind}.weight"][rows]
        line, bias = state[f"FDFD.linear_heads.{kind}.weight"], state[f"FDFD.linear_heads.{kind}.bias"]
        mlp = folding.line_as_mlp(line[:CODES], bias[:CODES])
        ours |= {f"{name}_head.{part}": value for part, value in mlp.items()}
    for index in range(layout.settings.denoiser.layers):
        ours |= _block(state, BLOCK.format(index), f"blocks.{index}.", layout.late_norm)
    return {"denoiser." + name: value for name, value in ours.items()}


def _block(state: Mapping[str, Tensor], source: str, target: str, late_norm: str) -> dict[str, Tensor]:
    norms = [(state[f"{source}{name}.weight"], state[f"{source}{name}.bias"]) for name in ("norm1", late_norm)]
    line, bias = folding.adaptive(
        state[source + "adaLN_modulation.1.weight"], state[source + "adaLN_modulation.1.bias"], norms
    )
    width = len(norms[0][0])
    return {
        target + "adaptive.line.weight": line,
        target + "adaptive.line.bias": bias,
        target + "attention.inputs.weight": state[source + "attn.in_proj_weight"],
        target + "attention.inputs.bias": state[source + "attn.in_proj_bias"],
        # The file has an output line that its code never applies.
        target + "attention.output.weight": torch.eye(width),
        target + "attention.output.bias": torch.zeros(width),
        **_same(state, source + "mlp.", target + "feed_forward."),
    }


def _same(state: Mapping[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    """Everything below ``source``, below ``target``."""
    return {target + name.removeprefix(source): value for name, value in state.items() if name.startswith(source)}


def _refused(what: str) -> BadInput:
    return BadInput(
        "diflow.not_public_weights",
        f"These are not the weights of the public first stage: {what}.",
        "Give the checkpoint of DiFlow-TTS as it was published.",
    )
