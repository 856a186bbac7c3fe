"""A trained model becomes a package that speaks elsewhere, and only there where it may."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dubflow.diflow.stored import CODEC, FACTS, STARTER, STARTER_TTS, WEIGHTS, find_model, load_model, read_facts
from dubflow.errors import BadInput, WrongUse
from dubflow.media.digest import sha256_file
from dubflow.registry.licences import UNKNOWN, load_licence_policy
from dubflow.registry.package.build import Contents, pack
from dubflow.registry.package.diflow import DRIFT, build_package, codec_facts, load_package, package_facts
from dubflow.registry.package.facts import IncontextFacts
from dubflow.registry.package.manifest import CARD, PartLicence
from dubflow.registry.package.opening import ModelPackage, open_package
from dubflow.registry.package.signing import generate_key
from registry.package.test_lineage import corpus, row
from registry.packages import contents
from registry.test_compatibility import ADAPTER, BASE, TEXT, VOCODER

STARTER_FOLDER = find_model(STARTER)
TRAINED_ON = json.loads((STARTER_FOLDER / "lineage.json").read_text())["corpus"]
SAID = (PartLicence(part=f"corpus {TRAINED_ON}", licence="CC0-1.0"),)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    generate_key(folder / "key")
    return folder


@pytest.fixture(scope="module")
def package(home: Path) -> ModelPackage:
    """The starter dubber (embedded world), packed and signed."""
    return build_package(STARTER_FOLDER, home / "package", home / "key", licences=SAID)


def test_the_model_comes_out_as_it_went_in(package: ModelPackage, home: Path) -> None:
    loaded = load_package(package.folder, [home / "key.pub"], load_licence_policy("commercial"))
    stored = load_model(STARTER_FOLDER)
    assert loaded.facts == stored.facts
    assert loaded.digest == stored.digest
    state = loaded.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in stored.network.state_dict().items())
    assert loaded.codec().id == stored.facts.codec
    described = package.facts
    assert described.kind == "diflow"
    assert described.parameters == sum(value.numel() for value in state.values())
    assert described.world == stored.facts.world
    assert package.name == "diflow-dubber"
    assert (package.folder / DRIFT).read_bytes() == (STARTER_FOLDER / DRIFT).read_bytes()


def test_the_lineage_goes_from_prompts_and_clips_to_the_model(home: Path, tmp_path: Path) -> None:
    rows = (row(1, "Lay white."), row(2, "Set blue.", "CC BY-NC 4.0"))
    clips = corpus(*rows, name=TRAINED_ON)
    made = build_package(STARTER_FOLDER, tmp_path / "p", home / "key", corpora=[clips])
    lineage = made.lineage()
    counts = lineage.counts()
    assert (counts["clip"], counts["prompt"], counts["corpus"], counts["model"]) == (2, 2, 1, 1)
    record = json.loads((STARTER_FOLDER / "lineage.json").read_text())
    assert lineage.of("prepared")[0].digest == record["run"]["data"]
    assert lineage.of("teacher")[0].digest == record["run"]["teacher"]
    assert lineage.record == record
    assert all(lineage.contains(one.sha256) for one in rows)
    assert set(made.manifest.tags) == {"Apache-2.0", "CC0-1.0", "CC-BY-NC-4.0"}
    with pytest.raises(BadInput) as caught:
        load_package(made.folder, [home / "key.pub"], load_licence_policy("commercial"))
    assert caught.value.code == "registry.licence_refused"
    assert f"corpus {TRAINED_ON} (CC-BY-NC-4.0)" in caught.value.headline


def test_a_corpus_that_nobody_spoke_of_is_of_unknown_licence(home: Path, tmp_path: Path) -> None:
    made = build_package(STARTER_FOLDER, tmp_path / "p", home / "key")
    assert PartLicence(part=f"corpus {TRAINED_ON}", licence=UNKNOWN, note="not given when it was packed") in (
        made.manifest.licences
    )
    with pytest.raises(BadInput, match="nobody said"):
        load_package(made.folder, [home / "key.pub"], load_licence_policy("commercial"))
    with pytest.raises(BadInput) as caught:
        build_package(STARTER_FOLDER, tmp_path / "q", None, corpora=[corpus(row(1, "a"), name="other")])
    assert caught.value.code == "registry.other_corpus"


def test_nothing_is_loaded_of_what_does_not_hold(
    package: ModelPackage, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signature, licence, kind and compatibility are asked before the weights are touched."""
    loads: list[Path] = []
    monkeypatch.setattr("dubflow.registry.package.diflow.load_model", lambda folder: loads.append(folder))
    broken = shutil.copytree(package.folder, tmp_path / "broken")
    content = bytearray((broken / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (broken / WEIGHTS).write_bytes(content)
    generate_key(tmp_path / "stranger")
    trusted = [home / "key.pub"]
    for folder, keys, kind in (
        (broken, trusted, BadInput),
        (package.folder, [tmp_path / "stranger.pub"], BadInput),
        (package.folder, [], WrongUse),
    ):
        with pytest.raises(kind):
            load_package(folder, keys)
    mute = Contents(
        name="mute",
        facts=package.facts.model_copy(update={"codec": "world-1-other"}),
        licences=SAID,
        lineage=package.lineage(),
        card="# Signed by a trusted key, and made for another codec than the one that lies in it",
        files={name: package.folder / name for name in (WEIGHTS, FACTS, "codec/world.json", "codec/world.safetensors")},
    )
    with pytest.raises(BadInput) as caught:
        load_package(pack(mute, tmp_path / "mute", home / "key").folder, trusted)
    assert caught.value.code == "registry.incompatible"
    assert loads == []
    load_package(package.folder, trusted)
    assert loads == [package.folder]


def test_an_adapter_is_packed_alike_and_not_taken_for_a_whole_model(home: Path, tmp_path: Path) -> None:
    adapter = IncontextFacts(languages=("fr",), adapter=ADAPTER, base=BASE, text_encoder=TEXT, vocoder=VOCODER)
    made = pack(replace(contents(tmp_path / "sources"), facts=adapter), tmp_path / "p", home / "key")
    opened = open_package(made.folder, [home / "key.pub"])
    assert opened.facts == adapter
    assert opened.manifest.kind == "incontext"
    with pytest.raises(WrongUse) as caught:
        load_package(made.folder, [home / "key.pub"])
    assert caught.value.code == "registry.wrong_kind"


def test_a_model_with_a_strange_codec_is_not_packed(tmp_path: Path) -> None:
    strange = shutil.copytree(STARTER_FOLDER, tmp_path / "strange")
    facts = json.loads((strange / FACTS).read_text())
    (strange / FACTS).write_text(json.dumps(facts | {"codec": "facodec-1-0"}))
    with pytest.raises(BadInput) as caught:
        build_package(strange, tmp_path / "p", None)
    assert caught.value.code == "registry.incompatible"
    assert "model on codec: id" in caught.value.headline
    assert not (tmp_path / "p").exists()
    (strange / FACTS).write_text(json.dumps(facts))
    (strange / CODEC / "extra.pkl").write_bytes(b"")
    with pytest.raises(BadInput) as caught:
        build_package(strange, tmp_path / "p", None)
    assert caught.value.code == "registry.package_pickle"


def test_the_teacher_is_the_one_of_the_lineage(tmp_path: Path) -> None:
    teacher = find_model(STARTER_TTS)
    with pytest.raises(BadInput) as caught:
        build_package(STARTER_FOLDER, tmp_path / "p", None, teacher=teacher)
    assert caught.value.code == "registry.other_teacher"  # the shipped one is a copy in half precision
    own = shutil.copytree(STARTER_FOLDER, tmp_path / "own")
    record = json.loads((own / "lineage.json").read_text())
    record["run"]["teacher"] = sha256_file(teacher / WEIGHTS)
    (own / "lineage.json").write_text(json.dumps(record))
    assert build_package(own, tmp_path / "p", None, teacher=teacher).lineage().counts()["teacher"] == 1
    with pytest.raises(BadInput) as caught:
        build_package(own, tmp_path / "q", None, teacher=STARTER_FOLDER)
    assert caught.value.code == "registry.other_teacher"


def test_a_lineage_written_by_hand_is_taken_as_far_as_it_goes(tmp_path: Path) -> None:
    own = shutil.copytree(STARTER_FOLDER, tmp_path / "own")
    for number, record in enumerate(({"run": "by hand"}, {"run": {"data": 1, "teacher": "none"}}, [1])):
        (own / "lineage.json").write_text(json.dumps(record))
        made = build_package(own, tmp_path / f"p{number}", None)
        assert made.lineage().counts() == {"codec": 1, "model": 1, "run": 1}
    (own / "lineage.json").write_text("{")
    with pytest.raises(BadInput) as caught:
        build_package(own, tmp_path / "p", None)
    assert caught.value.code == "registry.bad_lineage"


def test_facts_are_read_from_headers(tmp_path: Path) -> None:
    facts = package_facts(STARTER_FOLDER, read_facts(STARTER_FOLDER), {})
    assert facts.teacher is None
    assert facts.precision == ("F16", "I8")
    assert codec_facts(STARTER_FOLDER / CODEC).id == facts.codec
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(BadInput) as caught:
        package_facts(tmp_path / "w", read_facts(STARTER_FOLDER), {})
    assert caught.value.code == "registry.bad_weights_file"


def test_the_card_and_the_tracked_run_are_kept(tmp_path: Path) -> None:
    stored = shutil.copytree(STARTER_FOLDER, tmp_path / "run" / "model")
    (tmp_path / "run" / "mlflow_run.json").write_text('{"run_id": "abc"}')
    made = build_package(stored, tmp_path / "p", None, licences=SAID, name="mine")
    assert made.lineage().of("run")[0].name == "mlflow abc"
    assert (made.folder / CARD).read_text().startswith((STARTER_FOLDER / CARD).read_text().rstrip())
    with pytest.raises(BadInput) as caught:
        open_package(made.folder, [tmp_path / "no.pub"])
    assert caught.value.code == "registry.bad_signing_key"
