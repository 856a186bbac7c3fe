"""Phones out of speech, in seven languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.judging.card.rows import JudgePin
from dubflow.judging.phone_judge.facts import PACKAGED, PhoneModelFacts, phone_pin
from dubflow.judging.phone_judge.hearing import spectrogram
from dubflow.judging.phone_judge.network import PhoneNetwork, best_path
from dubflow.judging.phone_judge.stored import PhoneModel, load_phone_model


class PhoneRecogniser:
    """Hears one utterance at a time; what it heard before changes nothing, nor does the level.

    It is not told the language.
    """

    def __init__(self, model: PhoneModel, folder: Path) -> None:
        self._model, self._folder = model, folder

    @classmethod
    def open(cls, folder: Path = PACKAGED) -> PhoneRecogniser:
        """The recogniser that lies in ``folder``; by default the one that comes with the package.

        Raises:
            BadInput: as :func:`~dubflow.judging.phone_judge.stored.load_phone_model`.
        """
        return cls(load_phone_model(folder), Path(folder))

    @property
    def id(self) -> str:
        """``phones-`` and the start of its digest."""
        return f"phones-{self._model.digest[:16]}"

    @property
    def facts(self) -> PhoneModelFacts:
        """Languages, phones, and the voices that it was trained on."""
        return self._model.facts

    @property
    def network(self) -> PhoneNetwork:
        """In eval mode."""
        return self._model.network

    @property
    def pin(self) -> JudgePin:
        """What a protocol pins it by."""
        return phone_pin(self._folder)

    def hear(self, waveform: NDArray[np.float32]) -> list[str]:
        """Phones of a 16 kHz mono waveform ``[N]`` in -1..1, symbols of the inventory without stress or silence.

        Raises:
            BadInput: ``judging.bad_waveform``.
        """
        return [self.facts.symbols[one - 1] for one in heard_classes(self.network, waveform)]


def heard_classes(network: PhoneNetwork, waveform: NDArray[np.float32]) -> list[int]:
    """Classes (from 1) that a network in eval mode hears in a 16 kHz mono waveform ``[N]``.

    Raises:
        BadInput: ``judging.bad_waveform``.
    """
    picture = torch.from_numpy(spectrogram(waveform))
    if not picture.shape[-1]:
        return []
    with torch.inference_mode():
        told, _ = network(picture[None], torch.tensor([picture.shape[-1]]))
    return best_path(told[0])
