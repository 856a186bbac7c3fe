"""A reference is speech, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubbing.room import SAMPLES, Room
from dubflow.dubbing.request import DubOptions, DubRequest
from dubflow.dubbing.voice import read_voice, reference_path
from dubflow.errors import BadInput
from dubflow.media.encode import write_audio, write_clip

PLAIN = DubOptions()


def recording(path: Path, sounding: float, silent: float = 0.5) -> Path:
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(16_000 * sounding))
    write_audio(path, np.concatenate([noise, np.zeros(round(16_000 * silent))]), 16_000)
    return path


def test_a_clip_may_be_a_reference(room: Room) -> None:
    voice = read_voice(room.clip(), PLAIN)
    assert (voice.name, voice.oracle, voice.notices) == (room.clip().name, False, ())
    assert voice.waveform.shape == (SAMPLES,)


def test_the_own_voice_is_called_an_oracle(room: Room) -> None:
    request = DubRequest(clip=room.clip(), segments=({"text": "a"},), language="en", reference="self")
    voice = read_voice(reference_path(request), PLAIN, own=True)
    assert (voice.name, voice.oracle) == ("self", True)


def test_long_references_are_cut_and_it_is_said(tmp_path: Path) -> None:
    voice = read_voice(recording(tmp_path / "a.wav", 3.0), DubOptions(reference_s=2.0))
    assert voice.waveform.shape == (32_000,)
    assert len(voice.notices) == 1


@pytest.mark.parametrize(("seconds", "code"), [(0.0, "dubbing.reference_silent"), (0.4, "dubbing.reference_too_short")])
def test_too_little_speech_is_refused(tmp_path: Path, seconds: float, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_voice(recording(tmp_path / "a.wav", seconds, silent=3.0), PLAIN)
    assert caught.value.code == code


def test_a_silent_picture_has_no_voice(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [np.zeros((16, 16, 3), np.uint8)] * 5, 25)
    with pytest.raises(BadInput) as caught:
        read_voice(tmp_path / "a.mp4", PLAIN, own=True)
    assert caught.value.code == "media.no_audio"
