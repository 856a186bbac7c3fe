"""The page of a run's pairs: everything stands there, nothing hostile gets in, equal runs give equal bytes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import WrongUse
from dubflow.incontext.pairs.engine_parts import Measured
from dubflow.incontext.pairs.manifest import PairManifest, read_pairs
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.platform.pair_page.choice import chosen
from dubflow.platform.pair_page.histogram import histogram
from dubflow.platform.pair_page.write import PAGE, write_pairs_page
from incontext.pairs.talker_halves import SpokenHalf, made_pair, written_manifest

LIMITS = QualitySettings.model_validate({"limits": {"lmd": {"bound": 0.01}, "qd": {"worst_share": 0.2}}})
HOSTILE = "<script>alert(1)</script>"


def _half(seed: int, text: str, language: str) -> SpokenHalf:
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 255, (1, 32, 32, 3), np.uint8), 9, axis=0)
    return SpokenHalf(frames, (0.1 * rng.standard_normal(9 * 640)).astype(np.float32), 16_000, text, language)


def _manifest(folder: Path, count: int = 6) -> PairManifest:
    pairs = []
    for number in range(count):
        said = HOSTILE if number == 0 else f"text {number}"
        target, context = _half(number, said, "en"), _half(number + 100, "autre", "fr" if number % 2 else "it")
        figures = {"lmd": number / 100, "qd": number / 1000, "words_target": 0.1}
        pairs.append((f"p{number}", made_pair(target, context, target), Measured(figures)))
    return written_manifest(folder, pairs, LIMITS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_pairs_page(folder / "page", _manifest(folder), LIMITS)


def test_counts_reasons_and_pairs_stand_there(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    assert "6 pairs," in text
    assert "5 kept" in text
    assert "1 refused" in text
    assert "same_lips: lmd 0 is below 0.01" in text
    assert re.search(r"incontext\.no_silence\s+1\b", text)
    assert re.search(r"seconds a kept pair\s+3\.1\b", text)
    assert "Embedded world" in text
    assert page.count("<video") == 12
    assert page.count('class="stills"') == 6
    for number in range(6):
        assert f"p{number}" in text
    for section in ("run", "reasons", "figures", "look", "pairs"):
        assert f'id="{section}"' in page
    # Limits are drawn where there are some.
    assert page.count('class="limit"') == 1
    assert "lmd of 6 pairs (5 kept): from 0 to 0.05, median 0.025, limit 0.01" in page


def test_texts_stay_texts_and_nothing_comes_from_elsewhere(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == page.count("<style") == 1
    assert "http://" not in page
    assert "https://" not in page
    assert {path.parent.name for path in written.parent.rglob("*.mp4")} == {"media"}
    for address in re.findall(r'src="([^"]+)"', page):
        assert address.startswith("data:image/png;base64,") or (written.parent / address).is_file()


def test_equal_runs_give_equal_pages_and_old_clips_go(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, 3)
    page = write_pairs_page(tmp_path / "page", manifest, LIMITS)
    first = page.read_bytes()
    assert write_pairs_page(tmp_path / "again", read_pairs(tmp_path), LIMITS).read_bytes() == first
    write_pairs_page(tmp_path / "page", manifest, LIMITS, shown=0)
    assert list((tmp_path / "page" / "media").glob("*")) == []
    with pytest.raises(WrongUse) as caught:
        write_pairs_page(tmp_path / "page", manifest, LIMITS, shown=-1)
    assert caught.value.code == "platform.bad_count"


def test_a_clip_that_is_gone_is_said_so(tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, 2)
    (tmp_path / "clips" / "p1-target.mp4").unlink()
    page = write_pairs_page(tmp_path / "page", manifest, LIMITS).read_text(encoding="utf-8")
    assert "media.missing" in page
    assert str(tmp_path) not in page


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    manifest = written_manifest(tmp_path, [], LIMITS)
    page = write_pairs_page(tmp_path / PAGE, manifest, LIMITS).read_text(encoding="utf-8")
    assert "0 pairs" in page
    assert "There is no pair to show." in page


def test_shown_are_the_ends_of_the_kept_and_every_reason(tmp_path: Path) -> None:
    pairs = _manifest(tmp_path, 12)
    reasons = [("same_lips: a",)] * 4 + [("no_face: b",)] + [()] * 7
    rows = [row.model_copy(update={"rejected": bad}) for row, bad in zip(pairs.rows, reasons, strict=True)]
    some = chosen(rows, 3)
    kept, refused = [row for row in some if not row.rejected], [row for row in some if row.rejected]
    figures = sorted(row.qc["qd"] for row in rows if not row.rejected)
    assert [row.qc["qd"] for row in kept][:: len(kept) - 1] == [figures[0], figures[-1]]
    assert [row.rejected[0] for row in refused] == ["no_face: b", "same_lips: a", "same_lips: a"]
    assert len(chosen(rows, 100)) == 12
    assert chosen(rows, 0) == []


@given(
    st.lists(st.floats(-5, 5), max_size=40),
    st.lists(st.floats(-5, 5), max_size=40),
    st.none() | st.floats(-5, 5),
)
@settings(deadline=None, max_examples=40)
def test_every_value_stands_in_a_bar(kept: list[float], refused: list[float], bound: float | None) -> None:
    drawn = histogram(kept, refused, bound, "lmd")
    if not kept and not refused:
        assert drawn is None
        return
    assert drawn is not None
    heights: dict[str, float] = {"kept": 0.0, "refused": 0.0}
    tops = []
    for y, height, kind in re.findall(
        r'<rect x="[^"]+" y="([^"]+)" width="[^"]+" height="([^"]+)" class="(\w+)"', drawn.source
    ):
        heights[kind] += float(height)
        tops.append(float(y))
    # The tallest column fills the drawing; heights are as counts, in one unit for both kinds.
    assert min(tops) == pytest.approx(4, abs=0.01)
    if kept and refused:
        assert heights["kept"] / heights["refused"] == pytest.approx(len(kept) / len(refused), rel=0.02)
    assert ('class="limit"' in drawn.source) is (bound is not None)
