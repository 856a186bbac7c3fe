"""What quality control asks of whom, on landmarks that are known and judges that can be followed by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dubflow.faces.indices import LOWER_LIP_INNER, MOUTH_CORNERS, OUTER_EYE_CORNERS, UPPER_LIP_INNER
from dubflow.faces.tracks import FaceTrack, FaceTracks
from dubflow.incontext.pairs.engine_parts import ContextHalf, GeneratedHalf, MadePair
from dubflow.incontext.pairs.quality.control import PairQuality
from dubflow.incontext.pairs.quality.judges import SAMPLE_RATE, SeenFace
from dubflow.incontext.pairs.quality.lips import lip_figures
from dubflow.incontext.pairs.quality.settings import QualitySettings

FRAMES = 9
RATE = 24_000
NO_LIMITS = QualitySettings.model_validate({"limits": {}})


def _landmarks(gaps: np.ndarray) -> np.ndarray:
    """A head that holds still, whose lips are ``gaps`` pixels apart."""
    points = np.random.default_rng(0).uniform(50, 150, (478, 3)).astype(np.float32)
    points[list(OUTER_EYE_CORNERS), :2] = [[70, 80], [130, 80]]
    points[list(MOUTH_CORNERS), :2] = [[85, 130], [115, 130]]
    moved = np.repeat(points[None], len(gaps), axis=0)
    for lip, side in ((UPPER_LIP_INNER, -0.5), (LOWER_LIP_INNER, 0.5)):
        moved[:, list(lip), 1] = 130 + side * gaps[:, None]
    return moved


def _track(gaps: np.ndarray, lost: tuple[int, ...] = ()) -> FaceTrack:
    landmarks, found = _landmarks(gaps), np.ones(len(gaps), bool)
    landmarks[list(lost)], found[list(lost)] = np.nan, False
    return FaceTrack(landmarks, found, tuple(None if one else "no_face" for one in found))


@dataclass
class _KnownFaces:
    """A landmarker that reads the gap of the lips, or that there is no face (255), from the first pixel."""

    id: str = "known"

    def landmarks(self, frames: Iterable[np.ndarray]) -> FaceTracks:
        gaps = np.array([frame[0, 0, 0] for frame in frames], float)
        lost = tuple(np.flatnonzero(gaps == 255).tolist())
        tracks = () if len(lost) == len(gaps) else (_track(gaps, lost),)
        return FaceTracks(tracks, len(gaps), (4, 4))


@dataclass
class _Hears:
    """A judge of speech that knows what each loudness says, and remembers what it was asked."""

    says: dict[float, tuple[str, str]]
    id: str = "hears"
    asked: list[tuple[int, str, str]] = field(default_factory=list)

    def error(self, waveform: np.ndarray, text: str, language: str) -> float | None:
        self.asked.append((len(waveform), text, language))
        said = self.says[round(float(np.abs(waveform).max()), 1)]
        return None if said[1] == "?" else float(said != (text, language))


@dataclass
class _Level:
    """Voices are alike as their levels are."""

    id: str = "level"

    def similarity(self, waveform: np.ndarray, other: np.ndarray) -> float | None:
        return 1.0 - abs(float(np.abs(waveform).max()) - float(np.abs(other).max()))


@dataclass
class _Green:
    """Faces are alike as their green is."""

    id: str = "green"

    def similarity(self, face: SeenFace, reference: SeenFace) -> float | None:
        return 1.0 - abs(float(face.frames[..., 1].mean()) - float(reference.frames[..., 1].mean())) / 255


@dataclass
class _Shows:
    """Says what it was shown."""

    id: str = "shows"
    asked: list[tuple[tuple[int, ...], str]] = field(default_factory=list)

    def agreement(self, frames: np.ndarray, shown: str) -> float | None:
        self.asked.append((frames.shape, shown))
        return 0.75


def _content(gaps: np.ndarray, level: float, green: int) -> dict[str, Any]:
    frames = np.zeros((len(gaps), 4, 4, 3), np.uint8)
    frames[:, 0, 0, 0], frames[..., 1] = gaps, green
    waveform = np.full(len(gaps) * RATE // 25, level, np.float32)
    return {"frames": frames, "waveform": waveform, "sample_rate": RATE}


TARGET_GAPS = np.array([0, 4, 8, 4, 0, 4, 8, 4, 0], np.uint8)
CONTEXT_GAPS = np.array([8, 4, 0, 4, 8, 4, 0, 4, 8], np.uint8)


def _pair(context_gaps: np.ndarray = CONTEXT_GAPS, context_level: float = 0.4, shown: str = "") -> MadePair:
    return MadePair(
        target=GeneratedHalf(**_content(TARGET_GAPS, 0.2, 100)),
        context=ContextHalf(**_content(context_gaps, context_level, 151), role="merged"),
        other=GeneratedHalf(**_content(TARGET_GAPS, 0.6, 100)),
        target_said="bin blue",
        target_language="en",
        context_said="pose bleu",
        context_language="fr",
        shown=shown,
    )


def test_the_lips_are_equations_four_to_seven() -> None:
    target, context = _track(TARGET_GAPS.astype(float)), _track(CONTEXT_GAPS.astype(float))
    found = lip_figures(context, target)
    assert found["mar_diversity"] == pytest.approx((CONTEXT_GAPS / 30).std(), abs=1e-5)
    assert found["mar_diversity_target"] == pytest.approx((TARGET_GAPS / 30).std(), abs=1e-5)
    # Six of the twenty points move by half the difference of the gaps; in diagonals of the face's box.
    box = np.ptp(target.landmarks[0, :, :2], axis=0)
    apart = np.abs(TARGET_GAPS.astype(float) - CONTEXT_GAPS).mean() / 2
    assert found["lmd"] == pytest.approx(6 * apart / 20 / np.hypot(*box), rel=0.02)
    assert found["qd"] == found["lmd"] * found["mar_diversity"]
    assert lip_figures(target, target)["qd"] == pytest.approx(0, abs=1e-6)


def test_every_judge_is_asked_what_it_is_for() -> None:
    hears = _Hears({0.2: ("bin blue", "en"), 0.4: ("pose bleu", "fr")})
    shows = _Shows()
    control = PairQuality(
        NO_LIMITS, speech=hears, voices=_Level(), faces=_Green(), scenes=shows, landmarker=_KnownFaces()
    )
    measured = control.measure(_pair(shown="a hall"))
    assert measured.reasons == ()
    found = dict(measured.figures)
    assert (found["words_target"], found["words_context"], found["words_margin"]) == (0.0, 0.0, 1.0)
    assert found["voice_pair"] == pytest.approx(0.8, abs=0.05)
    assert found["voice_language"] == pytest.approx(0.8, abs=0.05)
    assert found["face_pair"] == pytest.approx(0.8)
    assert found["face_found"] == 1.0
    assert found["scene"] == 0.75
    assert found["qd"] > 0
    # Judges hear 16 kHz, of the half's own length; the context is held against both texts.
    assert {length for length, _, _ in hears.asked} == {FRAMES * SAMPLE_RATE // 25}
    assert [asked[1:] for asked in hears.asked] == [("bin blue", "en"), ("pose bleu", "fr"), ("bin blue", "en")]
    assert shows.asked == [((4, 4, 4, 3), "a hall")]
    assert control.measure(_pair(shown="a hall")) == measured


def test_a_context_that_still_says_the_old_words_has_a_bad_margin() -> None:
    hears = _Hears({0.2: ("bin blue", "en")})
    found = PairQuality(NO_LIMITS, speech=hears, landmarker=_KnownFaces()).measure(_pair(context_level=0.2)).figures
    assert (found["words_context"], found["words_margin"]) == (1.0, -1.0)


def test_what_nobody_can_tell_is_left_out() -> None:
    hears = _Hears({0.2: ("bin blue", "en"), 0.4: ("", "?")})
    control = PairQuality(NO_LIMITS, speech=hears, scenes=_Shows(), landmarker=_KnownFaces())
    found = control.measure(_pair()).figures
    assert found["words_target"] == 0.0
    assert {"words_context", "words_margin", "voice_pair", "face_pair", "scene"}.isdisjoint(found)


def test_what_is_no_number_is_not_measured() -> None:
    class Broken(_Level):
        def similarity(self, waveform: np.ndarray, other: np.ndarray) -> float | None:
            return float("nan")

    found = PairQuality(NO_LIMITS, voices=Broken(), landmarker=_KnownFaces()).measure(_pair()).figures
    assert "voice_pair" not in found


def test_faces_that_are_missing() -> None:
    control = PairQuality(NO_LIMITS, faces=_Green(), landmarker=_KnownFaces())
    nobody = control.measure(_pair(np.full(FRAMES, 255, np.uint8))).figures
    assert nobody == {"face_found": 0.0}
    some = CONTEXT_GAPS.copy()
    some[:3] = 255
    found = control.measure(_pair(some)).figures
    assert found["face_found"] == pytest.approx(6 / 9)
    assert found["mar_diversity"] == pytest.approx((CONTEXT_GAPS[3:] / 30).std(), abs=1e-5)


def test_figures_hang_on_the_judges_and_verdicts_on_the_limits_too() -> None:
    plain = PairQuality(NO_LIMITS, landmarker=_KnownFaces())
    strict = PairQuality(QualitySettings.model_validate({}), landmarker=_KnownFaces())
    heard = PairQuality(NO_LIMITS, speech=_Hears({}), landmarker=_KnownFaces())
    elsewhere = PairQuality(NO_LIMITS, landmarker=_KnownFaces("other"))
    assert plain.measures == strict.measures
    assert plain.id != strict.id
    assert len({plain.measures, heard.measures, elsewhere.measures}) == 3
