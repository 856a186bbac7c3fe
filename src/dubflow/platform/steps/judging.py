"""Steps that judge: score cards and the verdict."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.champions import champion_folder
from dubflow.platform.steps.registry_words import champion_of
from dubflow.platform.steps.tracked import keep_card, keep_verdict, pass_on, run_folder
from dubflow.platform.steps.training import Figures
from dubflow.platform.steps.verbs import begin, run_verb
from dubflow.registry.package.manifest import read_manifest

NOBODY = "nobody.json"
"""Stands in the place of a card where nothing is in use yet."""
TIERS = ("standard", "challenging")
"""Benchmarks that are rendered; any other name is a file's."""


@dataclass(frozen=True)
class Decision:
    """What the gate said: facts of the verdict, and 1 where it says promote."""

    facts: dict[str, Any]
    promote: int


def evaluate_model(out: str, workspace: str, package: str, benchmark: str, preset: str) -> Figures:
    """``dubflow evaluate`` of a package or stored model, as the artifact ``out``; goes on where it was stopped."""
    root = begin(workspace)
    folder, answer = _evaluated(root, Path(package), benchmark, preset)
    place(folder, Path(out))
    digest, numbers = digest_of(folder), _numbers(answer)
    trained = pass_on(root, digest_of(Path(package)), digest, Path(package).parent)
    if trained is not None:
        keep_card(trained, folder, numbers, answer["benchmark"])
    return Figures({"digest": digest, "world": answer["world"], "system": answer["system"]}, numbers)


def evaluate_in_use(out: str, workspace: str, registry: str, name: str, benchmark: str, preset: str) -> dict[str, Any]:
    """The champion's card under the same protocol; a note in its place where there is no champion."""
    root = begin(workspace)
    if champion_of(registry, name) is None:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_json(Path(out) / NOBODY, {"model": name, "champion": None})
        return {"champion": "none"}
    folder = champion_folder(root, registry, name)
    card, answer = _evaluated(root, folder, benchmark, preset)
    place(card, Path(out))
    return {"champion": read_manifest(folder).digest, "digest": digest_of(card), "world": answer["world"]}


def latest_verdict(workspace: Path, name: str) -> Path:
    """File that says what the gate said last of the model ``name``, and where everything about it lies."""
    return workspace / "latest_verdicts" / f"{name}.json"


def decide(verdict: str, page: str, workspace: str, challenger: str, champion: str, policy: str, name: str) -> Decision:
    """``dubflow gate`` with its evidence page; the page is one file, and the clips it plays lie beside the verdict."""
    root = begin(workspace)
    against = "none" if (Path(champion) / NOBODY).is_file() else champion
    parts = {"challenger": digest_of(Path(challenger)), "champion": digest_of(Path(champion)), "policy": policy}
    folder = work_folder(root, "verdicts", parts)
    words = ["--challenger", challenger, "--champion", against, "--policy", policy]
    words += ["--out", str(folder / "verdict.json"), "--page", str(folder / "page")]
    key = os.environ.get("DUBFLOW_VERDICT_KEY")
    answer = run_verb("gate", *words, *(["--key", key] if key else []))
    place(folder, Path(verdict))
    place(folder / "page" / "index.html", Path(page))
    latest = {
        "decision": answer["verdict"]["decision"],
        "headline": answer["verdict"]["headline"],
        "card": challenger,
        "champion_card": None if against == "none" else champion,
        "verdict": str(folder / "verdict.json"),
        "page": str(folder / "page" / "index.html"),
    }
    path = latest_verdict(root, name)
    path.parent.mkdir(exist_ok=True)
    write_json(path, latest)
    decision = answer["verdict"]["decision"]
    trained = run_folder(root, parts["challenger"])
    if trained is not None:
        keep_verdict(trained, folder, decision, answer["digest"])
    facts = {"decision": decision, "digest": answer["digest"], "headline": latest["headline"]}
    return Decision(facts, int(decision == "promote"))


def benchmark_file(root: Path, benchmark: str, preset: str) -> Path:
    """The file of a benchmark, rendered into the workspace where it is one of the tiers."""
    if benchmark not in TIERS:
        return Path(benchmark)
    folder = work_folder(root, "benchmarks", {"tier": benchmark, "preset": preset})
    run_verb("benchmark", "build", benchmark, "--out", str(folder), "--preset", preset)
    return folder / "benchmark.json"


def _evaluated(root: Path, model: Path, benchmark: str, preset: str) -> tuple[Path, dict[str, Any]]:
    items = benchmark_file(root, benchmark, preset)
    folder = work_folder(root, "cards", {"model": digest_of(model), "benchmark": digest_of(items), "preset": preset})
    words = ["evaluate", str(model), "--benchmark", str(items), "--out", str(folder)]
    return folder, run_verb(*words, "--judges", preset, "--cache", str(root / "judged"))


def _numbers(answer: dict[str, Any]) -> dict[str, float]:
    """Figures over all clips, failures counted where a metric can count them."""
    found: dict[str, float] = {}
    for one in answer["aggregates"]:
        if one["by"] == "all" and (one["population"] == "intention_to_treat" or one["metric"] not in found):
            found[one["metric"]] = float(one["value"])
    return found
