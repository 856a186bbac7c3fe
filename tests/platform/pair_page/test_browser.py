"""The page of pairs in a real browser: it fits a phone, and its filters and search work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dubflow.incontext.pairs.engine_parts import Measured
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.platform.pair_page.write import write_pairs_page
from incontext.pairs.talker_halves import SpokenHalf, made_pair, written_manifest
from judging.page.browser import Tab, find, tab

pytestmark = pytest.mark.slow
LIMITS = QualitySettings.model_validate({"limits": {"lmd": {"bound": 0.02}, "qd": {"bound": 0.001}}})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find()
    if program is None:
        pytest.skip("no Chromium on this machine (name one in DUBFLOW_CHROMIUM)")
    folder, pairs = tmp_path_factory.mktemp("pairs"), []
    for number in range(5):
        frames = np.full((9, 32, 32, 3), 40 * number, np.uint8)
        sound = np.sin(np.arange(9 * 640) / 10).astype(np.float32) / 4
        target = SpokenHalf(frames, sound, 16_000, f"bin {number}", "en")
        context = SpokenHalf(frames, sound, 16_000, f"pose {number}", "fr" if number % 2 else "de")
        figures = {"lmd": number / 100, "qd": (number % 3) / 1000}
        pairs.append((f"p{number}", made_pair(target, context, target), Measured(figures)))
    page = write_pairs_page(folder / "page", written_manifest(folder, pairs, LIMITS), LIMITS)
    with tab(program, tmp_path_factory.mktemp("profile")) as one:
        one.show(page)
        yield one


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_the_screen_and_nothing_complains(browser: Tab, width: int) -> None:
    browser.resize(width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []


SHOWN = """[...document.querySelectorAll('#gallery > li')]
    .filter(one => one.offsetParent).map(one => one.querySelector('h3').textContent)"""
CHOOSE = """(() => {{
    const choice = document.querySelector('select[data-filter={name}]');
    choice.value = '{value}';
    choice.dispatchEvent(new Event('change'));
    return choice.value;
}})()"""


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ({}, ["p0", "p1", "p2", "p3", "p4"]),
        ({"status": "kept"}, ["p2", "p4"]),
        ({"reasons": "same_lips"}, ["p0", "p1"]),
        ({"reasons": "dull_lips"}, ["p0", "p3"]),
        ({"reasons": "dull_lips", "direction": "fr → en"}, ["p3"]),
        ({"status": "kept", "reasons": "dull_lips"}, []),
    ],
)
def test_filters_show_what_was_chosen(browser: Tab, chosen: dict[str, str], shown: list[str]) -> None:
    for name in ("status", "reasons", "direction"):
        value = chosen.get(name, "")
        assert browser.evaluate(CHOOSE.format(name=name, value=value)) == value
    assert sorted(browser.evaluate(SHOWN)) == shown
    assert browser.evaluate("document.getElementById('shown').textContent") == f"{len(shown)} of 5 shown"


def test_the_table_is_searched(browser: Tab) -> None:
    search = """(() => {
        const one = document.getElementById('search');
        one.value = 'refused dull';
        one.dispatchEvent(new Event('input'));
    })()"""
    browser.evaluate(search)
    assert browser.evaluate("document.getElementById('found').textContent") == "2 of 5 clips"


def test_every_player_has_its_clip(browser: Tab) -> None:
    lengths = browser.evaluate(
        "Promise.all([...document.querySelectorAll('video')].map(one => new Promise(done => {"
        "const answer = () => done(one.error ? one.error.message : Math.round(one.duration * 100));"
        "if (one.readyState >= 1 || one.error) answer(); else one.onloadedmetadata = one.onerror = answer; })))"
    )
    assert lengths == [36] * 10
