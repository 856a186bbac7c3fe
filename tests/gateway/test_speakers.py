"""Who dubs the next job, where Triton runs on other machines: never anybody without a key, never somebody unnamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.errors import OurFault, WrongUse
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.speakers import _golden_clip, following, speakers_of
from dubflow.serving.golden import CLIP, golden_job
from dubflow.serving.repository import Installed
from dubflow.serving.state import FILE
from dubflow.serving.telling import Told


def settings(folder: Path, **changes: object) -> GatewaySettings:
    given = {"state": folder, "triton": "127.0.0.1:1", "triton_key": "k" * 16, "scratch": folder / "scratch"}
    return GatewaySettings.model_validate(given | changes)


def test_without_a_triton_elsewhere_the_folders_own_server_is_asked(tmp_path: Path) -> None:
    here = GatewaySettings(state=tmp_path)
    with following(here):
        assert not (tmp_path / FILE).exists()
    assert here.scratch_root == tmp_path / "work"


@pytest.mark.parametrize("ask", [speakers_of, following])
def test_a_triton_elsewhere_without_its_key_is_refused_at_the_start(tmp_path: Path, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(WrongUse) as caught:
        ask(settings(tmp_path, triton_key=None))
    assert caught.value.code == "gateway.no_triton_key"


def test_where_no_triton_answers_no_job_is_taken(tmp_path: Path) -> None:
    speaker = speakers_of(settings(tmp_path))
    with pytest.raises(OurFault) as caught:
        speaker()
    assert caught.value.code == "serving.nothing_served"


def test_a_job_is_done_by_the_version_that_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Installed(
        version=7, package="a" * 64, engine="e-7", world="embedded", languages=("en",), folder=Path("/elsewhere"),
    )  # fmt: skip
    monkeypatch.setattr("dubflow.serving.remote.ask", lambda endpoint, key: Told(installed=installed))
    speaker = speakers_of(settings(tmp_path))()
    assert (speaker.engine.id, speaker.version, speaker.package) == ("e-7", 7, "a" * 64)
    assert speaker.engine.version == 7


def test_the_golden_clip_lies_where_others_see_it_and_is_made_anew_where_it_was_cut(tmp_path: Path) -> None:
    clip = _golden_clip(tmp_path)
    assert clip.read_bytes() == CLIP.read_bytes()
    clip.write_bytes(b"cut")
    assert _golden_clip(tmp_path).read_bytes() == CLIP.read_bytes()
    there, here = golden_job(clip), golden_job()
    assert there.clip == clip
    assert (there.frames, there.voice.sha256) == (here.frames, here.voice.sha256)
