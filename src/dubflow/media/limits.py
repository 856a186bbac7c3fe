"""How much of a file we are willing to take: limits that every reader of this room applies.

They bound the work a hostile or mistaken file can cause. Two are kept by the decoding child's kernel limits (memory,
processor time), the others are checked before and while decoding; each has its own error code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dubflow.errors import WrongUse

MEBI = 2**20
GIBI = 2**30
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        bytes: largest file, in bytes (``media.too_many_bytes``).
        seconds: longest media time, in seconds (``media.too_long``).
        pixels: largest picture, width times height (``media.too_large_pixels``).
        wall_s: seconds we wait for the decoding child in all; the caller's own time between chunks does not count
            (``media.too_slow``).
        memory: address space of the decoding child, in bytes (``media.memory``).
        decoded: most bytes of frames and samples held at once by a reader that returns arrays
            (``media.too_large_to_hold``); the streaming readers never hold more than a few chunks.
        streams: most streams of a container (``media.too_many_streams``).
    """

    bytes: int = 8 * GIBI
    seconds: float = 7200.0
    pixels: int = 7680 * 4320
    wall_s: float = 600.0
    memory: int = 4 * GIBI
    decoded: int = 8 * GIBI
    streams: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # Timers and kernel limits know no infinity; a length of media does.
            if not value > 0 or (field.name != "seconds" and value > _MOST):
                raise WrongUse(
                    "media.bad_limit",
                    f"The limit {field.name} is {value!r}.",
                    "Limits are positive numbers of less than 2^63; only seconds may be infinite.",
                )


def default_limits() -> Limits:
    """What readers apply when they are given no limits: the environment's (``DUBFLOW_DECODE_*``), else as above."""
    from dubflow.config import Settings

    settings = Settings()
    return Limits(bytes=settings.decode_bytes, seconds=settings.decode_seconds, wall_s=settings.decode_wall_s)
