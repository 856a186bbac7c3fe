"""Who judges what: each metric has one judge or one reason, what is brought goes before what is at hand."""

from __future__ import annotations

import pickle
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubflow.errors import BadInput, WrongUse
from dubflow.judging import pins
from dubflow.judging.card.functions import Measured, Unmeasured
from dubflow.judging.card.items import Benchmark, BenchmarkItem, Subject
from dubflow.judging.catalogue import JUDGES, LISTINGS, names
from dubflow.judging.full.settings import FullJudges
from dubflow.judging.judges import Judges, JudgeSettings, Narrowed, build_judges, read_judge_settings
from dubflow.media.encode import write_audio
from judging.card.judges import RATE, Absent, Loudness

BENCHMARK = Benchmark(name="one", world="real", items=(BenchmarkItem(id="a"),))


def built(**settings: object) -> Judges:
    return build_judges(JudgeSettings.model_validate(settings), BENCHMARK, Path())


def judge_of(judges: Judges, metric: str) -> str:
    (found,) = [one.judge for one in judges.metrics if one.name == metric]
    return found


@given(st.lists(st.sampled_from([*names(), *JUDGES, *{one.group for one in LISTINGS}]), max_size=4))
def test_every_metric_that_is_wanted_has_one_judge_or_a_reason(only: list[str]) -> None:
    judges = built(only=only)
    measured = [metric.name for metric in judges.metrics]
    assert len(set(measured)) == len(measured)
    assert not set(measured) & set(judges.gaps)
    wanted = {one.name for one in LISTINGS if not only or {one.name, one.group, one.offline, one.full} & set(only)}
    assert set(measured) | set(judges.gaps) == wanted
    assert all(reason.strip() for reason in judges.gaps.values())


def test_without_weights_the_large_judges_are_gaps_by_metric() -> None:
    gaps = built().gaps
    assert {"v_sim", "utmos", "emo_sim", "csim", "fid", "fvd", "lse_c_pipeline", "lse_d_lrs"} <= set(gaps)
    assert "full.utmos" in gaps["utmos"]
    assert not {"wer", "secs", "mcd", "mouth_offset"} & set(gaps)


def test_a_large_judge_goes_before_the_offline_one(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):  # that they are there is all that is looked at before loading
        (tmp_path / name).write_bytes(b"")
    offline, full = built(), built(full={"whisper": str(tmp_path)})
    assert (judge_of(offline, "wer"), judge_of(full, "wer")) == ("pocketsphinx", "whisper")
    assert judge_of(full, "cer") == "whisper"
    assert "pocketsphinx" not in {one.judge for one in full.functions}
    assert judge_of(full, "wer_open") == "pocketsphinx-open"


def test_weights_that_are_named_and_not_there_are_said(tmp_path: Path) -> None:
    gaps = built(full={"utmos": tmp_path / "utmos.pt"}).gaps
    assert str(tmp_path / "utmos.pt") in gaps["utmos"]


def test_a_missing_package_is_named_metric_by_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(package: str) -> str:
        if package == "pesq":
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(pins, "version", without)
    judges = built(only=["quality"])
    assert "pesq" in judges.gaps["pesq"]
    assert "pesq" not in {metric.name for metric in judges.metrics}
    assert judge_of(judges, "stoi") == "pystoi"


def test_all_judges_can_travel_to_other_processes() -> None:
    judges = built()
    again = pickle.loads(pickle.dumps(judges.functions))
    assert [one.judge for one in again] == [one.judge for one in judges.functions]
    assert [one.pin for one in again] == [one.pin for one in judges.functions]


def test_crops_are_the_same_whoever_judges() -> None:
    assert built(only=["success_rate"]).crops == built().crops != {}


def test_a_name_that_nothing_has_is_refused() -> None:
    with pytest.raises(WrongUse) as refused:
        built(only=["wer", "beauty"])
    assert refused.value.code == "judging.unknown_metric"
    assert "beauty" in refused.value.headline


def test_one_metric_of_a_judge() -> None:
    judges = built(only=["mcd_dtw"])
    assert [metric.name for metric in judges.metrics] == ["mcd_dtw"]
    assert (len(judges.functions), judges.set_functions, dict(judges.gaps)) == (1, (), {})


def test_a_narrowed_judge_answers_what_is_asked(tmp_path: Path) -> None:
    whole = Loudness(tmp_path / "log")
    narrowed = Narrowed(whole, ("loud",))
    write_audio(tmp_path / "a.wav", np.full(RATE, 0.5, np.float32), RATE)
    item = BenchmarkItem(id="a", facts={"samples": RATE, "silent": True})
    subject = Subject(item, tmp_path / "a.wav", {})
    narrowed.prepare()
    assert narrowed.score(subject) == {"loud": whole.score(subject)["loud"]}
    assert set(whole.when_failed(item)) == {"loud", "rms"}
    assert narrowed.when_failed(item) == {"loud": Measured(0.0, 0.0, float(RATE))}
    assert [metric.name for metric in narrowed.metrics] == ["loud"]
    assert (narrowed.judge, narrowed.pin, narrowed.missing()) == (whole.judge, whole.pin, None)
    assert Narrowed(Absent({}), ("mood",)).missing() == "its weights were not given"


def test_what_narrowing_leaves_out_is_no_answer_at_all(tmp_path: Path) -> None:
    judges = built(only=["int_corr"])
    write_audio(tmp_path / "a.wav", np.sin(np.arange(RATE) / 9).astype(np.float32), RATE)
    answers = judges.functions[0].score(Subject(BenchmarkItem(id="a"), tmp_path / "a.wav", {}))
    assert isinstance(answers["int_corr"], Unmeasured)
    assert list(answers) == ["int_corr"]


def test_settings_come_from_a_section(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("judges:\n  only: [sync]\n  full: {utmos: weights/utmos.pt}\n")
    settings = read_judge_settings(str(path))
    assert settings == JudgeSettings(only=("sync",), full=FullJudges(utmos=Path("weights/utmos.pt")))
    assert read_judge_settings(None) == read_judge_settings("tiny") == JudgeSettings()
    path.write_text("judges:\n  sample_rate: 8000\n  fast: true\n")
    with pytest.raises(BadInput) as refused:
        read_judge_settings(str(path))
    assert refused.value.code == "config.bad_preset"
    assert {"sample_rate", "fast"} <= set(refused.value.headline.replace(":", " ").split())
