"""What every face of a clip does, frame by frame: mouth, motion and where people stand.

Recomputed from a plan at any time, so the intended pose of every stored clip stays known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dubflow.corpora.manifest import ClipRow
from dubflow.errors import BadInput
from dubflow.speech.espeak import Synthesizer, default_synthesizer
from dubflow.speech.prosody import energy, pitch
from dubflow.talkers.motion import FaceMotion, Prosody, Temperament, face_motion, speaking_frames
from dubflow.talkers.pose import Pose
from dubflow.talkers.scenes import FRAME_RATE, ClipPlan
from dubflow.talkers.soundtrack import Soundtrack, soundtrack
from dubflow.talkers.visemes import MouthCurves, frame_centres, mouth_curves

_OPENING: Final = 0.36  # pose units of a stressed ``a`` at middling loudness
_OPENING_BEND: Final = 0.85  # below 1: consonants part the lips enough to be seen in a small picture
_WIDTH: Final = 0.16


@dataclass(frozen=True)
class Stage:
    """How a person stands in the scene, beside the person's own motion."""

    dy: float = 0.0
    scale: float = 1.0
    yaw: float = 0.0
    gaze_x: float = 0.0


@dataclass(frozen=True)
class Performance:
    """One person's poses, one a frame, each in a square as high as the picture (``picture.seats`` places it)."""

    person: int
    poses: tuple[Pose, ...]

    @property
    def opening(self) -> npt.NDArray[np.float64]:
        """Intended mouth opening, ``[F]`` (inner-lip gap over the distance of the outer eye corners)."""
        return np.array([pose.opening for pose in self.poses])


def perform(plan: ClipPlan, sound: Soundtrack) -> list[Performance]:
    """The poses of every person of the plan, left to right; nobody's in a ``no_face`` clip."""
    if plan.kind == "no_face":
        return []
    return [_performance(plan, sound, person) for person in range(len(plan.people))]


def intended_pose(source: ClipRow | ClipPlan, synthesizer: Synthesizer | None = None) -> list[Performance]:
    """What the faces of a clip were meant to do, recomputed from its plan or from its row in a talkers manifest.

    Raises:
        BadInput: ``talkers.no_plan`` for a row that talkers did not make.
    """
    plan = source if isinstance(source, ClipPlan) else plan_of(source)
    return perform(plan, soundtrack(plan, synthesizer or default_synthesizer()))


def plan_of(row: ClipRow) -> ClipPlan:
    """The plan that a manifest's row was made from.

    Raises:
        BadInput: ``talkers.no_plan``.
    """
    if "plan" not in row.source:
        raise BadInput(
            "talkers.no_plan",
            f"The clip {row.id} was not made by talkers.",
            "Only rendered clips have an intended pose.",
        )
    return ClipPlan.model_validate(row.source["plan"])


def _performance(plan: ClipPlan, sound: Soundtrack, person: int) -> Performance:
    times = frame_centres(sound.frames, FRAME_RATE)
    temperament = Temperament.from_seed(plan.people[person].temperament)
    phones = sound.phones_of(person)
    prosody = _prosody(sound, person, times)
    motion = face_motion(prosody, temperament, plan.seed + person, FRAME_RATE)
    mouth = mouth_curves(phones, times)
    return Performance(person, _poses(mouth, motion, temperament, _stage(plan, person)))


def _prosody(sound: Soundtrack, person: int, times: npt.NDArray[np.float64]) -> Prosody:
    if all(spoken.turn.person != person for spoken in sound.turns):
        return Prosody.silent(len(times))
    voice = sound.voice_of(person)
    speaking = speaking_frames(sound.phones_of(person), times)
    return Prosody.from_voice(
        pitch(voice, sound.sample_rate, times).hz, energy(voice, sound.sample_rate, times), speaking
    )


def _stage(plan: ClipPlan, person: int) -> Stage:
    if plan.kind == "two_speakers":
        towards = 1.0 if person == 0 else -1.0
        return Stage(dy=0.03, scale=0.84, yaw=0.16 * towards, gaze_x=0.35 * towards)
    return Stage(yaw=plan.yaw)


def _poses(mouth: MouthCurves, motion: FaceMotion, temperament: Temperament, stage: Stage) -> tuple[Pose, ...]:
    opening = _OPENING * temperament.liveliness * motion.jaw_gain * mouth.openness**_OPENING_BEND
    smiling = temperament.smile * (1.0 - mouth.rounding)
    columns = {
        "opening": opening,
        "width": _WIDTH * mouth.width * (1.0 - 0.6 * mouth.rounding) + smiling,
        "rounding": mouth.rounding,
        "press": mouth.press,
        "teeth": mouth.teeth,
        "tongue": mouth.tongue,
        "blink": motion.blink,
        "brow_raise": motion.brow_raise,
        "brow_frown": motion.brow_frown,
        "gaze_x": motion.gaze_x + stage.gaze_x,
        "gaze_y": motion.gaze_y,
        "dx": motion.dx,
        "dy": motion.dy + stage.dy,
        "roll": motion.roll,
        "yaw": motion.yaw * (1.0 if stage.yaw == 0 else 0.4) + stage.yaw,
        "pitch": motion.pitch,
        "scale": motion.scale * stage.scale,
    }
    return tuple(
        Pose.within_limits(**{name: float(column[frame]) for name, column in columns.items()})
        for frame in range(len(opening))
    )
