from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dubflow.errors import BadInput
from dubflow.judging.phone_judge.facts import (
    FACTS,
    PACKAGED,
    PHONE_SYMBOLS,
    WEIGHTS,
    PhoneModelFacts,
    PhoneNetworkSettings,
    TrainedVoice,
    phone_model_digest,
    phone_pin,
    read_phone_facts,
)
from dubflow.judging.phone_judge.network import PhoneNetwork
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.phone_judge.stored import load_phone_model, save_phone_model

FACTS_OF_ONE = PhoneModelFacts(
    settings=PhoneNetworkSettings(width=16, blocks=1, kernel=3),
    symbols=PHONE_SYMBOLS,
    languages=("en",),
    voices=(TrainedVoice(variant="m5", pitch=22),),
    steps=1,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = PhoneNetwork(FACTS_OF_ONE.settings, len(PHONE_SYMBOLS) + 1).eval()
    save_phone_model(tmp_path / "judge", network, FACTS_OF_ONE, card="# A judge", lineage={"command": "none"})
    return tmp_path / "judge"


def test_what_was_written_is_read(folder: Path) -> None:
    model = load_phone_model(folder)
    assert model.facts == FACTS_OF_ONE
    assert model.digest == phone_model_digest(folder) == phone_pin(folder).sha256
    assert not model.network.training
    torch.manual_seed(0)
    again = PhoneNetwork(FACTS_OF_ONE.settings, len(PHONE_SYMBOLS) + 1)
    for name, value in again.state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_other_weights_are_another_judge(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = PhoneNetwork(FACTS_OF_ONE.settings, len(PHONE_SYMBOLS) + 1)
    save_phone_model(tmp_path / "other", other, FACTS_OF_ONE, card="", lineage={})
    assert phone_pin(tmp_path / "other") != phone_pin(folder)
    assert PhoneRecogniser.open(tmp_path / "other").id != PhoneRecogniser.open(folder).id


def test_damaged_weights_are_refused(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput) as caught:
        PhoneRecogniser.open(folder)
    assert caught.value.code == "judging.bad_weights"


def test_weights_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / FACTS).read_text("utf-8"))
    content["settings"]["width"] = 24
    (folder / FACTS).write_text(json.dumps(content), "utf-8")
    with pytest.raises(BadInput) as caught:
        PhoneRecogniser.open(folder)
    assert caught.value.code == "judging.weights_do_not_fit"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": "dubflow.phone-judge/2"}, "judging.unknown_format"),
        ({"symbols": ["a", "a"]}, "judging.bad_judge_facts"),
        ({"symbols": ["a", "qq"]}, "judging.bad_judge_facts"),
        ({"surprise": 1}, "judging.bad_judge_facts"),
    ],
)
def test_facts_that_are_not_known_are_refused(folder: Path, change: dict, code: str) -> None:
    content = json.loads((folder / FACTS).read_text("utf-8")) | change
    (folder / FACTS).write_text(json.dumps(content), "utf-8")
    with pytest.raises(BadInput) as caught:
        read_phone_facts(folder)
    assert caught.value.code == code


@pytest.mark.parametrize("name", [FACTS, WEIGHTS])
def test_what_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    for call in (PhoneRecogniser.open, phone_pin):
        with pytest.raises(BadInput) as caught:
            call(folder)
        assert caught.value.code == "judging.weights_missing"


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    network = PhoneNetwork(FACTS_OF_ONE.settings, len(PHONE_SYMBOLS) + 1)
    with torch.no_grad():
        network.head.bias[0] = 1e30  # beyond float16
    with pytest.raises(BadInput) as caught:
        save_phone_model(tmp_path, network, FACTS_OF_ONE, card="", lineage={})
    assert caught.value.code == "judging.bad_weights"
    assert not any(tmp_path.iterdir())


def test_the_judge_of_the_package(tmp_path: Path) -> None:
    """It is small, whole, made by the tool, and says whom it must not judge."""
    facts = read_phone_facts(PACKAGED)
    assert set(facts.languages) == {"en", "es", "ru", "fr", "de", "it", "el"}
    assert facts.world == "embedded"
    assert len(facts.voices) > 20
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 4_000_000
    lineage = json.loads((PACKAGED / "lineage.json").read_text("utf-8"))
    assert lineage["command"] == "python tools/judges.py phones OUT"
    card = (PACKAGED / "card.md").read_text("utf-8")
    assert "embedded world" in card
    assert lineage["command"] in card
    copy = shutil.copytree(PACKAGED, tmp_path / "copy")
    assert phone_pin(copy) == phone_pin()
    assert PhoneRecogniser.open(copy).hear(np.zeros(0, np.float32)) == []
