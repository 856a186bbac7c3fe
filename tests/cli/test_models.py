"""``dubflow models``: from a stored model to champion and back, by the verbs alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubflow.cli import main as program
from dubflow.registry.package.manifest import CARD
from dubflow.registry.tracking_store import DATABASE
from registry.packages import MODEL, card, packed, verdict_of, written
from verbs import Answer


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DUBFLOW_HOME with a database that is set up."""
    for name in ("DUBFLOW_MLFLOW_URI", "DUBFLOW_TRUSTED_KEYS", "DUBFLOW_LICENCES", "DUBFLOW_VERDICT_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    shutil.copyfile(template, tmp_path / "home" / DATABASE)
    return tmp_path


@pytest.mark.slow
def test_from_packages_to_champion_and_back(home: Path, answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    made = answer("models", "key", home / "key")
    assert Path(made["public"]).is_file()
    packages = [packed(home / str(seed), home / "key", seed) for seed in (1, 2)]
    trusted = ("--trusted-key", home / "key.pub")
    checked = answer("models", "verify", packages[0].folder, *trusted, "--licences", "commercial")
    assert (checked["digest"], checked["signed_by"]) == (packages[0].digest, made["fingerprint"])

    dry = answer("models", "register", packages[0].folder, *trusted, "--dry-run")
    assert dry["digest"] == packages[0].digest
    assert answer("models", "list")["versions"] == []
    for package in packages:
        answer("models", "register", package.folder, *trusted, "--by", "pipeline")
    first = written(verdict_of(card(packages[0], 0.3, 1), None), home / "first.json")
    assert answer("models", "promote", MODEL, "1", "--verdict", first, *trusted)["champion"] == 1

    better = written(verdict_of(card(packages[1], 0.1, 2), card(packages[0], 0.3, 1)), home / "better.json")
    planned = answer("models", "promote", MODEL, "--verdict", better, "--dry-run")
    assert (planned["dry_run"], planned["champion"]) == (True, 2)
    assert answer("models", "show", MODEL)["version"] == 1
    promoted = answer("models", "promote", MODEL, "--verdict", better, "--by", "ann", "--reason", "fewer errors")
    assert (promoted["before"], promoted["champion"], promoted["by"]) == (1, 2, "ann")

    found = {one["version"]: one["aliases"] for one in answer("models", "list", MODEL)["versions"]}
    assert found == {1: ["previous"], 2: ["champion"]}
    differing = answer("models", "diff", MODEL, "champion", "previous")["differences"]
    assert [one["name"] for one in differing] == ["file.lineage.json", "file.model.safetensors"]
    shown = answer("models", "show", MODEL, "2")
    assert shown["lineage"] == {"model": 1, "run": 1}
    assert shown["tags"]["dubflow.verdict"] == promoted["verdict"]

    assert answer("models", "rollback", MODEL, "--dry-run")["champion"] == 1
    assert answer("models", "rollback", MODEL, "--by", "bob", "--reason", "complaints")["champion"] == 1
    entries = answer("models", "history", MODEL)["entries"]
    assert [one["action"] for one in entries] == ["register", "register", "promote", "promote", "rollback"]
    fetched = answer("models", "fetch", MODEL, "--out", home / "out", *trusted)
    assert fetched["digest"] == packages[0].digest


def test_people_read_tables(
    home: Path, answer: Answer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("models", "register", packed(home / "1").folder)
    answer("models", "promote", MODEL, "--override", "--by", "ann", "--reason", "the first of all")
    for words, expected in (
        (["list"], ["champion", "embedded", "CC-BY-4.0"]),
        (["show", MODEL], ["corpus grid", "the first of all", "world-1-abc"]),
        (["history", MODEL], ["promote (override)", "none → 1", "ann"]),
        (["diff", MODEL, "1", "champion"], ["same package"]),
    ):
        monkeypatch.setattr("sys.argv", ["dubflow", "models", *words])
        capsys.readouterr()
        assert program._run() == 0
        said = capsys.readouterr().out
        assert all(word in said for word in expected), said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [
        (["promote", MODEL], 2, "registry.needs_verdict"),
        (["promote", MODEL, "--override", "--reason", "w"], 2, "cli.needs_name"),
        (["promote", MODEL, "--override", "--by", "ann"], 2, "registry.override_needs_reason"),
        (["promote", MODEL, "--verdict", "nowhere.json"], 3, "judging.no_verdict"),
        (["show", "nonesuch"], 3, "registry.no_model"),
        (["history", "nonesuch"], 3, "registry.no_model"),
        (["rollback", "nonesuch"], 3, "registry.no_model"),
        (["show", MODEL, "best"], 2, "registry.bad_version"),
        (["rollback", MODEL], 2, "registry.nothing_before"),
        (["verify", "nowhere"], 3, "registry.not_a_package"),
        (["list", "--registry", "nonsense"], 2, "registry.bad_tracking_uri"),
        (["list", "--registry", "https://runs.example.org"], 2, "registry.no_journal"),
        (["package", "starter", "--out", "p", "--licence", "MIT"], 2, "cli.bad_licence"),
    ],
)
def test_refusals_have_codes(
    home: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch, words: list[str], exit_code: int, code: str
) -> None:
    monkeypatch.chdir(home)
    if MODEL in words:
        answer("models", "register", packed(home / "1").folder)
    assert answer("models", *words, exit_code=exit_code)["error"]["code"] == code


def test_keys_and_licences_come_from_the_environment(
    home: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer("models", "key", home / "key")
    package = packed(home / "1", home / "key").folder
    assert answer("models", "verify", package, exit_code=2)["error"]["code"] == "registry.no_trusted_key"
    monkeypatch.setenv("DUBFLOW_TRUSTED_KEYS", str(home / "key.pub"))
    answer("models", "verify", package)
    (package / CARD).write_text("# Other\n")
    assert answer("models", "register", package, exit_code=3)["error"]["code"] == "registry.package_changed"


def test_looking_at_a_registry_that_is_not_there_makes_none(
    tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUBFLOW_MLFLOW_URI", raising=False)
    monkeypatch.setenv("DUBFLOW_HOME", str(tmp_path / "none"))
    assert answer("models", "list")["versions"] == []
    assert answer("models", "show", MODEL, exit_code=3)["error"]["code"] == "registry.no_model"
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_stored_model_is_packed_by_the_verb(home: Path, answer: Answer) -> None:
    answer("models", "key", home / "key")
    made = answer(
        "models", "package", "starter", "--out", home / "p", "--key", home / "key", "--licence", "corpus x = CC BY 4.0"
    )
    assert made["name"] == "diflow-dubber"
    assert {"part": "corpus x", "licence": "CC-BY-4.0", "note": ""} in made["licences"]
    assert answer("models", "verify", home / "p", "--trusted-key", home / "key.pub")["digest"] == made["digest"]
