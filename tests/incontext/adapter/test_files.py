"""Layouts of adapters: bit-exact both ways, alpha folded, the published layout at full size, diffusers as a witness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dubflow.errors import BadInput
from dubflow.incontext.adapter.files import (
    PEFT_METADATA,
    Adapter,
    LoraPair,
    adapter_from,
    read_adapter,
    read_adapter_in,
    write_adapter,
)
from dubflow.incontext.adapter.keys import LAYOUTS, Layout, key_of, parse_key
from dubflow.incontext.adapter.lora import LoraSettings, add_lora, lora_weights
from dubflow.incontext.adapter.metadata import AdapterMetadata
from dubflow.incontext.backbone.loading import meta_backbone
from dubflow.incontext.backbone.settings import published

MODULES = (
    "transformer_blocks.0.attn1.to_q",
    "transformer_blocks.0.ff.net.0.proj",
    "transformer_blocks.1.audio_to_video_attn.to_out.0",
    "audio_proj_in",
    "time_embed.linear",
    "av_cross_attn_video_a2v_gate.linear",
    "connectors.text_proj_in",
    "connectors.video_connector.transformer_blocks.0.attn1.to_q",
)


def _adapter(rank: int = 4, dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> Adapter:
    draw = torch.Generator().manual_seed(seed)
    return Adapter(
        {
            name: LoraPair(
                torch.randn(rank, 6, generator=draw).to(dtype), torch.randn(8, rank, generator=draw).to(dtype)
            )
            for name in sorted(MODULES)
        },
        AdapterMetadata(base_version="2.3", mask_scheme="isolated", reference_downscale_factor=2),
    )


def _same(first: Adapter, second: Adapter) -> bool:
    return list(first.pairs) == list(second.pairs) and all(
        torch.equal(pair.a, second.pairs[name].a)
        and torch.equal(pair.b, second.pairs[name].b)
        and pair.a.dtype == second.pairs[name].a.dtype
        for name, pair in first.pairs.items()
    )


@settings(deadline=None, max_examples=10)
@given(
    st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=4),
    st.integers(1, 5),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
)
def test_any_chain_of_layouts_gives_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, chain: list[Layout], rank: int, dtype: torch.dtype
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    adapter = _adapter(rank, dtype)
    write_adapter(folder / "first", adapter, chain[-1])
    path = folder / "first"
    for step, layout in enumerate(chain):
        found, _ = read_adapter_in(path)
        path = folder / str(step)
        write_adapter(path, found, layout)
    found, layout = read_adapter_in(path)
    assert _same(found, adapter)
    assert found.metadata == adapter.metadata
    assert layout == chain[-1]
    if chain[-1] == "diffusers" or "diffusers" not in chain:
        assert path.read_bytes() == (folder / "first").read_bytes()


def test_a_public_file_comes_back_bit_for_bit(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    tensors = {}
    for module in ("transformer_blocks.0.attn1.to_q", "adaln_single.linear", "audio_patchify_proj"):
        tensors[f"diffusion_model.{module}.lora_A.weight"] = torch.randn(2, 6, generator=draw).to(torch.bfloat16)
        tensors[f"diffusion_model.{module}.lora_B.weight"] = torch.randn(8, 2, generator=draw).to(torch.bfloat16)
    header = {"reference_downscale_factor": "1", "model_version": "2.5.0", "a note": "kept"}
    save_file(tensors, tmp_path / "public", header)
    found, layout = read_adapter_in(tmp_path / "public")
    assert layout == "comfyui"
    assert set(found.pairs) == {"transformer_blocks.0.attn1.to_q", "time_embed.linear", "audio_proj_in"}
    write_adapter(tmp_path / "again", found)
    with safe_open(tmp_path / "again", framework="pt") as file:
        assert file.metadata() == header
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118
            name: tensor.tolist() for name, tensor in tensors.items()
        }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys_go_both_ways(layout: Layout) -> None:
    for module in MODULES:
        for kind in ("A", "B"):
            key = key_of(layout, module, kind)
            found = parse_key(key)
            assert found is not None
            assert found[1:] == (module, kind)
            assert found[0] == layout or (module.startswith("connectors.") and layout == "peft")


@pytest.mark.parametrize(
    ("key", "parsed"),
    [
        (
            "base_model.model.transformer_blocks.3.ff.net.2.lora_A.default.weight",
            ("peft", "transformer_blocks.3.ff.net.2", "A"),
        ),
        ("transformer_blocks.3.attn1.to_k.lora_B.weight", ("peft", "transformer_blocks.3.attn1.to_k", "B")),
        ("diffusion_model.adaln_single.linear.lora_down.weight", ("comfyui", "time_embed.linear", "A")),
        (
            "model.diffusion_model.transformer_blocks.0.attn1.to_v.alpha",
            ("comfyui", "transformer_blocks.0.attn1.to_v", "alpha"),
        ),
        (
            "diffusion_model.text_embedding_projection.aggregate_embed.lora_A.weight",
            ("comfyui", "connectors.text_proj_in", "A"),
        ),
        (
            "text_embedding_projection.video_aggregate_embed.lora_B.weight",
            ("comfyui", "connectors.video_text_proj_in", "B"),
        ),
        (
            "diffusion_model.audio_embeddings_connector.transformer_1d_blocks.1.attn1.to_k.lora_B.weight",
            ("comfyui", "connectors.audio_connector.transformer_blocks.1.attn1.to_k", "B"),
        ),
        ("text_encoder.layers.0.q_proj.lora_A.weight", None),
        ("diffusion_model.transformer_blocks.0.attn1.to_q.weight", None),
    ],
)
def test_keys_that_people_have(key: str, parsed: object) -> None:
    assert parse_key(key) == parsed


def test_alpha_is_folded_into_b(tmp_path: Path) -> None:
    pair = LoraPair(torch.randn(4, 6), torch.randn(8, 4))
    stem = "diffusion_model.transformer_blocks.0.attn1.to_q"
    tensors = {f"{stem}.lora_down.weight": pair.a, f"{stem}.lora_up.weight": pair.b, f"{stem}.alpha": torch.tensor(2.0)}
    save_file(tensors, tmp_path / "kohya")
    (folded,) = read_adapter(tmp_path / "kohya").pairs.values()
    torch.testing.assert_close(folded.b @ folded.a, 0.5 * pair.b @ pair.a)
    write_adapter(tmp_path / "out", Adapter({"transformer_blocks.0.attn1.to_q": folded}), "diffusers")
    with safe_open(tmp_path / "out", framework="pt") as file:
        stated = json.loads(file.metadata()[PEFT_METADATA])
    assert stated["transformer.r"] == stated["transformer.lora_alpha"] == 4


@pytest.mark.parametrize(
    ("stated", "scale"),
    [
        ({"r": 4, "lora_alpha": 4}, 1.0),
        ({"r": 4, "lora_alpha": 16}, 4.0),
        ({"r": 4, "lora_alpha": 4, "use_rslora": True}, 2.0),
        ({"r": 4, "lora_alpha": 4, "alpha_pattern": {"attn1.to_q": 12}}, 3.0),
    ],
)
def test_pefts_folder_is_read_with_its_alpha(tmp_path: Path, stated: dict[str, object], scale: float) -> None:
    pair = LoraPair(torch.randn(4, 6), torch.randn(8, 4))
    stem = "base_model.model.transformer_blocks.0.attn1.to_q"
    save_file(
        {f"{stem}.lora_A.weight": pair.a, f"{stem}.lora_B.weight": pair.b}, tmp_path / "adapter_model.safetensors"
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps(stated))
    (found,) = read_adapter(tmp_path).pairs.values()
    assert torch.equal(found.a, pair.a)
    torch.testing.assert_close(found.b, scale * pair.b)


@pytest.mark.slow
def test_diffusers_reads_both_layouts(tmp_path: Path) -> None:
    from diffusers import LTX2Pipeline

    whole = _adapter()
    # In ComfyUI's layout diffusers knows the connectors' projection and takes their other layers for the transformer's.
    pairs = {name: pair for name, pair in whole.pairs.items() if "connector." not in name}
    adapter = Adapter(pairs, whole.metadata)
    for layout in ("comfyui", "diffusers"):
        write_adapter(tmp_path / f"{layout}.safetensors", adapter, layout)
        weights = LTX2Pipeline.lora_state_dict(str(tmp_path), weight_name=f"{layout}.safetensors")
        expected = {}
        for name, pair in adapter.pairs.items():
            prefix = "" if name in adapter.connectors else "transformer."
            expected[f"{prefix}{name}.lora_A.weight"] = pair.a
            expected[f"{prefix}{name}.lora_B.weight"] = pair.b
        assert set(weights) == set(expected)
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def _published_layout() -> dict[str, tuple[int, int]]:
    """Names and shapes of a rank-128 LoRA as the public trainer writes it, from the sizes of LTX-2 alone."""
    video, audio, shapes = 4096, 2048, {}
    attentions = {
        "attn1": (video, video, video),
        "attn2": (video, video, video),
        "audio_attn1": (audio, audio, audio),
        "audio_attn2": (audio, audio, audio),
        "audio_to_video_attn": (video, audio, audio),
        "video_to_audio_attn": (audio, video, audio),
    }
    for block in range(48):
        stem = f"diffusion_model.transformer_blocks.{block}"
        layers = {}
        for name, (queries, keys, inner) in attentions.items():
            layers |= {f"{name}.to_q": (queries, inner), f"{name}.to_k": (keys, inner), f"{name}.to_v": (keys, inner)}
            layers[f"{name}.to_out.0"] = (inner, queries)
        for name, width in (("ff", video), ("audio_ff", audio)):
            layers |= {f"{name}.net.0.proj": (width, 4 * width), f"{name}.net.2": (4 * width, width)}
        for name, (inputs, outputs) in layers.items():
            shapes[f"{stem}.{name}.lora_A.weight"] = (128, inputs)
            shapes[f"{stem}.{name}.lora_B.weight"] = (outputs, 128)
    return shapes


@pytest.mark.slow
def test_names_and_shapes_at_full_size_are_the_published_ones() -> None:
    transformer = meta_backbone(published("2.0")).transformer
    with torch.device("meta"):
        add_lora(transformer, LoraSettings())
    adapter = adapter_from(lora_weights(transformer))
    written = {}
    for name, pair in adapter.pairs.items():
        written[key_of("comfyui", name, "A")] = tuple(pair.a.shape)
        written[key_of("comfyui", name, "B")] = tuple(pair.b.shape)
    assert written == _published_layout()
    assert (len(adapter.pairs), adapter.tensors, adapter.parameters) == (1344, 2688, 1_233_125_376)


@pytest.mark.parametrize(
    ("tensors", "code"),
    [
        ({"weight": torch.zeros(2, 2)}, "incontext.not_an_adapter"),
        ({"diffusion_model.x.lora_A.weight": torch.zeros(2, 2)}, "incontext.bad_adapter"),
        (
            {
                "diffusion_model.x.lora_A.weight": torch.zeros(2, 3),
                "diffusion_model.x.lora_B.weight": torch.zeros(4, 3),
            },
            "incontext.bad_adapter",
        ),
        (
            {"diffusion_model.x.lora_A.weight": torch.zeros(2, 3), "transformer.x.lora_B.weight": torch.zeros(4, 2)},
            "incontext.not_an_adapter",
        ),
        (
            {
                "diffusion_model.x.lora_A.weight": torch.zeros(2, 3, dtype=torch.int8),
                "diffusion_model.x.lora_B.weight": torch.zeros(4, 2),
            },
            "incontext.bad_adapter",
        ),
    ],
)
def test_what_is_no_adapter_is_refused(tmp_path: Path, tensors: dict[str, Tensor], code: str) -> None:
    save_file(tensors, tmp_path / "x")
    with pytest.raises(BadInput) as caught:
        read_adapter(tmp_path / "x")
    assert caught.value.code == code
