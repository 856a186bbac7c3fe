"""Audio latents beside a pair's clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dubflow.errors import BadInput
from dubflow.incontext.pairs.own_sound import OwnSound, read_own_sound, write_own_sound


def test_what_is_written_is_read_as_far_as_is_wanted(tmp_path: Path) -> None:
    sound = OwnSound(torch.randn(9, 4), torch.randn(9, 4))
    write_own_sound(tmp_path / "sound.safetensors", sound)
    found = read_own_sound(tmp_path / "sound.safetensors", 5, 4)
    assert torch.equal(found.context, sound.context[:5])
    assert torch.equal(found.target, sound.target[:5])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"context": torch.zeros(9, 4)}, "target"),
        ({"context": torch.zeros(9, 4), "target": torch.zeros(4, 4)}, "at least 5 tokens of 4"),
        ({"context": torch.zeros(9, 8), "target": torch.zeros(9, 8)}, "at least 5 tokens of 4"),
        ({"context": torch.zeros(36), "target": torch.zeros(9, 4)}, "at least 5 tokens of 4"),
        ({"context": torch.zeros(9, 4), "target": torch.full((9, 4), torch.nan)}, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, content: dict[str, torch.Tensor], why: str) -> None:
    save_file(content, tmp_path / "sound.safetensors")
    with pytest.raises(BadInput, match=why) as refused:
        read_own_sound(tmp_path / "sound.safetensors", 5, 4)
    assert refused.value.code == "incontext.bad_sound_latents"


@pytest.mark.parametrize("content", [b"", b"no tensors at all"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sound.safetensors").write_bytes(content)
    with pytest.raises(BadInput) as refused:
        read_own_sound(tmp_path / "sound.safetensors", 5, 4)
    assert refused.value.code == "incontext.bad_sound_latents"
