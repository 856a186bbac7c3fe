"""A face tells something about the voice: brows follow pitch, jaw and head follow loudness."""

from __future__ import annotations

import numpy as np
import pytest

from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.prosody import energy, pitch
from dubflow.talkers.motion import Prosody, Temperament, face_motion, smoothed, speaking_frames
from dubflow.talkers.performance import intended_pose
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack
from dubflow.talkers.visemes import frame_centres


def _made_up_voice(frames: int = 150, seed: int = 0) -> Prosody:
    rng = np.random.default_rng(seed)
    f0 = 180 * 2 ** (smoothed(rng.normal(size=frames), 3.0))
    decibels = -20 + 12 * smoothed(rng.normal(size=frames), 2.0)
    return Prosody.from_voice(f0, decibels, np.ones(frames, dtype=bool))


@pytest.mark.parametrize("seed", range(5))
def test_brows_follow_pitch_and_jaw_and_head_follow_loudness(seed: int) -> None:
    prosody = _made_up_voice(seed=seed)
    motion = face_motion(prosody, Temperament.from_seed(seed), seed)
    assert np.corrcoef(motion.brow_raise, prosody.melody)[0, 1] > 0.8
    assert np.corrcoef(motion.jaw_gain, prosody.loudness)[0, 1] > 0.99
    accent = prosody.loudness - smoothed(prosody.loudness, 8.0)
    nods = motion.pitch - smoothed(motion.pitch, 8.0)
    assert np.corrcoef(nods[1:], accent[:-1])[0, 1] < -0.5  # the head dips a frame after the accent


def test_real_clips_show_their_voice() -> None:
    """Between clips' own pitch and energy, measured again here, and the poses that are drawn."""
    plans = plan_corpus(
        identities=4, clips=1, languages=["en", "it"], seed=11, settings=TalkerSettings(mix={"plain": 1.0})
    )
    brows, jaws = [], []
    for plan in plans:
        sound = soundtrack(plan, default_synthesizer())
        performance = intended_pose(plan)[0]
        times = frame_centres(sound.frames)
        voice = sound.voice_of(0)
        f0 = pitch(voice, sound.sample_rate, times)
        level = energy(voice, sound.sample_rate, times)
        speaking = speaking_frames(sound.phones_of(), times) & f0.voiced
        melody = smoothed(np.log(np.where(f0.voiced, f0.continuous(), np.median(f0.hz[f0.voiced]))), 1.5)
        raised = np.array([pose.brow_raise for pose in performance.poses])
        brows.append(np.corrcoef(raised[speaking], melody[speaking])[0, 1])
        jaws.append(np.corrcoef(performance.opening, level)[0, 1])
    assert np.mean(brows) > 0.6
    assert min(brows) > 0.3
    assert np.mean(jaws) > 0.4
    assert min(jaws) > 0.25


def test_same_seed_same_motion_and_every_person_has_habits() -> None:
    prosody = _made_up_voice()
    first = face_motion(prosody, Temperament.from_seed(1), 5)
    again = face_motion(prosody, Temperament.from_seed(1), 5)
    other = face_motion(prosody, Temperament.from_seed(1), 6)
    for name, curve in vars(first).items():
        assert np.array_equal(curve, getattr(again, name)), name
    assert not np.array_equal(first.yaw, other.yaw)
    assert len({Temperament.from_seed(seed).brow_rest for seed in range(20)}) == 20


def test_eyes_blink_now_and_then_and_open_again() -> None:
    blinks = np.concatenate(
        [face_motion(Prosody.silent(250), Temperament.from_seed(seed), seed).blink for seed in range(20)]
    )
    shut = np.flatnonzero((blinks[1:] >= 0.95) & (blinks[:-1] < 0.95))
    per_minute = len(shut) / (len(blinks) / 25 / 60)
    assert 8 < per_minute < 35
    assert np.mean(blinks == 0) > 0.85


def test_heads_move_slowly_and_little() -> None:
    motion = face_motion(_made_up_voice(), Temperament.from_seed(3), 3)
    for name, most, step in (("yaw", 0.12, 0.02), ("roll", 0.08, 0.01), ("dx", 0.02, 0.003), ("pitch", 0.2, 0.06)):
        curve = getattr(motion, name)
        assert np.abs(curve).max() < most, name
        assert np.abs(np.diff(curve)).max() < step, name


def test_silence_has_no_melody() -> None:
    silent = Prosody.from_voice(np.zeros(40), np.full(40, -80.0), np.zeros(40, dtype=bool))
    assert not silent.melody.any()
    assert not silent.loudness.any()
