"""The published checkpoint layout, listed by hand: names, shapes and random contents in that layout.

The list is written from facts about the published files, not from our networks, so that it can be held against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dubflow.speech.codecs.facodec.checkpoint import Network, empty_networks
from dubflow.speech.codecs.facodec.codec import FacodecCodec
from dubflow.speech.codecs.facodec.config import FacodecConfig
from dubflow.speech.codecs.facodec.network import FacodecDecoder, FacodecEncoder

Shapes = dict[str, tuple[int, ...]]
Listed = Iterator[tuple[str, tuple[int, ...]]]


def published_shapes(config: FacodecConfig) -> dict[str, Shapes]:
    """Names and shapes of the published encoder and decoder files at the size of ``config``."""
    return {"encoder": dict(_encoder(config)), "decoder": dict(_decoder(config))}


def published_states(config: FacodecConfig, seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    """Random weights in the published layout that keep signals alive through all layers."""
    generator = torch.Generator().manual_seed(seed)
    return {
        part: {name: _contents(name, shape, generator) for name, shape in shapes.items()}
        for part, shapes in published_shapes(config).items()
    }


def save_published(folder: Path, states: dict[str, dict[str, torch.Tensor]]) -> tuple[Path, Path]:
    """Write the two files as they are published; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {part: folder / f"ns3_facodec_{part}.bin" for part in states}
    for part, state in states.items():
        torch.save(state, paths[part])
    return paths["encoder"], paths["decoder"]


def random_network(config: FacodecConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> Network:
    """Both networks with random weights, without going through files."""
    states, networks = published_states(config, seed), empty_networks(config)
    for part, network in networks.items():
        network.load_state_dict({name: states[part][name].to(dtype) for name in network.state_dict()}, assign=True)
        network.eval().requires_grad_(False)
    encoder, decoder = networks["encoder"], networks["decoder"]
    assert isinstance(encoder, FacodecEncoder)
    assert isinstance(decoder, FacodecDecoder)
    return Network(config, encoder, decoder, f"random-{seed}")


def random_codec(config: FacodecConfig, seed: int = 0, chunk_seconds: float = 5.0) -> FacodecCodec:
    return FacodecCodec(random_network(config, seed), chunk_seconds=chunk_seconds)


def _encoder(c: FacodecConfig) -> Listed:
    width = c.encoder_channels
    yield from _conv("block.0", width, 1, 7)
    for number, stride in enumerate(c.encoder_strides, start=1):
        for unit in range(3):
            yield from _residual(f"block.{number}.block.{unit}", width)
        yield from _activation(f"block.{number}.block.3", width)
        yield from _conv(f"block.{number}.block.4", 2 * width, width, 2 * stride)
        width *= 2
    yield from _activation(f"block.{len(c.encoder_strides) + 1}", width)
    yield from _conv(f"block.{len(c.encoder_strides) + 2}", c.latent_dim, width, 3)


def _decoder(c: FacodecConfig) -> Listed:
    d = c.latent_dim
    for stack, books in enumerate((1, 2, 3)):
        for book in range(books):
            name = f"quantizer.{stack}.layers.{book}"
            for part, outputs, inputs in (("in_proj", c.codebook_dim, d), ("out_proj", d, c.codebook_dim)):
                yield f"{name}.{part}.bias", (outputs,)
                yield f"{name}.{part}.weight_g", (outputs, 1)
                yield f"{name}.{part}.weight_v", (outputs, inputs)
            yield f"{name}._codebook.weight", (1024, c.codebook_dim)
    width = c.decoder_channels
    yield from _conv("model.0", width, d, 7)
    for number, stride in enumerate(reversed(c.encoder_strides), start=1):
        name = f"model.{number}.block"
        yield from _activation(f"{name}.0", width)
        yield f"{name}.1.bias", (width // 2,)
        yield f"{name}.1.weight_g", (width, 1, 1)
        yield f"{name}.1.weight_v", (width, width // 2, 2 * stride)
        width //= 2
        for unit in range(2, 5):
            yield from _residual(f"{name}.{unit}", width)
    yield from _activation(f"model.{len(c.encoder_strides) + 1}", width)
    yield from _conv(f"model.{len(c.encoder_strides) + 2}", 1, width, 7)
    yield "timbre_encoder.position_emb.pe", (c.positions, 1, d)
    for layer in range(c.timbre_layers):
        name = f"timbre_encoder.layers.{layer}"
        yield f"{name}.self_attn.in_proj_weight", (3 * d, d)
        yield f"{name}.self_attn.in_proj_bias", (3 * d,)
        yield from _linear(f"{name}.self_attn.out_proj", d, d)
        yield f"{name}.ffn.ffn_1.weight", (c.timbre_filter, d, c.timbre_kernel)
        yield f"{name}.ffn.ffn_1.bias", (c.timbre_filter,)
        yield from _linear(f"{name}.ffn.ffn_2", d, c.timbre_filter)
        yield from _norm(f"{name}.ln_1", d)
        yield from _norm(f"{name}.ln_2", d)
    yield from _norm("timbre_encoder.last_ln", d)
    yield from _linear("timbre_linear", 2 * d, d)
    yield from _training_parts(d)


def _training_parts(d: int) -> Listed:
    heads = {
        "f0_predictor": (1, 1),
        "phone_predictor": (5003,),
        "res_f0_predictor.1": (1, 1),
        "res_phone_predictor.1": (5003,),
        "x_timbre_predictor.1": (245_200,),
    }
    for name, outputs in heads.items():
        for unit in range(3):
            yield from _residual(f"{name}.model.{unit}", d)
        yield from _activation(f"{name}.model.3", d)
        for head, size in enumerate(outputs):
            yield from _linear(f"{name}.heads.{head}", size, d)


def _residual(name: str, width: int) -> Listed:
    yield from _activation(f"{name}.block.0", width)
    yield from _conv(f"{name}.block.1", width, width, 7)
    yield from _activation(f"{name}.block.2", width)
    yield from _conv(f"{name}.block.3", width, width, 1)


def _activation(name: str, width: int) -> Listed:
    yield f"{name}.act.alpha", (width,)
    yield f"{name}.act.beta", (width,)
    yield f"{name}.upsample.filter", (1, 1, 12)
    yield f"{name}.downsample.lowpass.filter", (1, 1, 12)


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> Listed:
    yield f"{name}.bias", (outputs,)
    yield f"{name}.weight_g", (outputs, 1, 1)
    yield f"{name}.weight_v", (outputs, inputs, kernel)


def _linear(name: str, outputs: int, inputs: int) -> Listed:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Listed:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def kaiser_filter() -> np.ndarray:
    """The stored resampling filter ``[12]`` by numpy's own window, from the textbook formulas."""
    attenuation = 2.285 * 5 * np.pi * 1.2 + 7.95
    taps = np.kaiser(12, 0.1102 * (attenuation - 8.7)) * 0.5 * np.sinc((np.arange(12) - 5.5) * 0.5)
    return taps / taps.sum()


def _contents(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if name.endswith(".filter"):
        return torch.from_numpy(kaiser_filter()).float().view(shape)
    if "predictor" in name:
        # One stored number seen through the full shape: the file stays small.
        return torch.zeros(()).expand(shape)
    noise = torch.randn(shape, generator=generator)
    if name.endswith(".block.3.weight_g"):  # what a residual unit adds to the signal
        return 0.3 + 0.1 * noise.tanh()
    if name.endswith(("weight_g", "ln_1.weight", "ln_2.weight", "last_ln.weight")):
        return 1 + 0.2 * noise.tanh()
    if name.endswith(".beta"):  # little of the even part, which would drown the signal in a constant
        return 3 + 0.3 * noise
    if name.endswith((".alpha", "bias")):
        return 0.03 * noise
    if name.endswith(("weight_v", "_codebook.weight", ".pe")):
        return noise
    return noise / float(np.sqrt(np.prod(shape[1:])))
