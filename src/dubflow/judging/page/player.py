"""A clip on a page: its player, and what was drawn of it below."""

from __future__ import annotations

import math

from dubflow.judging.page.exhibit import Exhibit
from dubflow.judging.page.markup import Markup, element
from dubflow.judging.page.picture import RANGE_DB, data_address
from dubflow.judging.page.plots import MOUTH_TOP, mouth_and_sound
from dubflow.judging.page.words import figure, untrusted

Shown = Exhibit | str
"""What there is of a file, or why there is nothing."""


def drawings_explained(mouths: bool) -> str:
    """What the drawings are; ``mouths``: whether mouths were measured at all."""
    low, high = map(figure, RANGE_DB)
    sound = (
        f"Spectrograms are log-mel, 0 to 8 kHz on the mel scale, {low} to {high} dB of full scale. Below them the "
        "loudness as an area, each clip's loudest moment at the top"
    )
    if not mouths:
        return f"{sound}. The opening of the mouth was not measured for this page: it was written without a landmarker."
    return (
        f"{sound}, and the opening of the mouth as a line, 0 to {MOUTH_TOP:g} of the distance of the outer eye "
        "corners, broken where no face was found. Ticks are seconds."
    )


def player(title: str, name: str, shown: Shown | None, kind: str | None = None) -> Markup:
    """A figure with a player; ``name`` is what a screen reader says, ``kind`` a class of its caption."""
    caption = element("figcaption", title, class_=kind)
    if shown is None or isinstance(shown, str):
        return element("figure", caption, element("p", untrusted(shown or "No file."), class_="absent"))
    media = element(
        shown.kind,
        "Your browser plays no media.",
        src=shown.address,
        controls=True,
        preload="metadata",
        playsinline=shown.kind == "video",
        aria_label=name,
    )
    return element(
        "figure",
        caption,
        media,
        _drawings(shown, name),
        [element("p", note, class_="note") for note in shown.notes],
        data_seconds=round(shown.seconds, 3),
    )


def _drawings(shown: Exhibit, name: str) -> Markup | None:
    image = None
    if shown.spectrogram is not None:
        alt = f"Spectrogram of the {name}, {shown.seconds:.2f} s"
        image = element("img", src=data_address(shown.spectrogram), alt=alt)
    curve = mouth_and_sound(shown.envelope, shown.mouth, shown.seconds, _curve_in_words(shown, name))
    if image is None and curve is None:
        return None
    return element("div", image, curve, element("span", class_="playhead", aria_hidden="true"), class_="drawings")


def _curve_in_words(shown: Exhibit, name: str) -> str:
    loud = f"Loudness over {shown.seconds:.2f} s of the {name}"
    if shown.mouth is None:
        return f"{loud}. The mouth was not measured."
    seen = [float(value) for value in shown.mouth if math.isfinite(value)]
    if not seen:
        return f"{loud}. No face was found."
    share = 100 * len(seen) / len(shown.mouth)
    return (
        f"{loud}, and the opening of the mouth, from {min(seen):.2f} to {max(seen):.2f} eye distances, seen in "
        f"{share:.0f} % of frames."
    )
