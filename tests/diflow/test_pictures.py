"""Pictures show the arrays they were given, the same bytes for the same arrays, whoever draws them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubflow.diflow.pictures import MelPanel, draw_alignment, draw_losses, draw_mels, phone_intervals
from dubflow.errors import BadInput
from dubflow.speech.durations import TOKEN_RATE
from dubflow.speech.inventory import IDS
from dubflow.speech.mel import FLOOR_DB, MEL_BINS, log_mel
from dubflow.tracking import FolderLog

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra faces)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def pixels(path: Path) -> np.ndarray:
    """RGB ``[H, W, 3]``."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(int)


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where the picture has that colour, ``[H, W]``."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return np.abs(picture - wanted).max(axis=2) < 12


def silence(tokens: int) -> np.ndarray:
    return np.full((MEL_BINS, tokens), FLOOR_DB, np.float32)


def diagonal(units: int, phonemes: int) -> tuple[np.ndarray, np.ndarray]:
    owner = np.arange(units) * phonemes // units
    return np.eye(phonemes)[owner], np.bincount(owner, minlength=phonemes)


DRAWN: dict[str, Callable[[Path, Any], Path]] = {
    "mels": lambda path, world: draw_mels(
        path, [MelPanel("truth", silence(160), phone_intervals([1, IDS["a"]], [60, 100]))], title="a", world=world
    ),
    "alignment": lambda path, world: draw_alignment(
        path,
        diagonal(40, 5)[0],
        ["", "b", "a", "ŋ", "œ̃"],
        title="b",
        searched=[8] * 5,
        true=[0, 16, 8, 8, 8],
        world=world,
    ),
    "losses": lambda path, world: draw_losses(
        path, {"train/loss": {step: 1 / (1 + step) for step in range(60)}, "lr": {0: 1e-4}}, title="c", world=world
    ),
}


@pytest.mark.parametrize("name", list(DRAWN))
def test_equal_arrays_give_equal_bytes_whatever_the_user_set(name: str, tmp_path: Path) -> None:
    from matplotlib import rc_context

    first = DRAWN[name](tmp_path / "a.png", "embedded").read_bytes()
    with rc_context({"font.size": 31, "axes.facecolor": "red", "image.cmap": "jet", "lines.linewidth": 9}):
        second = DRAWN[name](tmp_path / "b.png", "embedded").read_bytes()
    assert first == second
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}


@pytest.mark.parametrize("name", list(DRAWN))
def test_the_picture_names_its_world_above_and_differs_in_nothing_else(name: str, tmp_path: Path) -> None:
    embedded = pixels(DRAWN[name](tmp_path / "a.png", "embedded"))
    real = pixels(DRAWN[name](tmp_path / "b.png", "real"))
    rows = np.flatnonzero((embedded != real).any(axis=(1, 2)))
    assert rows.size
    assert rows.max() < 60


def test_sound_is_bright_where_it_is(tmp_path: Path) -> None:
    tokens = 200
    waveform = np.zeros(200 * tokens)
    waveform[100 * tokens : 120 * tokens] = np.sin(2 * np.pi * 1000 * np.arange(20 * tokens) / 16_000)  # 50 % to 60 %
    picture = pixels(draw_mels(tmp_path / "m.png", [MelPanel("truth", log_mel(waveform))], title="tone"))
    black = (picture < 8).all(axis=2)
    panel = np.flatnonzero(black.mean(axis=0) > 0.2)
    rows = np.flatnonzero(black[:, panel[5] : panel[-1]].mean(axis=1) > 0.5)
    inside = picture[rows[0] : rows[-1], panel[0] : panel[-1]]
    bright = np.argwhere(inside.sum(axis=2) > 500)
    across, up = bright[:, 1] / inside.shape[1], 1 - bright[:, 0] / inside.shape[0]
    assert across.min() == pytest.approx(0.5, abs=0.03)
    assert across.max() == pytest.approx(0.6, abs=0.03)
    # 1000 Hz is 1000 of 2840 mel.
    assert up.mean() == pytest.approx(1000 / 2840, abs=0.03)


def test_panels_share_one_scale_of_time(tmp_path: Path) -> None:
    short, long = silence(80), silence(160)
    picture = pixels(draw_mels(tmp_path / "m.png", [MelPanel("a", short), MelPanel("b", long)], title="two"))
    beyond = near(picture, "#e4e4e4")
    upper = (picture < 8).all(axis=2)[: len(picture) // 2]
    width_of_beyond = np.flatnonzero(beyond.sum(axis=0) > 50).size
    width_of_short = np.flatnonzero(upper.sum(axis=0) > 50).size
    assert width_of_beyond == pytest.approx(width_of_short, abs=6)


def test_boundaries_of_phonemes_are_drawn(tmp_path: Path) -> None:
    def whites(phones: tuple[Any, ...]) -> int:
        picture = pixels(draw_mels(tmp_path / "m.png", [MelPanel("a", silence(160), phones)], title="t"))
        inside = picture[120:220, 150:700]
        return int((inside.min(axis=2) > 90).all(axis=0).sum())

    assert whites(()) == 0
    assert whites(phone_intervals([IDS["a"], IDS["b"], IDS["a"]], [50, 50, 60])) in (2, 3, 4)


def test_a_map_is_dark_where_the_weight_is_and_paths_lie_on_it(tmp_path: Path) -> None:
    weights, durations = diagonal(60, 6)
    labels = list("abdeʃo")

    def drawn(**paths: Any) -> np.ndarray:
        return pixels(draw_alignment(tmp_path / "a.png", weights, labels, title="t", **paths))

    plain, both = drawn(), drawn(true=durations, searched=np.array([5, 15, 10, 10, 10, 10]))
    for colour in ("#d0281f", "#6fc3ff"):
        assert not near(plain, colour).any()
        assert near(both, colour).sum() > 100
    only_true = near(drawn(true=durations), "#6fc3ff")
    # Upwards means later: over columns the path's height never falls (rows are counted from above).
    columns = np.flatnonzero(only_true[60:300, 90:650].any(axis=0))
    heights = [np.flatnonzero(only_true[60:300, 90 + column]).min() for column in columns]
    assert len(heights) > 200
    assert (np.diff(heights) <= 0).all()


def test_phonemes_lie_where_their_durations_say() -> None:
    found = phone_intervals([1, IDS["a"], IDS["tʃ"]], [8, 0, 16])
    assert [(i.label, i.start * TOKEN_RATE, i.end * TOKEN_RATE) for i in found] == [
        ("", 0, 8),
        ("a", 8, 8),
        ("tʃ", 8, 24),
    ]
    assert phone_intervals([IDS["a"]], [25], rate=25)[0].end == 1.0


def test_curves_are_drawn_from_a_runs_own_file(tmp_path: Path) -> None:
    log = FolderLog(tmp_path / "run")
    for step in range(40):
        log.metrics({"train/loss": 5 / (step + 1), "train/ctc": float("nan"), "system/cpu_s": 9.0}, step)
    draw_losses(tmp_path / "a.png", tmp_path / "run" / "metrics.jsonl", title="t")
    curves = {"train/loss": {step: 5 / (step + 1) for step in range(40)}, "train/ctc": {0: float("nan")}}
    draw_losses(tmp_path / "b.png", curves, title="t")
    from_file, from_curves = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    assert from_file.shape == from_curves.shape  # no panel for the system's figures
    left = from_file.shape[1] // 2
    assert near(from_file[:, :left], "#1f5fa8").sum() > 100
    assert (from_file[:, :left] == from_curves[:, :left]).all()


def test_the_curve_goes_where_the_numbers_go(tmp_path: Path) -> None:
    falling = {"loss": {step: float(100 - step) for step in range(101)}}
    line = near(pixels(draw_losses(tmp_path / "a.png", falling, title="t")), "#1f5fa8")
    left, right = np.flatnonzero(line.any(axis=0))[[5, -5]]
    assert np.flatnonzero(line[:, left]).mean() < np.flatnonzero(line[:, right]).mean() - 80


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: draw_mels(path, [], title="t"),
        lambda path: draw_mels(path, [MelPanel("a", np.zeros((40, 9)))], title="t"),
        lambda path: draw_mels(path, [MelPanel("a", silence(0))], title="t"),
        lambda path: draw_alignment(path, np.ones((5, 3)), ["a"], title="t"),
        lambda path: draw_alignment(path, np.ones((5, 2)), ["a", "b"], title="t", true=[2, 2]),
        lambda path: draw_alignment(path, np.ones((5, 2)), ["a", "b"], title="t", searched=[6, -1]),
        lambda path: draw_losses(path, {"system/cpu_s": {0: 1.0}}, title="t"),
        lambda path: phone_intervals([1, 2], [3]),
        lambda path: phone_intervals([100_000], [3]),
        lambda path: phone_intervals([1], [-3]),
    ],
)
def test_what_does_not_go_together_is_bad_input(draw: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        draw(tmp_path / "a.png")
    assert caught.value.code == "diflow.nothing_to_draw"
    assert not list(tmp_path.iterdir())


def test_a_long_title_and_many_phonemes_stay_inside(tmp_path: Path) -> None:
    """No ink touches the picture's rim: nothing is cut off."""
    phones = phone_intervals([IDS["aɪɚ"], IDS["tʃʲ"]] * 40, [2] * 80)
    title = "step 100: " + "a sentence that goes on and on " * 8
    rims = [
        pixels(draw_mels(tmp_path / "m.png", [MelPanel("generated", silence(160), phones)], title=title)),
        pixels(draw_alignment(tmp_path / "a.png", diagonal(200, 60)[0], ["aɪɚ"] * 60, title=title)),
        pixels(draw_losses(tmp_path / "l.png", {"val/loss": {0: 1.0, 5: 1e9}}, title=title)),
    ]
    for picture in rims:
        for edge in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
            assert edge.min() > 200
    shutil.rmtree(tmp_path)
