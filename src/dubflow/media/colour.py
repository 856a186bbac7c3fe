"""Which YCbCr matrix a picture uses when its file does not say.

Standard-definition video is BT.601, high-definition BT.709; players assume so for untagged files (ITU-R BT.601 and
BT.709). We tag what we write by the same rule, so that a reader which ignores tags still shows the right colours.
"""

from __future__ import annotations

from dataclasses import dataclass

HIGH_DEFINITION_HEIGHT = 720


@dataclass(frozen=True)
class ColourMatrix:
    """One matrix under the names that each library gives it.

    Attributes:
        swscale: name in PyAV's ``Colorspace``. encoder_options: tags for the stream.
    """

    swscale: str
    encoder_options: dict[str, str]


def _tags(name: str) -> dict[str, str]:
    return {"colorspace": name, "color_primaries": name, "color_trc": name, "color_range": "tv"}


BT601 = ColourMatrix("ITU601", _tags("smpte170m"))
BT709 = ColourMatrix("ITU709", _tags("bt709"))


def colour_matrix(height: int) -> ColourMatrix:
    """The matrix for a picture of ``height`` lines."""
    return BT709 if height >= HIGH_DEFINITION_HEIGHT else BT601
