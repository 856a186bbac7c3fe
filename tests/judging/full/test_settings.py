"""One settings object for all large judges, and an evaluation by those of sound."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from dubflow.judging.card.evaluate import System, evaluate
from dubflow.judging.card.items import Benchmark, BenchmarkItem, item_file
from dubflow.judging.catalogue import JUDGES, listing
from dubflow.judging.full.eres2net.network import LAYOUTS, ERes2Net
from dubflow.judging.full.settings import FullJudges, sound_judges
from dubflow.media.encode import write_audio

RATE = 16_000


def test_what_is_not_named_is_a_gap() -> None:
    judges = sound_judges(FullJudges())
    assert [one.judge for one in judges] == ["whisper", "eres2net", "utmos", "emotion"]
    for one in judges:
        assert one.missing() == JUDGES[one.judge].gap
        assert all(listing(metric.name).full == one.judge for metric in one.metrics)
        for setting in FullJudges.model_fields:
            if f"full.{setting}" in JUDGES[one.judge].gap:
                break
        else:
            pytest.fail(f"the gap of {one.judge} names no setting")


def test_settings() -> None:
    for wrong in ({"whispr": "x"}, {"eres2net_variant": "huge"}, {"device": "tpu"}):
        with pytest.raises(ValidationError):
            FullJudges.model_validate(wrong)
    named = FullJudges(eres2net=Path("a.ckpt"), eres2net_variant="zh-cn-common", device="cuda:1")
    assert sound_judges(named)[1].variant == "zh-cn-common"
    assert {one.device for one in sound_judges(named)} == {"cuda:1"}


def test_judges_are_made_without_loading_anything_large() -> None:
    code = (
        "import sys; from dubflow.judging.full.settings import FullJudges, sound_judges;"
        "sound_judges(FullJudges()); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(importlib.util.find_spec("jiwer") is None, reason="jiwer is not installed")
def test_an_evaluation(tmp_path: Path, whisper_folder: Path, encoder_folder: Path, noise) -> None:
    torch.manual_seed(0)
    torch.save(ERes2Net(LAYOUTS["en-voxceleb"]).state_dict(), tmp_path / "eres2net.ckpt")
    named = FullJudges(whisper=str(whisper_folder), eres2net=tmp_path / "eres2net.ckpt", emotion=str(encoder_folder))
    clips = tmp_path / "clips"
    clips.mkdir()
    write_audio(tmp_path / "true.wav", noise(1.0), RATE)
    write_audio(clips / "one.wav", noise(1.0), RATE)
    true = item_file(tmp_path / "true.wav", tmp_path)
    items = tuple(BenchmarkItem(id=name, reference=true, transcript="a b", language="en") for name in ("one", "two"))
    card = evaluate(
        Benchmark(name="pair", world="embedded", items=items),
        tmp_path,
        clips,
        list(sound_judges(named)),
        System("noise"),
        cache=tmp_path / "cache",
        sample_rate=RATE,
        workers=1,
    )
    figures = {(one.metric, one.population): one.value for one in card.aggregates if one.by == "all"}
    assert figures["v_sim", "successes"] == pytest.approx(1, abs=1e-6)
    assert figures["emo_sim", "successes"] == pytest.approx(1, abs=1e-6)
    assert figures["v_sim", "intention_to_treat"] == pytest.approx(0, abs=1e-6)  # the failed one counts -1
    assert figures["wer", "successes"] > 0
    assert "utmos" not in {metric for metric, _ in figures}
    assert np.isfinite(list(figures.values())).all()
