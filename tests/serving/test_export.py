"""A model serves only after it has spoken: what is no speech, or other speech than before, is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.serving.export import FILE, MODEL, Exported, export_model, read_export
from dubflow.serving.exporting import export_package
from dubflow.serving.golden import CLIP, Deadline, golden_job
from dubflow.serving.heard import Heard, check_heard, measure
from serving.releasing import heard

FRAMES = 50


def speech(seed: int = 0) -> NDArray[np.float32]:
    """Two seconds with something loud in the middle."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(size=FRAMES * 640).astype(np.float32) * 1e-4
    sound[8000:24000] += (np.sin(np.arange(16000) * 0.2) * 0.3).astype(np.float32)
    return sound


def test_speech_is_measured() -> None:
    found = measure("e", speech(), FRAMES)
    assert found.samples == 32000
    assert found.start == pytest.approx(0.5, abs=0.03)
    assert found.end == pytest.approx(1.5, abs=0.03)
    assert measure("e", speech(), FRAMES) == found
    assert measure("e", speech(1), FRAMES).sha256 != found.sha256


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (np.zeros(32000, np.float32), "silent"),
        (np.full(32000, np.nan, np.float32), "not finite"),
        (np.zeros(31999, np.float32), "shape"),
        (np.sin(np.arange(32000) * 0.2).astype(np.float32), "stands out"),
    ],
)
def test_what_is_no_speech_is_refused(spoilt: NDArray[np.float32], why: str) -> None:
    with pytest.raises(BadInput, match=why) as error:
        measure("e", spoilt, FRAMES)
    assert error.value.code == "serving.golden_failed"


@given(shift=st.floats(-1, 1), louder=st.floats(-20, 20))
@settings(deadline=None)
def test_what_differs_by_more_than_a_code_may_is_refused(shift: float, louder: float) -> None:
    expected = heard("e")
    found = heard("e", sha256="b" * 64, start=max(0, 0.1 + shift), level_db=-20 + louder)
    fine = abs(found.start - 0.1) <= 0.1 and abs(louder) <= 6
    if fine:
        check_heard(found, expected)
    else:
        with pytest.raises(BadInput, match="golden_differs"):
            check_heard(found, expected)


def test_another_engine_is_refused_whatever_it_says() -> None:
    with pytest.raises(BadInput, match="golden_differs"):
        check_heard(heard("other"), heard("e"))


def test_the_golden_clip_is_there_and_short() -> None:
    job = golden_job()
    assert job.frames == FRAMES
    assert len(job.segments) == 1
    assert CLIP.stat().st_size < 100_000


def test_a_deadline_stops() -> None:
    assert Deadline(0).stopped()
    assert not Deadline(1000).stopped()


def test_an_export_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / MODEL).mkdir()

    def speaks(model: Path) -> Exported:
        said: Heard = heard("e")
        return Exported(
            version=0, kind="diflow", engine="e", world="embedded", languages=("en",), heard=said, seconds=1, made="now"
        )

    made = export_model(tmp_path, 7, speaks)
    assert made.version == 7
    assert read_export(tmp_path) == made
    assert made.served(tmp_path).folder == tmp_path / MODEL
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(BadInput, match="not_an_export"):
        read_export(tmp_path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="export_exists"):
        export_package(CLIP.parent, tmp_path, 1)


@pytest.mark.slow
def test_the_starter_speaks_and_a_model_of_random_weights_does_not(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from dubflow.diflow.stored import find_model

    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        shutil.copytree(find_model("starter"), folder / MODEL)
    made = export_model(good, 3)
    assert made.phones_wrong is not None
    assert made.phones_wrong < 0.6, "embedded world"
    torch.manual_seed(0)
    weights = {
        name: torch.randn_like(one.float()) * 0.05 for name, one in load_file(bad / MODEL / "model.safetensors").items()
    }
    save_file(weights, bad / MODEL / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput) as refused:
        export_model(bad, 4)
    assert refused.value.code in ("serving.no_speech", "serving.golden_failed", "diflow.bad_weights_file")
    assert not (bad / FILE).exists()
    (bad / MODEL / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises((BadInput, OurFault)):
        export_model(bad, 4)
