"""A drawn head in any pose over any background.

What does not move by itself is painted once, on canvases unrolled around the head (``talkers.paint``). A frame repaints
only the lower face and the eyes on the skin's canvas, computes where each canvas point is seen on a coarse lattice,
enlarges that map, and lays the layers over each other: hair behind, body, far ear, head, near ear, hair, glasses, and
what is held before the mouth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from dubflow.errors import WrongUse
from dubflow.talkers.look import Figure, Look
from dubflow.talkers.paint.anatomy import TOP, Anatomy
from dubflow.talkers.paint.beasts import paint_cat, paint_fox
from dubflow.talkers.paint.clay import paint_clay
from dubflow.talkers.paint.creature import Creature, paint_whiskers
from dubflow.talkers.paint.extras import GlassesPainter, paint_held, paint_mask
from dubflow.talkers.paint.eyes import EyePainter
from dubflow.talkers.paint.geometry import PIVOT_Y, Canvas, Lattice, Projection, seen_point
from dubflow.talkers.paint.hair import paint_hair
from dubflow.talkers.paint.mouth import MouthPainter, MouthShape, jaw_heights
from dubflow.talkers.paint.robot import paint_robot
from dubflow.talkers.paint.skin import paint_skin
from dubflow.talkers.paint.sprites import lay, lay_sprite, paint_body, paint_bun, paint_ear
from dubflow.talkers.pose import Light, Pose

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
Occluder = Literal["none", "mask", "microphone", "cup", "hand"]
OCCLUDERS: Final[tuple[Occluder, ...]] = get_args(Occluder)
_CREATURES: Final[dict[Figure, Callable[[Look, Light, float], Creature]]] = {
    "cat": paint_cat,
    "fox": paint_fox,
    "robot": paint_robot,
    "clay": paint_clay,
}

_UNIT: Final = 0.325  # head unit as a part of the picture's height
_CENTRE_Y: Final = 0.475
_DETAIL: Final = 1.5  # canvas pixels a picture pixel
_BODY_FOLLOWS: Final = 0.55  # how much of the head's shift the shoulders share


class HeadPainter:
    """Draws one person at one size in one light.

    Frames depend on the look, size, light, occluder, figure, pose and background alone, never on frames painted before.

    Args:
        look: who.
        size: height and width of the picture in pixels, or one number for a square; at least 48.
        light: the scene's light.
        occluder: what hides the mouth, if anything.
        figure: as what the person is drawn; not every look's trait shows in a creature.

    Raises:
        WrongUse: ``talkers.bad_size``, ``talkers.bad_occluder``.
    """

    def __init__(
        self,
        look: Look,
        size: tuple[int, int] | int,
        light: Light | None = None,
        occluder: Occluder = "none",
        figure: Figure = "human",
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 48:
            raise WrongUse(
                "talkers.bad_size", f"A picture of {self.size} pixels is too small for a head.", "Use 48 or more."
            )
        if occluder not in OCCLUDERS:
            raise WrongUse(
                "talkers.bad_occluder", f"There is no occluder {occluder!r}.", f"Known: {', '.join(OCCLUDERS)}."
            )
        self.look = look
        self.light = light or Light()
        self.occluder = occluder
        self._unit = _UNIT * min(self.size[0], self.size[1])
        density = _DETAIL * self._unit
        creature = None if figure == "human" else _CREATURES[figure](look, self.light, density)
        face = self._face = Anatomy.of(look) if creature is None else creature.face
        self._hair = paint_hair(face, self.light, density) if creature is None else None
        skin = paint_skin(face, self.light, density, self._hair) if creature is None else creature.skin
        self._skin_canvas = skin.canvas
        self._skin = skin.bare.copy()
        self._mouth = MouthPainter(face, skin, self.light) if creature is None else creature.mouth
        self._eyes = EyePainter(face, skin, self.light) if creature is None else creature.eyes
        self._loft = face.loft()
        self._lattice = Lattice(0.035, -1.05, -1.45, 61, 90)
        self._body = paint_body(face, self.light, density / _DETAIL)
        ears = (
            {side: paint_ear(face, self.light, density, side) for side in (-1, 1)}
            if creature is None
            else creature.ears
        )
        self._ears = ears
        self._behind = () if creature is None else creature.behind
        self._bun = paint_bun(face, self.light, density) if face.look.hair_style == "bun" else None
        self._glasses = GlassesPainter(face, self.light) if face.look.glasses != "none" else None
        self._whiskers = None if creature is None else creature
        self._mask = paint_mask(face, self.light, skin.canvas) if occluder == "mask" else None
        self._held = paint_held(occluder, face, self.light, density) if occluder not in ("none", "mask") else None
        if self._hair is not None:
            wide = float(np.abs(self._hair.loft.x).max()) + 0.25
            top, bottom = TOP - self._hair.cut.top - 0.30, self._hair.cut.length + 0.35
            self._hair_lattice = Lattice(0.045, -wide, top, int(2 * wide / 0.045) + 2, int((bottom - top) / 0.045) + 2)
            self._hair_cover = (255.0 * self._hair.cover).astype(np.uint8)
            self._hair_behind = (0.55 * self._hair.colour).astype(np.uint8)

    def paint(self, pose: Pose, background: Image) -> Image:
        """The head in ``pose`` over ``background`` (uint8 ``[H, W, 3]``): a new uint8 ``[H, W, 3]``.

        Raises:
            WrongUse: ``talkers.bad_background``, of another size or type.
        """
        if background.shape != (*self.size, 3) or background.dtype != np.uint8:
            raise WrongUse(
                "talkers.bad_background",
                f"The background is {background.dtype} {background.shape}; this painter needs uint8 {(*self.size, 3)}.",
            )
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            return self._paint(pose, np.array(background, order="C"))
        finally:
            cv2.setNumThreads(threads)

    def _paint(self, pose: Pose, frame: Image) -> Image:
        shape = MouthShape.of(self._face, pose)
        self._mouth.paint(self._skin, shape, pose)
        self._eyes.paint(self._skin, pose)
        if self._mask is not None:
            self._mask.lay(self._skin)
        head = self._head_matrix(pose)
        heights = jaw_heights(self._loft.v, shape)
        seen = self._loft.project(self._lattice, pose.yaw, pose.pitch, heights)
        hair = self._hair.loft.project(self._hair_lattice, pose.yaw, pose.pitch) if self._hair is not None else None

        if self._bun is not None:
            place = seen_point((0.0, TOP - 0.10, -0.45), pose.yaw, pose.pitch)
            lay_sprite(frame, self._bun, _placed(head, place))
        if hair is not None and self._hair is not None and self._hair.cut.is_long:
            self._shell(frame, hair, self._hair_lattice, self._hair.canvas, self._hair_behind, None, head)
        lay_sprite(frame, self._body, self._body_matrix(pose))
        for part in self._behind:
            lay_sprite(frame, part.sprite, _placed(head, seen_point(part.place, pose.yaw, pose.pitch)))
        far, near = (1, -1) if pose.yaw >= 0 else (-1, 1)
        self._ear(frame, far, pose, head)
        self._shell(frame, seen, self._lattice, self._skin_canvas, self._skin, None, head)
        ears_out = self._hair is None or self._hair.cut.shows_ears
        if not ears_out:
            self._ear(frame, near, pose, head)
        if self._glasses is not None:
            self._glasses.paint(frame, pose, head, self._unit * pose.scale, before_hair=True)
        if hair is not None and self._hair is not None:
            self._shell(frame, hair, self._hair_lattice, self._hair.canvas, self._hair.colour, self._hair_cover, head)
        if ears_out:
            self._ear(frame, near, pose, head)
        if self._glasses is not None:
            self._glasses.paint(frame, pose, head, self._unit * pose.scale, before_hair=False)
        if self._whiskers is not None:
            paint_whiskers(frame, self._whiskers, pose, head)
        if self._held is not None:
            place = seen_point((0.0, self._face.mouth_y, 0.85), pose.yaw, pose.pitch)
            lay_sprite(frame, self._held, _placed(head, place))
        return frame

    def _head_matrix(self, pose: Pose) -> Affine:
        """From head units to pixel coordinates ``[2, 3]``: roll about the neck, scale, shift."""
        height, width = self.size
        unit = self._unit * pose.scale
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        turn = unit * np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, self._face.length])
        neck = np.array([0.0, PIVOT_Y])
        centre = np.array([width * (0.5 + pose.dx), height * (_CENTRE_Y + pose.dy)])
        shift = centre + unit * self._face.length * neck - turn @ neck
        return np.concatenate([turn, shift[:, None]], axis=1)

    def _body_matrix(self, pose: Pose) -> Affine:
        """From head units to pixel coordinates for the shoulders, which follow the head a little."""
        height, width = self.size
        unit = self._unit * pose.scale
        lean = 0.25 * pose.roll
        centre_x = width * (0.5 + _BODY_FOLLOWS * pose.dx)
        centre_y = height * (_CENTRE_Y + _BODY_FOLLOWS * pose.dy)
        stretch = unit * self._face.length
        return np.array([[unit, -lean * unit, centre_x + lean * unit * 1.2], [0.0, stretch, centre_y]])

    def _shell(
        self,
        frame: Image,
        seen: Projection,
        lattice: Lattice,
        canvas: Canvas,
        colour: Image,
        cover: Image | None,
        head: Affine,
    ) -> None:
        """Lay a projected canvas over ``frame`` within its silhouette, thinned by ``cover`` where given."""
        outline = seen.outline @ head[:, :2].T + head[:, 2]
        height, width = self.size
        x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 2, 0)
        x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 3, (width, height))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        size = (int(x1 - x0), int(y1 - y0))
        silhouette = np.zeros(size[::-1], dtype=np.uint8)
        points = np.round((outline - (x0, y0)) * 16.0).astype(np.int32)
        cv2.fillPoly(silhouette, [points], 255, cv2.LINE_AA, 4)

        # Lattice indices to canvas pixels, once on the small map; then picture pixels to lattice indices.
        places = (seen.uv - np.array([canvas.u0, canvas.v0], dtype=np.float32)) * np.float32(canvas.density)
        # Not np.linalg.inv: BLAS starts threads even for three by three numbers; on busy cores that takes milliseconds.
        to_head = np.vstack([cv2.invertAffineTransform(head), [0.0, 0.0, 1.0]])
        to_lattice = np.array(
            [
                [1 / lattice.step, 0, -lattice.x0 / lattice.step],
                [0, 1 / lattice.step, -lattice.y0 / lattice.step],
                [0, 0, 1],
            ]
        )
        offset = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0], [0.0, 0.0, 1.0]])
        matrix = (to_lattice @ to_head @ offset)[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        maps = cv2.warpAffine(places, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        seen_colour = cv2.remap(colour, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if cover is not None:
            thin = cv2.remap(cover, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            silhouette = cv2.multiply(cv2.blur(silhouette, (3, 3)), thin, scale=1 / 255)
        lay(frame[y0:y1, x0:x1], seen_colour, silhouette)

    def _ear(self, frame: Image, side: int, pose: Pose, head: Affine) -> None:
        """One ear, wider the more its side of the head faces us."""
        flare = 0.62 - side * pose.yaw
        if flare <= 0.02 or side not in self._ears:
            return
        place = seen_point((side * (self._face.width - 0.015), 0.07, -0.02), pose.yaw, pose.pitch)
        matrix = _placed(head, place)
        matrix[:, 0] *= side * np.sin(min(flare, 1.5))
        lay_sprite(frame, self._ears[side], matrix)


def _placed(head: Affine, place: tuple[float, float]) -> Affine:
    """``head`` with its origin moved to ``place`` in head units."""
    moved = head.copy()
    moved[:, 2] += head[:, :2] @ np.array(place)
    return moved
