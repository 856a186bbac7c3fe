"""What the small judge says of itself, and folders that are not whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dubflow.corpora.tensorfile import TensorFile, write_tensors
from dubflow.errors import BadInput
from dubflow.judging.judge_folder import FACTS, WEIGHTS
from dubflow.judging.phone_judge.facts import TrainedVoice
from dubflow.judging.sync_judge.encoder import SmallSync
from dubflow.judging.sync_judge.facts import PACKAGED, SyncFacts, SyncSettings, sync_digest, sync_pin

VOICE = TrainedVoice(variant="anika", pitch=68)


@pytest.mark.parametrize(
    ("voice", "known"),
    [
        ({"variant": "anika", "pitch": 68}, True),
        ({"variant": "anika", "pitch": 74}, True),
        ({"variant": "anika", "pitch": 15}, False),
        ({"variant": "steph", "pitch": 68}, False),
        ({"variant": "anika"}, False),
        ({}, False),
    ],
)
def test_voices_that_it_knows(voice: dict, known: bool) -> None:
    facts = SyncFacts(settings=SyncSettings(), voices=(VOICE,), languages=("en",), steps=1)
    assert facts.knows_voice(voice) is known


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGED, tmp_path / "judge"))


def _damage(folder: Path, how: str) -> None:
    weights = folder / WEIGHTS
    arrays = {name: np.array(TensorFile(weights)[name]) for name in TensorFile(weights)}
    first = sorted(arrays)[0]
    if how == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "gone":
        weights.unlink()
    elif how == "not finite":
        arrays[first].flat[0] = np.nan
        write_tensors(weights, arrays, {})
    elif how == "one lacking":
        del arrays[first]
        write_tensors(weights, arrays, {})
    elif how == "pickled":
        weights.write_bytes(b"\x80\x04.")
    elif how == "no facts":
        (folder / FACTS).unlink()
    else:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        changed = {"another format": {"format": "x/1"}, "odd facts": {"steps": -1}, "another size": {}}[how]
        if how == "another size":
            facts["settings"]["dimensions"] = 32
        (folder / FACTS).write_text(json.dumps(facts | changed), "utf-8")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("cut short", "judging.bad_weights"),
        ("pickled", "judging.bad_weights"),
        ("not finite", "judging.bad_weights"),
        ("gone", "judging.weights_missing"),
        ("one lacking", "judging.weights_do_not_fit"),
        ("another size", "judging.weights_do_not_fit"),
        ("no facts", "judging.weights_missing"),
        ("another format", "judging.unknown_format"),
        ("odd facts", "judging.bad_judge_facts"),
    ],
)
def test_a_damaged_judge_is_refused(copy: Path, how: str, code: str) -> None:
    SmallSync.open(copy)
    _damage(copy, how)
    with pytest.raises(BadInput) as caught:
        SmallSync.open(copy)
    assert caught.value.code == code


def test_the_pin_is_of_facts_and_weights(copy: Path) -> None:
    assert sync_pin(copy) == sync_pin()
    assert sync_pin().sha256 == sync_digest() == SmallSync.open().digest
    facts = json.loads((copy / FACTS).read_text("utf-8"))
    (copy / FACTS).write_text(json.dumps(facts | {"voices": facts["voices"][:-1]}), "utf-8")
    assert sync_digest(copy) != sync_digest()


def test_what_the_package_carries() -> None:
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) <= 3.1e6
    judge = SmallSync.open()
    assert sum(value.numel() for value in judge.network.parameters()) <= 1_500_000
    assert judge.facts.world == "embedded"
    assert len(judge.facts.voices) > 10
