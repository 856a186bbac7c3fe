"""The page in a real browser: it fits a phone, its script and players work, and nothing hostile ran."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.verdict import Verdict
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.judging.page.write import write_page
from judging.page.browser import Tab, find, tab
from judging.page.sample import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    challenger: ScoreCard,
    champion: ScoreCard,
    verdict: Verdict,
    media: dict[str, ClipMedia],
) -> Path:
    return write_page(tmp_path_factory.mktemp("page"), challenger, champion, verdict, media)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, written: Path) -> Iterator[Tab]:
    program = find()
    if program is None:
        pytest.skip("no Chromium on this machine (name one in DUBFLOW_CHROMIUM)")
    with tab(program, tmp_path_factory.mktemp("profile")) as one:
        one.show(written)
        yield one


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_it_fits_the_screen_and_nothing_complains(browser: Tab, width: int) -> None:
    browser.resize(width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []


def test_nothing_hostile_ran_and_nothing_left_the_folder(browser: Tab, written: Path) -> None:
    assert browser.evaluate("document.title") == f"Evidence: {HOSTILE[6]} (embedded world)"
    assert browser.evaluate("document.querySelectorAll('script, style').length") == 2
    # The players' own buttons are pictures that the browser carries.
    assert {
        address for address in browser.requested() if not address.startswith((written.parent.as_uri(), "data:"))
    } == set()


def test_every_player_has_its_clip(browser: Tab) -> None:
    ready = """Promise.all([...document.querySelectorAll('video, audio')].map(player => new Promise(done => {
        const answer = () => done(player.error ? player.error.message : Math.round(player.duration * 100));
        if (player.readyState >= 1 || player.error) answer();
        else { player.onloadedmetadata = answer; player.onerror = answer; player.load(); }
    })))"""
    lengths = browser.evaluate(ready)
    assert len(lengths) >= 10
    assert set(lengths) == {100}  # hundredths of a second


def test_champion_and_challenger_play_to_their_end_side_by_side(browser: Tab) -> None:
    browser.resize(1280)
    played = """(() => {
        const side = [...document.querySelectorAll('.side')].find(one => one.querySelectorAll('video').length === 3);
        const players = [...side.querySelectorAll('video')];
        const tops = new Set(players.map(player => player.getBoundingClientRect().top));
        return Promise.all(players.map(player => new Promise(done => {
            player.muted = true; player.onended = () => done(player.videoWidth); player.play();
        }))).then(widths => [tops.size, ...widths]);
    })()"""
    assert browser.evaluate(played) == [1, 64, 64, 64]  # in one row, and with a picture


def test_the_search_hides_what_does_not_match(browser: Tab) -> None:
    ask = """(words => {
        const box = document.getElementById('search'); box.value = words; box.dispatchEvent(new Event('input'));
        return [document.getElementById('found').textContent,
                document.querySelectorAll('#clip-table tbody tr:not([hidden])').length];
    })"""
    assert browser.evaluate(f"{ask}('')") == ["9 of 9 clips", 9]
    assert browser.evaluate(f"{ask}('FAILED')") == ["1 of 9 clips", 1]
    assert browser.evaluate(f"{ask}('en-de  clip3')") == ["1 of 9 clips", 1]
    assert browser.evaluate(f"{ask}('nothing at all')") == ["0 of 9 clips", 0]


def test_the_playhead_follows_the_player(browser: Tab) -> None:
    moved = """new Promise(done => {
        const figure = document.querySelector('figure[data-seconds]:has(video)');
        const player = figure.querySelector('video');
        const line = figure.querySelector('.playhead');
        player.addEventListener('seeked', () => setTimeout(() => done(line.style.left), 50));
        player.currentTime = 0.5;
    })"""
    assert browser.evaluate(moved) == "50%"


def test_everything_can_be_reached_by_keyboard(browser: Tab) -> None:
    reached: list[str] = []
    for _ in range(80):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        browser.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[0] == "A"  # the way past everything to the verdict
    assert {"SUMMARY", "DIV"} <= set(reached)
    assert "VIDEO" in reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_either_scheme(browser: Tab, scheme: str) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3) of every colour that text has."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    worst = browser.evaluate("""(() => {
        const style = getComputedStyle(document.documentElement);
        const light = colour => {
            const [r, g, b] = [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16) / 255)
                .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const value = name => style.getPropertyValue('--' + name).trim();
        const ratios = [];
        for (const ground of ['paper', 'raised'])
            for (const ink of ['ink', 'soft', 'link', 'good', 'bad', 'open', 'challenger', 'champion']) {
                const [a, b] = [light(value(ground)), light(value(ink))].sort((x, y) => y - x);
                ratios.push((a + 0.05) / (b + 0.05));
            }
        return Math.min(...ratios);
    })()""")
    assert worst >= 4.5
