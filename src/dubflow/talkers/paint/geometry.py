"""Head surfaces as stacks of half ellipses, and where each point of such a surface is seen.

Coordinates, all in head units (1 is about half a head's height): ``x`` to the right, ``y`` or ``v`` downwards, ``z``
towards the viewer. A surface is unrolled onto a flat canvas ``(u, v)``; in front ``u`` equals ``x``, so features are
painted as they are seen, and the sides of the head follow beyond.

A projection is the two-pass mesh warp of Catmull and Smith (1980): rows first (yaw), then columns (pitch), each pass
inverting a function of one variable. Folds (a nose in front of a cheek) are resolved by walking from the point nearest
to the viewer outwards and keeping the envelope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LINEAR_FROM: Final = np.pi / 3
PIVOT_Y: Final = 0.6  # the joint of head and neck, about which a head turns
PIVOT_Z: Final = -0.1


def smoothstep(values: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Array:
    """0 below ``low``, 1 above ``high``, a smooth cubic between."""
    start = np.asarray(low)
    share = np.clip((np.asarray(values, dtype=np.float64) - start) / (np.asarray(high) - start), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def unroll(angle: npt.ArrayLike) -> Array:
    """Canvas ``u`` over half width, of an angle around the head: its sine in front, straight on beyond 60 degrees."""
    angle = np.asarray(angle, dtype=np.float64)
    beyond = np.clip(np.abs(angle) - _LINEAR_FROM, 0.0, None)
    front = np.sin(np.clip(angle, -_LINEAR_FROM, _LINEAR_FROM))
    return np.asarray(front + np.sign(angle) * np.cos(_LINEAR_FROM) * beyond)


def roll_up(ratio: npt.ArrayLike) -> Array:
    """Inverse of :func:`unroll`."""
    ratio = np.asarray(ratio, dtype=np.float64)
    edge = np.sin(_LINEAR_FROM)
    beyond = np.clip(np.abs(ratio) - edge, 0.0, None) / np.cos(_LINEAR_FROM)
    return np.asarray(np.arcsin(np.clip(ratio, -edge, edge)) + np.sign(ratio) * beyond)


@dataclass(frozen=True)
class Canvas:
    """A flat picture of a surface: ``density`` pixels a unit, its first pixel's centre at ``(u0, v0)``."""

    density: float
    u0: float
    v0: float
    width: int
    height: int

    @classmethod
    def spanning(cls, density: float, u0: float, v0: float, u1: float, v1: float) -> Canvas:
        """A canvas from ``(u0, v0)`` to ``(u1, v1)``."""
        return cls(density, u0, v0, round((u1 - u0) * density) + 1, round((v1 - v0) * density) + 1)

    def grids(self, window: tuple[slice, slice] | None = None) -> tuple[Floats, Floats]:
        """``u`` as a row ``[1, W]`` and ``v`` as a column ``[H, 1]``, of the whole canvas or of a window."""
        rows, columns = window or (slice(0, self.height), slice(0, self.width))
        u = self.u0 + np.arange(columns.start, columns.stop, dtype=np.float32) / self.density
        v = self.v0 + np.arange(rows.start, rows.stop, dtype=np.float32) / self.density
        return u[None, :].astype(np.float32), v[:, None].astype(np.float32)

    def window(self, u0: float, v0: float, u1: float, v1: float) -> tuple[slice, slice]:
        """Rows and columns of the rectangle, cut off at the canvas's edges."""
        rows = slice(max(0, round((v0 - self.v0) * self.density)), round((v1 - self.v0) * self.density))
        columns = slice(max(0, round((u0 - self.u0) * self.density)), round((u1 - self.u0) * self.density))
        return slice(rows.start, min(rows.stop, self.height)), slice(columns.start, min(columns.stop, self.width))


@dataclass(frozen=True)
class Lattice:
    """The regular grid of the seen plane on which a projection is computed before it is enlarged."""

    step: float
    x0: float
    y0: float
    columns: int
    rows: int

    @property
    def x(self) -> Array:
        return self.x0 + self.step * np.arange(self.columns)

    @property
    def y(self) -> Array:
        return self.y0 + self.step * np.arange(self.rows)


@dataclass(frozen=True)
class Projection:
    """How a surface is seen.

    Attributes:
        uv: float32 ``[rows, columns, 2]``, the canvas point seen at each lattice point (the nearest one outside).
        outline: float64 ``[N, 2]``, the silhouette in head units.
    """

    uv: Floats
    outline: Array


@dataclass(frozen=True)
class Loft:
    """A surface made of half ellipses.

    Attributes:
        v: ``[R]`` heights of the rows; ``angles``: ``[C]`` around the head, 0 in front, rising to the right.
        x, z, u: ``[R, C]`` place in space and on the canvas.
    """

    v: Array
    angles: Array
    x: Array
    z: Array
    u: Array

    @classmethod
    def build(cls, v: Array, half_width: Array, centre_z: Array, half_depth: Array, columns: int = 73) -> Loft:
        """Rows ``v`` with the given half widths ``[R]``, centres and half depths; more columns in front than behind."""
        share = np.linspace(-1.0, 1.0, columns)
        angles = np.deg2rad(140.0) * (0.45 * share + 0.55 * share**3)
        x = half_width[:, None] * np.sin(angles)
        z = centre_z[:, None] + half_depth[:, None] * np.cos(angles)
        return cls(v, angles, x, z, half_width[:, None] * unroll(angles))

    def raised(self, relief: Array) -> Loft:
        """The same surface with ``relief`` ``[R, C]`` added towards the front."""
        return Loft(self.v, self.angles, self.x, self.z + relief, self.u)

    def project(self, lattice: Lattice, yaw: float, pitch: float, seen_v: Array | None = None) -> Projection:
        """How the surface is seen, turned by ``yaw`` and ``pitch`` (radians); ``seen_v`` ``[R]`` moves the rows."""
        heights = self.v if seen_v is None else seen_v
        sin_yaw, cos_yaw = np.sin(yaw), np.cos(yaw)
        depth = self.z - PIVOT_Z
        seen_x = self.x * cos_yaw + depth * sin_yaw
        seen_z = depth * cos_yaw - self.x * sin_yaw
        facing = int(np.searchsorted(self.angles, -yaw))
        envelope, index = _envelope(seen_x, facing)
        u = np.take_along_axis(self.u, index, axis=1)
        z = np.take_along_axis(seen_z, index, axis=1)
        left, right = envelope[:, :1], envelope[:, -1:]
        lower, share = _places(envelope, np.clip(lattice.x[None, :], left, right))
        u_rows, z_rows = _between(u, lower, share), _between(z, lower, share)

        sin_pitch, cos_pitch = np.sin(pitch), np.cos(pitch)
        tilted = PIVOT_Y + (heights[:, None] - PIVOT_Y) * cos_pitch
        seen_y = (tilted - z_rows * sin_pitch).T
        middle = int(np.searchsorted(self.v, 0.2))
        envelope_y, index_y = _envelope(seen_y, middle)
        u_columns = np.take_along_axis(u_rows.T, index_y, axis=1)
        v_columns = heights[index_y]
        lower, share = _places(envelope_y, np.clip(lattice.y[None, :], envelope_y[:, :1], envelope_y[:, -1:]))
        uv = np.stack([_between(u_columns, lower, share).T, _between(v_columns, lower, share).T], axis=-1)

        outline_y = tilted - np.stack([z[:, 0], z[:, -1]], axis=1) * sin_pitch
        outline = np.concatenate(
            [
                np.stack([right[:, 0], outline_y[:, 1]], axis=1),
                np.stack([left[::-1, 0], outline_y[::-1, 0]], axis=1),
            ]
        )
        return Projection(np.ascontiguousarray(uv, dtype=np.float32), outline)


def seen_point(point: tuple[float, float, float], yaw: float, pitch: float) -> tuple[float, float]:
    """Where the point ``(x, y, z)`` of a head is seen when the head is turned."""
    x, y, z = point
    depth = z - PIVOT_Z
    seen_z = depth * np.cos(yaw) - x * np.sin(yaw)
    seen_x = x * np.cos(yaw) + depth * np.sin(yaw)
    return float(seen_x), float(PIVOT_Y + (y - PIVOT_Y) * np.cos(pitch) - seen_z * np.sin(pitch))


def _envelope(values: Array, start: int) -> tuple[Array, npt.NDArray[np.intp]]:
    """Per row, the rising envelope of ``values`` seen from column ``start`` outwards, and the column seen there."""
    columns = np.arange(values.shape[1])
    right = np.maximum.accumulate(values[:, start:], axis=1)
    left = np.minimum.accumulate(values[:, start::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([left[:, :-1], right], axis=1)
    is_seen = values == envelope
    # A hidden column shows what the last seen one nearer to the start shows.
    index_right = np.maximum.accumulate(np.where(is_seen[:, start:], columns[start:], start), axis=1)
    index_left = np.minimum.accumulate(np.where(is_seen, columns, start)[:, start::-1], axis=1)[:, ::-1]
    return envelope, np.concatenate([index_left[:, :-1], index_right], axis=1)


def _places(knots: Array, queries: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """For each query, the flat index of the knot below it in its row, and the way to the next knot (0 to 1)."""
    rows, columns = knots.shape
    # Rows are laid end to end, far enough apart not to mix, so that one search serves all.
    offset = 100.0 * np.arange(rows)[:, None]
    flat = (knots + offset).ravel()
    place = np.searchsorted(flat, (queries + offset).ravel(), side="right") - 1
    first = np.repeat(np.arange(rows) * columns, queries.shape[1])
    lower = np.clip(place, first, first + columns - 2)
    span = flat[lower + 1] - flat[lower]
    share = ((queries + offset).ravel() - flat[lower]) / np.maximum(span, 1e-9)
    return lower.reshape(queries.shape), np.clip(share, 0.0, 1.0).reshape(queries.shape)


def _between(values: Array, lower: npt.NDArray[np.intp], share: Array) -> Array:
    """``values`` (the knots' rows, laid end to end) interpolated at the places found by :func:`_places`."""
    flat = values.ravel()
    start = flat[lower]
    return np.asarray(start + share * (flat[lower + 1] - start))
