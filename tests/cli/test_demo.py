"""The main job in the embedded world, small: it ends with everything on disk, and again in a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest
import yaml

from dubbing.room import facts_of, random_network, shared_room
from dubflow.config import load_preset, presets_folder
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.stored import load_model, save_model
from dubflow.media.decode import read_clip
from dubflow.platform.demo import DemoSettings
from dubflow.speech.codecs.world.storage import load_world
from verbs import Answer


@pytest.fixture
def preset(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded default with fewer and smaller clips, and models of random weights in place of the starter."""
    room = shared_room(tmp_path_factory)
    codec = load_world(room.codec)
    teacher, facts = tmp_path / "teacher", facts_of(codec, "tts")
    save_model(teacher, random_network(codec, "tts"), facts, card="# Random", lineage={}, codec=room.codec)
    content = yaml.safe_load((presets_folder() / "tiny.yaml").read_text("utf-8"))
    content["demo"] |= {"identities": 2, "clips": 2, "languages": ["en", "el"], "seed": 3, "dubs": 1}
    content["demo"] |= {"model": str(room.model), "teacher": str(teacher)}
    content["demo"]["train"] |= {"steps": 2, "batch_items": 2, "validate_aloud": 0, "checkpoint_every": 2}
    content["talkers"] = {**content.get("talkers", {}), "size": 96, "mix": {"plain": 1.0}}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


@pytest.mark.slow
def test_it_makes_everything_once(preset: Path, tmp_path: Path, answer: Answer) -> None:
    home = tmp_path / "demo"
    first = answer("demo", "--out", home, "--preset", preset, "--workers", "1")
    assert first["world"] == "embedded"
    assert (first["corpus"]["clips"], first["check"]["errors"], first["prepared"]["failed"]) == (4, 0, 0)
    corpus, prepared = read_manifest(home / "corpus"), PreparedSet(home / "prepared")
    assert set(prepared) == {row.id for row in corpus}
    trained = load_model(home / "run" / "model")
    assert (trained.facts.stage, trained.facts.steps, trained.facts.codec) == ("dubber", 2, prepared.index.codec)

    (result,) = first["dubbed"]["results"]
    (segment,) = result["segments"]
    clip = next(row for row in corpus if row.path.endswith(result["clip"]) and row.sha256 == result["clip_sha256"])
    voice = next(row for row in corpus if Path(row.path).name == result["reference"])
    assert segment["text"] != clip.transcript
    assert segment["text"] in {row.transcript for row in corpus if row.language == result["language"] == clip.language}
    assert voice.speaker != clip.speaker
    assert voice.transcript != segment["text"]
    assert (result["oracle"], result["duration_error_s"]) == (False, 0.0)
    before, after = read_clip(corpus.media_path(clip)), read_clip(Path(result["out"]))
    assert (after.frame_count, after.sample_count) == (before.frame_count, before.sample_count)

    sheet, spectrogram = (cv2.imread(path) for path in first["pictures"])
    assert sheet.shape[0] >= 2 * 160, "a row for each speaker"
    assert spectrogram.shape[0] > 3 * 150, "before, dubbed, voice"

    made = {path: path.stat().st_mtime_ns for path in map(Path, [result["out"], *first["pictures"]])}
    again = answer("demo", "--out", home, "--preset", preset, "--workers", "1")
    assert (again["corpus"]["rendered"], again["prepared"]["done"]) == (0, 0)
    assert (again["run"]["found"], again["dubbed"]["found"]) == (True, 1)
    assert made == {path: path.stat().st_mtime_ns for path in made}

    # Another starter, other tokens, another run: the demo makes room for itself.
    content = yaml.safe_load(preset.read_text("utf-8"))
    content["demo"]["train"]["seed"] = 5
    preset.write_text(yaml.safe_dump(content), "utf-8")
    other = answer("demo", "--out", home, "--preset", preset, "--workers", "1")
    assert (other["corpus"]["rendered"], other["run"]["found"], other["dubbed"]["found"]) == (0, False, 1)


def test_without_a_starter_it_says_so_before_it_works(preset: Path, tmp_path: Path, answer: Answer) -> None:
    shutil.rmtree(tmp_path / "teacher")
    document = answer("demo", "--out", tmp_path / "demo", "--preset", preset, exit_code=3)
    assert document["error"]["code"] == "diflow.not_a_model"
    assert "dubflow train" in document["error"]["hint"]
    assert not (tmp_path / "demo").exists()


def test_it_is_short_whatever_the_preset() -> None:
    for name in ("tiny", "paper"):
        settings = load_preset(name, "demo", DemoSettings)
        assert (settings.model, settings.teacher) == ("starter", "starter-tts")
        assert settings.train.steps * settings.train.batch_items <= 200
