"""Latents and settings of LTX trainers, taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dubflow.errors import BadInput
from dubflow.incontext.backbone.text import connect_text, prompt_features
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.training.latents import LatentSet
from dubflow.incontext.training.ltx_config import import_ltx_config, is_ltx_config
from dubflow.incontext.training.precomputed import import_precomputed, is_precomputed, mask_kind

BASE = tiny_backbone()


def save(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def write_tree(root: Path, name: str = "clips/one", **masks: Any) -> dict[str, torch.Tensor]:
    """One pair as an LTX trainer stores it; the tensors in it."""
    noise = torch.Generator().manual_seed(len(name))
    tensors = {side: torch.randn(8, 2, 2, 2, generator=noise) for side in ("target", "context")}
    sound = torch.randn(2, 9, 4, generator=noise)
    text = prompt_features(BASE, ["say it"])
    for side, folder in (("target", ""), ("context", "reference_")):
        facts = {"num_frames": 2, "height": 2, "width": 2, "fps": 25.0}
        save(root / f"{folder}latents" / f"{name}.pt", {"latents": tensors[side], **facts})
        save(root / f"{folder}audio_latents" / f"{name}.pt", {"latents": sound, "num_time_steps": 9, "duration": 0.36})
    conditions = {"video_prompt_embeds": text.video[0], "audio_prompt_embeds": text.audio[0]}
    save(root / "conditions" / f"{name}.pt", conditions | {"prompt_attention_mask": text.mask[0]})
    for folder, content in masks.items():
        save(root / folder / f"{name}.pt", content)
    return tensors | {"sound": sound}


def test_a_tree_becomes_a_cache_with_the_same_numbers(tmp_path: Path) -> None:
    face = torch.zeros(2, 2, 2)
    face[:, 0, 0] = 1
    tensors = write_tree(tmp_path / ".precomputed", masks={"masks": face})
    assert is_precomputed(tmp_path)
    report = import_precomputed(tmp_path, BASE, tmp_path / "out")
    assert (report.pairs, dict(report.unmasked)) == (1, {})
    pair = LatentSet(tmp_path / "out")["clips/one"]
    assert torch.equal(pair.target_video, tensors["target"])
    assert torch.equal(pair.context_video, tensors["context"])
    assert torch.equal(pair.target_audio, tensors["sound"].permute(1, 0, 2).reshape(9, 8))
    assert pair.mask is not None
    assert torch.equal(pair.mask, face > 0.5)
    expected = connect_text(BASE, prompt_features(BASE, ["say it"]))
    assert torch.equal(pair.text.video, expected.video)
    assert torch.equal(pair.text.audio, expected.audio)


def test_a_mask_of_what_is_kept_is_no_face(tmp_path: Path) -> None:
    write_tree(tmp_path, video_masks={"mask": torch.ones(9, 64, 64)})
    report = import_precomputed(tmp_path, BASE, tmp_path / "out")
    assert dict(report.unmasked) == {"its mask says what is kept clean, not where the face is": 1}
    assert LatentSet(tmp_path / "out")["clips/one"].mask is None
    assert mask_kind({"masks": torch.ones(1)}) == "face"
    assert mask_kind({"mask": torch.ones(1)}) == "kept"
    for content in ({}, {"mask": torch.ones(1), "masks": torch.ones(1)}, {"mask": [1]}):
        with pytest.raises(BadInput):
            mask_kind(content)


class Evil:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("made-by-a-pickle"),))


def test_files_that_are_no_tensors_are_left_out_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path, "good")
    for name in ("evil", "cut", "lone", "other"):
        write_tree(tmp_path, name)
    save(tmp_path / "latents" / "evil.pt", {"latents": Evil()})
    whole = (tmp_path / "conditions" / "cut.pt").read_bytes()
    (tmp_path / "conditions" / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "reference_audio_latents" / "lone.pt").unlink()
    save(tmp_path / "latents" / "other.pt", {"latents": torch.ones(128, 2, 2, 2)})
    report = import_precomputed(tmp_path, BASE, tmp_path / "out")
    assert report.pairs == 1
    assert dict(report.left_out) == {"incontext.bad_precomputed": 4}
    assert not (tmp_path / "made-by-a-pickle").exists()


JUSTDUBIT: dict[str, Any] = {
    "model": {"model_path": "/models/ltx.safetensors", "training_mode": "lora"},
    "lora": {
        "rank": 128, "alpha": 128, "dropout": 0.0,
        "target_modules": ["to_k", "to_q", "to_v", "to_out.0", "net.0.proj", "net.2"],
    },
    "training_strategy": {
        "name": "justdubit", "first_frame_conditioning_p": 0.1, "with_audio": True,
        "enable_cross_attention_masking": True,
        "mask_config": {
            "use_masked_loss": True, "mask_loss_weight": 1.0, "background_loss_weight": 0.1, "mask_threshold": 0.1,
            "use_soft_masks": False,
        },
    },
    "optimization": {
        "learning_rate": "2e-4", "learning_rate_groups": {"audio_attn": "1e-6", "audio_ff": "1e-6"}, "steps": 2000,
        "batch_size": 1, "gradient_accumulation_steps": 2, "max_grad_norm": 1.0, "optimizer_type": "adamw",
        "scheduler_type": "linear", "scheduler_params": {}, "enable_gradient_checkpointing": True,
    },
    "acceleration": {"mixed_precision_mode": "bf16", "quantization": None},
    "validation": {
        "video_dims": [640, 352, 121], "frame_rate": 25.0, "inference_steps": 30, "guidance_scale": 3.0,
        "interval": 100,
    },
    "checkpoints": {"interval": 250},
    "flow_matching": {"timestep_sampling_mode": "shifted_logit_normal"},
    "seed": 42,
    "extra": {},
}  # fmt: skip


def written(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "justdubit.yaml"
    sections = {
        name: value | changes.get(name, {}) if isinstance(value, dict) else value for name, value in JUSTDUBIT.items()
    }
    path.write_text(yaml.safe_dump(sections))
    return path


def test_the_released_settings_are_our_preset_code(tmp_path: Path) -> None:
    from dubflow.incontext.training.presets import lora_preset

    path = written(tmp_path, optimization={"gradient_accumulation_steps": 1})
    assert is_ltx_config(path)
    found, ours = lora_preset(str(path)), lora_preset("code")
    assert found.lora == ours.lora
    assert found.data.model_dump() == ours.data.model_dump()
    both = [preset.training.model_dump(exclude={"rates"}) for preset in (found, ours)]
    assert both[0] == both[1]
    rates = found.training.rates
    assert not isinstance(rates, str)
    assert dict(rates.patterns) == {"audio_attn": 1e-6, "audio_ff": 1e-6}
    assert any("--base" in note for note in found.notes)
    assert any(note.startswith("extra:") for note in found.notes)


def test_a_flexible_trainer_masks_nothing_and_has_a_level_for_each_modality(tmp_path: Path) -> None:
    part = {"is_generated": True, "conditions": [{"type": "reference", "probability": 1.0}]}
    path = tmp_path / "av2av_ic_lora.yaml"
    path.write_text(
        yaml.safe_dump(JUSTDUBIT | {"training_strategy": {"name": "flexible", "video": part, "audio": part}})
    )
    training = import_ltx_config(path).training
    assert training.scheme.av == "none"
    assert training.levels.per_modality
    assert training.levels.stretched
    assert training.scene_weight == training.face_weight


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"alpha": 64}},
        {"optimization": {"optimizer_type": "adamw8bit"}},
        {"optimization": {"scheduler_type": "cosine"}},
        {"acceleration": {"quantization": "int8-quanto"}},
        {"acceleration": {"mixed_precision_mode": "fp16"}},
        {"training_strategy": {"name": "text_to_video"}},
        {"training_strategy": {"mask_config": {"use_soft_masks": True}}},
        {"flow_matching": {"timestep_sampling_mode": "uniform"}},
        {"validation": {"frame_rate": 24.0}},
    ],
)
def test_what_is_done_otherwise_here_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refused:
        import_ltx_config(written(tmp_path, **changes))
    assert refused.value.code == "incontext.foreign_settings"


def test_our_own_presets_are_not_taken_for_foreign_ones(tmp_path: Path) -> None:
    ours = tmp_path / "ours.yaml"
    ours.write_text("incontext.lora: {rank: 4}\n")
    assert not is_ltx_config(ours)
