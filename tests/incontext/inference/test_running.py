"""How an adapter is run: as it was trained; and its weights on a base."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dubflow.config import load_preset, preset_names
from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.adapter.files import Adapter, LoraPair
from dubflow.incontext.adapter.metadata import COMPARED, AdapterMetadata
from dubflow.incontext.backbone.folders import write_part
from dubflow.incontext.backbone.tensor_file import facts_of
from dubflow.incontext.forward import forward
from dubflow.incontext.inference.running import add_refiner, put_adapter, refining, running_settings, use_of
from dubflow.incontext.inference.settings import SECTION, InferenceSettings
from dubflow.incontext.inference.upsampler import load_upsampler
from incontext.samples import backbone, text, tokens

LAYER = "transformer_blocks.0.attn1.to_q"


def adapter(seed: int = 0) -> Adapter:
    source = torch.Generator().manual_seed(seed)
    weight = backbone().transformer.get_submodule(LAYER).weight
    a, b = torch.randn(3, weight.shape[1], generator=source), torch.randn(weight.shape[0], 3, generator=source)
    return Adapter({LAYER: LoraPair(a, b)})


def test_every_preset_says_how_it_is_run() -> None:
    for name in preset_names():
        settings = load_preset(name, SECTION, InferenceSettings)
        assert settings.levels()[-1] == 0
    paper, code, distilled = (load_preset(name, SECTION, InferenceSettings) for name in ("paper", "code", "distilled"))
    assert (paper.width, paper.height, paper.frames, paper.masks.av, paper.refine) == (960, 544, 121, "isolated", None)
    assert (code.width, code.height, code.steps, code.guidance, code.first_frame) == (640, 352, 30, 3.0, True)
    assert code.refine is not None
    assert code.refine.levels == (0.725, 0.421875, 0.0)
    assert (len(distilled.levels()) - 1, distilled.guidance, distilled.masks.av) == (8, 1.0, "none")
    assert distilled.audio_positions == "negative"


def test_an_adapter_is_run_as_it_was_trained_or_refused() -> None:
    trained = AdapterMetadata(
        base_version="2.0", mask_scheme="a2v_only", audio_positions="negative", reference_order="ref_first",
        sampler_preset="tiny", prompt_template="[Speaker] says [Dialogue] in [Language/Accent]", frame_rate=25,
    )  # fmt: skip
    own = running_settings(trained, None)
    assert (own.masks.av, own.audio_positions, own.order, own.sampler_preset) == (
        "a2v_only", "negative", "ref_first", "tiny",
    )  # fmt: skip
    assert own.prompt_template == trained.prompt_template
    trained.check_use(use_of(own, backbone()))
    other = running_settings(trained, "paper")
    assert other.masks.av == "isolated"
    with pytest.raises(BadInput, match=r"incontext\.adapter_use"):
        trained.check_use(use_of(other, backbone()))
    assert trained.check_use(use_of(other, backbone()), allow=True)
    assert running_settings(AdapterMetadata(), None).sampler_preset == "paper"
    with pytest.raises(BadInput, match=r"incontext\.version_mismatch"):
        trained.check_use(use_of(own, backbone("2.3")), allow=True)


def test_a_run_says_all_that_adapters_record() -> None:
    use = use_of(running_settings(AdapterMetadata(), "tiny"), backbone())
    assert [name for name in COMPARED if getattr(use, name) is None] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("video_positions", "negative"),
        ("audio_positions", "negative"),
        ("mask_scheme", "none"),
        ("prompt_template", "[Dialogue]"),
        ("frame_rate", 24.0),
        ("sampler_preset", "code"),
        ("reference_downscale_factor", 2),
        ("reference_spatial_scale_factor", 2),
        ("reference_temporal_scale_factor", 4),
    ],
)
def test_a_preset_that_an_adapter_was_not_trained_for_is_refused(name: str, value: object) -> None:
    own = use_of(running_settings(AdapterMetadata(), "tiny"), backbone()).model_dump()
    AdapterMetadata.model_validate(own).check_use(use_of(running_settings(AdapterMetadata(), "tiny"), backbone()))
    trained = AdapterMetadata.model_validate(own | {name: value})
    with pytest.raises(BadInput, match=r"incontext\.adapter_use") as refused:
        trained.check_use(use_of(running_settings(trained, "tiny"), backbone()))
    assert refused.value.details["differences"] == [name]


def test_what_changes_nothing_is_no_difference() -> None:
    """The order of tokens is taken over, and levels that were drawn apart may be equal."""
    own = use_of(running_settings(AdapterMetadata(), "tiny"), backbone()).model_dump()
    for changed in ({"reference_order": "ref_first"}, {"sigma_sharing": "per_modality"}):
        trained = AdapterMetadata.model_validate(own | changed)
        assert trained.check_use(use_of(running_settings(trained, "tiny"), backbone())) == ()


def test_layers_that_are_left_out_are_told() -> None:
    base = replace(backbone(), transformer=deepcopy(backbone().transformer))
    pair = LoraPair(torch.zeros(1, 2), torch.zeros(2, 1))
    both = Adapter(dict(adapter().pairs) | {"connectors.text_proj_in": pair})
    assert put_adapter(base, both) == ("connectors.text_proj_in",)
    assert add_refiner(base, both) == ("connectors.text_proj_in",)
    assert put_adapter(base, adapter()) == ()


def test_an_adapter_is_added_and_one_for_another_base_is_refused() -> None:
    base = replace(backbone(), transformer=deepcopy(backbone().transformer))
    plain = base.transformer.get_submodule(LAYER).weight.clone()
    one, two = adapter(1), adapter(2)
    put_adapter(base, one)
    with torch.no_grad():
        assert not torch.equal(
            forward(base.transformer, tokens(), text()).video, forward(backbone().transformer, tokens(), text()).video
        )
    put_adapter(base, two)
    expected = plain + one.pairs[LAYER].b @ one.pairs[LAYER].a + two.pairs[LAYER].b @ two.pairs[LAYER].a
    assert torch.allclose(base.transformer.get_submodule(LAYER).weight, expected, atol=1e-5)
    for name in ("transformer_blocks.9.attn1.to_q", "transformer_blocks.0.ff.net.2"):
        with pytest.raises(BadInput, match=r"incontext\.adapter_does_not_fit"):
            put_adapter(base, Adapter({name: one.pairs[LAYER]}))


def test_a_refiner_is_worn_in_its_stage_alone_and_leaves_the_weights() -> None:
    base = replace(backbone(), transformer=deepcopy(backbone().transformer))
    with torch.no_grad():
        plain = forward(base.transformer, tokens(), text()).video
        add_refiner(base, adapter(3))
        assert torch.equal(forward(base.transformer, tokens(), text()).video, plain)
        with refining(base):
            worn = forward(base.transformer, tokens(), text()).video
        assert torch.equal(forward(base.transformer, tokens(), text()).video, plain)
        fused = replace(backbone(), transformer=deepcopy(backbone().transformer))
        put_adapter(fused, adapter(3))
        assert torch.allclose(worn, forward(fused.transformer, tokens(), text()).video, atol=1e-5)
        assert not torch.allclose(worn, plain, atol=1e-3)
        with refining(fused):  # nothing beside it: nothing to wear
            pass


def test_an_upsampler_is_loaded_whole_or_refused(tmp_path: Path) -> None:
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    model = LTX2LatentUpsamplerModel(in_channels=8, mid_channels=32, num_blocks_per_stage=1).eval()
    tensors = model.state_dict()

    def write(folder: Path, names: list[str]) -> Path:
        facts = {name: facts_of(tensors[name]) for name in names}
        write_part(folder, {"_class_name": "LTX2LatentUpsamplerModel"} | dict(model.config), facts, tensors.__getitem__)
        return folder

    loaded = load_upsampler(write(tmp_path / "whole", list(tensors)), dtype=torch.float32, device="cpu")
    latents = torch.randn(1, 8, 2, 2, 2)
    with torch.no_grad():
        assert torch.equal(loaded(latents), model(latents))
    with pytest.raises(BadInput, match=r"incontext\.bad_upsampler"):
        load_upsampler(write(tmp_path / "part", list(tensors)[:-1]), dtype=torch.float32, device="cpu")
    with pytest.raises(WrongUse, match=r"incontext\.no_upsampler"):
        load_upsampler(tmp_path / "none", dtype=torch.float32, device="cpu")
