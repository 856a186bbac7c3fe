"""Sizes: the published counts on the meta device, sizes read back from shapes, the preset's small base."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from dubflow.config import load_preset
from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.loading import meta_backbone
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.settings import SECTION, BackboneSettings, Version, published
from dubflow.incontext.backbone.sizes import settings_of
from dubflow.incontext.backbone.tensor_file import TensorFacts, facts_of
from dubflow.incontext.backbone.tiny import tiny_backbone

COUNTS = {
    "2.0": {
        "transformer": 18_876_174_592,
        "vae": 1_222_479_601,
        "audio_vae": 53_248_146,
        "connectors": 1_431_475_200,
        "vocoder": 55_592_802,
    },
    # diffusers' classes with the figures of the published conversion; the transformer's is published, too.
    "2.3": {"transformer": 18_988_838_144, "vocoder": 128_537_448},
    # 2.5 is 2.3 without the biases of 48 video feed-forward layers and with one embedding more.
    "2.5": {"transformer": 18_988_838_144 - 48 * (4 * 4096 + 4096) + 4096},
}


def _facts(backbone: Backbone) -> dict[str, dict[str, TensorFacts]]:
    return {
        part: {name: facts_of(tensor) for name, tensor in module.state_dict().items()}
        for part, module in backbone.modules().items()
        if part != "text_encoder"
    }


@pytest.mark.parametrize(
    "version", ["2.0", pytest.param("2.3", marks=pytest.mark.slow), pytest.param("2.5", marks=pytest.mark.slow)]
)
def test_published_counts_and_sizes_from_shapes(version: Version) -> None:
    built = meta_backbone(published(version))
    counts = {part: sum(p.numel() for p in module.parameters()) for part, module in built.modules().items()}
    assert counts.items() >= COUNTS[version].items()
    assert all(p.is_meta for p in built.transformer.parameters())
    assert built.geometry.video_channels == built.geometry.audio_channels == 128
    assert built.transformer.config.rope_type == built.connectors.config.rope_type == "split"
    # No configuration at all in the header: shapes and the published numbers say everything.
    assert _stripped(settings_of(_facts(built), {})) == _stripped(published(version))


def _stripped(settings: BackboneSettings) -> dict[str, object]:
    """Without what says the same twice, and without the text encoder, of which a base holds nothing."""
    stated = settings.model_dump()
    for name in ("heads", "key_heads", "head_dim", "feed_forward", "connector_layers", "connector_heads"):
        stated["text"].pop(name)
    stated["vocoder"]["channels"] = stated["vocoder"]["channels"] or {"2.0": 1024}.get(settings.version, 1536)
    return stated


def test_the_small_base_of_the_preset_is_built() -> None:
    settings = load_preset("tiny", SECTION, BackboneSettings)
    built = build_backbone(settings, device="meta")
    total = sum(p.numel() for module in built.modules().values() for p in module.parameters())
    assert 2_000_000 < total < 40_000_000
    assert len(built.transformer.transformer_blocks) > 2
    assert load_preset("paper", SECTION, BackboneSettings) == published("2.0")


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state() -> None:
    state = torch.get_rng_state()
    first, again, other = tiny_backbone(seed=1), tiny_backbone(seed=1), tiny_backbone(seed=2)
    assert torch.equal(state, torch.get_rng_state())
    for part, module in first.modules().items():
        same, differing = again.modules()[part].state_dict(), other.modules()[part].state_dict()
        assert all(torch.equal(tensor, same[name]) for name, tensor in module.state_dict().items())
        assert any(not torch.equal(tensor, differing[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"audio_vae": {"base_channels": 64}},
        {"text": {"tokens": 100, "registers": 16}},
        {"version": "2.1"},
        {"layers": 2},
    ],
)
def test_settings_that_do_not_fit_together_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BackboneSettings.model_validate(wrong)
