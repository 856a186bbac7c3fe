"""``dubflow gate`` answers with a verdict in a file, and with an exit code that says what kind of answer it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dubflow.cli import main as program
from dubflow.judging.card.files import write_card
from dubflow.judging.card.items import Benchmark, BenchmarkItem, item_file
from dubflow.judging.card.media_list import write_media
from dubflow.judging.gate.signing import fingerprint, generate_key, read_verdict, verify
from dubflow.media.encode import write_audio
from judging.gate.systems import policy, system
from verbs import Answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cards, a policy and a key."""
    root = tmp_path_factory.mktemp("gate")
    write_card(system(wer=0.15, seed=2, name="candidate"), root / "better")
    write_card(system(wer=0.3, seed=1, name="in-use"), root / "worse")
    (root / "policy.yaml").write_text(yaml.safe_dump(policy().model_dump(mode="json")))
    generate_key(root / "key")
    return root


def words(folder: Path, challenger: str, champion: str, out: Path, *more: str) -> list[str]:
    policy_file = str(folder / "policy.yaml")
    cards = [
        "--challenger",
        str(folder / challenger),
        "--champion",
        champion if champion == "none" else str(folder / champion),
    ]
    return ["gate", *cards, "--policy", policy_file, "--out", str(out), *more]


def test_a_better_model_is_promoted_and_the_verdict_is_signed(folder: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "verdict.json"
    said = answer(*words(folder, "better", "worse", out, "--key", str(folder / "key"), "--require-promote"))
    assert said["verdict"]["decision"] == "promote"
    verdict = verify(read_verdict(out), folder / "key.pub")
    assert verdict.model_dump(mode="json") == said["verdict"]
    assert verdict.digest == said["digest"]
    assert verdict.made_at is not None


def test_a_refusal_is_an_answer_unless_promotion_is_required(folder: Path, tmp_path: Path, answer: Answer) -> None:
    out = tmp_path / "verdict.json"
    assert answer(*words(folder, "worse", "better", out))["verdict"]["decision"] == "refuse"
    assert answer(*words(folder, "worse", "better", out, "--require-promote"), exit_code=3)["signature"] is None
    assert answer(*words(folder, "better", "none", out))["verdict"]["champion"] is None


@pytest.mark.parametrize(
    ("change", "exit_code", "code"),
    [
        ({"--challenger": "nowhere"}, 3, "judging.no_card"),
        ({"--policy": "nonesuch"}, 2, "judging.unknown_policy"),
        ({"--key": "nowhere"}, 3, "judging.bad_key"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_writes_nothing(
    folder: Path, tmp_path: Path, answer: Answer, change: dict[str, Any], exit_code: int, code: str
) -> None:
    out = tmp_path / "verdict.json"
    given = words(folder, "better", "worse", out, "--key", str(folder / "key"))
    for option, value in change.items():
        given[given.index(option) + 1] = value
    assert answer(*given, exit_code=exit_code)["error"]["code"] == code
    assert not out.exists()


def test_people_read_the_reasons(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdict.json"
    monkeypatch.setattr("sys.argv", ["dubflow", *words(folder, "worse", "better", out)])
    assert program._run() == 0
    said = capsys.readouterr().out
    assert "Refuse in-use against candidate (embedded world)" in said
    assert "No gain worth a release" in said
    assert json.loads(out.read_text())["signature"] is None


@pytest.fixture(scope="module")
def with_clips(folder: Path) -> Path:
    """The same cards, each with a list of its clips: one sound a system, as if it said everything alike."""
    source = folder / "benchmark" / "source.wav"
    write_audio(source, np.zeros(8000, np.float32), 16_000)
    file = item_file(source, source.parent)
    items = [BenchmarkItem(id=f"{place:04}", source=file, transcript=f"sentence {place:04}") for place in range(150)]
    benchmark = Benchmark(name="tones", world="embedded", items=tuple(items))
    for card, hz in (("better", 300), ("worse", 200)):
        clip = folder / card / "clip.wav"
        write_audio(clip, (0.4 * np.sin(2 * np.pi * hz * np.arange(8000) / 16_000)).astype(np.float32), 16_000)
        write_media(folder / card, benchmark, source.parent, {item.id: clip for item in items})
    return folder


def test_the_evidence_page_plays_both_systems_clips_and_says_who_signed(
    with_clips: Path, tmp_path: Path, answer: Answer
) -> None:
    page = tmp_path / "page"
    given = words(with_clips, "worse", "better", tmp_path / "verdict.json", "--key", str(with_clips / "key"))
    said = answer(*given, "--page", str(page))
    assert said["page"] == str(page / "index.html")
    text = (page / "index.html").read_text(encoding="utf-8")
    signed = read_verdict(tmp_path / "verdict.json")
    assert signed.signature is not None
    assert fingerprint(signed.signature) in text
    assert said["verdict"]["headline"].split(":")[0] in text
    played = [path.name for path in (page / "media").iterdir()]
    assert len(played) == 3  # the source, the challenger's and the champion's
    assert all(f'src="media/{name}"' in text for name in played)
    assert "sentence 0000" in text


def test_a_page_without_clips_or_signature_says_so(folder: Path, tmp_path: Path, answer: Answer) -> None:
    given = words(folder, "better", "none", tmp_path / "verdict.json", "--page", str(tmp_path / "page"))
    (folder / "better" / "media.json").unlink(missing_ok=True)
    text = Path(answer(*given)["page"]).read_text(encoding="utf-8")
    assert '<dt><bdi dir="auto">Signed by</bdi></dt><dd>nobody</dd>' in text
    assert "There is no champion" in text


def test_a_spoilt_list_of_clips_is_named(folder: Path, tmp_path: Path, answer: Answer) -> None:
    (folder / "worse" / "media.json").write_text("{", encoding="utf-8")
    given = words(folder, "better", "worse", tmp_path / "verdict.json", "--page", str(tmp_path / "page"))
    said = answer(*given, exit_code=3)
    assert said["error"]["code"] == "judging.bad_media_list"
    assert not (tmp_path / "page").exists()
    (folder / "worse" / "media.json").unlink()
