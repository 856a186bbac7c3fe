"""``dvc repro`` makes data and models offline, does nothing the second time, and stays inside the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.judging.card.figures import write_figures
from dubflow.judging.card.files import read_card
from dubflow.judging.card.items import read_benchmark
from dubflow.judging.card.rows import Aggregate
from dubflow.platform.benchmarks import BENCHMARK
from dubflow.tracking import METRICS, FolderLog, write_curves
from judging.card.samples import sample_card

_COPIED = ("dvc.yaml", "params.yaml", ".dvcignore", ".dvc/config", "configs", "src")


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A copy of what dvc needs, with very little to make."""
    copy = tmp_path / "checkout"
    for name in _COPIED:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (repository / name).is_dir():
            shutil.copytree(repository / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(repository / name, target)
    params = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))
    preset = copy / "configs" / f"{params['preset']}.yaml"
    sections = yaml.safe_load(preset.read_text(encoding="utf-8"))
    sections["incontext.quality"] = {"limits": {}}  # one prompt's pairs are kept, whatever they are like
    sections["incontext.synthesis"]["steps"] = 4
    preset.write_text(yaml.safe_dump(sections), encoding="utf-8")
    params["talkers"] = {"identities": 2, "voices": 4, "clips": 1, "languages": "en", "seed": 3}
    params["codec"]["minutes"] = 1
    params["benchmark"] |= {"standard": 2, "challenging": 5}
    params["train"] |= {"tts_steps": 1, "dubber_steps": 1, "lora_steps": 1}
    params["incontext"]["prompts"] = 1
    params["evaluate"]["nfe"] = 1
    (copy / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    return copy


def _offline() -> list[str]:
    """A prefix that takes the network away, where the kernel lets us; else none."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    return []


def _dvc(checkout: Path, *words: str) -> str:
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    scripts = Path(sys.executable).parent
    environment = {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(home),
        "PYTHONPATH": str(checkout / "src"),
        "OMP_NUM_THREADS": "1",
        # Whoever asks for the network all the same gets a closed door.
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    }
    done = subprocess.run(
        [*_offline(), str(scripts / "dvc"), *words],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _name(out: str | dict[str, object]) -> str:
    """Path of an out, which may carry options."""
    return out if isinstance(out, str) else next(iter(out))


def _stages(repository: Path) -> dict[str, dict[str, Any]]:
    """Stages as dvc sees them: one of a matrix for each of its values."""
    content = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))
    found = {}
    for name, stage in content["stages"].items():
        (axis, values), *_ = [*stage.pop("matrix", {}).items(), ("", [""])]
        for value in values:
            text = yaml.safe_dump(stage).replace(f"${{item.{axis}}}", value).replace("${preset}", "tiny")
            found[f"{name}@{value}" if value else name] = yaml.safe_load(text)
    return found


def test_the_stages_name_only_files_that_exist(repository: Path) -> None:
    stages = _stages(repository)
    made = {_name(entry) for stage in stages.values() for entry in (*stage["outs"], *stage.get("metrics", ()))}
    for stage in stages.values():
        for path in stage["deps"]:
            assert path in made or (repository / path).exists()
    drawn = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    for plot in drawn:
        for path in next(iter(plot.values()))["y"]:
            assert any(path == one or path.startswith(f"{one}/") for one in made)


def test_the_stages_stand_in_the_order_of_the_work(checkout: Path) -> None:
    arrows = set(re.findall(r'"([\w@]+)" -> "([\w@]+)"', _dvc(checkout, "dag", "--dot")))
    assert arrows == {
        ("voices", "codec"),
        ("voices", "prepare_voices"),
        ("codec", "prepare_voices"),
        ("codec", "prepare"),
        ("corpus", "prepare"),
        ("codec", "train_tts"),
        ("prepare_voices", "train_tts"),
        ("codec", "train_dubber"),
        ("prepare", "train_dubber"),
        ("train_tts", "train_dubber"),
        ("pairs", "train_lora"),
        ("benchmarks", "evaluate@standard"),
        ("benchmarks", "evaluate@challenging"),
        ("train_dubber", "evaluate@standard"),
        ("train_dubber", "evaluate@challenging"),
    }


@pytest.mark.slow
def test_metrics_are_compared_and_curves_are_drawn(checkout: Path) -> None:
    """What the stages leave, written as they write it, is what dvc reads: between commits, and as pages."""
    for tier, groups in (("standard", ("standard",)), ("challenging", ("profile", "occluded"))):
        slices = [
            Aggregate(metric="wer", population="intention_to_treat", by="difficulty", group=group, value=0.25, clips=2)
            for group in groups
        ]
        card = sample_card()
        write_figures(sample_card(aggregates=(*card.aggregates, *slices)), checkout / "figures" / tier)
    for model in ("tts", "dubber", "lora"):
        log = FolderLog(checkout / "runs/models" / model / "logs")
        for step in (1, 2, 3):
            log.metrics({"train/loss": 3.0 - step, "val/loss": 3.5 - step}, step)
        write_curves(log.root / METRICS, log.root.parent / "curves")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("add", "figures", "dvc.yaml", "params.yaml"), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", str(checkout), *words], check=True)
    path = checkout / "figures/standard/metrics.json"
    figures = json.loads(path.read_text(encoding="utf-8"))
    before, figures["embedded"]["wer"]["value"] = figures["embedded"]["wer"]["value"], 0.125
    path.write_text(json.dumps(figures), encoding="utf-8")

    shown = json.loads(_dvc(checkout, "metrics", "show", "--json"))[""]["data"]
    assert shown["figures/standard/metrics.json"]["data"] == figures
    assert set(shown) == {f"figures/{tier}/metrics.json" for tier in ("standard", "challenging")}
    changed = json.loads(_dvc(checkout, "metrics", "diff", "--json"))
    assert changed["figures/standard/metrics.json"]["embedded.wer.value"]["old"] == before
    assert changed["figures/standard/metrics.json"]["embedded.wer.value"]["new"] == 0.125
    _dvc(checkout, "plots", "show", "--out", "plots")
    page = (checkout / "plots" / "index.html").read_text(encoding="utf-8")
    for title in (
        "Stage 1, loss by step",
        "Stage 2, loss by step",
        "Adapter, loss by step",
        "Word error rate, by difficulty",
    ):
        assert title in page
    for points in ('"loss": "2.0"', '"loss": "0.5"', '"difficulty": "occluded"'):
        assert points in page


@pytest.mark.slow
def test_repro_makes_everything_once_and_sends_nothing_out(checkout: Path) -> None:
    first = _dvc(checkout, "repro")
    assert "Running stage 'corpus'" in first
    assert "Running stage 'train_dubber'" in first
    corpus = read_manifest(checkout / "runs/data/corpus")
    prepared = PreparedSet(checkout / "runs/data/prepared")
    assert set(prepared) == {row.id for row in corpus}
    assert prepared.verify() == ()
    tiers = {
        tier: read_benchmark(checkout / "runs/benchmarks" / tier / BENCHMARK) for tier in ("standard", "challenging")
    }
    assert {tier: len(one.items) for tier, one in tiers.items()} == {"standard": 2, "challenging": 5}
    for tier, items in (("standard", 2), ("challenging", 5)):
        card = read_card(checkout / "runs/cards" / tier)
        assert (len(card.rows), card.world) == (items, "embedded")
        shown = json.loads((checkout / "figures" / tier / "metrics.json").read_text(encoding="utf-8"))
        assert shown["embedded"]["success_rate"]["value"] == card.success_rate
    assert "success_rate" in _dvc(checkout, "metrics", "show")
    _dvc(checkout, "plots", "show", "--out", "plots")
    page = (checkout / "plots" / "index.html").read_text(encoding="utf-8")
    assert "Stage 2, loss by step" in page
    assert "Dubs that succeeded, by difficulty" in page
    dubber = json.loads((checkout / "runs/models/dubber/model/model.json").read_text(encoding="utf-8"))
    assert (dubber["stage"], dubber["steps"], dubber["codec"]) == ("dubber", 1, prepared.index.codec)
    assert "Data and pipelines are up to date." in _dvc(checkout, "repro")
    # dvc keeps its caches and databases in the checkout (mediapipe's import leaves a list of fonts at home).
    left = [path for path in (checkout.parent / "home").rglob("*") if path.is_file() and "matplotlib" not in path.parts]
    assert left == []
