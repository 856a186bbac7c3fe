"""Steps that release: a model into the registry, a version to champion, a dub to see that it speaks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.champions import champion_folder
from dubflow.platform.steps.registry_words import champion_of, registry_words
from dubflow.platform.steps.tracked import pass_on
from dubflow.platform.steps.verbs import begin, run_verb
from dubflow.registry.package.manifest import read_manifest

OUTCOMES = "outcomes"


@dataclass(frozen=True)
class Registered:
    """Facts of a package, and the number of its version; 0 where that is the champion already."""

    facts: dict[str, Any]
    challenger: int


def register_model(
    out: str, workspace: str, model: str, registry: str, name: str, corpora: Sequence[str] = ()
) -> Registered:
    """``dubflow models package`` and ``register``; the same bytes are found and are no second version.

    ``corpora`` are those that the model was trained on: their licences and clips stand in the package.
    """
    root = begin(workspace)
    trained_on = [digest_of(Path(one)) for one in corpora]
    content = digest_of(Path(model))
    parts = {"model": content, "name": name, "corpora": trained_on}
    folder = work_folder(root, "packed", parts)
    if not folder.is_dir():  # packed whole, and never changed
        key = os.environ.get("DUBFLOW_PACKAGE_KEY")
        words = ["package", model, "--out", str(folder), "--name", name, *(["--key", key] if key else [])]
        run_verb("models", *words, *(word for one in corpora for word in ("--corpus", one)))
    digest = read_manifest(folder).digest
    place(folder, Path(out))
    trained = pass_on(root, content, digest_of(folder), Path(model).parent)
    champion = champion_of(registry, name)
    if champion is not None and champion.package == digest:
        return Registered({"digest": digest, "name": name, "version": champion.version}, 0)
    words = ["register", str(folder), "--reason", "registered by a pipeline", *registry_words(registry)]
    made = run_verb("models", *words, *(["--run-of", str(trained)] if trained is not None else []))
    return Registered({"digest": digest, "name": name, "version": made["version"]}, int(made["version"]))


def promote_version(workspace: str, verdict: str, registry: str, name: str, version: int) -> None:
    """``dubflow models promote`` by a verdict; a promotion that was done already is found."""
    begin(workspace)
    champion = champion_of(registry, name)
    if champion is not None and champion.version == version:
        return
    words = ["promote", name, str(version), "--verdict", str(Path(verdict) / "verdict.json")]
    run_verb("models", *words, "--reason", "promoted by a pipeline", *registry_words(registry))


def dub_with_champion(
    out: str, workspace: str, registry: str, name: str, benchmark: str, preset: str
) -> dict[str, Any]:
    """The champion, fetched as a user would, dubs the first item of the benchmark.

    Raises:
        What ``dubflow dub`` raises: then what was promoted does not speak.
    """
    from dubflow.judging.card.items import read_benchmark
    from dubflow.platform.steps.judging import benchmark_file

    root = begin(workspace)
    folder = champion_folder(root, registry, name)
    package = read_manifest(folder).digest
    path = benchmark_file(root, benchmark, preset)
    items, base = read_benchmark(path).items, path.parent
    item = next(one for one in items if one.source is not None and one.transcript)
    assert item.source is not None  # chosen so
    voice = item.voice or item.source
    dubbed = work_folder(root, "smoke", {"package": package, "item": item.digest}).with_suffix(".mp4")
    words = [str(base / item.source.path), "--text", str(item.transcript), "--language", str(item.language)]
    words += ["--reference", str(base / voice.path), "--model", str(folder), "--out", str(dubbed)]
    run_verb("dub", *words)
    place(dubbed, Path(out))
    return {"item": item.id, "champion": package}


def report_outcome(workspace: str, registry: str, name: str, state: str, run: str, error: str) -> None:
    """Write how a scheduled run ended, and who is champion now, where monitoring reads it."""
    root = begin(workspace)
    champion = champion_of(registry, name)
    outcome = {
        "run": run,
        "state": state,
        "error": error,
        "model": name,
        "champion": None if champion is None else champion.version,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(root / OUTCOMES / f"{name}.json", outcome)
