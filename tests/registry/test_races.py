"""Two who act at once, and one who is killed: one winner, nothing half done, nothing lost, nothing doubled.

Real processes: two wait for each other between reading the history and writing to it; one is killed with SIGKILL at a
call on its way.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from dubflow.registry.history import Change
from dubflow.registry.models import Registry
from dubflow.registry.package.opening import ModelPackage
from dubflow.registry.promoting import Override, promote, rollback
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import store_of
from registry.children import dying, processes, racing, racing_to_register
from registry.packages import MODEL, card, packed, verdict_of, written


@pytest.fixture
def registry(work: Path, notes: Any) -> Registry:
    return Registry(store_of(None, work / "models"), notes.note)


@pytest.fixture
def packages(tmp_path: Path) -> tuple[ModelPackage, ...]:
    return tuple(packed(tmp_path / str(seed), seed=seed) for seed in (1, 2, 3))


@pytest.fixture
def three(registry: Registry, packages: tuple[ModelPackage, ...]) -> tuple[ModelPackage, ...]:
    """Version 1 is champion; 2 and 3 wait."""
    for package in packages:
        register(registry, package.folder, by="pipeline")
    promote(registry, MODEL, 1, None, by="ann", override=Override("the first"))
    return packages


def together(target: Callable[..., None], words: list[tuple[Any, ...]]) -> list[tuple[str, dict[str, Any]]]:
    """Answers of processes that act at the same moment."""
    context = processes()
    barrier, answers = context.Barrier(len(words)), context.Queue()
    children = [context.Process(target=target, args=(*one, barrier, answers)) for one in words]
    for child in children:
        child.start()
    given = [answers.get(timeout=120) for _ in children]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    return given


def aliases(client: MlflowClient) -> dict[str, str]:
    return {name: str(version) for name, version in client.get_registered_model(MODEL).aliases.items()}


@pytest.mark.slow
def test_of_two_promoters_one_wins_and_the_other_is_told_why(
    registry: Registry, client: MlflowClient, three: tuple[ModelPackage, ...], tmp_path: Path
) -> None:
    words = []
    for name, number in (("ann", 2), ("bob", 3)):
        verdict = verdict_of(card(three[number - 1], 0.1, number), card(three[0], 0.3, 1))
        path = written(verdict, tmp_path / f"{name}.json")
        asked = {"model": MODEL, "which": number, "verdict": path, "by": name}
        words.append((registry.store.uri, "promote", asked))
    answers = dict(together(racing, words))
    assert answers.keys() == {"done", "registry.lost_race"}
    won, lost = answers["done"], answers["registry.lost_race"]
    assert lost["details"]["winner"] == won
    assert f"{won['by']} was first" in lost["headline"]
    assert f"version {won['champion']}" in lost["headline"]
    assert len(registry.history(MODEL)) == 5
    assert registry.state(MODEL).champion == won["champion"]
    assert aliases(client)["champion"] == str(won["champion"])
    # The loser's verdict compares with a champion that is no longer one, and says so the next time.
    loser = 5 - won["champion"]
    with pytest.raises(Exception, match=r"registry\.stale_verdict"):
        promote(registry, MODEL, loser, words[loser - 2][2]["verdict"], by="again")


@pytest.mark.slow
def test_two_who_roll_back_at_once_go_back_one_model(
    registry: Registry, client: MlflowClient, three: tuple[ModelPackage, ...]
) -> None:
    for number in (2, 3):
        promote(registry, MODEL, number, None, by="ann", override=Override("next"))
    asked = [(registry.store.uri, "rollback", {"model": MODEL, "by": name}) for name in ("ann", "bob")]
    answers = dict(together(racing, asked))
    assert answers.keys() == {"done", "registry.lost_race"}
    assert registry.state(MODEL).champions == (1, 2)
    assert aliases(client) == {"champion": "2", "previous": "1"}


@pytest.mark.slow
def test_two_who_register_at_once_make_one_version(
    registry: Registry, client: MlflowClient, packages: tuple[ModelPackage, ...]
) -> None:
    client.create_registered_model(MODEL)
    answers = together(racing_to_register, [(registry.store.uri, packages[0].folder)] * 2)
    assert len({answer["version"] for _, answer in answers}) == 1
    assert len(registry.versions(MODEL)) == len(registry.history(MODEL)) == 1


def test_a_new_challenger_does_not_disturb_a_promotion(
    registry: Registry, three: tuple[ModelPackage, ...], tmp_path: Path
) -> None:
    """Only another champion is a conflict: what was seen of the champion still holds."""
    seen = registry.state(MODEL)
    register(registry, packed(tmp_path / "4", seed=4).folder, by="pipeline")
    entry = registry.change(seen, lambda state: state.promoted(2, Change(by="ann", at="now")))
    assert (entry.number, entry.champion, entry.challenger) == (6, 2, 4)


def die(registry: Registry, what: str, words: dict[str, Any], owner: str, name: str, after: int) -> None:
    child = processes().Process(target=dying, args=(registry.store.uri, what, words, owner, name, after))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


PROMOTION = {"model": MODEL, "which": 2, "verdict": None, "by": "ann", "override": Override("now")}


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1], ids=["between history and aliases", "between two aliases"])
def test_killed_after_the_history_the_aliases_follow_at_the_next_look(
    registry: Registry, client: MlflowClient, three: tuple[ModelPackage, ...], notes: Any, after: int
) -> None:
    die(registry, "promote", PROMOTION, "client", "set_registered_model_alias", after)
    before = aliases(client)
    assert before != {"champion": "2", "challenger": "3", "previous": "1"}  # it was killed half-way
    assert registry.version(MODEL, "champion").version == 2
    assert aliases(client) == {"champion": "2", "challenger": "3", "previous": "1"}
    assert notes.about("put right")
    assert len(registry.history(MODEL)) == 5


@pytest.mark.slow
def test_killed_before_the_history_nothing_has_happened(
    registry: Registry, client: MlflowClient, three: tuple[ModelPackage, ...]
) -> None:
    before = aliases(client)
    die(registry, "promote", PROMOTION, "journal", "append", 0)
    assert registry.state(MODEL).champion == 1
    assert aliases(client) == before
    assert promote(registry, **PROMOTION).champion == 2


@pytest.mark.slow
def test_a_killed_rollback_is_done_or_not_and_heals(
    registry: Registry, client: MlflowClient, three: tuple[ModelPackage, ...]
) -> None:
    promote(registry, **PROMOTION)
    die(registry, "rollback", {"model": MODEL, "by": "ann"}, "client", "set_registered_model_alias", 0)
    assert aliases(client)["champion"] == "2"
    assert registry.state(MODEL).champion == 1
    assert aliases(client) == {"champion": "1", "challenger": "3"}
    with pytest.raises(Exception, match=r"registry\.nothing_before"):
        rollback(registry, MODEL, by="ann")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        ("client", "log_artifacts", 0),
        ("client", "create_model_version", 0),
        ("client", "set_terminated", 0),
        ("journal", "append", 0),
        ("client", "set_registered_model_alias", 0),
    ],
)
def test_a_registration_killed_anywhere_is_finished_by_the_next_and_not_doubled(
    registry: Registry, client: MlflowClient, packages: tuple[ModelPackage, ...], owner: str, name: str, after: int
) -> None:
    words = {"package_folder": packages[0].folder, "by": "pipeline"}
    die(registry, "register", words, owner, name, after)
    made = register(registry, packages[0].folder, by="pipeline")
    assert made.version == 1
    assert [one.version for one in registry.versions(MODEL)] == [1]
    assert [entry.action for entry in registry.history(MODEL)] == ["register"]
    assert aliases(client) == {"challenger": "1"}
    assert registry.read_files(registry.version(MODEL, 1)).digest == packages[0].digest
    experiments = [one.experiment_id for one in client.search_experiments()]
    assert len(client.search_runs(experiments)) == 1
