"""What a card says of a stored model: a package speaks for itself, a bare folder for its bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dubbing.room import Room, shared_room
from dubflow.diflow.stored import LINEAGE, STARTER, find_model
from dubflow.errors import BadInput
from dubflow.platform.stored_facts import files_digest, lineage_words, stored_facts
from dubflow.registry.package.diflow import build_package
from dubflow.registry.package.manifest import PartLicence


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


def test_a_package_speaks_for_itself(room: Room, tmp_path: Path) -> None:
    shutil.copytree(room.model, tmp_path / "model")
    record = {"run": {"data": "ab" * 32, "teacher": "cd" * 32}, "versions": {"dubflow": "0.1.0"}, "command": "x"}
    (tmp_path / "model" / LINEAGE).write_text(json.dumps(record))
    licences = [PartLicence(part="corpus ours", licence="CC-BY-4.0"), PartLicence(part="weights", licence="MIT")]
    package = build_package(tmp_path / "model", tmp_path / "package", None, licences=licences)
    packed, bare = stored_facts(tmp_path / "package"), stored_facts(tmp_path / "model")
    assert packed.package == package.digest != bare.package
    assert (packed.name, bare.name) == (f"diflow-dubber-{package.digest[:8]}", "")
    assert packed.licences == ("Apache-2.0", "CC-BY-4.0", "MIT")
    # The lineage of a package is a graph around what the training wrote; both tell the same.
    assert dict(packed.lineage) == dict(bare.lineage)
    assert (packed.lineage["data"], packed.lineage["parent"]) == ("ab" * 32, "cd" * 32)
    assert (packed.lineage["code"], packed.lineage["command"]) == ("dubflow 0.1.0", "x")


def test_a_package_that_was_changed_is_refused(room: Room, tmp_path: Path) -> None:
    build_package(room.model, tmp_path / "package", None)
    (tmp_path / "package" / "card.md").write_text("# Better\n")
    with pytest.raises(BadInput) as refused:
        stored_facts(tmp_path / "package")
    assert refused.value.code.startswith("registry.")


def test_the_starter_names_its_run_its_data_and_its_terms() -> None:
    facts = stored_facts(find_model(STARTER))
    assert facts.licences == ("Apache-2.0",)
    assert {"run", "data", "code", "parent", "command", "corpus", "codec", "world"} == set(facts.lineage)


def test_the_digest_is_over_names_and_contents(tmp_path: Path) -> None:
    digests = set()
    for files in ({"a": "1", "b/c": "2"}, {"a": "2", "b/c": "1"}, {"a": "1", "b": "2"}, {"a": "1"}):
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        for name, text in files.items():
            (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "m" / name).write_text(text)
        digests.add(files_digest(tmp_path / "m"))
        assert files_digest(tmp_path / "m") in digests
    assert len(digests) == 4
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere")
    assert files_digest(tmp_path / "elsewhere") == files_digest(tmp_path / "m")


@pytest.mark.parametrize("record", [{}, {"run": "r1"}, {"run": {}, "versions": []}, {"command": 7, "run": {"data": 1}}])
def test_what_a_lineage_does_not_say_plainly_is_left_out(record: dict[str, object]) -> None:
    assert not {"data", "code", "command", "parent"} & set(lineage_words(record))
