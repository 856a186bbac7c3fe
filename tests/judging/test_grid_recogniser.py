from __future__ import annotations

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.content import word_error_rate
from dubflow.judging.grid_recogniser import CHOICES, GridRecogniser, grammar, hear_commands, is_command

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def recogniser() -> GridRecogniser:
    return GridRecogniser()


def test_commands_are_heard(recogniser: GridRecogniser, commands: dict[str, np.ndarray]) -> None:
    heard = [recogniser.hear(waveform) for waveform in commands.values()]
    assert word_error_rate(list(commands), heard).corpus <= 0.1
    wrong = [*heard[1:], heard[0]]
    assert word_error_rate(list(commands), wrong).corpus > 0.5


def test_neither_order_nor_level_nor_silence_around_changes_what_is_heard(
    recogniser: GridRecogniser, commands: dict[str, np.ndarray]
) -> None:
    waveforms = list(commands.values())
    forth = [recogniser.hear(one) for one in waveforms]
    back = [recogniser.hear(one) for one in waveforms[::-1]][::-1]
    fresh = [GridRecogniser().hear(one) for one in waveforms]
    assert forth == back == fresh
    assert [recogniser.hear(one * np.float32(0.05)) for one in waveforms] == forth
    assert hear_commands(waveforms, workers=1) == forth


@pytest.mark.slow
def test_a_pool_hears_the_same(recogniser: GridRecogniser, commands: dict[str, np.ndarray]) -> None:
    waveforms = [shifted[: len(shifted) - 97 * k] for shifted in commands.values() for k in range(6)]
    assert hear_commands(waveforms, workers=2) == [recogniser.hear(one) for one in waveforms]


@pytest.mark.parametrize("length", [0, 1, 160, 16_000])
def test_silence_is_answered(recogniser: GridRecogniser, length: int) -> None:
    words = recogniser.hear(np.zeros(length, np.float32)).split()
    assert all(any(word in choice for choice in CHOICES) for word in words)


@pytest.mark.parametrize("waveform", [np.zeros((2, 9), np.float32), np.array([np.nan]), np.zeros(9, np.int16)])
def test_bad_audio_is_refused(recogniser: GridRecogniser, waveform: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        recogniser.hear(waveform)
    assert caught.value.code == "judging.bad_waveform"


def test_what_a_command_is() -> None:
    assert is_command("Bin blue at F two now.")
    assert not any(map(is_command, [None, "", "bin blue at w two now", "bin blue at f two", "blue bin at f two now"]))
    assert np.prod([len(choice) for choice in CHOICES]) == 64_000
    assert "(at|by|in|with) (a.|b." in grammar()
