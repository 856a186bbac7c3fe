"""The speaker vector: torch's own attention, row 0 of the positions, and no dependence on the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dubflow.speech.codecs.facodec.config import FacodecConfig
from dubflow.speech.codecs.facodec.timbre import Positions, SelfAttention, TimbreEncoder
from speech.codecs.facodec_published import random_network

TINY = FacodecConfig.tiny()


@pytest.fixture
def encoder() -> TimbreEncoder:
    return random_network(TINY, dtype=torch.float64).decoder.timbre_encoder


def latents(batch: int, frames: int) -> torch.Tensor:
    return torch.randn(
        batch, frames, TINY.latent_dim, generator=torch.Generator().manual_seed(batch), dtype=torch.float64
    )


def test_attention_is_torchs_own_under_the_same_names() -> None:
    reference = nn.MultiheadAttention(12, 3, batch_first=True).double().requires_grad_(False)
    for parameter in reference.parameters():
        nn.init.normal_(parameter)
    ours = SelfAttention(12, 3).double()
    ours.load_state_dict(reference.state_dict(), strict=True)
    x = torch.randn(2, 17, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), reference(x, x, x, need_weights=False)[0])


def test_layers_are_torchs_pre_norm_layers_around_the_convolution(encoder: TimbreEncoder) -> None:
    """With a kernel of one the feed-forward part is torch's, so that a whole layer can be held against it."""
    config = TINY.model_copy(update={"timbre_kernel": 1, "timbre_layers": 1})
    ours = random_network(config, dtype=torch.float64).decoder.timbre_encoder
    layer = ours.layers[0]
    reference = nn.TransformerEncoderLayer(
        config.latent_dim, config.timbre_heads, config.timbre_filter, dropout=0.0, batch_first=True, norm_first=True
    ).double()
    reference.load_state_dict(
        {
            **{f"self_attn.{name}": value for name, value in layer.self_attn.state_dict().items()},
            **{f"norm{n}.{name}": v for n in (1, 2) for name, v in getattr(layer, f"ln_{n}").state_dict().items()},
            "linear1.weight": layer.ffn.ffn_1.weight[..., 0],
            "linear1.bias": layer.ffn.ffn_1.bias,
            "linear2.weight": layer.ffn.ffn_2.weight,
            "linear2.bias": layer.ffn.ffn_2.bias,
        }
    )
    x = latents(2, 15)
    torch.testing.assert_close(layer(x), reference(x))
    expected = ours.last_ln(reference(x + ours.position_emb.pe[0])).mean(1)
    torch.testing.assert_close(ours(x), expected)


def test_the_place_in_a_batch_does_not_matter(encoder: TimbreEncoder) -> None:
    x = latents(5, 40)
    speakers = encoder(x)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(encoder(x[order]), speakers[order])
    for number in range(5):
        torch.testing.assert_close(encoder(x[number : number + 1])[0], speakers[number])
    assert (speakers[0] - speakers[1]).abs().max() > 0.01


def test_a_batch_may_be_larger_than_the_table_of_positions(encoder: TimbreEncoder) -> None:
    x = latents(TINY.positions + 4, 3)
    torch.testing.assert_close(encoder(x)[-1], encoder(x[-1:])[0])


def test_only_row_0_of_the_positions_is_used(encoder: TimbreEncoder) -> None:
    x = latents(3, 20)
    before = encoder(x)
    encoder.position_emb.pe[1:] += 5
    assert torch.equal(encoder(x), before)
    encoder.position_emb.pe[0] += torch.linspace(0, 5, TINY.latent_dim)
    assert not torch.allclose(encoder(x), before)


def test_a_fresh_table_holds_the_usual_sines_and_cosines() -> None:
    table = Positions(6, 8).pe
    assert table.shape == (6, 1, 8)
    torch.testing.assert_close(table[0, 0], torch.tensor([0.0, 1.0] * 4))
    torch.testing.assert_close(
        table[3, 0, 2:4], torch.tensor([0.3, 0.3]).sin_().put_(torch.tensor(1), torch.tensor(0.3).cos())
    )
