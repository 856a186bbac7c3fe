"""Pictures that validation logs: spectrograms one under the other, alignment maps with their paths, loss curves.

Equal arrays give equal bytes (with one version of matplotlib). Every picture names the world its material is from.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput
from dubflow.speech.durations import FRAME_RATE, TOKEN_RATE
from dubflow.speech.intervals import Interval
from dubflow.speech.inventory import SYMBOLS
from dubflow.speech.mel import MEL_BINS, hz_to_mel, mel_centres
from dubflow.tracking import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

World = Literal["embedded", "real"]
_DPI = 100
_LETTERS_AN_INCH, _LINE_INCHES = 10, 0.19
_INK, _FAINT = "#222222", "#8a8a8a"
_SEARCHED, _TRUE = "#d0281f", "#6fc3ff"
_COLOURS = ("#1f5fa8", "#c8501e", "#2b8a57", "#7a4ea3")
_DARKEST_DB, _BRIGHTEST_DB = -90.0, -15.0


@dataclass(frozen=True, eq=False)
class MelPanel:
    """One spectrogram of a picture.

    Attributes:
        name: what it is: reference, truth, generated.
        mel: ``[80, L]`` dB, as :func:`dubflow.speech.mel.log_mel` gives it.
        phones: where each phoneme lies, in seconds; none when unknown.
    """

    name: str
    mel: NDArray[np.floating[Any]]
    phones: Sequence[Interval] = ()


def phone_intervals(phones: ArrayLike, durations: ArrayLike, rate: float = TOKEN_RATE) -> tuple[Interval, ...]:
    """Phoneme ids ``[N]`` and their durations ``[N]`` in units of ``1 / rate`` seconds, as stretches of time.

    Raises:
        BadInput: ``diflow.nothing_to_draw`` when the lengths differ, an id is none or a duration negative.
    """
    ids, units = np.asarray(phones), np.asarray(durations)
    known = ids.ndim == 1 and ((ids >= 0) & (ids < len(SYMBOLS))).all()
    if not known or ids.shape != units.shape or (units < 0).any():
        raise _bad(f"{list(ids.shape)} phoneme ids do not go with {list(units.shape)} durations")
    edges = np.concatenate([[0.0], np.cumsum(units)]) / rate
    return tuple(
        Interval(start=float(start), end=float(end), label=SYMBOLS[int(phone)])
        for phone, start, end in zip(ids, edges[:-1], edges[1:], strict=True)
    )


def draw_mels(path: Path, panels: Sequence[MelPanel], *, title: str, world: World = "embedded") -> Path:
    """Write a PNG with the spectrograms one under the other, on one scale of time, frequency and colour.

    Raises:
        BadInput: ``diflow.nothing_to_draw`` without a panel, or for an array that is not ``[80, L]``.
    """
    if not panels:
        raise _bad("there is no spectrogram")
    for panel in panels:
        if panel.mel.ndim != 2 or panel.mel.shape[0] != MEL_BINS or panel.mel.shape[1] == 0:
            raise _bad(f"the spectrogram {panel.name!r} is {list(panel.mel.shape)} instead of [{MEL_BINS}, L]")
    longest = max(panel.mel.shape[1] for panel in panels) / TOKEN_RATE
    crowd = max(len(panel.phones) for panel in panels)
    width = float(np.clip(2.2 + max(3.4 * longest, 0.19 * crowd), 8.0, 24.0))
    with _figure(path, (width, 0.4 + 2.3 * len(panels)), title, world) as figure:
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(rows, panels, strict=True):
            image = _spectrogram(axes, panel)
            _phones_on_top(axes, panel.phones, longest, width)
        rows[0].set_xlim(0, longest)
        rows[-1].set_xlabel("time (s)")
        bar = figure.colorbar(image, ax=list(rows), pad=0.012, fraction=0.02, aspect=12 * len(panels))
        bar.set_label("level (dB of full scale)")
        bar.outline.set_visible(False)
    return path


def _spectrogram(axes: Axes, panel: MelPanel) -> Any:
    seconds = panel.mel.shape[1] / TOKEN_RATE
    image = axes.imshow(
        panel.mel,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="magma",
        vmin=_DARKEST_DB,
        vmax=_BRIGHTEST_DB,
        extent=(0.0, seconds, 0.0, float(MEL_BINS)),
    )
    axes.set_facecolor("#e4e4e4")  # beyond the end of a shorter one
    marks = np.array([250.0, 500.0, 1000.0, 2000.0, 4000.0, 7000.0])
    centres = hz_to_mel(mel_centres())
    step = centres[1] - centres[0]
    axes.set_yticks((hz_to_mel(marks) - centres[0]) / step + 0.5, ["250", "500", "1000", "2000", "4000", "7000"])
    axes.set_ylabel(f"{panel.name}\nfrequency (Hz)")
    return image


def _phones_on_top(axes: Axes, phones: Sequence[Interval], longest: float, width: float) -> None:
    """Boundaries over the picture, symbols above it; on two rows where they are too narrow for one."""
    for phone in phones:
        for edge in (phone.start, phone.end):
            axes.axvline(edge, color="white", linewidth=0.7, alpha=0.75)
    shown = [phone for phone in phones if not phone.silent and phone.duration > 0]
    inches_a_second = (width - 2.2) / longest
    narrow = any(phone.duration * inches_a_second < 0.13 * len(phone.label) for phone in shown)
    for index, phone in enumerate(shown):
        row = 1.03 + 0.085 * (index % 2 if narrow else 0)
        middle = (phone.start + phone.end) / 2
        axes.text(middle, row, phone.label, transform=axes.get_xaxis_transform(), ha="center", fontsize=9, color=_INK)


def draw_alignment(
    path: Path,
    weights: NDArray[np.floating[Any]],
    labels: Sequence[str],
    *,
    title: str,
    searched: ArrayLike | None = None,
    true: ArrayLike | None = None,
    rate: float = FRAME_RATE,
    world: World = "embedded",
) -> Path:
    """Write a PNG of an alignment map: time across, phonemes upwards, darkness the weight.

    Args:
        path: where to.
        weights: A_VT ``[F, N]`` (or A_ST ``[L, N]``), each row summing to 1.
        labels: N phoneme symbols; the empty one is silence.
        title: what the picture is of.
        searched: units of each phoneme ``[N]`` on the path that the search (MAS) found, drawn over.
        true: the same as the corpus knows it.
        rate: units a second: 25 for frames, 80 for tokens.
        world: where the material is from.

    Raises:
        BadInput: ``diflow.nothing_to_draw`` when the lengths do not go together.
    """
    if weights.ndim != 2 or weights.size == 0 or weights.shape[1] != len(labels):
        raise _bad(f"a map {list(weights.shape)} does not go with {len(labels)} phonemes")
    units, phonemes = weights.shape
    size = (float(np.clip(2.0 + 0.075 * units, 8.0, 22.0)), float(np.clip(1.3 + 0.19 * phonemes, 4.0, 16.0)))
    with _figure(path, size, title, world) as figure:
        axes = figure.subplots()
        image = axes.imshow(
            weights.T,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="Greys",
            vmin=0.0,
            vmax=max(float(weights.max()), 1e-6),
            extent=(0.0, units / rate, -0.5, phonemes - 0.5),
        )
        for durations, name, colour, thick in (
            (true, "true times", _TRUE, 4.0),
            (searched, "found by search (MAS)", _SEARCHED, 1.4),
        ):
            if durations is not None:
                times, places = _staircase(np.asarray(durations), units, phonemes, name)
                axes.plot(times / rate, places, color=colour, linewidth=thick, label=name)
        axes.set_yticks(range(phonemes), ["sil" if label == "" else label for label in labels], fontsize=9)
        axes.set_xlabel("time (s)")
        axes.set_ylabel("phonemes")
        if searched is not None or true is not None:
            axes.legend(loc="lower right", fontsize=9, framealpha=0.85)
        figure.colorbar(image, ax=axes, pad=0.012, fraction=0.03).set_label("attention weight")
    return path


def _staircase(
    durations: NDArray[np.int64], units: int, phonemes: int, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The outline of a path: along each phoneme's time, then up to the next."""
    if durations.shape != (phonemes,) or (durations < 0).any() or durations.sum() != units:
        raise _bad(f"{name}: durations {list(durations.shape)} do not cover {units} units of {phonemes} phonemes")
    edges = np.concatenate([[0], np.cumsum(durations)]).astype(np.float64)
    places = np.arange(phonemes, dtype=np.float64)
    said = durations > 0
    return np.stack([edges[:-1], edges[1:]], axis=1)[said].ravel(), np.repeat(places[said], 2)


def draw_losses(
    path: Path, metrics: Path | Mapping[str, Mapping[int, float]], *, title: str, world: World = "embedded"
) -> Path:
    """Write a PNG of every metric over the steps: a panel a metric, its splits (``train/…``, ``val/…``) together.

    Args:
        path: where to.
        metrics: a run's ``metrics.jsonl``, or values by step by name. Names ``system/…`` are left out.
        title: what the picture is of.
        world: where the material is from.

    Raises:
        BadInput: ``diflow.nothing_to_draw`` when there is no number; ``tracking.no_metrics``.
    """
    values = read_metrics(metrics) if isinstance(metrics, Path) else metrics
    panels: dict[str, dict[str, Mapping[int, float]]] = {}
    for name, curve in values.items():
        split, _, metric = name.rpartition("/")
        if split != "system" and curve:
            panels.setdefault(metric, {})[split] = curve
    if not panels:
        raise _bad("no metric has a value")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with _figure(path, (4.2 * columns + 0.4, 0.4 + 2.6 * rows), title, world) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_visible(False)
        for axes, (metric, curves) in zip(grid.ravel(), panels.items(), strict=False):
            for colour, (split, curve) in zip(_COLOURS * len(curves), curves.items(), strict=False):
                _curve(axes, curve, split or metric, colour)
            axes.set_title(metric, fontsize=10, color=_INK)
            axes.set_xlabel("step")
            axes.locator_params(axis="x", nbins=5)
            axes.ticklabel_format(axis="y", scilimits=(-3, 5))
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            if len(curves) > 1:
                axes.legend(fontsize=8, frameon=False)
    return path


def _curve(axes: Axes, curve: Mapping[int, float], name: str, colour: str) -> None:
    """The values faint and their running mean over them; dots where there are few."""
    steps = np.array(list(curve), dtype=np.float64)
    numbers = np.array(list(curve.values()), dtype=np.float64)
    finite = np.isfinite(numbers)
    steps, numbers = steps[finite], numbers[finite]
    if steps.size < 30:
        axes.plot(steps, numbers, color=colour, linewidth=1.4, marker="o", markersize=3.5, label=name)
        return
    axes.plot(steps, numbers, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(steps, _running_mean(numbers, max(3, steps.size // 40)), color=colour, linewidth=1.6, label=name)


def _running_mean(numbers: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Mean of the values up to ``half`` away on either side, fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(numbers)])
    places = np.arange(numbers.size)
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, numbers.size)
    mean: NDArray[np.float64] = (total[high] - total[low]) / (high - low)
    return mean


@contextmanager
def _figure(path: Path, size: tuple[float, float], title: str, world: World) -> Iterator[Figure]:
    """A figure of ``size`` inches below its title, written to ``path`` at the end."""
    from matplotlib import rc_context, rcdefaults, rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    where = "embedded world: drawn and voiced by programs" if world == "embedded" else "real recordings"
    heading = [*textwrap.wrap(title, int(size[0] * _LETTERS_AN_INCH)), where]
    width, height = size[0], size[1] + _LINE_INCHES * len(heading)
    with rc_context():
        rcdefaults()  # the user's own settings must not change what is drawn
        rcParams.update({"font.size": 10, "axes.edgecolor": _FAINT, "text.parse_math": False})
        # No pyplot, so no window and no figure that stays behind.
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
        figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout, facecolor="white")
        FigureCanvasAgg(figure)
        figure.suptitle("\n".join(heading), fontsize=11, color=_INK)
        yield figure
        with atomic_file(path) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def _bad(problem: str) -> BadInput:
    return BadInput("diflow.nothing_to_draw", f"Nothing to draw: {problem}.", "Give arrays of one clip.")
