"""A bad version is really sent back: the real Triton, both versions in it, golden dubs, records, the clock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dubflow.platform.rollout.checks import Check
from dubflow.platform.rollout.opening import Asked, open_rollout
from dubflow.platform.rollout.policy import RolloutPolicy
from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.registry.models import open_registry
from dubflow.registry.package.signing import generate_key
from dubflow.registry.promoting import Override, promote
from dubflow.registry.registering import register
from dubflow.registry.tracking_store import DATABASE
from dubflow.serving.engines import open_engine
from dubflow.serving.environment import why_not
from dubflow.serving.golden import dub_golden
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.options import ServeOptions, Tuning
from dubflow.serving.patience import WatchSettings
from dubflow.serving.repository import installed_versions
from dubflow.serving.state import read_state
from starters import NAME, starter_package

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"Triton cannot run here: {why_not()}"),
]

WITHIN_S = 240.0
POLICY = RolloutPolicy(dubs=(8, 8), rounds=500, alpha=0.2)


def test_a_bad_version_is_sent_back_by_what_it_says(
    template: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    key = tmp_path / "key"
    public = generate_key(key)
    database = tmp_path / "home" / DATABASE
    database.parent.mkdir()
    shutil.copyfile(template, database)
    registry = open_registry(f"sqlite:///{database}", lambda _: None)
    for number, noise in ((1, 0.0), (2, 0.3)):
        package = starter_package(tmp_path, key, number, noise)
        assert register(registry, package.folder, by="ada", trusted_keys=[public]).version == number
        if number == 1:
            promote(registry, NAME, 1, None, by="ada", override=Override("the first of all"))
    directory = tmp_path / "serve"
    options = ServeOptions(
        model=None, name=NAME, registry=f"sqlite:///{database}", trusted_keys=(public,),
        tuning=Tuning(watch=WatchSettings(deep_s=600, ahead=False)),
    )  # fmt: skip
    said: list[str] = []
    try:
        start_detached(plan_stack(directory, options, port=0, gateway=False), WITHIN_S, said.append)
        opened = open_rollout(Asked("local", directory), said.append)
        contest = opened.releases.contest(NAME, "challenger", "local", POLICY, by="ada", override="for a test")
        assert (contest.candidate, contest.champion) == (2, 1)
        opened.rollout.start(contest, "ada")
        assert installed_versions(directory / REPOSITORY) == {1, 2}, "it is loaded beside the champion"
        now = opened.rollout.run("ada")
        assert now.phase == "rolled_back", said
        back = next(one for one in opened.rollout.log.entries() if one.action == "rollback")
        quality = by_name(back.checks, "quality")
        assert quality.outcome == "fail"
        assert quality.figures["candidate"] > quality.figures["champion"] + 0.1
        assert by_name(back.checks, "answering").outcome == "pass", "it speaks; it speaks badly"
        assert installed_versions(directory / REPOSITORY) == {1}
        assert registry.state(NAME).champion == 1

        again = contest.model_copy(update={"policy": POLICY.model_copy(update={"most_looks": 9})})
        opened.rollout.start(again, "ada")
        began = time.monotonic()
        assert opened.rollout.rollback("bob", "complaints").phase == "rolled_back"
        record_property("rollback_s", round(time.monotonic() - began, 2))
        state = read_state(directory)
        assert state.current is not None
        assert dub_golden(open_engine(directory), WITHIN_S).heard.engine == state.current.engine
        assert state.current.version == 1
    finally:
        stop_stack(directory, 30)


def by_name(checks: tuple[Check, ...], name: str) -> Check:
    return next(one for one in checks if one.name == name)
