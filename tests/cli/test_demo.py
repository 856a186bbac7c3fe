"""The main job in the embedded world, small: it ends with a champion that dubs, and again in a moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from cli import serving_child
from dubflow.config import load_preset, presets_folder
from dubflow.diflow.stored import find_model
from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.gateway.consent import ConsentStore
from dubflow.gateway.database import Database
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.settings import load_settings
from dubflow.judging.card.files import read_card
from dubflow.judging.gate.signing import read_verdict
from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.probe import probe
from dubflow.platform.demo import DemoSettings
from dubflow.platform.serving_status import is_up, status_of
from dubflow.platform.steps.registry_words import champion_of
from dubflow.registry.journal import Journal
from dubflow.registry.package.opening import open_package
from dubflow.registry.tracking_store import store_of
from dubflow.serving.environment import why_not
from dubflow.serving.launcher import shared_memory_prefix, stubs_of
from verbs import Answer

LEFT_S = 5.0
"""A process that was ended still has to give back its memory."""
LENIENT = """
format: dubflow.policy/1
name: lenient
smallest_sample: 2
success_rate: 0.9
primary: {metric: duration_error, margin: 0.0, worthwhile: 1.0}
licences: [Apache-2.0, CC0-1.0]
"""


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """The demo tells its own process where its registry and its keys are; other tests have theirs."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """The demo, smaller: two judges, a policy that they pass; the starter, for what serves must speak."""
    content = yaml.safe_load((presets_folder() / "demo.yaml").read_text("utf-8"))
    (tmp_path / "lenient.yaml").write_text(LENIENT)
    content["demo"] |= {"identities": 4, "clips": 2, "voice_clips": 2, "languages": ["en"], "dubs": 1}
    content["demo"] |= {"policy": str(tmp_path / "lenient.yaml")}
    content["benchmark"] |= {"standard_items": 2, "people": 2, "languages": ["en"], "translated": 0.0, "size": 96}
    content["judges"] = {"only": ["duration_error", "success_rate"]}
    content["talkers"] |= {"size": 96, "mix": {"plain": 1.0}}
    for stage in ("train_tts", "train_dubber"):
        content[stage] |= {
            "steps": 2,
            "batch_items": 2,
            "validate_every": 2,
            "validate_aloud": 0,
            "checkpoint_every": 1,
        }
    path = tmp_path / "small.yaml"
    # The adapter's half: whatever pairs the starter makes of two prompts, and two steps.
    tiny = yaml.safe_load((presets_folder() / "tiny.yaml").read_text("utf-8"))
    content |= {name: section for name, section in tiny.items() if name.startswith("incontext.")}
    content["incontext.quality"] = {"limits": {}}
    content["incontext.training"] |= {"batch_items": 2, "checkpoint_every": 1}
    content["incontext.inference"] |= {"steps": 2}
    content["incontext.synthesis"] |= {"steps": 4, "held_share": 0.0}
    content["demo_adapter"] = {"preset": str(path), "prompts": 2, "steps": 2}
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


@pytest.mark.slow
def test_it_makes_a_champion_once(
    preset: Path, tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUBFLOW_MLFLOW_URI", raising=False)
    monkeypatch.setenv("DUBFLOW_HOME", "elsewhere")
    home = tmp_path / "demo"
    first = answer("demo", "--out", home, "--preset", preset)
    assert (first["world"], first["run"]["state"]) == ("embedded", "succeeded")
    assert {"register", "evaluate", "gate", "promote", "smoke-dub"} <= first["run"]["steps"].keys()
    assert set(first["run"]["steps"].values()) == {"succeeded"}

    champion = champion_of("", "demo-dubber")
    assert champion is not None
    assert (champion.version, champion.package) == (1, first["champion"]["package"])
    packed = (home / "runs" / "workspace" / "champions").iterdir()
    packages = {
        one.digest: one for one in (open_package(path, [home / "runs/keys/package.pem.pub"]) for path in packed)
    }
    assert packages.keys() == {champion.package, first["adapter"]["champion"]["package"]}
    package = packages[champion.package]
    assert "CC0-1.0" in package.manifest.tags, "of the corpora that it was trained on"

    verdict = read_verdict(Path(first["verdict"]["verdict"]))
    assert verdict.signature is not None
    assert (verdict.verdict.decision, verdict.verdict.challenger.package) == ("promote", champion.package)
    card = read_card(Path(first["verdict"]["card"]))
    assert (card.package, card.world, len(card.rows)) == (champion.package, "embedded", 2)
    assert "embedded world" in Path(first["verdict"]["page"]).read_text("utf-8")

    held = _run_of_the_champion(home, tmp_path)
    assert {"preset.yaml", "card/card.json", "card/rows.parquet", "verdict/verdict.json"} <= held
    assert {"evidence/index.html", "lineage/lineage.html", f"packages/{champion.package[:16]}/lineage.json"} <= held
    assert len([path for path in held if path.startswith("samples/")]) == 2

    (result,) = first["dubbed"]["results"]
    dubbed = read_clip(Path(result["out"]))
    assert dubbed.frame_count > 0
    assert dubbed.sample_count == 640 * dubbed.frame_count
    assert all(cv2.imread(path) is not None for path in first["pictures"])

    _lips_as_well(first)
    made = {path: path.stat().st_mtime_ns for path in map(Path, [result["out"], *first["pictures"]])}
    again = answer("demo", "--out", home, "--preset", preset)
    states = again["run"]["steps"]
    assert {name for name, state in states.items() if state != "cached"} == {"register"}
    states = again["adapter"]["run"]["steps"]
    assert {name for name, state in states.items() if state != "cached"} == {"register-2"}
    assert again["champion"] == first["champion"]
    assert again["adapter"]["champion"] == first["adapter"]["champion"]
    assert again["adapter"]["dubbed"]["found"] == 1
    assert again["dubbed"]["found"] == 1
    assert made == {path: path.stat().st_mtime_ns for path in made}
    history = Journal(store_of(None, home / "models")).entries("demo-dubber")
    assert [entry.action for entry in history] == ["register", "promote"]

    _served_over_http(home, first["served"], champion.version)
    assert again["served"] == first["served"] | {"found": True}

    clip = Path(result["out"])
    words = ("--clip", clip, "--text", "Bin blue at f two now", "--language", "en")
    own = answer("demo", "--out", home, "--preset", preset, *words)["served"]
    assert Path(own["out"]).parent == home
    assert own["voice"].startswith("consent:")
    facts = read_provenance(Path(own["out"]), home / "serve" / "signing" / "trust.pem").facts
    assert facts is not None
    assert (facts.voice.kind, facts.voice.consent) == ("consent", own["voice"].removeprefix("consent:"))
    assert facts.clip_sha256 == facts.voice.sha256 == sha256_file(clip)
    database = Database(load_settings(state=home / "serve").database_url)
    (consent,) = ConsentStore(database).list("demo")
    assert "who ran the demo" in consent.terms.person
    assert (consent.terms.reference_sha256, consent.terms.languages) == (facts.clip_sha256, ("en",))
    keys = KeyStore(database).list()
    assert [key.tenant for key in keys] == ["demo", "demo"], "the second run had nothing to ask"
    assert all(key.revoked is not None for key in keys)
    _nothing_is_left(home)


def _lips_as_well(demo: dict[str, Any]) -> None:
    """The in-context engine went the same way, on the same clips, and gave a clip new lips."""
    adapter = demo["adapter"]
    assert adapter["run"]["state"] == "succeeded"
    # Pairs are given, or made: the second of the pipeline's two ways.
    ways = {f"{name}-2" for name in ("train-lora", "register", "evaluate", "gate", "promote", "smoke-dub")}
    assert {"synthesize-pairs", *ways} <= adapter["run"]["steps"].keys()
    cards = [read_card(Path(one["verdict"]["card"])) for one in (demo, adapter)]
    assert cards[0].protocol == cards[1].protocol, "the same clips before the same judges"
    assert cards[1].package == adapter["champion"]["package"]
    scores = Path(demo["scores"]).read_text("utf-8")
    assert all(card.system in scores for card in cards)
    assert "Embedded world" in scores
    (result,) = adapter["dubbed"]["results"]
    dubbed = read_clip(Path(result["out"]))
    assert dubbed.sample_count == 640 * dubbed.frame_count


def _served_over_http(home: Path, served: dict[str, Any], version: int) -> None:
    """The champion dubbed a clip over HTTP, step by step, and its manifest says so."""
    assert (served["mode"], served["why"]) == (("in_process", why_not()) if why_not() else ("triton", ""))
    assert (served["version"], served["found"], served["kept"]) == (version, False, False)
    assert served["stages"][-1] == "done"
    assert len(served["stages"]) >= 3
    assert served["voice"].startswith("stock:"), "nobody gave consent to clone the voice of that clip"
    clip, out = Path(served["clip"]), Path(served["out"])
    facts = read_provenance(out, home / "serve" / "signing" / "trust.pem").facts
    assert facts is not None
    assert (facts.job, facts.clip_sha256, facts.voice.kind) == (served["job"], sha256_file(clip), "stock")
    assert served["provenance"].startswith("whole, signed by")
    before, after = probe(clip).video, probe(out).video
    assert before is not None
    assert after is not None
    assert (after.packets, after.duration) == (before.packets, before.duration)


def _nothing_is_left(home: Path) -> None:
    """No process names the demo's folder any more, and no shared memory does."""
    assert not is_up(home / "serve")
    assert not stubs_of(shared_memory_prefix(home / "serve"))
    assert not list(Path("/dev/shm").glob(f"{shared_memory_prefix(home / 'serve')}*"))
    mine, deadline = os.getpid(), time.monotonic() + LEFT_S
    while left := {
        command: path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(home).encode() in (command := _command(path)) and path.parent.name != str(mine)
    }:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_server_that_is_not_kept_ends_with_a_killed_demo(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(serving_child.__file__)), str(tmp_path / "serve")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"
        everybody = [one.pid for one in status_of(tmp_path / "serve").processes if one.pid]
        assert len(everybody) >= 3
        child.kill()
        child.wait()
    deadline = time.monotonic() + 60
    while is_up(tmp_path / "serve") or any(Path(f"/proc/{one}").exists() for one in everybody):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    _nothing_is_left(tmp_path)


def _run_of_the_champion(home: Path, into: Path) -> set[str]:
    """The files of the run that the registered version names, which is the training's; its tags and numbers hold."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=store_of(None, home / "models").uri)
    run = client.get_run(client.get_model_version("demo-dubber", "1").run_id)
    assert client.get_experiment(run.info.experiment_id).name == "diflow-dubber"
    assert run.info.status == "FINISHED"
    assert run.data.tags["gate.decision"] == "promote"
    assert run.data.metrics["card/success_rate"] == 1.0
    assert {"train/loss", "system/peak_memory_gib", "system/wall_s"} <= run.data.metrics.keys()
    assert {"data", "codec", "teacher", "start", "version.python", "system.processor"} <= run.data.tags.keys()
    folder = Path(client.download_artifacts(run.info.run_id, "", str(into)))
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_without_a_starter_it_says_so_before_it_works(preset: Path, tmp_path: Path, answer: Answer) -> None:
    content = yaml.safe_load(preset.read_text("utf-8"))
    content["demo"]["start_tts"] = str(tmp_path / "tts")
    preset.write_text(yaml.safe_dump(content), "utf-8")
    document = answer("demo", "--out", tmp_path / "demo", "--preset", preset, exit_code=3)
    assert document["error"]["code"] == "diflow.not_a_model"
    assert "dubflow train" in document["error"]["hint"]
    assert not (tmp_path / "demo").exists()


def test_a_clip_of_ones_own_is_looked_at_first(preset: Path, tmp_path: Path, answer: Answer) -> None:
    words = ("--clip", tmp_path / "absent.mp4", "--text", "x", "--language", "en")
    document = answer("demo", "--out", tmp_path / "demo", "--preset", preset, *words, exit_code=3)
    assert document["error"]["code"] == "media.missing"
    half = answer("demo", "--out", tmp_path / "demo", "--preset", preset, "--text", "x", exit_code=2)
    assert half["error"]["code"] == "cli.wrong_use"
    assert not (tmp_path / "demo").exists()


def test_it_is_short_and_begins_with_the_starter() -> None:
    settings = load_preset("demo", "demo", DemoSettings)
    for stage, name in (("train_tts", settings.start_tts), ("train_dubber", settings.start)):
        content = yaml.safe_load((presets_folder() / "demo.yaml").read_text("utf-8"))
        assert content[stage]["steps"] * content[stage]["batch_items"] <= 200
        nets = json.loads((find_model(name) / "model.json").read_text())["settings"]
        assert nets["denoiser"]["width"] == content["nets"]["denoiser"]["width"]
