"""The embedded features carry what a dubbing model needs, and nothing that comes from outside their clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.faces.crops import crop_face, crop_lips
from dubflow.faces.features.embedded import CHUNK, EmbeddedFaceFeatures, EmbeddedLipFeatures
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.talkers.look import Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.pose import Pose

PEOPLE, FRAMES, SIZE = 6, 32, 128


def probe(features: np.ndarray, values: np.ndarray, unseen: np.ndarray, strength: float = 10.0) -> np.ndarray:
    """What a ridge regression fitted on ``features`` and ``values`` reads from ``unseen``."""
    middle, offset = features.mean(axis=0), values.mean()
    centred = features - middle
    weights = np.linalg.solve(centred.T @ centred + strength * np.eye(features.shape[1]), centred.T @ (values - offset))
    return (unseen - middle) @ weights + offset


def explained(values: np.ndarray, read: np.ndarray) -> float:
    """R squared."""
    return 1 - float(np.mean((values - read) ** 2) / np.var(values))


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Lip and face features of drawn people with random poses, and the poses; frames of a person in no order."""
    lips, faces, poses, people = [], [], [], []
    background = np.full((SIZE, SIZE, 3), (120, 130, 140), np.uint8)
    for person in range(PEOPLE):
        generator = np.random.default_rng(person)
        painter = HeadPainter(Look.from_seed(person), SIZE)
        shown = [
            Pose(
                opening=float(generator.uniform(0, 0.35) * (generator.random() > 0.2)),
                width=float(generator.uniform(-0.2, 0.2)),
                yaw=float(generator.uniform(-0.3, 0.3)),
                roll=float(generator.uniform(-0.1, 0.1)),
                brow_raise=float(generator.uniform(-1, 1)),
            )
            for _ in range(FRAMES)
        ]
        frames = np.stack([painter.paint(pose, background) for pose in shown])
        track = MediaPipeLandmarker().landmarks(frames).main
        # Every frame is a scene of its own here, so positions are not averaged over neighbours.
        lips.append(EmbeddedLipFeatures().extract(crop_lips(frames, track, window=1))[track.found])
        faces.append(EmbeddedFaceFeatures().extract(crop_face(frames, track, window=1))[track.found])
        values = np.array([[pose.opening, pose.width, pose.yaw, pose.roll, pose.brow_raise] for pose in shown])
        poses.append(values[track.found])
        people += [person] * int(track.found.sum())
    return {
        "lips": np.concatenate(lips),
        "faces": np.concatenate(faces),
        "poses": np.concatenate(poses),
        "people": np.array(people),
    }


@pytest.mark.slow
def test_a_linear_layer_reads_the_opening_of_a_mouth_it_never_saw(drawn: dict[str, np.ndarray]) -> None:
    lips, opening, people = drawn["lips"], drawn["poses"][:, 0], drawn["people"]
    scores = [
        explained(opening[people == one], probe(lips[people != one], opening[people != one], lips[people == one]))
        for one in range(PEOPLE)
    ]
    assert np.mean(scores) > 0.85, scores
    assert min(scores) > 0.6, scores


@pytest.mark.slow
def test_lip_features_carry_opening_and_width_face_features_the_turn_of_the_head_and_the_brows(
    drawn: dict[str, np.ndarray],
) -> None:
    seen = np.arange(len(drawn["people"])) % 4 != 0

    def score(features: str, column: int) -> float:
        values = drawn["poses"][:, column]
        return explained(values[~seen], probe(drawn[features][seen], values[seen], drawn[features][~seen]))

    assert score("lips", 0) > 0.93
    assert score("lips", 1) > 0.6
    assert score("faces", 0) > 0.7
    assert score("faces", 2) > 0.9
    assert score("faces", 3) > 0.75
    assert score("faces", 4) > 0.3


def test_face_features_know_the_person(drawn: dict[str, np.ndarray]) -> None:
    """Nearest mean of features: right for nearly every frame by face, where chance is one in six."""
    faces, people = drawn["faces"], drawn["people"]
    seen = np.arange(len(people)) % 2 == 0
    means = np.stack([faces[seen & (people == one)].mean(axis=0) for one in range(PEOPLE)])
    distances = ((faces[~seen][:, None] - means[None]) ** 2).sum(axis=2)
    assert np.mean(distances.argmin(axis=1) == people[~seen]) > 0.9


def test_no_feature_is_constant_or_out_of_scale(drawn: dict[str, np.ndarray]) -> None:
    for features in (drawn["lips"], drawn["faces"]):
        assert np.isfinite(features).all()
        assert np.abs(features).max() < 20
        constant = (features.std(axis=0) < 1e-4).sum()
        assert constant <= 1, "only the mean of a picture of mean 0 is constant by design"


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), frames=st.integers(1, 12))
def test_lip_features_depend_on_a_frame_and_its_neighbours_alone(seed: int, frames: int) -> None:
    crops = np.random.default_rng(seed).integers(0, 256, (frames + 4, 96, 96), dtype=np.uint8)
    whole = EmbeddedLipFeatures().extract(crops)
    assert whole.shape == (frames + 4, 512)
    assert whole.dtype == np.float32
    part = EmbeddedLipFeatures().extract(crops[1 : frames + 3])
    np.testing.assert_array_equal(part[1:-1], whole[2 : frames + 2])
    still = np.r_[0:356, 456:512]
    np.testing.assert_array_equal(part[:, still], whole[1 : frames + 3][:, still])


def test_features_do_not_depend_on_how_many_frames_are_worked_on_at_once() -> None:
    generator = np.random.default_rng(0)
    lips = generator.integers(0, 256, (CHUNK + 7, 96, 96), dtype=np.uint8)
    faces = generator.integers(0, 256, (CHUNK + 7, 64, 64, 3), dtype=np.uint8)
    around = slice(CHUNK - 3, CHUNK + 4)
    np.testing.assert_array_equal(
        EmbeddedLipFeatures().extract(lips)[around][1:-1], EmbeddedLipFeatures().extract(lips[around])[1:-1]
    )
    whole = EmbeddedFaceFeatures().extract(faces)
    np.testing.assert_array_equal(whole[around], EmbeddedFaceFeatures().extract(faces[around]))
    np.testing.assert_array_equal(whole[5:6], EmbeddedFaceFeatures().extract(faces[5:6]))


def test_a_still_picture_has_no_change_and_a_moving_one_has() -> None:
    crops = np.random.default_rng(1).integers(0, 256, (1, 96, 96), dtype=np.uint8)
    change = slice(356, 456)
    assert not EmbeddedLipFeatures().extract(np.repeat(crops, 5, axis=0))[:, change].any()
    assert not EmbeddedLipFeatures().extract(crops)[:, change].any()
    moving = np.concatenate([crops, np.roll(crops, 5, axis=1), np.roll(crops, 10, axis=1)])
    assert np.abs(EmbeddedLipFeatures().extract(moving)[:, change]).mean() > 0.05


@pytest.mark.parametrize("gain", [0.6, 1.3])
def test_how_bright_a_clip_is_hardly_matters(gain: float, grid_lips: np.ndarray) -> None:
    plain = EmbeddedLipFeatures().extract(grid_lips)
    lit = EmbeddedLipFeatures().extract(np.clip(grid_lips.astype(float) * gain + 5, 0, 255).astype(np.uint8))
    moved = np.linalg.norm(lit - plain, axis=1)
    speech = np.linalg.norm(plain - plain.mean(axis=0), axis=1)
    assert np.median(moved) < 0.25 * np.median(speech)


@pytest.mark.parametrize("gain", [0.6, 1.2])
def test_a_face_in_other_light_is_nearer_to_itself_than_to_others(
    gain: float, grid_face: np.ndarray, drawn: dict[str, np.ndarray]
) -> None:
    plain = EmbeddedFaceFeatures().extract(grid_face)
    lit = EmbeddedFaceFeatures().extract(np.clip(grid_face.astype(float) * gain, 0, 255).astype(np.uint8))
    moved = np.linalg.norm(lit - plain, axis=1)
    means = np.stack([drawn["faces"][drawn["people"] == one].mean(axis=0) for one in range(PEOPLE)])
    apart = np.linalg.norm(means[:, None] - means[None], axis=2)[np.triu_indices(PEOPLE, 1)]
    assert np.median(moved) < 0.2 * np.median(apart)


@pytest.mark.parametrize("extractor", [EmbeddedLipFeatures, EmbeddedFaceFeatures])
def test_other_shapes_and_types_are_refused_and_no_frames_are_fine(extractor: Callable[[], object]) -> None:
    features = extractor()
    wrong = [np.zeros((2, 96, 95), np.uint8), np.zeros((2, 96, 96), np.float32), np.zeros((96, 96), np.uint8)]
    for crops in wrong:
        with pytest.raises(BadInput, match="bad_crops"):
            features.extract(crops)  # type: ignore[attr-defined]
    empty = np.empty((0, 96, 96) if extractor is EmbeddedLipFeatures else (0, 96, 96, 3), np.uint8)
    assert len(features.extract(empty)) == 0  # type: ignore[attr-defined]


def test_identities_carry_a_version() -> None:
    assert EmbeddedLipFeatures().id == "embedded-lip-1"
    assert EmbeddedFaceFeatures().id == "embedded-face-1"
