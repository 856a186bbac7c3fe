"""Published files to a folder of safetensors: strict, lossless, and nothing in them is executed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dubflow.errors import BadInput, WrongUse
from dubflow.speech.codecs.facodec import convert_checkpoints, load_facodec
from dubflow.speech.codecs.facodec.checkpoint import DROPPABLE
from dubflow.speech.codecs.facodec.config import FacodecConfig
from speech.codecs.facodec_published import published_states, save_published

TINY = FacodecConfig.tiny()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return save_published(tmp_path_factory.mktemp("published"), published_states(TINY))


@pytest.fixture
def converted(published: tuple[Path, Path], tmp_path: Path) -> Path:
    return convert_checkpoints(*published, tmp_path / "facodec", config=TINY)


def broken_decoder(folder: Path, **changes: torch.Tensor | None) -> tuple[Path, Path]:
    """Published files of which the decoder has entries replaced, added or (``None``) taken away."""
    states = published_states(TINY)
    for name, value in changes.items():
        if value is None:
            del states["decoder"][name]
        else:
            states["decoder"][name] = value
    return save_published(folder, states)


def test_what_is_kept_is_kept_bit_for_bit(converted: Path) -> None:
    for part, state in published_states(TINY).items():
        stored = load_file(converted / f"{part}.safetensors")
        assert stored.keys() == {name for name in state if name.split(".")[0] not in DROPPABLE}
        assert all(torch.equal(stored[name], state[name]) for name in stored)


def test_the_header_names_sources_and_what_was_dropped(converted: Path, published: tuple[Path, Path]) -> None:
    header = json.loads((converted / "facodec.json").read_text())
    for part, path in zip(("encoder", "decoder"), published, strict=True):
        assert header["sources"][part] == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert header["dropped"] == sorted(
        ["f0_predictor", "phone_predictor", "res_f0_predictor", "res_phone_predictor", "x_timbre_predictor"]
    )
    assert FacodecConfig.model_validate(header["config"]) == TINY
    assert {path.name for path in converted.iterdir()} == {"facodec.json", "encoder.safetensors", "decoder.safetensors"}


def test_the_same_files_give_the_same_bytes(converted: Path, published: tuple[Path, Path], tmp_path: Path) -> None:
    again = convert_checkpoints(*published, tmp_path / "again", config=TINY)
    for path in converted.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_the_older_layout_of_torch_files_is_read_too(converted: Path, tmp_path: Path) -> None:
    paths = {part: tmp_path / f"{part}.bin" for part in ("encoder", "decoder")}
    for part, state in published_states(TINY).items():
        torch.save(state, paths[part], _use_new_zipfile_serialization=False)
    again = convert_checkpoints(paths["encoder"], paths["decoder"], tmp_path / "again", config=TINY)
    assert load_facodec(again).id == load_facodec(converted).id


def test_every_difference_is_listed(tmp_path: Path) -> None:
    paths = broken_decoder(
        tmp_path,
        **{
            "model.0.bias": None,
            "model.9.bias": torch.zeros(1),
            "f0_predictor_of_mine.bias": torch.zeros(1),
            "timbre_linear.bias": torch.zeros(3),
            "model.6.bias": torch.zeros(1, dtype=torch.float64),
        },
    )
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(*paths, tmp_path / "out", config=TINY)
    assert refused.value.code == "speech.codec_checkpoint_mismatch"
    assert refused.value.details == {
        "missing": ["model.0.bias"],
        "unexpected": ["f0_predictor_of_mine.bias", "model.9.bias"],
        "shapes": [
            "model.6.bias: float64 [1] instead of float32 [1]",
            "timbre_linear.bias: float32 [3] instead of float32 [32]",
        ],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ns3_facodec_decoder.bin", "ns3_facodec_encoder.bin"]


def test_encoder_and_decoder_swapped_is_a_mismatch(published: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ns3_facodec_decoder"):
        convert_checkpoints(published[1], published[0], tmp_path / "out", config=TINY)


def test_training_parts_are_expected_in_the_decoder_only(tmp_path: Path) -> None:
    states = published_states(TINY)
    states["encoder"]["f0_predictor.heads.0.bias"] = torch.zeros(1)
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(*save_published(tmp_path, states), tmp_path / "out", config=TINY)
    assert refused.value.details["unexpected"] == ["f0_predictor.heads.0.bias"]


class Mischief:
    """What a hostile file would carry: a call that unpickling performs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o700)


def test_code_in_a_file_is_not_executed(published: tuple[Path, Path], tmp_path: Path) -> None:
    hostile, trace = tmp_path / "hostile.bin", tmp_path / "trace"
    torch.save({"block.0.bias": Mischief(trace)}, hostile)
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(hostile, published[1], tmp_path / "out", config=TINY)
    assert refused.value.code == "speech.codec_checkpoint_unreadable"
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 broken", b"<!DOCTYPE html>" * 99])
def test_a_file_that_is_no_checkpoint(content: bytes, published: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "encoder.bin"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(path, published[1], tmp_path / "out", config=TINY)
    assert refused.value.code == "speech.codec_checkpoint_unreadable"


def test_a_truncated_file(published: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "encoder.bin"
    path.write_bytes(published[0].read_bytes()[:-500])
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(path, published[1], tmp_path / "out", config=TINY)
    assert refused.value.code == "speech.codec_checkpoint_unreadable"


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"block.0.bias": 3}, {7: torch.zeros(2)}])
def test_content_that_is_not_named_tensors(content: object, published: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "encoder.bin"
    torch.save(content, path)
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(path, published[1], tmp_path / "out", config=TINY)
    assert refused.value.code == "speech.codec_checkpoint_unreadable"


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    paths = broken_decoder(tmp_path, **{"timbre_linear.bias": torch.full((32,), torch.nan)})
    with pytest.raises(BadInput, match=r"timbre_linear\.bias"):
        convert_checkpoints(*paths, tmp_path / "out", config=TINY)


def test_a_path_that_leads_nowhere(published: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        convert_checkpoints(tmp_path / "none.bin", published[1], tmp_path / "out", config=TINY)
    assert refused.value.code == "media.missing"


def test_an_existing_folder_is_left_alone(converted: Path, published: tuple[Path, Path]) -> None:
    before = (converted / "facodec.json").read_bytes()
    with pytest.raises(WrongUse) as refused:
        convert_checkpoints(*published, converted, config=TINY)
    assert refused.value.code == "speech.codec_folder_exists"
    assert (converted / "facodec.json").read_bytes() == before


def other_weights(folder: Path) -> None:
    path = folder / "encoder.safetensors"
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)


def other_version(folder: Path) -> None:
    header = json.loads((folder / "facodec.json").read_text())
    (folder / "facodec.json").write_text(json.dumps({**header, "version": 2}))


def other_config(folder: Path) -> None:
    header = json.loads((folder / "facodec.json").read_text())
    header["config"]["latent_dim"] = 32
    (folder / "facodec.json").write_text(json.dumps(header))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (other_weights, "speech.codec_folder_broken"),
        (other_version, "speech.codec_folder_broken"),
        (other_config, "speech.codec_checkpoint_mismatch"),
        (lambda folder: (folder / "decoder.safetensors").unlink(), "speech.codec_folder_broken"),
        (lambda folder: (folder / "facodec.json").unlink(), "speech.codec_folder_broken"),
        (lambda folder: (folder / "facodec.json").write_text("[]"), "speech.codec_folder_broken"),
        (lambda folder: (folder / "facodec.json").write_text("{"), "speech.codec_folder_broken"),
    ],
)
def test_a_spoilt_folder_is_refused(spoil, code: str, converted: Path) -> None:  # type: ignore[no-untyped-def]
    spoil(converted)
    with pytest.raises(BadInput) as refused:
        load_facodec(converted)
    assert refused.value.code == code


def test_the_id_follows_weights_and_settings_not_names(converted: Path, tmp_path: Path) -> None:
    first, second = save_published(tmp_path / "elsewhere", published_states(TINY))
    renamed = convert_checkpoints(
        first.rename(tmp_path / "a"), second.rename(tmp_path / "b"), tmp_path / "x", config=TINY
    )
    other = convert_checkpoints(
        *save_published(tmp_path / "other", published_states(TINY, seed=1)), tmp_path / "y", config=TINY
    )
    shorter = convert_checkpoints(
        tmp_path / "a", tmp_path / "b", tmp_path / "z", config=TINY.model_copy(update={"speaker_seconds": 1.0})
    )
    ids = [load_facodec(folder).id for folder in (converted, renamed, other, shorter)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_the_package_is_light_and_says_when_torch_is_missing(
    monkeypatch: pytest.MonkeyPatch, published: tuple[Path, Path], tmp_path: Path
) -> None:
    source = "import sys, dubflow.speech.codecs.facodec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "torch", None)
    for use in (lambda: load_facodec(tmp_path), lambda: convert_checkpoints(*published, tmp_path / "out", config=TINY)):
        with pytest.raises(WrongUse) as refused:
            use()
        assert refused.value.code == "install.missing_extra"
        assert refused.value.details == {"module": "torch", "extra": "features"}
