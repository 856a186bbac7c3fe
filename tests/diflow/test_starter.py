"""The starter model that comes with the package, and the tool that makes and packs it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dubbing.room import Room, facts_of, random_network, shared_room
from dubflow.config import load_preset
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.stored import STARTER, STARTER_TTS, find_model, load_model, save_model
from dubflow.diflow.training.settings import DubberTraining, TtsTraining
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.request import DubRequest, SegmentText
from dubflow.errors import BadInput
from dubflow.judging.content import word_error_rate
from dubflow.judging.grid_recogniser import GridRecogniser, is_command
from dubflow.media.decode import read_audio
from dubflow.platform import doctor
from dubflow.progress import Silent
from dubflow.speech.codecs.world.storage import load_world
from dubflow.speech.espeak import default_synthesizer
from dubflow.talkers.render import render_clip
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings

MOST_WORD_ERRORS = 0.5
"""Of GRID commands that held-out talkers are dubbed with (embedded world)."""
LANGUAGES = ("de", "el", "en", "es", "fr", "it", "ru")
KINDS = {".safetensors", ".json", ".md"}


@pytest.fixture(scope="module")
def shipped() -> Path:
    """The folder of both models."""
    try:
        return find_model(STARTER).parent
    except BadInput as error:
        pytest.skip(f"{error.headline} A checkout without src/dubflow/starter has nothing to test here.")


@pytest.fixture(scope="module")
def tool(repository: Path) -> Iterator[ModuleType]:
    """``tools/starter.py``."""
    spec = importlib.util.spec_from_file_location("tool_starter", repository / "tools" / "starter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return shared_room(tmp_path_factory)


def test_both_models_are_whole_small_and_no_code(shipped: Path) -> None:
    files = [path for path in shipped.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == KINDS
    dubber, teacher = (load_model(find_model(name)) for name in (STARTER, STARTER_TTS))
    assert (dubber.facts.stage, teacher.facts.stage) == ("dubber", "tts")
    assert dubber.facts.codec == teacher.facts.codec == dubber.codec().id == teacher.codec().id
    for model in (dubber, teacher):
        assert (model.facts.world, model.facts.languages, model.facts.preset) == ("embedded", LANGUAGES, "starter")
        assert model.facts.steps >= 100


def test_card_and_lineage_say_how_to_make_it_again(shipped: Path, tool: ModuleType) -> None:
    for folder in ("tts", "diflow"):
        card = (shipped / folder / "card.md").read_text("utf-8")
        lineage = json.loads((shipped / folder / "lineage.json").read_text("utf-8"))
        assert lineage["command"].startswith("python tools/starter.py OUT")
        assert f"\n    {lineage['command']}\n" in card
        assert "embedded world" in card
        assert [line.split()[0] for line in lineage["steps"]] == ["dubflow"] * 7
        assert not tool.disagreements(tool.recipe_of(lineage["command"]), *_stage(shipped / folder))


def _stage(folder: Path) -> tuple[str, Any]:
    model = load_model(folder)
    return model.facts.stage, model


def test_the_doctor_names_it(shipped: Path) -> None:
    finding = doctor._ability("starter model", doctor._starter, "optional")
    assert finding.state == "fine"
    assert "embedded" in finding.detail
    assert all(language in finding.detail for language in LANGUAGES)


@pytest.mark.slow
def test_it_dubs_talkers_that_it_has_never_met(shipped: Path, tool: ModuleType, tmp_path: Path) -> None:
    recipe = tool.recipe_of(json.loads((shipped / "diflow" / "lineage.json").read_text("utf-8"))["command"])
    settings = load_preset("starter", "talkers", TalkerSettings).model_copy(update={"grid_share": 1.0})
    # A person and a split hang on the identity's number and the seed alone, so these are the ones held out.
    plans = plan_corpus(identities=recipe.identities, clips=4, languages=("en",), seed=recipe.seed, settings=settings)
    held = [plan for plan in plans if plan.split == "test"]
    speakers = sorted({plan.people[0].speaker for plan in held})
    assert len(speakers) >= 2
    rows = [render_clip(plan, tmp_path / "clips", default_synthesizer()) for plan in held]
    tasks, said = [], []
    for number, row in enumerate(rows):
        # The next speaker's text in the voice of the one after, who says something else.
        text, voice = rows[(number + 4) % len(rows)], rows[(number + 8) % len(rows)]
        assert is_command(text.transcript)
        assert voice.speaker != row.speaker
        request = DubRequest(
            clip=tmp_path / "clips" / row.path,
            segments=(SegmentText(text=text.transcript or ""),),
            language="en",
            reference=str(tmp_path / "clips" / voice.path),
        )
        tasks.append(DubTask(request, tmp_path / "dubbed" / f"{number}.mp4"))
        said.append(text.transcript or "")
    report = dub_all(tasks, DiflowEngine.open(STARTER), Silent())
    assert not report.failures
    assert {result.duration_error_s for result in report.results} == {0.0}
    recogniser = GridRecogniser()
    heard = [recogniser.hear(read_audio(result.out, 16_000)) for result in report.results]
    errors = word_error_rate(said, heard)
    print(f"word error rate over {len(said)} commands: {errors.corpus:.3f} (embedded world)")  # noqa: T201
    assert errors.corpus < MOST_WORD_ERRORS


def _trained(tool: ModuleType, room: Room, out: Path, stage: str, *, preset: str = "starter", **changes: Any) -> Path:
    """A stored model of random weights with the facts and lineage that a run of the preset leaves."""
    codec = load_world(room.codec)
    settings = load_preset("starter", f"train_{stage}", TtsTraining if stage == "tts" else DubberTraining)
    facts = facts_of(codec, stage).model_copy(update={"preset": preset, "languages": ("de", "en"), **changes})
    nets = load_preset("starter", "nets", NetSettings).model_dump(mode="json")
    lineage = {
        "run": {"settings": settings.model_dump(mode="json") | {"steps": 2}, "nets": nets},
        "corpus": "talkers-11",
        "command": f"dubflow train {stage} --out {stage}",
    }
    clips = 3 * 144 - 2 if stage == "tts" else 3 * 16  # two were too long
    made = f"| trained on | {clips} clips, 3 speakers |\n\nMade by:\n\n    {lineage['command']}\n"
    card = f"# A card\n\n{made}\nMind."
    save_model(out / "model", random_network(codec, stage), facts, card=card, lineage=lineage, codec=room.codec)
    return out


@pytest.fixture
def runs(tool: ModuleType, room: Room, tmp_path: Path) -> list[Path]:
    return [_trained(tool, room, tmp_path / stage, stage) for stage in ("tts", "dubber")]


def test_the_tool_types_the_verbs_in_order(tool: ModuleType) -> None:
    steps = tool.Recipe(identities=3, dubber_steps=7).steps()
    names = [name for name, _ in steps]
    assert names == ["voices", "codec", "voices_prepared", "heads", "heads_prepared", "tts", "dubber"]
    commands = {name: " ".join(command) for name, command in steps}
    assert "--voices-only" in commands["voices"]
    assert "--voices-only" not in commands["heads"]
    assert all("--seed 11" in commands[name] for name in ("voices", "codec", "heads"))
    assert "--steps" not in commands["tts"]
    assert commands["dubber"].count("--steps 7") == 1
    assert all("--preset starter" in commands[name] for name in names if name != "codec")


def test_the_remake_command_is_read_back(tool: ModuleType) -> None:
    assert tool.Recipe().remake() == "python tools/starter.py OUT"
    for recipe in (tool.Recipe(), tool.Recipe(pictures=25, minutes=2.5, languages="en,de", tts_steps=3)):
        assert tool.recipe_of(recipe.remake()) == recipe


@pytest.mark.slow
def test_packing_rounds_the_weights_and_rewrites_the_command(
    tool: ModuleType, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tool.Recipe(languages="en,de", tts_steps=2, dubber_steps=2, seed=11)
    monkeypatch.setattr(tool, "codec_origin", lambda model: {"seed": 11, "corpus": "talkers-11"})
    into = tmp_path / "package" / "starter"
    words = [*recipe.remake().split()[2:], "--into", str(into), "--from", *map(str, runs)]
    assert tool.main(words) == 0
    assert sorted(path.name for path in into.parent.iterdir()) == ["starter"]
    for folder, run in zip(("tts", "diflow"), runs, strict=True):
        packed, model = into / folder, load_model(run / "model")
        assert load_model(packed).facts == model.facts
        assert (packed / "model.safetensors").stat().st_size < 0.52 * (run / "model/model.safetensors").stat().st_size
        lineage = json.loads((packed / "lineage.json").read_text("utf-8"))
        assert lineage["command"] == recipe.remake()
        assert f"\n    {recipe.remake()}\n" in (packed / "card.md").read_text("utf-8")
        assert "dubflow train tts --out" not in (packed / "card.md").read_text("utf-8")
    before = load_model(into / "diflow").digest

    # What the call would not make again is refused, and so is what is too large; what lies there stays.
    assert tool.main([*words[:-3], "--seed", "3", "--from", *map(str, runs)]) == 3
    assert tool.main([*words, "--tts-steps", "900"]) == 3
    assert tool.main([*words, "--pictures", "25"]) == 3
    monkeypatch.setattr(tool, "MOST_BYTES", 10**6)
    assert tool.main(words) == 3
    assert load_model(into / "diflow").digest == before
    assert sorted(path.name for path in into.iterdir()) == ["diflow", "tts"]
