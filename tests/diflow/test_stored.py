"""A stored model comes back as it was, replaces only its like, and nothing else is taken for one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dubbing.room import Room, facts_of, random_network, shared_room
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.stored import FACTS, STARTER, STARTER_TTS, WEIGHTS, find_model, load_model, read_facts, save_model
from dubflow.errors import BadInput, WrongUse
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.codecs.world.storage import load_world


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


@pytest.fixture
def copy(room: Room, tmp_path: Path) -> Path:
    return shutil.copytree(room.model, tmp_path / "copy")


def store(room: Room, folder: Path, stage: str = "dubber", **options: Any) -> None:
    codec = load_world(room.codec)
    network, facts = random_network(codec, stage), facts_of(codec, stage)
    save_model(folder, network, facts, card="# A card\n\n\n", lineage={"a": [1]}, codec=room.codec, **options)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["tts", "dubber"])
def test_comes_back_as_it_was(room: Room, tmp_path: Path, stage: str) -> None:
    store(room, tmp_path / "m", stage)
    loaded = load_model(tmp_path / "m")
    codec = load_world(room.codec)
    network = random_network(codec, stage)
    assert loaded.facts == facts_of(codec, stage) == read_facts(tmp_path / "m")
    assert not any(module.training for module in loaded.network.modules())
    weights = loaded.network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    assert loaded.codec().id == load_codec(loaded.codec_folder).id == codec.id
    assert json.loads((tmp_path / "m" / "lineage.json").read_text()) == {"a": [1]}
    assert (tmp_path / "m" / "card.md").read_text() == "# A card\n"


def test_equal_models_are_equal_bytes_and_hold_no_code(room: Room, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store(room, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    assert load_model(tmp_path / "a").digest == load_model(tmp_path / "b").digest


def test_half_precision_halves_the_file_and_rounds(room: Room, tmp_path: Path) -> None:
    store(room, tmp_path / "whole")
    store(room, tmp_path / "half", weights="float16")
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("whole", "half")]
    assert 0.49 < sizes[1] / sizes[0] < 0.52
    whole, half = (load_model(tmp_path / name).network.state_dict() for name in ("whole", "half"))
    for name, value in whole.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], value, rtol=1e-3, atol=1e-4)


def test_eight_bits_take_a_quarter_and_come_back_by_rows(room: Room, tmp_path: Path) -> None:
    store(room, tmp_path / "whole")
    store(room, tmp_path / "small", weights="int8")
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.45 * sizes[0]  # a small network has many small tensors, in float16
    whole, small = (load_model(tmp_path / name).network.state_dict() for name in ("whole", "small"))
    for name, value in whole.items():
        assert small[name].dtype == torch.float32
        step = value.abs().amax() / 127
        assert bool(((small[name] - value).abs() <= 0.5 * step + 1e-3 * value.abs() + 1e-6).all()), name


def test_a_network_of_the_other_stage_is_refused(room: Room, tmp_path: Path) -> None:
    codec = load_world(room.codec)
    with pytest.raises(WrongUse) as caught:
        save_model(tmp_path / "m", random_network(codec, "tts"), facts_of(codec), card="", lineage={}, codec=room.codec)
    assert caught.value.code == "diflow.wrong_stage"
    store(room, tmp_path / "t", "tts")
    loaded = load_model(tmp_path / "t")
    assert isinstance(loaded.tts, TtsNetwork)
    with pytest.raises(WrongUse) as caught:
        _ = loaded.dubber
    assert caught.value.code == "diflow.wrong_stage"


def test_replaces_a_model_or_an_empty_folder_and_no_stranger(room: Room, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    store(room, tmp_path / "empty")
    store(room, copy, "tts")
    assert load_model(copy).facts.stage == "tts"
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "thesis.txt").write_text("years of work")
    with pytest.raises(WrongUse) as caught:
        store(room, stranger)
    assert caught.value.code == "diflow.folder_is_a_stranger"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "empty", "stranger"]  # nothing is left over


def test_a_failed_write_leaves_the_old_model(room: Room, copy: Path) -> None:
    before = load_model(copy).digest
    codec = load_world(room.codec)
    with pytest.raises(TypeError):
        save_model(copy, random_network(codec), facts_of(codec), card="", lineage={"a": object()}, codec=room.codec)
    assert load_model(copy).digest == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_another_codec_is_refused(room: Room, copy: Path, tmp_path: Path) -> None:
    codec = load_world(room.codec)
    wrong = facts_of(codec).model_copy(update={"codec": "world-1-other"})
    with pytest.raises(BadInput) as caught:
        save_model(tmp_path / "m", random_network(codec), wrong, card="", lineage={}, codec=room.codec)
    assert caught.value.code == "diflow.codec_disagrees"
    edit(copy, codec="world-1-other")
    with pytest.raises(BadInput) as caught:
        load_model(copy).codec()
    assert caught.value.code == "diflow.codec_disagrees"


def test_weights_that_are_not_finite_are_not_stored(room: Room, tmp_path: Path) -> None:
    codec = load_world(room.codec)
    network = random_network(codec)
    with torch.no_grad():
        network.encoder.stresses.weight[0, 0] = torch.nan
    with pytest.raises(BadInput) as caught:
        save_model(tmp_path / "m", network, facts_of(codec), card="", lineage={}, codec=room.codec)
    assert caught.value.code == "diflow.bad_weights_file"
    assert not (tmp_path / "m").exists()


def edit(folder: Path, **changes: Any) -> None:
    path = folder / FACTS
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def spoil(folder: Path, how: str) -> None:
    weights = folder / WEIGHTS
    if how in ("cut", "empty"):
        data = weights.read_bytes()
        weights.write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    elif how == "gone":
        weights.unlink()
    else:
        state = load_file(weights)
        name = "encoder.stresses.weight"
        if how == "lacks a name":
            del state[name]
        elif how == "has a name besides":
            state["more"] = torch.zeros(1)
        elif how == "another shape":
            state[name] = torch.zeros(1, 2)
        else:
            state[name] = torch.full_like(state[name], torch.inf)
        save_file(state, weights)


@pytest.mark.parametrize(
    "how", ["cut", "empty", "gone", "lacks a name", "has a name besides", "another shape", "not finite"]
)
def test_spoilt_weights_are_told(copy: Path, how: str) -> None:
    spoil(copy, how)
    with pytest.raises(BadInput) as caught:
        load_model(copy)
    assert caught.value.code == "diflow.bad_weights_file"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "diflow.bad_model_facts"),
        ("[]", "diflow.unknown_format"),
        ('{"format": "dubflow.diflow/2"}', "diflow.unknown_format"),
        ('{"format": "dubflow.diflow/1"}', "diflow.bad_model_facts"),
    ],
)
def test_facts_that_do_not_read_are_told(copy: Path, content: str, code: str) -> None:
    (copy / FACTS).write_text(content)
    with pytest.raises(BadInput) as caught:
        load_model(copy)
    assert caught.value.code == code


def test_unknown_facts_are_refused(copy: Path) -> None:
    edit(copy, surprise=1)
    with pytest.raises(BadInput) as caught:
        load_model(copy)
    assert caught.value.code == "diflow.bad_model_facts"


def test_a_model_without_its_codec_is_none(copy: Path) -> None:
    shutil.rmtree(copy / "codec")
    with pytest.raises(BadInput) as caught:
        load_model(copy)
    assert caught.value.code == "diflow.not_a_model"


def test_models_are_found_by_path_and_by_name(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(room.model) == room.model
    assert find_model(str(room.model)) == room.model
    with pytest.raises(BadInput) as caught:
        find_model(tmp_path)
    assert caught.value.code == "diflow.not_a_model"

    package = tmp_path / "dubflow" / "diflow"
    monkeypatch.setattr("dubflow.diflow.facts.__file__", str(package / "facts.py"))
    for name, folder in ((STARTER, "diflow"), (STARTER_TTS, "tts")):
        with pytest.raises(BadInput) as caught:
            find_model(name)
        assert caught.value.code == "diflow.no_starter"
        assert "dubflow train" in caught.value.hint
        shutil.copytree(room.model, package.parent / "starter" / folder)
        assert find_model(name) == package.parent / "starter" / folder
