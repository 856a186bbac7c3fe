"""``dubflow synthesize pairs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dubflow.cli import main as program
from dubflow.incontext.pairs.manifest import read_pairs
from dubflow.incontext.pairs.prompts.files import write_prompts
from dubflow.incontext.pairs.tables import pairs_of
from dubflow.incontext.training.precomputed import is_precomputed
from dubflow.platform import synthesis
from incontext.pairs.engine_room import SETTINGS, engine, prompts
from verbs import Answer

WORDS = ("synthesize", "pairs", "--base", "tiny")


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """Words of a run whose base draws clips; the engine is the real one."""
    monkeypatch.setattr(synthesis, "open_engine", lambda base, preset, **how: engine())
    write_prompts(tmp_path / "prompts.jsonl", prompts(2))
    data = {"width": 64, "height": 64, "frames": 17, "masks": "given"}
    sections = {"incontext.synthesis": SETTINGS, "incontext.data": data}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(sections))
    return (*WORDS, "--prompts", tmp_path / "prompts.jsonl", "--preset", tmp_path / "small.yaml", "--seed", "5")


@pytest.mark.slow
def test_shards_are_made_joined_and_exported(
    tmp_path: Path,
    drawn: tuple[str | Path, ...],
    answer: Answer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    plan = answer(*drawn, "--out", out, "--dry-run")
    assert (plan["prompts"], plan["to_do"], plan["asked"]["kept"]) == (2, 2, 2)
    assert not out.exists()
    first = answer(*drawn, "--out", tmp_path / "first", "--shard", "0/2", "--no-page")
    assert (first["done"], first["missing"], first["pairs"], first["page"]) == (1, 1, None, None)
    done = answer(*drawn, "--out", out, "--earlier", tmp_path / "first", "--export", "precomputed,dataset")
    assert (done["done"], done["found"], done["pairs"], done["kept"]) == (1, 1, 4, 4)
    assert done["world"] == "embedded"
    found = read_pairs(out)
    assert found.header.licence
    assert len(pairs_of(Path(done["exports"]["dataset"]))) == 4
    assert is_precomputed(Path(done["exports"]["precomputed"]))
    page = Path(done["page"]).read_text(encoding="utf-8")
    assert all(row.id in page for row in found)
    table = Path(done["exports"]["dataset"]) / "dataset.json"
    before = table.stat().st_mtime_ns
    again = answer(*drawn, "--out", out, "--export", "dataset", "--no-page")
    assert (again["done"], again["exports"]["dataset"]) == (0, done["exports"]["dataset"])
    assert table.stat().st_mtime_ns == before
    write_prompts(tmp_path / "prompts.jsonl", prompts(3))
    more = answer(*drawn, "--out", out, "--export", "dataset", "--no-page")
    assert (more["done"], more["kept"], len(pairs_of(table.parent))) == (1, 6, 6)
    monkeypatch.setattr("sys.argv", ["dubflow", *map(str, drawn), "--out", str(out), "--no-page"])
    assert program._run() == 0
    told = capsys.readouterr().out
    assert "0 prompts made now, 3 found done" in told
    assert "6 of 6 pairs kept" in told
    assert "Pairs (embedded)" in told
    monkeypatch.setattr("sys.argv", ["dubflow", *map(str, drawn), "--out", str(out), "--dry-run"])
    assert program._run() == 0
    assert "3 found done, 0 would be made" in capsys.readouterr().out


def test_a_base_that_says_nothing_is_told_so(tmp_path: Path, answer: Answer) -> None:
    """The tiny base has random weights: its clips are noise without a silence to cut in."""
    preset = tmp_path / "short.yaml"
    drawn = {"scenes": False, "command_share": 1.0, "places": [1, 2], "frames": 65, "pause_s": [0.4, 0.6]}
    own = {"width": 64, "height": 64, "form": "compact", "steps": 1, "guidance": 1.0}
    preset.write_text(yaml.safe_dump({"incontext.prompts": drawn, "incontext.synthesis": own}))
    words = (*WORDS, "--out", tmp_path, "--preset", preset, "--count", "1", "--no-quality")
    said: dict[str, Any] = answer(*words, exit_code=3)["error"]
    assert said["code"] == "incontext.nothing_kept"
    assert said["details"] == {"prompts": 1, "pairs": 0, "reasons": {"incontext.no_silence": 1}}
    assert read_pairs(tmp_path).header.made_with["cost"]["tries"] == 3


def test_what_is_put_wrongly_is_refused(tmp_path: Path, answer: Answer) -> None:
    words = (*WORDS, "--out", tmp_path / "out")
    assert answer(*words, "--export", "csv", exit_code=2)["error"]["code"] == "platform.unknown_export"
    assert answer(*words, "--shard", "2/2", exit_code=2)["error"]["code"] == "corpora.bad_part"
    missing = answer(*words, "--prompts", tmp_path / "none.jsonl", exit_code=2)
    assert missing["error"]["code"] == "incontext.unknown_prompt_file"
    assert not (tmp_path / "out").exists()
