"""Names and shapes of the authors' public first stage (DiFlow-TTS), and the settings that they imply.

Facts of its code, read for names alone: two submodules, ``PCM`` (text to content) and ``FDFD`` (the denoiser), beside
``codec_model`` (FACodec, which has an importer of its own). The FFT blocks are FastSpeech 2's; their names are those of
its public code, which that repository evidently took over unchanged. No weights were at hand when this was written:
every name and shape is checked, and nothing that does not fit is taken.

Two states of the code differ: the older has three special ids (pad, separator, mask) and calls a block's second
normalisation ``norm3``; the newer has two (pad, mask) and calls it ``norm2``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from dubflow.diflow.nets.settings import (
    BookSettings,
    DenoiserSettings,
    FftSettings,
    NetSettings,
    TextSettings,
)
from dubflow.errors import BadInput

CODEC = "codec_model."
ESTIMATOR = "FDFD.estimator."
BLOCK = ESTIMATOR + "blocks.{}."
PREDICTOR = "PCM.variance_adaptor.duration_predictor."
CODES = 1024

Shape = tuple[int, ...]


@dataclass(frozen=True)
class PublicLayout:
    """One file's layout.

    Attributes:
        settings: of the network of ours that computes the same.
        late_norm: what a block's second normalisation is called.
        specials: special ids behind the codes: 2, or 3 with a separator before the mask.
        max_length: positions of the stored tables.
    """

    settings: NetSettings
    late_norm: str
    specials: int
    max_length: int

    def shapes(self) -> dict[str, Shape]:
        """Every name that the file must have, the codec's aside, and its shape."""
        s, d = self.settings, self.settings.denoiser
        a, width, rows = s.width, d.width, CODES + self.specials
        names: dict[str, Shape] = {
            "PCM.text_encoder.src_word_emb.weight": (s.text.symbols, a),
            "PCM.text_encoder.position_enc": (1, self.max_length + 1, a),
            "PCM.shared_decoder.position_enc": (1, self.max_length + 1, a),
            **_line("PCM.bridge_decoder", a, a),
            **_line("PCM.proj_out.0", width, a),
            **_line("PCM.head", CODES + 1, a),
            **self._durations(),
            "FDFD.audio_embed.audio_embed.0.weight": (rows, width),
            "FDFD.audio_embed.audio_embed.1.weight": (rows, width),
            **_line("FDFD.linear_heads.0", rows, width),
            **_line("FDFD.linear_heads.1", rows, width),
            **_line(ESTIMATOR + "time_embed.time_mlp.0", width, d.time_features),
            **_line(ESTIMATOR + "time_embed.time_mlp.2", width, width),
            **_line(ESTIMATOR + "spk_embed.0", width, s.speaker),
            **_line(ESTIMATOR + "spk_embed.2", width, width),
            ESTIMATOR + "segment_embed.weight": (3, width),
            ESTIMATOR + "segment_ids": (s.books.streams,),
            **_line(ESTIMATOR + "x_proj", width, s.books.streams * width),
            **_line(ESTIMATOR + "proj_in", width, width),
            ESTIMATOR + "rotary.inv_freq": (width // d.heads // 2,),
            **_line(ESTIMATOR + "final_layer.linear", s.books.flow * width, width),
            **_line(ESTIMATOR + "final_layer.adaLN_modulation.1", 2 * width, width),
        }
        for block in self.fft_blocks():
            names |= self._fft(block)
        for index in range(d.layers):
            names |= self._block(BLOCK.format(index))
        return names

    def fft_blocks(self) -> list[str]:
        """Names of the FFT blocks in the order of ours: encoder, refiner, content predictor."""
        text = self.settings.text
        return [
            *(f"PCM.text_encoder.layer_stack.{i}." for i in range(text.encoder_blocks)),
            *(f"PCM.shared_decoder.layer_stack.{i}." for i in range(text.refiner_blocks)),
            *(f"PCM.codes_estimator.{i}.layer." for i in range(self.settings.books.content)),
        ]

    def _fft(self, name: str) -> dict[str, Shape]:
        a, fft = self.settings.width, self.settings.fft
        names: dict[str, Shape] = {}
        for part in ("w_qs", "w_ks", "w_vs", "fc"):
            names |= _line(f"{name}slf_attn.{part}", a, a)
        for part in ("slf_attn", "pos_ffn"):
            names |= _norm(f"{name}{part}.layer_norm", a)
        wide, narrow = fft.kernels
        names |= _line(name + "pos_ffn.w_1", fft.filter, a, wide) | _line(name + "pos_ffn.w_2", a, fft.filter, narrow)
        return names

    def _block(self, name: str) -> dict[str, Shape]:
        d = self.settings.denoiser
        width = d.width
        return {
            **_line(name + "adaLN_modulation.1", 6 * width, width),
            **_norm(name + "norm1", width),
            **_norm(name + self.late_norm, width),
            name + "attn.in_proj_weight": (3 * width, width),
            name + "attn.in_proj_bias": (3 * width,),
            **_line(name + "attn.out_proj", width, width),
            name + "rotary.inv_freq": (width // d.heads // 2,),
            **_line(name + "mlp.0", d.expansion * width, width),
            **_line(name + "mlp.2", width, d.expansion * width),
        }

    def _durations(self) -> dict[str, Shape]:
        text, a = self.settings.text, self.settings.width
        channels, kernel = text.duration_filter, text.duration_kernel
        return {
            **_line(PREDICTOR + "conv_layer.conv1d_1.conv", channels, a, kernel),
            **_norm(PREDICTOR + "conv_layer.layer_norm_1", channels),
            **_line(PREDICTOR + "conv_layer.conv1d_2.conv", channels, channels, kernel),
            **_norm(PREDICTOR + "conv_layer.layer_norm_2", channels),
            **_line(PREDICTOR + "linear_layer", 1, channels),
        }


def layout_of(state: Mapping[str, Tensor], *, fft_heads: int, time_flip: bool) -> PublicLayout:
    """The layout of a file, read from its shapes, and the file held against it.

    Args:
        state: named tensors, the codec's aside.
        fft_heads: attention heads of the FFT blocks, the one figure that no shape tells.
        time_flip: as in :class:`~dubflow.diflow.nets.settings.DenoiserSettings`.

    Raises:
        BadInput: ``diflow.not_public_weights`` with every name that is missing, unexpected or of another shape.
    """
    try:
        layout = _guessed(state, fft_heads, time_flip)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise BadInput(
            "diflow.not_public_weights",
            f"These are not the weights of the public first stage: {error} does not fit.",
            "Give the checkpoint of DiFlow-TTS, or its state dict as .safetensors.",
        ) from error
    expected, found = layout.shapes(), {name: tuple(tensor.shape) for name, tensor in state.items()}
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    shapes = [
        f"{name} {list(found[name])} instead of {list(expected[name])}"
        for name in sorted(expected.keys() & found.keys())
        if expected[name] != found[name]
    ]
    if missing or unexpected or shapes:
        first = (missing + unexpected + shapes)[0]
        raise BadInput(
            "diflow.not_public_weights",
            f"These are not the weights of the public first stage: {len(missing)} names are missing, "
            f"{len(unexpected)} unexpected, {len(shapes)} of another shape; the first is {first}.",
            "Give the checkpoint of DiFlow-TTS as it was published.",
            missing=missing,
            unexpected=unexpected,
            shapes=shapes,
        )
    return layout


def _guessed(state: Mapping[str, Tensor], fft_heads: int, time_flip: bool) -> PublicLayout:
    def size(name: str, dim: int) -> int:
        return int(state[name].shape[dim])

    symbols, a = state["PCM.text_encoder.src_word_emb.weight"].shape
    rows, width = state["FDFD.audio_embed.audio_embed.0.weight"].shape
    first = "PCM.text_encoder.layer_stack.0.pos_ffn."
    content = _count(state, r"PCM\.codes_estimator\.(\d+)\.")
    streams = size(ESTIMATOR + "segment_ids", 0)
    settings = NetSettings(
        width=a,
        speaker=size(ESTIMATOR + "spk_embed.0.weight", 1),
        books=BookSettings(prosody=1, content=content, acoustic=streams - content - 1, codes=CODES),
        fft=FftSettings(
            heads=fft_heads,
            filter=size(first + "w_1.weight", 0),
            kernels=(size(first + "w_1.weight", 2), size(first + "w_2.weight", 2)),
            max_length=size("PCM.text_encoder.position_enc", 1) - 1,
        ),
        text=TextSettings(
            symbols=symbols,
            encoder_blocks=_count(state, r"PCM\.text_encoder\.layer_stack\.(\d+)\."),
            refiner_blocks=_count(state, r"PCM\.shared_decoder\.layer_stack\.(\d+)\."),
            duration_filter=size(PREDICTOR + "conv_layer.conv1d_1.conv.weight", 0),
            duration_kernel=size(PREDICTOR + "conv_layer.conv1d_1.conv.weight", 2),
            head_width=2 * a,
            bridge=True,
        ),
        denoiser=DenoiserSettings(
            width=width,
            layers=_count(state, re.escape(ESTIMATOR) + r"blocks\.(\d+)\."),
            heads=width // (2 * size(ESTIMATOR + "rotary.inv_freq", 0)),
            expansion=size(BLOCK.format(0) + "mlp.0.weight", 0) // width,
            time_features=size(ESTIMATOR + "time_embed.time_mlp.0.weight", 1),
            head_width=2 * width,
            gelu="exact",
            time_ends=True,
            time_flip=time_flip,
        ),
    )
    late = "norm2" if BLOCK.format(0) + "norm2.weight" in state else "norm3"
    return PublicLayout(settings, late, 3 if rows == CODES + 3 else 2, settings.fft.max_length)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the greatest number that ``pattern`` finds at the start of a name."""
    return 1 + max(int(found[1]) for name in state if (found := re.match(pattern, name)))


def _line(name: str, outputs: int, inputs: int, *kernel: int) -> dict[str, Shape]:
    return {name + ".weight": (outputs, inputs, *kernel), name + ".bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {name + ".weight": (width,), name + ".bias": (width,)}
