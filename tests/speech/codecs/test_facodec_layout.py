"""The networks have exactly the names and shapes of the published files."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from dubflow.speech.codecs.facodec import convert_checkpoints, load_facodec
from dubflow.speech.codecs.facodec.checkpoint import DROPPABLE, empty_networks
from dubflow.speech.codecs.facodec.config import FacodecConfig
from speech.codecs.facodec_published import published_shapes, published_states, save_published


@pytest.mark.parametrize("config", [FacodecConfig(), FacodecConfig.tiny()], ids=["published", "tiny"])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_names_and_shapes_are_the_published_ones(config: FacodecConfig, part: str) -> None:
    listed = {k: v for k, v in published_shapes(config)[part].items() if k.split(".")[0] not in DROPPABLE}
    ours = {name: tuple(value.shape) for name, value in empty_networks(config)[part].state_dict().items()}
    assert ours == listed


@pytest.mark.parametrize(("part", "entries", "parameters"), [("encoder", 206, 4_210_528), ("decoder", 301, 24_634_082)])
def test_published_size(part: str, entries: int, parameters: int) -> None:
    network = empty_networks(FacodecConfig())[part]
    listed = {k: v for k, v in published_shapes(FacodecConfig())[part].items() if k.split(".")[0] not in DROPPABLE}
    buffers = sum(prod(shape) for name, shape in listed.items() if name.endswith((".filter", ".pe")))
    assert len(listed) == entries
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert sum(map(prod, listed.values())) - buffers == parameters
    assert {parameter.dtype for parameter in network.state_dict().values()} == {torch.float32}


def test_published_channels() -> None:
    shapes = published_shapes(FacodecConfig())
    decoder, encoder = empty_networks(FacodecConfig())["decoder"], empty_networks(FacodecConfig())["encoder"]
    assert encoder.state_dict()["block.4.block.4.weight_v"].shape == (512, 256, 10)
    assert encoder.state_dict()["block.6.weight_v"].shape == (256, 512, 3)
    assert decoder.state_dict()["model.1.block.1.weight_v"].shape == (1024, 512, 10)
    assert decoder.state_dict()["model.6.weight_v"].shape == (1, 64, 7)
    assert shapes["decoder"]["x_timbre_predictor.1.heads.0.weight"] == (245_200, 256)


def test_full_size_files_convert_load_and_run(tmp_path: Path) -> None:
    """Published sizes with all training parts: through the files, and 0.3 s of audio through the networks."""
    paths = save_published(tmp_path / "in", published_states(FacodecConfig()))
    codec = load_facodec(convert_checkpoints(*paths, tmp_path / "out"))
    waveform = np.random.default_rng(0).normal(0, 0.1, 4_801).astype(np.float32)
    tokens = codec.encode(waveform)
    assert len(tokens) == 25
    assert tokens.speaker.shape == (256,)
    assert codec.decode(tokens).shape == (5_000,)
    assert codec.config == FacodecConfig()


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_strides": (2, 4, 5)},
        {"encoder_strides": (1, 8, 5, 5)},
        {"decoder_channels": 24},
        {"latent_dim": 258},
        {"timbre_kernel": 4},
        {"speaker_seconds": 0.0},
        {"hop": 200},
    ],
)
def test_a_config_that_fits_nothing_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FacodecConfig.model_validate(change)
