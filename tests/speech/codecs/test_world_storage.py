"""A fitted codec on disk: comes back the same, and nothing else is taken for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dubflow.errors import BadInput, WrongUse
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.codecs.world.fitting import WorldSettings
from dubflow.speech.codecs.world.losses import measure_losses
from dubflow.speech.codecs.world.storage import ARRAYS, CARD, Origin, load_world, read_card, save_world
from speech.codecs.world_speech import World

ORIGIN = Origin(corpus="test", recordings=32, speakers=8, seconds=80.0, seed=3, settings=WorldSettings())


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codec") / "world"
    save_world(world.codec, out, origin=ORIGIN, losses=measure_losses(world.codec, [world.said(0, 0).features]))
    return out


@pytest.mark.slow
def test_comes_back_with_the_same_name_tokens_and_sound(world: World, folder: Path) -> None:
    loaded = load_world(folder)
    assert loaded.id == world.codec.id == read_card(folder).id
    for one in world.speech[::9]:
        tokens = loaded.encode(one.waveform)
        assert tokens == world.codec.encode(one.waveform)
        assert np.array_equal(loaded.decode(tokens), world.codec.decode(tokens))


def test_the_card_says_where_it_came_from_and_what_it_loses(folder: Path) -> None:
    card = read_card(folder)
    assert card.origin == ORIGIN
    assert [one.stage for one in card.losses] == ["all six books", "prosody and content"]
    assert card.books == {"prosody": 1, "content": 2, "acoustic": 3}


def test_is_small_and_has_no_pickle(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {ARRAYS, CARD}
    assert (folder / ARRAYS).stat().st_size < 2**20


def test_is_opened_as_what_it_is(world: World, folder: Path) -> None:
    assert load_codec(folder).id == world.codec.id


def test_does_not_overwrite(world: World, folder: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        save_world(world.codec, folder, origin=ORIGIN)
    assert caught.value.code == "speech.codec_folder_exists"


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


def edit_array(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    arrays = load_file(folder / ARRAYS)
    changed = change(arrays.pop(name))
    save_file(arrays if changed is None else arrays | {name: changed}, folder / ARRAYS)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no card": lambda folder: (folder / CARD).unlink(),
    "no arrays": lambda folder: (folder / ARRAYS).unlink(),
    "a pickle": lambda folder: (folder / ARRAYS).write_bytes(b"\x80\x04N."),
    "a cut file": lambda folder: (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-9]),
    "another format": lambda folder: edit_card(folder, format="dubflow.facodec"),
    "another version": lambda folder: edit_card(folder, version=2),
    "an unknown field": lambda folder: edit_card(folder, surprise=1),
    "no json": lambda folder: (folder / CARD).write_text("{"),
    "another digest": lambda folder: edit_card(folder, digest="0" * 64),
    "a missing book": lambda folder: edit_array(folder, "content", lambda array: None),
    "a short book": lambda folder: edit_array(folder, "content", lambda array: array[:, :512].copy()),
    "integers": lambda folder: edit_array(folder, "prosody", lambda array: array.astype(np.int32)),
    "not numbers": lambda folder: edit_array(folder, "acoustic", lambda array: array * np.float16(np.nan)),
    "a negative variance": lambda folder: edit_array(folder, "voices.variances", lambda array: -array),
    "a changed value": lambda folder: edit_array(folder, "prosody", lambda array: array + np.float16(0.5)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_refuses_a_folder_that_is_not_whole(folder: Path, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    damage(broken)
    with pytest.raises(BadInput) as caught:
        load_world(broken)
    assert caught.value.code == "speech.codec_folder_broken"


def test_a_folder_without_a_codec_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load_codec(tmp_path)
    assert caught.value.code == "speech.not_a_codec"
