"""What docs/operations.md tells somebody to type exists, and its capacity table is what the script prints today."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from dubflow.cli.main import app

BEGIN, END = "<!-- capacity: python benchmarks/capacity.py -->", "<!-- end of capacity -->"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "operations.md").read_text("utf-8")


def commands(page: str) -> list[list[str]]:
    """Words of every command of the page: of its blocks, and those in the text."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    told = (line.strip() for block in blocks for line in block.splitlines())
    lines = [line.removeprefix("$ ") for line in told if line.startswith("$ ")]
    inline = re.findall(r"`((?:dubflow|kubectl|python) [^`\n]+)`", page)
    return [shlex.split(line) for line in [*lines, *inline]]


def test_every_verb_and_every_option_exists(page: str) -> None:
    # Also what kubectl starts in a pod, behind the two dashes.
    inside = (words[words.index("--") + 1 :] if "--" in words else words for words in commands(page))
    found = [words for words in inside if words[0] == "dubflow"]
    verbs, root = set(), get_command(app)
    for words in found:
        verb, rest = root, words[1:]
        name = []
        while rest and hasattr(verb, "commands"):
            assert rest[0] in verb.commands, words
            name.append(rest[0])
            verb, rest = verb.commands[rest[0]], rest[1:]
        known = {option for parameter in verb.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, words
        verbs.add(tuple(name))
    for name in sorted(verbs):
        with pytest.raises(SystemExit) as ended:
            root([*name, "--help"])
        assert ended.value.code == 0, name
    assert {("backup", "restore"), ("rollout", "rollback"), ("preflight",), ("capacity",)} <= verbs


def test_every_module_script_and_resource_exists(page: str, repository: Path) -> None:
    manifests = "\n".join(path.read_text("utf-8") for path in (repository / "infra").rglob("*.yaml"))
    for words in commands(page):
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]) is not None, words
        elif words[0] == "python":
            assert (repository / words[1]).is_file(), words
        elif words[0] == "kubectl":
            for word in words:
                named = re.fullmatch(r"(?:--from=)?(?:deployment|job|service|cronjob)/([a-z0-9-]+)", word)
                if named is not None:
                    assert f"name: {named[1]}\n" in manifests, words
            if "-k" in words:
                assert (repository / words[words.index("-k") + 1] / "kustomization.yaml").is_file(), words


def test_settings_that_the_page_names_exist(page: str) -> None:
    from dubflow.gateway.settings import GatewaySettings
    from dubflow.platform.backup.settings import BackupSettings
    from dubflow.platform.rollout.kubernetes import ClusterSettings
    from dubflow.registry.journal import JournalSettings
    from dubflow.registry.tracking_store import TrackingSettings

    known = {"DUBFLOW_HOME"}
    for kind in (GatewaySettings, BackupSettings, ClusterSettings, JournalSettings, TrackingSettings):
        prefix = str(kind.model_config["env_prefix"])
        known |= {f"{prefix}{name}".upper() for name in kind.model_fields}
    assert set(re.findall(r"DUBFLOW_[A-Z_]+", page)) <= known


def test_margins_that_the_page_names_are_those_of_the_policy(page: str) -> None:
    from dubflow.platform.rollout.policy import RolloutPolicy

    policy = RolloutPolicy()
    assert policy.stages == (10, 50)
    assert f"a rise of {100 * policy.quality_margin:g} % points is ruled out" in page
    assert f"a rise of {100 * policy.traffic.error_margin:g} % point is ruled out" in page
    assert f"{100 * policy.traffic.latency_margin:g} % longer is ruled out" in page
    assert f"too few requests ({policy.traffic.least_requests} of each version" in page
    assert f"After {policy.most_looks} looks" in page
    assert policy.speed_margin == 0.5
    assert f"`{policy.alpha} * 6 / (pi k)**2`" in page


def test_every_note_that_a_rollout_keeps_is_named_for_kserve(page: str) -> None:
    from dubflow.platform.inference_services import PACKAGE_NOTE, VERSION_NOTE
    from dubflow.platform.rollout.cluster import MADE, OF_EXPORT

    assert {f"`{one}`" for one in (*MADE, *OF_EXPORT, VERSION_NOTE, PACKAGE_NOTE)} <= set(re.findall(r"`[^`]+`", page))


@pytest.mark.slow
def test_the_capacity_table_is_what_the_script_prints(page: str, repository: Path) -> None:
    words = [sys.executable, str(repository / "benchmarks" / "capacity.py")]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == printed.strip(), "run it, and copy what it prints"
    assert "embedded world" in printed
