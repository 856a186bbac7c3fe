"""A corpus on disk: GRID's layout, one set of bytes a seed, resumable, refused where it would mix."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dubflow.corpora.align_file import read_align, spoken
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.errors import BadInput, WrongUse
from dubflow.locking import LOCK
from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.progress import Silent
from dubflow.talkers.performance import intended_pose, plan_of
from dubflow.talkers.picture import seats
from dubflow.talkers.quality import correlation, measure_talkers
from dubflow.talkers.render import RenderReport, render_corpus
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings

pytestmark = pytest.mark.slow

EVERY_KIND = TalkerSettings(
    size=64,
    mix={
        "plain": 2.0,
        "language_switch": 1.0,
        "two_speakers": 1.0,
        "no_face": 1.0,
        "profile": 1.0,
        "occluded": 1.0,
        "low_light": 1.0,
    },
    event_share=0.5,
)


def _render(out: Path, **changes) -> RenderReport:
    arguments = {"identities": 1, "clips": 8, "languages": ["en", "fr"], "seed": 2, "settings": EVERY_KIND}
    return render_corpus(out, **{**arguments, "workers": 1, "progress": Silent(), **changes})


def _bytes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> CorpusManifest:
    """Eight clips of one person, every kind among them, rendered in this process."""
    out = tmp_path_factory.mktemp("talkers") / "corpus"
    _render(out)
    return read_manifest(out)


def test_what_the_manifest_says_is_what_the_files_hold(corpus: CorpusManifest) -> None:
    assert corpus.header.world == "embedded"
    assert corpus.header.layout == "talkers"
    assert {row.tags[0] for row in corpus} == set(EVERY_KIND.mix)
    for row in corpus:
        assert sha256_file(corpus.media_path(row)) == row.sha256
        clip = read_clip(corpus.media_path(row), fps=None, sample_rate=row.sample_rate)
        assert len(clip.frames) == row.frames == round(row.duration * 25)
        assert len(clip.waveform) == row.frames * row.sample_rate // 25
        assert clip.frames.shape[1] == 64
        assert clip.frames.shape[2] == (96 if "two_speakers" in row.tags else 64)
        assert row.path.startswith(f"{row.speaker}/")
        assert row.licence == "CC0-1.0"
        assert len(row.stresses) == len(row.phones)
        assert 1 in row.stresses, "something is stressed in every sentence"
        assert all(stress == 0 for phone, stress in zip(row.phones, row.stresses, strict=True) if phone.silent)
        assert all(event.time == event.frame / 25 for event in row.events)


def test_align_files_follow_grids_conventions(corpus: CorpusManifest) -> None:
    for row in corpus:
        path = corpus.media_path(row).with_suffix(".align")
        lines = [line.split() for line in path.read_text("utf-8").splitlines()]
        assert lines[0][2] == lines[-1][2] == "sil"
        assert int(lines[0][0]) == 0
        assert int(lines[-1][1]) == 1000 * row.frames
        assert all(a[1] == b[0] for a, b in pairwise(lines))
        words = spoken(read_align(path))
        assert [word.label for word in words] == [word.label for word in row.words]
        for written, exact in zip(words, row.words, strict=True):
            assert written.start == pytest.approx(exact.start, abs=0.5 / 25000 + 1e-9)


def test_the_manifest_reads_back_equal(corpus: CorpusManifest, tmp_path: Path) -> None:
    again = read_manifest(corpus.write(tmp_path / "copy"))
    assert again.rows == corpus.rows
    assert again.header == corpus.header


def test_the_sound_is_heard_where_the_words_are(corpus: CorpusManifest) -> None:
    for row in corpus:
        if row.events:
            continue
        clip = read_clip(corpus.media_path(row), fps=None, sample_rate=row.sample_rate)
        level = np.abs(clip.waveform)
        for segment in row.segments:
            inside = level[round(segment.start * 16000) : round(segment.end * 16000)]
            assert np.sqrt(np.mean(np.square(inside))) > 0.03
        assert np.abs(level[: round((row.segments[0].start - 0.1) * 16000)]).max(initial=0) < 0.01


def test_a_finished_corpus_is_left_alone(corpus: CorpusManifest) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.root.rglob("*") if path.is_file()}
    report = _render(corpus.root)
    assert report.rendered == 0
    assert report.clips == len(corpus)
    changed = {path for path in before if path.stat().st_mtime_ns != before[path]}
    assert changed <= {corpus.root / LOCK}


@pytest.mark.slow
def test_same_seed_same_bytes_with_one_worker_or_two(corpus: CorpusManifest, tmp_path: Path) -> None:
    _render(tmp_path / "two", clips=4, workers=2)
    two = _bytes(tmp_path / "two")
    whole = _bytes(corpus.root)
    clips = [name for name in two if name.endswith((".mp4", ".align")) or name.startswith(".rows/")]
    assert len(clips) == 12
    assert all(two[name] == whole[name] for name in clips)


def test_a_missing_or_damaged_clip_is_made_again_and_nothing_else(corpus: CorpusManifest, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(corpus.root, out)
    whole = _bytes(out)
    names = sorted(path for path in whole if path.endswith(".mp4"))
    (out / names[0]).unlink()
    (out / names[1]).write_bytes(b"cut short")
    (out / names[2]).with_suffix(".align").unlink()
    assert _render(out).rendered == 3
    assert _bytes(out) == whole


def test_a_corpus_grows(corpus: CorpusManifest, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    shutil.copytree(corpus.root, out)
    before = _bytes(out)
    assert _render(out, clips=9).rendered == 1
    now = _bytes(out)
    assert len(read_manifest(out)) == 9
    assert all(now[name] == before[name] for name in before if name.endswith(".mp4"))


def test_a_changed_setting_renders_the_clips_that_change(tmp_path: Path) -> None:
    out = tmp_path / "changed"
    plain = TalkerSettings(size=64, mix={"plain": 1.0}, event_share=0.0)
    assert _render(out, clips=1, settings=plain).rendered == 1
    assert _render(out, clips=1, settings=plain, size=80).rendered == 1
    assert read_clip(out / read_manifest(out).rows[0].path).frames.shape[1:3] == (80, 80)


def test_another_corpus_is_not_overwritten(corpus: CorpusManifest, tmp_path: Path) -> None:
    before = _bytes(corpus.root)
    for changes in ({"seed": 3}, {"clips": 2}):
        with pytest.raises(WrongUse) as caught:
            _render(corpus.root, **changes)
        assert caught.value.code == "talkers.other_corpus"
    assert _bytes(corpus.root) == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "manifest.json").write_text(json.dumps({"format": "dubflow.corpus/1"}))
    with pytest.raises(WrongUse) as caught:
        _render(foreign)
    assert caught.value.code == "talkers.other_corpus"


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "busy"
    out.mkdir()
    with open(out / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(WrongUse) as caught:
            _render(out, clips=1)
    assert caught.value.code == "talkers.already_rendering"
    assert _render(out, clips=1).rendered == 1


def test_intended_poses_come_back_from_a_row(corpus: CorpusManifest) -> None:
    plans = {
        plan.id: plan
        for plan in plan_corpus(identities=1, clips=8, languages=["en", "fr"], seed=2, settings=EVERY_KIND)
    }
    for row in corpus:
        assert plan_of(row) == plans[row.id]
        performances = intended_pose(row)
        assert len(performances) == {"no_face": 0, "two_speakers": 2}.get(row.tags[0], 1)
        assert all(len(performance.poses) == row.frames for performance in performances)
        assert len(seats(plans[row.id])) == len(plans[row.id].people)
    foreign = corpus.rows[0].model_copy(update={"source": {}})
    with pytest.raises(BadInput) as caught:
        intended_pose(foreign)
    assert caught.value.code == "talkers.no_plan"


@pytest.mark.slow
def test_faces_are_found_and_the_measured_mouth_follows_the_intended_one(tmp_path: Path) -> None:
    plain = TalkerSettings(size=128, mix={"plain": 1.0})
    _render(tmp_path / "plain", identities=2, clips=1, settings=plain, workers=1)
    manifest = read_manifest(tmp_path / "plain")
    checks = measure_talkers(manifest, manifest)
    assert len(checks) == 2
    assert sum(check.found for check in checks) >= 0.99 * sum(check.frames for check in checks)
    for check in checks:
        assert check.correlation > 0.95, check.clip  # the figure over a whole corpus stands in benchmarks/


def test_correlation_of_a_still_face_is_unknown() -> None:
    assert np.isnan(correlation(np.zeros(5), np.arange(5.0)))
    assert correlation(np.arange(5.0), 3 * np.arange(5.0) + 1) == pytest.approx(1.0)


def test_a_run_killed_while_it_writes_a_row_goes_on(tmp_path: Path) -> None:
    plain = {"identities": 1, "clips": 1, "languages": ["en"], "seed": 6, "size": 64, "workers": 1}
    script = tmp_path / "run.py"
    script.write_text(
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from dubflow.talkers.render import render_corpus\n"
        "def flush(file):\n"
        "    if '.rows' in os.readlink(f'/proc/self/fd/{file}'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.fsync = flush\n"
        f"render_corpus(Path(sys.argv[1]), **{plain})\n"
    )
    out = tmp_path / "killed"
    run = subprocess.run([sys.executable, str(script), str(out)], stderr=subprocess.DEVNULL, check=False)
    assert run.returncode == -signal.SIGKILL
    assert [path.name for path in out.glob(".rows/*/*") if ".partial" in path.name]
    assert render_corpus(out, **plain, progress=Silent()).rendered == 1
    assert not list(out.rglob("*.partial*"))
    assert len(read_manifest(out)) == 1


def test_a_clip_being_replaced_has_no_row_until_it_is_whole(tmp_path: Path, monkeypatch) -> None:
    import dubflow.talkers.render as rendering

    out = tmp_path / "replaced"
    plain = TalkerSettings(size=64, mix={"plain": 1.0}, event_share=0.0)
    _render(out, clips=1, settings=plain)
    whole = _bytes(out)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rendering, "write_align", full_disk)
        with pytest.raises(OSError, match="no space"):
            _render(out, clips=1, settings=plain, size=80)
    assert not list(out.glob(".rows/*/*.json")), "the old row would vouch for the new video"
    assert _render(out, clips=1, settings=plain).rendered == 1
    assert _bytes(out) == whole


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from dubflow.talkers.render import render_corpus\n"
        "if __name__ == '__main__':\n"
        "    settings = dict(identities=2, clips=6, languages=['en'], seed=6, size=64, workers=2)\n"
        "    report = render_corpus(Path(sys.argv[1]), **settings)\n"
        "    print(report.rendered)\n"
    )
    out = tmp_path / "killed"
    run = subprocess.Popen([sys.executable, str(script), str(out)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob(".rows/*/[!.]*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    finished = len(list(out.glob(".rows/*/[!.]*.json")))
    assert 3 <= finished < 12
    assert not (out / "manifest.json").exists()
    again = subprocess.run([sys.executable, str(script), str(out)], capture_output=True, text=True, check=True)
    assert int(again.stdout) <= 12 - finished
    assert not list(out.rglob("*.partial*"))
    untouched = tmp_path / "untouched"
    subprocess.run([sys.executable, str(script), str(untouched)], capture_output=True, check=True)
    assert _bytes(out) == _bytes(untouched)


@pytest.mark.slow
def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from dubflow.talkers.render import render_corpus\n"
        "if __name__ == '__main__':\n"
        "    render_corpus(Path(sys.argv[1]), identities=2, clips=20, languages=['en'], seed=6, size=64, workers=2)\n"
    )
    out = tmp_path / "interrupted"
    run = subprocess.Popen([sys.executable, str(script), str(out)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob(".rows/*/[!.]*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) != 0
    assert not list(out.rglob("*.partial*"))
    for row in out.glob(".rows/*/[!.]*.json"):
        kept = json.loads(row.read_text())
        assert sha256_file(out / kept["row"]["path"]) == kept["row"]["sha256"]
