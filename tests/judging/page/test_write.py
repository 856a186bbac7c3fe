"""The page as a file: whole, self-contained, inert whatever its texts hold, and the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dubflow.errors import WrongUse
from dubflow.faces.tracks import POINTS, FaceTrack, FaceTracks
from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.verdict import Verdict
from dubflow.judging.page.exhibit import ClipMedia
from dubflow.judging.page.write import write_page
from dubflow.media.encode import write_clip
from judging.page.sample import HOSTILE, POLICY, make_card, make_row, small_verdict, with_figures

VOID = {"br", "hr", "img", "input", "link", "meta"}
GOLDEN = Path(__file__).parent / "golden.html"


class Page(HTMLParser):
    """Elements with their attributes, and the text; refuses what is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} stands twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def of(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in names]


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
def source(written: Path) -> str:
    return written.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_every_element_is_closed_and_every_id_stands_once(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for link in page.of("a"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_nothing_is_loaded_from_outside(page: Page) -> None:
    for _, attributes in page.elements:
        for name, value in attributes.items():
            if name in {"href", "src", "srcset", "poster", "action"}:
                assert re.fullmatch(
                    r"#[\w-]+|data:image/png;base64,[\w+/=]+|media/[0-9a-f]{32}\.(mp4|wav)", value or ""
                )
    assert not page.of("link", "iframe", "object", "embed", "form", "base")


def test_the_style_sheet_and_the_script_load_nothing(source: str) -> None:
    for block in re.findall(r"<(?:style|script)>(.*?)</", source, re.DOTALL):
        assert not re.search(r"url\(|@import|//\w|fetch|XMLHttp|eval|innerHTML", block.replace("// ", ""))


def test_its_policy_allows_the_one_style_and_the_one_script_in_it(page: Page) -> None:
    (policy,) = [one["content"] or "" for one in page.of("meta") if "http-equiv" in one]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", rules[kind]) for kind in ("style-src", "script-src"))


def test_hostile_texts_are_texts(page: Page) -> None:
    assert len(page.of("script")) == len(page.of("style")) == 1
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert "style" not in attributes
    for text in HOSTILE:
        if "\ud800" not in text:
            assert text in page.text
    assert "�[31m" in page.text


def test_every_clip_that_is_linked_lies_beside_the_page(written: Path, page: Page) -> None:
    linked = {one["src"] for one in page.of("video", "audio")}
    assert len(linked) == 4
    assert all((written.parent / (address or "")).is_file() for address in linked)
    assert {f"media/{path.name}" for path in (written.parent / "media").iterdir()} == linked


def test_what_cannot_be_shown_is_named_without_this_machines_paths(page: Page, written: Path) -> None:
    assert "never_was.mp4" in page.text
    assert "media.missing" in page.text
    assert "damaged.mp4" in page.text
    assert str(written.parent.parent) not in page.text


def test_every_picture_and_player_says_what_it_shows(page: Page) -> None:
    assert all(one["alt"] for one in page.of("img"))
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in page.of("svg"))
    assert all(one["aria-label"] and "controls" in one for one in page.of("video", "audio"))


def test_regions_that_scroll_can_be_reached_by_keyboard(page: Page) -> None:
    regions = [one for one in page.of("div") if "scroll" in (one.get("class") or "")]
    assert regions
    assert all(one["tabindex"] == "0" and one["role"] == "region" and one["aria-label"] for one in regions)


def test_the_world_the_verdict_and_the_protocol_are_named(page: Page, verdict: Verdict, challenger: ScoreCard) -> None:
    assert page.text.index("embedded world") < page.text.rindex("Evidence: ")
    assert verdict.headline in page.text
    assert all(rule.reason in page.text for rule in verdict.rules)
    assert challenger.protocol.id[:16] in page.text
    for metric in challenger.metrics:
        assert metric.definition in page.text
        assert metric.comparable_with in page.text


def test_a_missing_judge_is_a_named_gap_and_never_a_figure(page: Page) -> None:
    assert "No figure on this card: the judge inception is missing: no weights here" in page.text
    assert "inception: no weights here (challenger and champion)" in page.text


def test_a_judge_that_was_missing_gives_no_figure_even_where_clips_count_at_their_worst(
    tmp_path: Path, challenger: ScoreCard
) -> None:
    gone = challenger.model_copy(update={"gaps": {"voice": "its package is not installed"}})
    text = Page(write_page(tmp_path, gone, None, judge(gone, None, POLICY), {}).read_text()).text
    secs = text.split("Metrics", 2)[-1].split("secs")[1].split("Definition")[0]
    assert "its package is not installed" in secs
    assert not re.search(r"\d\.\d", secs)


def test_the_worst_come_first(page: Page) -> None:
    titles = re.findall(r"(\d+)\. (clip\d)", page.text)
    assert [int(place) for place, _ in titles] == list(range(1, len(titles) + 1))
    assert [clip for _, clip in titles][:2] == ["clip8", "clip7"]


def test_every_clip_has_a_row_with_both_systems_figures(page: Page, challenger: ScoreCard) -> None:
    table = page.text.split("Every clip, all metrics")[1].split("Protocol and comparability")[0]
    assert all(row.clip in table for row in challenger.rows)


def test_equal_arguments_give_equal_bytes(
    tmp_path: Path,
    written: Path,
    challenger: ScoreCard,
    champion: ScoreCard,
    verdict: Verdict,
    media: dict[str, ClipMedia],
) -> None:
    again = write_page(tmp_path, challenger, champion, verdict, dict(reversed(media.items())))
    assert again.read_bytes() == written.read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(p.name for p in written.parent.rglob("*"))


def test_a_page_takes_the_place_of_the_one_before_and_of_its_clips_only(
    tmp_path: Path, challenger: ScoreCard, champion: ScoreCard, verdict: Verdict, media: dict[str, ClipMedia]
) -> None:
    write_page(tmp_path, challenger, champion, verdict, media, shown=4)
    (tmp_path / "media" / "notes.mp4").write_bytes(b"somebody's")
    page = Page(write_page(tmp_path, challenger, champion, verdict, media, shown=0).read_text())
    assert not page.of("video", "audio")
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["notes.mp4"]
    assert "Shown: 0 of " in page.text


def test_the_small_page_is_the_golden_one(tmp_path: Path, challenger: ScoreCard, champion: ScoreCard) -> None:
    """Delete the file and run this to make it anew; then look at the difference."""
    # Figures and words of our own making, so that only the page itself can change it.
    first, second = with_figures(challenger, 0.3), with_figures(champion, 0.2)
    whole = write_page(tmp_path, first, second, small_verdict(first, second), {}).read_text(encoding="utf-8")
    body = re.sub(r"<(style|script)>.*?</\1>|&#x27;sha256-.{44}&#x27;", "", whole, flags=re.DOTALL)
    body = re.sub(r'<code title="[0-9a-f]{64}">[0-9a-f]{16}<', "<code>digest<", body)
    lines = re.sub(r"(?=<(?:section|article|h2|tr|li|p|dl|svg)\b)", "\n", body)
    if not GOLDEN.exists():
        GOLDEN.write_text(lines, encoding="utf-8")
        pytest.fail("There was no golden page; one was made. Look at it and run again.")
    assert lines == GOLDEN.read_text(encoding="utf-8")


def test_a_verdict_of_other_cards_is_refused(
    tmp_path: Path, challenger: ScoreCard, champion: ScoreCard, verdict: Verdict
) -> None:
    for cards in ((champion, challenger), (challenger, None), (champion, champion)):
        with pytest.raises(WrongUse, match=r"judging\.other_cards"):
            write_page(tmp_path, *cards, verdict, {})
    assert not list(tmp_path.iterdir())


def test_a_negative_count_is_refused(tmp_path: Path, challenger: ScoreCard, verdict: Verdict) -> None:
    with pytest.raises(WrongUse, match=r"judging\.bad_count"):
        write_page(tmp_path, challenger, None, verdict, {}, shown=-1)


def test_without_a_champion_there_is_no_comparison(
    tmp_path: Path, challenger: ScoreCard, media: dict[str, ClipMedia]
) -> None:
    text = Page(write_page(tmp_path, challenger, None, judge(challenger, None, POLICY), media).read_text()).text
    assert "There is no champion: nothing here is a comparison." in text
    assert "Worst clips" in text
    assert "Champion" not in text.split("Worst clips")[2].split("Every clip")[0]


def test_cards_of_two_protocols_are_never_held_against_each_other(tmp_path: Path, challenger: ScoreCard) -> None:
    other = make_card("old", [make_row(place, 0, 0.9, 0.0) for place in range(9)], version="0")
    text = Page(write_page(tmp_path, challenger, other, judge(challenger, other, POLICY), {}).read_text()).text
    assert "The two cards are of different protocols." in text
    assert "Worst regressions" not in text
    assert "apart" not in text.split("By language pair")[1].split("Worst clips")[0]


class Talking:
    """A landmarker that sees a mouth open as far as the frame's number says, and no face in the third frame."""

    id = "drawn"

    def landmarks(self, frames: Iterator[np.ndarray]) -> FaceTracks:
        count = len(list(frames))
        points = np.zeros((count, POINTS, 3), np.float32)
        points[:, 263, 0] = 100.0
        points[:, [87, 14, 317], 1] = np.arange(count, dtype=np.float32)[:, None]
        points[2] = np.nan
        found = np.isfinite(points[:, 0, 0])
        track = FaceTrack(points, found, tuple(None if one else "lost_track" for one in found))
        return FaceTracks((track,), count, (48, 64))


def test_the_mouths_opening_is_drawn_from_the_landmarks(
    tmp_path: Path,
    challenger: ScoreCard,
    champion: ScoreCard,
    verdict: Verdict,
    make_clip: Callable[[str, float], Path],
) -> None:
    media = {"clip0": ClipMedia(challenger=make_clip("mouth.mp4", 220))}
    source = write_page(tmp_path, challenger, champion, verdict, media, landmarker=Talking()).read_text()
    assert "the opening of the mouth, from 0.00 to 0.24 eye distances, seen in 96 % of frames" in source
    (path,) = re.findall(r'd="([^"]*)" class="mouth"', source)
    assert path.count("M") == 2


def test_what_no_browser_plays_is_encoded_again_and_said_so(
    tmp_path: Path, challenger: ScoreCard, champion: ScoreCard, verdict: Verdict
) -> None:
    import av

    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 65, 49, "yuv420p"
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((49, 65, 3), 20 * level, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    folder = tmp_path / "page"
    page = Page(write_page(folder, challenger, champion, verdict, {"clip0": ClipMedia(challenger=path)}).read_text())
    (player,) = page.of("video")
    assert re.fullmatch(r"media/[0-9a-f]{32}-web\.mp4", player["src"] or "")
    assert (folder / (player["src"] or "")).is_file()
    assert "Encoded again for the browser" in page.text
    assert "No sound." in page.text


def test_a_clip_without_sound_is_shown_all_the_same(
    tmp_path: Path, challenger: ScoreCard, champion: ScoreCard, verdict: Verdict
) -> None:
    path = tmp_path / "silent.mp4"
    write_clip(path, np.full((5, 32, 32, 3), 90, np.uint8), 25)
    folder = tmp_path / "page"
    page = Page(write_page(folder, challenger, champion, verdict, {"clip0": ClipMedia(source=path)}).read_text())
    assert len(page.of("video")) == 1
    assert not page.of("img")
    assert "No sound." in page.text
