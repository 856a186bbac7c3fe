"""Bases in files: folder and published checkpoint give the same outputs; what does not fit is refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ltx2_audio_vae_to_diffusers,
    convert_ltx2_transformer_to_diffusers,
    convert_ltx2_vae_to_diffusers,
)
from torch import Tensor

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.incontext.backbone.building import _text_encoder
from dubflow.incontext.backbone.folders import save_backbone
from dubflow.incontext.backbone.loading import load_backbone
from dubflow.incontext.backbone.names import part_name, published_name
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.sources import open_base
from dubflow.incontext.backbone.tensor_file import TensorFiles, write_tensors
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.backbone.tiny import tiny_backbone, tiny_settings

STATED = {
    "num_attention_heads": 2,
    "rope_type": "split",
    "frequencies_precision": "float32",
    "caption_channels": 32,
    "connector_num_attention_heads": 2,
}


def _published(backbone: Backbone) -> dict[str, Tensor]:
    return {
        published_name(part, name): tensor
        for part, module in backbone.modules().items()
        if part != "text_encoder"
        for name, tensor in module.state_dict().items()
    }


def _checkpoint(backbone: Backbone, path: Path, drop: str = "", stated: dict[str, object] = STATED) -> Path:
    tensors = {name: tensor for name, tensor in _published(backbone).items() if not drop or drop not in name}
    write_tensors(path, tensors, {"config": json.dumps({"transformer": stated})})
    return path


def _outputs(backbone: Backbone) -> list[Tensor]:
    text = encode_text(backbone, ["hello"])
    draw = torch.Generator().manual_seed(1)
    geometry = backbone.geometry
    with torch.no_grad():
        video, audio = backbone.transformer(
            hidden_states=torch.randn(1, 12, 8, generator=draw),
            audio_hidden_states=torch.randn(1, 9, 8, generator=draw),
            encoder_hidden_states=text.video,
            audio_encoder_hidden_states=text.audio,
            timestep=torch.full((1, 12), 400.0),
            audio_timestep=torch.full((1, 9), 400.0),
            sigma=torch.full((1,), 400.0),
            video_coords=video_positions(geometry, (3, 2, 2), 25.0),
            audio_coords=audio_positions(geometry, 9),
            use_cross_timestep=backbone.cross_timestep,
            return_dict=False,
        )
        sound = backbone.vocoder(backbone.audio_vae.decode(torch.randn(1, 2, 5, 4, generator=draw)).sample)
        shown = backbone.video_vae.decode(torch.randn(1, 8, 2, 2, 2, generator=draw)).sample
    return [video, audio, sound, shown]


@pytest.fixture(scope="module")
def folder(oldest: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "folder"
    save_backbone(oldest, path)
    return path


@pytest.mark.slow
def test_folder_and_checkpoint_give_the_same_outputs(backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(backbone, tmp_path / "folder", shard_bytes=100_000)
    assert len(list((tmp_path / "folder" / "transformer").glob("*.safetensors"))) > 1
    expected = _outputs(backbone)
    checkpoint = _checkpoint(backbone, tmp_path / "base.safetensors")
    for path, text in ((tmp_path / "folder", None), (checkpoint, tmp_path / "folder")):
        loaded = load_backbone(path, dtype=torch.float32, text=text)
        assert loaded.version == backbone.version
        assert loaded.geometry == backbone.geometry
        assert loaded.text_tokens == backbone.text_tokens
        for ours, theirs in zip(_outputs(loaded), expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_diffusers_reads_our_folder(folder: Path, oldest: Backbone) -> None:
    from diffusers import LTX2Pipeline

    pipe = LTX2Pipeline.from_pretrained(folder, local_files_only=True)
    for name, tensor in oldest.transformer.state_dict().items():
        assert torch.equal(pipe.transformer.state_dict()[name], tensor)


def test_names_go_both_ways(backbone: Backbone) -> None:
    for part, module in backbone.modules().items():
        if part != "text_encoder":
            for name in module.state_dict():
                assert part_name(published_name(part, name)) == (part, name)


@pytest.mark.parametrize(
    ("part", "prefix", "convert"),
    [
        ("transformer", "model.diffusion_model.", convert_ltx2_transformer_to_diffusers),
        ("vae", "vae.", convert_ltx2_vae_to_diffusers),
        ("audio_vae", "audio_vae.", convert_ltx2_audio_vae_to_diffusers),
    ],
)
def test_published_names_of_2_0_are_those_that_diffusers_converts(
    oldest: Backbone, part: str, prefix: str, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    published = {name: tensor for name, tensor in _published(oldest).items() if name.startswith(prefix)}
    converted = convert(published)
    assert set(converted) == set(oldest.modules()[part].state_dict())


@pytest.mark.parametrize(
    ("published", "name"),
    [
        ("model.diffusion_model.adaln_single.linear.weight", "time_embed.linear.weight"),
        ("model.diffusion_model.audio_prompt_adaln_single.linear.bias", "audio_prompt_adaln.linear.bias"),
        (
            "model.diffusion_model.transformer_blocks.7.scale_shift_table_a2v_ca_audio",
            "transformer_blocks.7.audio_a2v_cross_attn_scale_shift_table",
        ),
        (
            "model.diffusion_model.video_embeddings_connector.transformer_1d_blocks.0.attn1.q_norm.weight",
            "video_connector.transformer_blocks.0.attn1.norm_q.weight",
        ),
        ("text_embedding_projection.aggregate_embed.weight", "text_proj_in.weight"),
        ("vae.encoder.down_blocks.8.res_blocks.0.conv1.conv.weight", "encoder.mid_block.resnets.0.conv1.conv.weight"),
        ("vae.decoder.up_blocks.7.conv.conv.weight", "decoder.up_blocks.3.upsamplers.0.conv.conv.weight"),
        ("vae.decoder.up_blocks.8.res_blocks.1.conv2.conv.bias", "decoder.up_blocks.3.resnets.1.conv2.conv.bias"),
        ("vae.per_channel_statistics.std-of-means", "latents_std"),
        ("vocoder.ups.3.bias", "upsamplers.3.bias"),
        (
            "vocoder.vocoder.resblocks.0.acts1.0.downsample.lowpass.filter",
            "vocoder.resnets.0.acts1.0.downsample.filter",
        ),
    ],
)
def test_known_published_names(published: str, name: str) -> None:
    found = part_name(published)
    assert found is not None
    assert found[1] == name
    assert published_name(*found) == published


def test_statistics_that_diffusers_does_not_have_are_left_out() -> None:
    assert part_name("vae.per_channel_statistics.mean-of-stds") is None
    assert part_name("optimizer.state") is None


def test_2_5_without_the_prompts_modulation_is_loaded_too(tmp_path: Path) -> None:
    path = _checkpoint(tiny_backbone("2.5"), tmp_path / "base.safetensors", drop="prompt_adaln_single")
    transformer = open_base(path).parts["transformer"]
    assert transformer.config["use_prompt_adaln_single"] is False
    assert load_backbone(path, dtype=torch.float32).version == "2.5"


def test_scaled_8_bit_weights_are_multiplied_out(oldest: Backbone, tmp_path: Path) -> None:
    tensors = _published(oldest)
    name = "model.diffusion_model.transformer_blocks.0.ff.net.2.weight"
    weight = tensors[name]
    scale = weight.abs().max() / torch.finfo(torch.float8_e4m3fn).max
    tensors[name] = (weight / scale).to(torch.float8_e4m3fn)
    tensors[name.removesuffix("weight") + "weight_scale"] = scale
    write_tensors(tmp_path / "base.safetensors", tensors, {"config": json.dumps({"transformer": STATED})})
    loaded = load_backbone(tmp_path / "base.safetensors", dtype=torch.float32)
    torch.testing.assert_close(loaded.transformer.transformer_blocks[0].ff.net[2].weight, weight, atol=0.02, rtol=0.07)


def _refused(path: Path, **options: object) -> DubflowError:
    with pytest.raises(DubflowError) as caught:
        load_backbone(path, dtype=torch.float32, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("drop", "code", "why"),
    [
        ("audio_patchify_proj", "incontext.unknown_base", "audio stream"),
        ("caption_projection", "incontext.unknown_base", "no version has exactly this"),
        ("audio_attn2.to_k.bias", "incontext.unknown_base", "lacks transformer_blocks.0.audio_attn2.to_k.bias"),
        ("vocoder.", "incontext.unknown_base", "lacks vocoder"),
        ("diffusion_model", "incontext.unknown_base", "no tensors under the names"),
    ],
)
def test_an_incomplete_checkpoint_says_what_is_missing(
    oldest: Backbone, tmp_path: Path, drop: str, code: str, why: str
) -> None:
    error = _refused(_checkpoint(oldest, tmp_path / "base.safetensors", drop=drop))
    assert error.code == code
    assert why in error.headline


def test_parts_of_two_versions_are_refused(backbone: Backbone, folder: Path, tmp_path: Path) -> None:
    if backbone.version == "2.0":
        assert load_backbone(folder, version="2.0", with_text=False).version == "2.0"
        return
    mixed = tmp_path / "mixed"
    save_backbone(backbone, mixed)
    shutil.rmtree(mixed / "vocoder")
    shutil.copytree(folder / "vocoder", mixed / "vocoder")
    error = _refused(mixed)
    assert error.code == "incontext.version_mismatch"
    assert "vocoder lacks bandwidth extension" in error.headline


def test_another_version_than_asked_for_is_refused(folder: Path) -> None:
    assert _refused(folder, version="2.3").code == "incontext.version_mismatch"


@pytest.mark.parametrize("stated", [{"rope_type": "interleaved"}, {"rope_type": "INTERLEAVED"}])
def test_interleaved_rotary_embeddings_are_refused(oldest: Backbone, tmp_path: Path, stated: dict[str, object]) -> None:
    error = _refused(_checkpoint(oldest, tmp_path / "base.safetensors", stated=STATED | stated))
    assert error.code == "incontext.unknown_base"
    assert "split" in error.headline


def _edited(folder: Path, target: Path, part: str, **changes: object) -> Path:
    shutil.copytree(folder, target)
    path = target / part / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({k: v for k, v in (config | changes).items() if v != "left out"}), encoding="utf-8")
    return target


def test_defaults_that_are_traps_are_filled_in(folder: Path, oldest: Backbone, tmp_path: Path) -> None:
    base = _edited(folder, tmp_path / "a", "transformer", rope_type="left out")
    base = _edited(base, tmp_path / "b", "vae", spatial_compression_ratio=None, temporal_compression_ratio="left out")
    loaded = load_backbone(base, dtype=torch.float32)
    assert loaded.transformer.config.rope_type == "split"
    assert loaded.geometry == oldest.geometry
    for ours, theirs in zip(_outputs(loaded), _outputs(oldest), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("transformer", {"rope_type": "interleaved"}),
        ("connectors", {"rope_type": "interleaved"}),
        ("vae", {"spatial_compression_ratio": 64}),
        ("vae", {"decoder_block_out_channels": [8, 24, 32]}),
        ("audio_vae", {"mel_bins": 32}),
        ("transformer", {"num_layers": 3}),
        ("transformer", {"a_field_of_the_future": 1}),
    ],
)
def test_configurations_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, part: str, changes: dict[str, object]
) -> None:
    assert _refused(_edited(folder, tmp_path / "base", part, **changes)).code == "incontext.unknown_base"


def test_weights_that_could_carry_code_are_not_read(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(folder, base)
    weights = next((base / "vae").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    assert _refused(base).code == "incontext.no_weights"


def test_damaged_and_missing_files_are_named(folder: Path, oldest: Backbone, tmp_path: Path) -> None:
    write_tensors(tmp_path / "base.safetensors", {"weight": torch.zeros(3)}, {})
    assert _refused(tmp_path / "base.safetensors").code == "incontext.unknown_base"
    (tmp_path / "base.safetensors").write_bytes(b"GIF89a")
    assert _refused(tmp_path / "base.safetensors").code == "incontext.bad_tensor_file"
    with pytest.raises(WrongUse):
        load_backbone(tmp_path / "nowhere")
    with pytest.raises(BadInput) as caught:
        load_backbone(_edited(folder, tmp_path / "b", "text_encoder", architectures=["LlamaForCausalLM"]))
    assert caught.value.code == "incontext.bad_text_encoder"
    other = replace(oldest, text_encoder=_text_encoder(tiny_settings().text.model_copy(update={"layers": 3}), "cpu"))
    save_backbone(other, tmp_path / "other")
    error = _refused(tmp_path / "other")
    assert error.code == "incontext.bad_text_encoder"
    assert "4 states of width 32" in error.headline
    with pytest.raises(WrongUse) as exists:
        save_backbone(load_backbone(folder), folder)
    assert exists.value.code == "incontext.folder_exists"


def test_equal_tensors_are_equal_bytes_and_the_library_reads_them(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tensors = {
        "b": torch.randn(3, 5).to(torch.bfloat16),
        "a": torch.randn(7),
        "c": torch.randn(4).to(torch.float8_e4m3fn),
        "empty": torch.zeros(0, 2),
    }
    write_tensors(tmp_path / "x", tensors, {"z": "1", "y": "ü"})
    write_tensors(tmp_path / "y", dict(reversed(tensors.items())), {"y": "ü", "z": "1"})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    read = load_file(tmp_path / "x")
    assert all(torch.equal(read[name].float(), tensor.float()) for name, tensor in tensors.items())
    assert TensorFiles([tmp_path / "x"]).metadata == {"z": "1", "y": "ü"}
