"""Registering, promoting and rolling back, with real verdicts of the gate and MLflow's own database."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.judging.gate import signing as verdicts
from dubflow.registry.licences import load_licence_policy
from dubflow.registry.models import Registry
from dubflow.registry.package.manifest import WEIGHTS
from dubflow.registry.package.opening import ModelPackage, read_package
from dubflow.registry.package.signing import fingerprint, generate_key, sign_folder
from dubflow.registry.promoting import Override, Rules, promote, rollback
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import store_of
from registry.packages import BARRED, MODEL, card, packed, verdict_of, written


@pytest.fixture
def registry(work: Path, notes: Any) -> Registry:
    return Registry(store_of(None, work / "models"), notes.note)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys for packages (``package``) and for verdicts (``verdict``, ``other``)."""
    home = tmp_path_factory.mktemp("keys")
    generate_key(home / "package")
    for name in ("verdict", "other"):
        verdicts.generate_key(home / name)
    return home


@pytest.fixture
def make(tmp_path: Path, keys: Path) -> Callable[..., ModelPackage]:
    """A signed package of the weights that a seed draws."""

    def build(seed: int, **changes: Any) -> ModelPackage:
        return packed(tmp_path / f"model {seed}", keys / "package", seed, **changes)

    return build


@pytest.fixture
def two(registry: Registry, make: Callable[..., ModelPackage]) -> tuple[ModelPackage, ModelPackage]:
    """Version 1 is champion, version 2 the challenger."""
    packages = (make(1), make(2))
    for package in packages:
        register(registry, package.folder, by="pipeline")
    promote(registry, MODEL, 1, None, by="ann", override=Override("the first"))
    return packages


def better(two: tuple[ModelPackage, ModelPackage], path: Path, key: Path | None = None) -> Path:
    """The gate's real verdict over cards in which version 2 is much better than version 1."""
    verdict = verdict_of(card(two[1], 0.1, 2), card(two[0], 0.3, 1))
    assert verdict.decision == "promote"
    return written(verdict, path, key)


def aliases(client: MlflowClient) -> dict[str, str]:
    return {name: str(version) for name, version in client.get_registered_model(MODEL).aliases.items()}


def refusal(act: Callable[[], object]) -> DubflowError:
    with pytest.raises(DubflowError) as caught:
        act()
    return caught.value


def test_a_package_becomes_a_version_once(registry: Registry, make: Callable[..., ModelPackage], keys: Path) -> None:
    package = make(1)
    made = register(registry, package.folder, by="pipeline", trusted_keys=[keys / "package.pub"])
    again = register(registry, package.folder, by="somebody")
    assert (made.version, made.found, again.version, again.found) == (1, False, 1, True)
    assert register(registry, make(2).folder, by="pipeline").version == 2
    (second, first) = registry.versions(MODEL)
    assert (first.version, first.package, first.aliases) == (1, package.digest, ())
    assert second.aliases == ("challenger",)
    assert first.tags["dubflow.signed_by"] == fingerprint(keys / "package.pub")
    assert first.tags["dubflow.licences"] == "Apache-2.0, CC-BY-4.0"
    assert [(entry.action, entry.by) for entry in registry.history(MODEL)] == [("register", "pipeline")] * 2
    # The copy in the registry is the package; the original may go.
    shutil.rmtree(package.folder)
    assert registry.read_files(first, [keys / "package.pub"]).digest == package.digest


def test_a_version_belongs_to_the_run_that_made_it(
    registry: Registry, client: MlflowClient, make: Callable[..., ModelPackage]
) -> None:
    training = client.create_experiment("training", artifact_location=registry.store.artifacts)
    run = client.create_run(training).info.run_id
    register(registry, make(1).folder, by="pipeline", run=run)
    assert registry.version(MODEL, 1).run == run
    assert refusal(lambda: register(registry, make(2).folder, by="pipeline", run="ab" * 16)).code == "registry.no_run"


def test_what_may_not_be_registered(registry: Registry, make: Callable[..., ModelPackage], tmp_path: Path) -> None:
    barred = make(1, licences=BARRED)
    commercial = load_licence_policy("commercial")
    refused = refusal(lambda: register(registry, barred.folder, by="pipeline", licences=commercial))
    assert refused.code == "registry.licence_refused"
    generate_key(tmp_path / "stranger")
    stranger = [tmp_path / "stranger.pub"]
    assert refusal(lambda: register(registry, barred.folder, by="p", trusted_keys=stranger)).code == (
        "registry.package_other_signer"
    )
    (barred.folder / "more.json").write_text("{}")
    assert refusal(lambda: register(registry, barred.folder, by="p")).code == "registry.package_extra_file"
    assert registry.names() == ()


def test_a_better_challenger_becomes_champion(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage], tmp_path: Path, keys: Path
) -> None:
    verdict = better(two, tmp_path / "verdict.json", keys / "verdict")
    rules = Rules([keys / "package.pub"], [keys / "other.pub", keys / "verdict.pub"], load_licence_policy("commercial"))
    planned = promote(registry, MODEL, "challenger", verdict, by="ann", rules=rules, dry_run=True)
    assert registry.state(MODEL).champion == 1
    entry = promote(registry, MODEL, "challenger", verdict, by="ann", rules=rules, reason="fewer errors")
    assert entry == planned.model_copy(update={"at": entry.at, "reason": "fewer errors"})
    assert entry.verdict == verdicts.read_verdict(verdict).verdict.digest
    assert (entry.before, entry.champion, entry.previous, entry.challenger) == (1, 2, 1, None)
    assert aliases(client) == {"champion": "2", "previous": "1"}
    kept = [
        file.path for file in client.list_artifacts(registry.version(MODEL, 2).run, f"verdicts/{entry.verdict[:16]}")
    ]
    assert len(kept) == 1
    # Doing it again (a pipeline that was killed at this point) finds it done.
    assert promote(registry, MODEL, 2, verdict, by="ann", rules=rules) == entry
    assert len(registry.history(MODEL)) == 4


def test_a_worse_challenger_is_refused(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], tmp_path: Path
) -> None:
    worse = verdict_of(card(two[1], 0.35, 2), card(two[0], 0.15, 1))
    assert worse.decision == "refuse"
    refused = refusal(lambda: promote(registry, MODEL, 2, written(worse, tmp_path / "v.json"), by="ann"))
    assert refused.code == "registry.verdict_refuses"
    assert worse.headline in refused.headline
    assert refused.details["reasons"]
    same = verdict_of(card(two[1], 0.2, 2), card(two[0], 0.2, 1))
    assert same.decision != "promote"
    refused = refusal(lambda: promote(registry, MODEL, 2, written(same, tmp_path / "v.json"), by="ann"))
    assert refused.code == "registry.verdict_refuses"
    assert registry.state(MODEL).champion == 1


def test_a_verdict_counts_for_the_bytes_it_is_about(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], make: Callable[..., ModelPackage], tmp_path: Path
) -> None:
    verdict = better(two, tmp_path / "verdict.json")
    register(registry, make(3).folder, by="pipeline")
    refused = refusal(lambda: promote(registry, MODEL, 3, verdict, by="ann"))
    assert refused.code == "registry.verdict_of_other_bytes"
    assert two[1].digest[:16] in refused.headline
    promote(registry, MODEL, 3, None, by="ann", override=Override("urgent"))
    refused = refusal(lambda: promote(registry, MODEL, 2, verdict, by="ann"))
    assert refused.code == "registry.stale_verdict"  # it compares with version 1, champion is 3
    assert "version 3" in refused.headline
    alone = written(verdict_of(card(two[1], 0.1, 2), None), tmp_path / "alone.json")
    assert refusal(lambda: promote(registry, MODEL, 2, alone, by="ann")).code == "registry.stale_verdict"


def test_the_first_champion_rests_on_floors_alone(
    registry: Registry, make: Callable[..., ModelPackage], tmp_path: Path
) -> None:
    package = make(1)
    register(registry, package.folder, by="pipeline")
    verdict = written(verdict_of(card(package, 0.2, 1), None), tmp_path / "v.json")
    refused = refusal(lambda: promote(registry, MODEL, "challenger", verdict, by="ann", seen=7))
    assert refused.code == "registry.no_champion"
    assert promote(registry, MODEL, "challenger", verdict, by="ann").champion == 1


def test_verdicts_are_signed_by_whom_the_deployment_trusts(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], tmp_path: Path, keys: Path
) -> None:
    rules = Rules(verdict_keys=[keys / "verdict.pub"])
    for key, code in ((None, "judging.not_signed"), (keys / "other", "judging.other_signer")):
        verdict = better(two, tmp_path / "v.json", key)
        assert refusal(lambda one=verdict: promote(registry, MODEL, 2, one, by="ann", rules=rules)).code == code
    signed = better(two, tmp_path / "v.json", keys / "verdict")
    text = signed.read_text().replace('"embedded"', '"real"')
    (tmp_path / "changed.json").write_text(text)
    refused = refusal(lambda: promote(registry, MODEL, 2, tmp_path / "changed.json", by="ann", rules=rules))
    assert refused.code == "judging.bad_signature"
    refused = refusal(lambda: promote(registry, MODEL, 2, signed, by="ann", rules=Rules(policies=("release",))))
    assert refused.code == "registry.other_policy"
    assert promote(registry, MODEL, 2, signed, by="ann", rules=Rules(policies=("test",))).champion == 2


def test_an_override_needs_a_reason_and_a_name_and_is_written_down(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], tmp_path: Path, keys: Path
) -> None:
    assert refusal(lambda: promote(registry, MODEL, 2, None, by="ann")).code == "registry.needs_verdict"
    assert refusal(lambda: Override("  ")).code == "registry.override_needs_reason"
    assert (
        refusal(lambda: promote(registry, MODEL, 2, None, by=" ", override=Override("w"))).code == "registry.needs_name"
    )
    other = written(verdict_of(card(two[0], 0.1, 2), None), tmp_path / "other.json")
    refused = refusal(lambda: promote(registry, MODEL, 2, other, by="ann", override=Override("why")))
    assert refused.code == "registry.verdict_of_other_bytes"  # what is written down must be about this version
    worse = written(verdict_of(card(two[1], 0.35, 2), card(two[0], 0.15, 1)), tmp_path / "v.json")
    entry = promote(registry, MODEL, 2, worse, by="ann", override=Override("the old one leaks a voice"))
    assert (entry.override, entry.by, entry.reason) == (True, "ann", "the old one leaks a voice")
    assert entry.verdict == verdicts.read_verdict(worse).verdict.digest  # what was overridden
    assert registry.history(MODEL)[-1] == entry


def test_nobody_overrides_licences_and_signatures(
    registry: Registry, make: Callable[..., ModelPackage], keys: Path, tmp_path: Path
) -> None:
    register(registry, make(1, licences=BARRED).folder, by="pipeline")
    force = Override("I want to")
    rules = Rules(licences=load_licence_policy("commercial"))
    refused = refusal(lambda: promote(registry, MODEL, 1, None, by="ann", rules=rules, override=force))
    assert refused.code == "registry.licence_refused"
    generate_key(tmp_path / "stranger")
    rules = Rules(package_keys=[tmp_path / "stranger.pub"])
    refused = refusal(lambda: promote(registry, MODEL, 1, None, by="ann", rules=rules, override=force))
    assert refused.code == "registry.package_other_signer"


def test_files_changed_in_the_storage_are_never_promoted(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], make: Callable[..., ModelPackage], tmp_path: Path,
    keys: Path,
) -> None:  # fmt: skip
    verdict = better(two, tmp_path / "verdict.json")
    with registry.files(registry.version(MODEL, 2)) as stored:
        pass  # a local store's files lie where they are
    whole = (stored / WEIGHTS).read_bytes()
    (stored / WEIGHTS).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert refusal(lambda: promote(registry, MODEL, 2, verdict, by="ann")).code == "registry.package_changed"
    # Another whole and signed package in its place does not pass either.
    shutil.rmtree(stored)
    shutil.copytree(make(3).folder, stored)
    assert refusal(lambda: promote(registry, MODEL, 2, verdict, by="ann")).code == "registry.package_changed"
    trusted = [keys / "package.pub"]
    assert refusal(lambda: registry.fetch(MODEL, 2, tmp_path / "f", trusted)).code == "registry.package_changed"
    assert not (tmp_path / "f").exists()
    shutil.rmtree(stored)
    assert refusal(lambda: promote(registry, MODEL, 2, verdict, by="ann")).code == "registry.files_gone"
    assert registry.state(MODEL).champion == 1


def test_a_package_comes_out_as_it_went_in(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], tmp_path: Path, keys: Path
) -> None:
    trusted = [keys / "package.pub"]
    fetched = registry.fetch(MODEL, "champion", tmp_path / "out", trusted)
    assert fetched.digest == two[0].digest == read_package(tmp_path / "out").digest
    assert registry.fetch(MODEL, "champion", tmp_path / "out", trusted) == fetched
    assert refusal(lambda: registry.fetch(MODEL, 2, tmp_path / "out", trusted)).code == "registry.package_changed"
    with pytest.raises(WrongUse):
        registry.fetch(MODEL, 2, tmp_path / "none", [])
    assert not (tmp_path / "none").exists()


def test_rollback_goes_back_one_by_one(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage], tmp_path: Path
) -> None:
    promote(registry, MODEL, 2, better(two, tmp_path / "v.json"), by="ann")
    assert rollback(registry, MODEL, by="bob", dry_run=True).champion == 1
    entry = rollback(registry, MODEL, by="bob", reason="complaints")
    assert (entry.action, entry.before, entry.champion, entry.by) == ("rollback", 2, 1, "bob")
    assert aliases(client) == {"champion": "1"}
    assert refusal(lambda: rollback(registry, MODEL, by="bob")).code == "registry.nothing_before"
    # The model that was rolled back may come again, by a new decision.
    assert promote(registry, MODEL, 2, None, by="ann", override=Override("repaired")).previous == 1


def test_who_comes_later_with_the_same_decision_is_told_that_it_was_taken(
    registry: Registry, two: tuple[ModelPackage, ModelPackage], make: Callable[..., ModelPackage]
) -> None:
    """Two people on call see version 2 fail; the second must not go two models back."""
    register(registry, make(3).folder, by="pipeline")
    promote(registry, MODEL, 2, None, by="ann", override=Override("w"), seen=1)
    refused = refusal(lambda: promote(registry, MODEL, 3, None, by="bob", override=Override("w"), seen=1))
    assert refused.code == "registry.lost_race"
    assert "ann was first" in refused.headline
    promote(registry, MODEL, 3, None, by="bob", override=Override("w"), seen=2)
    assert rollback(registry, MODEL, by="ann", seen=3).champion == 2
    refused = refusal(lambda: rollback(registry, MODEL, by="bob", seen=3))
    assert (refused.code, refused.details["winner"]["action"]) == ("registry.lost_race", "rollback")
    assert registry.state(MODEL).champion == 2


def test_aliases_moved_by_hand_are_put_right_and_it_is_said(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage], notes: Any
) -> None:
    client.set_registered_model_alias(MODEL, "champion", "2")
    client.set_registered_model_alias(MODEL, "previous", "2")
    client.delete_registered_model_alias(MODEL, "challenger")
    client.set_registered_model_alias(MODEL, "mine", "2")
    assert registry.version(MODEL, "champion").version == 1
    assert aliases(client) == {"champion": "1", "challenger": "2", "mine": "2"}
    assert len(notes.about("put right")) == 3


def test_a_champion_deleted_in_mlflow_blocks_nobody(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage], notes: Any
) -> None:
    client.delete_model_version(MODEL, "1")
    assert refusal(lambda: registry.version(MODEL, "champion")).code == "registry.no_version"
    assert notes.about("was deleted there")
    entry = promote(registry, MODEL, 2, None, by="ann", override=Override("the champion is gone"))
    assert entry.champion == 2
    assert refusal(lambda: rollback(registry, MODEL, by="ann")).code == "registry.no_version"
    assert registry.state(MODEL).champion == 2


def test_a_promotion_stands_although_mlflow_went_away(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*words: object) -> None:
        raise ConnectionError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", gone)
        with pytest.raises(OurFault) as caught:
            promote(registry, MODEL, 2, None, by="ann", override=Override("now"))
    assert caught.value.code == "registry.aliases_behind"
    assert aliases(client)["champion"] == "1"
    assert registry.version(MODEL, "champion").version == 2
    assert aliases(client) == {"champion": "2", "previous": "1"}


def test_wrong_names_are_said(registry: Registry, two: tuple[ModelPackage, ModelPackage]) -> None:
    for which, kind, code in (
        ("best", WrongUse, "registry.bad_version"),
        ("9", BadInput, "registry.no_version"),
        ("previous", BadInput, "registry.no_version"),
    ):
        with pytest.raises(kind) as caught:
            registry.version(MODEL, which)
        assert caught.value.code == code
    assert refusal(lambda: registry.state("none")).code == "registry.no_model"
    assert refusal(lambda: promote(registry, MODEL, 1, None, by="a", override=Override("b"))).code == (
        "registry.already_champion"
    )


def test_a_version_of_unknown_origin_is_not_promoted(
    registry: Registry, client: MlflowClient, two: tuple[ModelPackage, ModelPackage]
) -> None:
    client.create_model_version(MODEL, registry.version(MODEL, 1).source)
    assert refusal(lambda: promote(registry, MODEL, 3, None, by="ann", override=Override("w"))).code == (
        "registry.not_registered"
    )
    assert registry.versions(MODEL)[0].package is None


def test_other_names_on_a_registered_package_are_other_models(
    registry: Registry, make: Callable[..., ModelPackage], keys: Path
) -> None:
    register(registry, make(1).folder, by="p")
    other = make(2, name="another")
    sign_folder(other.folder, keys / "package")
    assert register(registry, other.folder, by="p").version == 1
    assert registry.names() == ("another", MODEL)


def test_models_go_where_runs_go(
    work: Path, make: Callable[..., ModelPackage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Any
) -> None:
    """Somebody's setting for another registry parts no model from its history."""
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    registry = Registry(store_of(None, work / "models"), notes.note)
    register(registry, make(1).folder, by="p")
    assert registry.version(MODEL, "challenger").version == 1
    assert not (tmp_path / "elsewhere.db").exists()


def test_over_a_tracking_server_with_a_database_for_the_history(
    loopback: Any, make: Callable[..., ModelPackage], tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch,
    notes: Any,
) -> None:  # fmt: skip
    """Files go through the server and come back whole; the history lies where all promoters reach it."""
    monkeypatch.setenv("DUBFLOW_REGISTRY_JOURNAL", f"sqlite:///{tmp_path / 'history.db'}")
    registry = Registry(store_of(loopback.uri, tmp_path / "models"), notes.note)
    packages = (make(1), make(2))
    for package in packages:
        register(registry, package.folder, by="pipeline")
    assert registry.version(MODEL, 1).source.startswith("mlflow-artifacts:")
    promote(registry, MODEL, 1, None, by="ann", override=Override("the first"))
    verdict = better(packages, tmp_path / "verdict.json")
    assert promote(registry, MODEL, "challenger", verdict, by="ann").champion == 2
    assert aliases(registry.client) == {"champion": "2", "previous": "1"}
    fetched = registry.fetch(MODEL, "champion", tmp_path / "out", [keys / "package.pub"])
    assert fetched.digest == packages[1].digest
    assert rollback(registry, MODEL, by="bob").champion == 1
    loopback.stop()
    assert refusal(lambda: registry.state(MODEL)).code == "registry.unreachable"
    assert [entry.action for entry in registry.history(MODEL)][-1] == "rollback"
