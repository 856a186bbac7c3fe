"""Whose voice a clip is said in, and that measuring leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from diflow.training.room import NETS, Room, clips_of, equal, write_set
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.flow.vocabulary import CODEC
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.training.data import PreparedData
from dubflow.diflow.training.modules import TtsModule
from dubflow.diflow.training.validation import held_loss, reference_of
from dubflow.training.callbacks import at_rest


def test_a_clip_is_said_in_the_voice_of_another_clip_of_its_speaker(room: Room, tmp_path: Path) -> None:
    clips = clips_of(room.speaker)
    clips["c/8"] = replace(clips["c/8"], speaker="alone")
    clips["c/7"] = replace(clips["c/7"], speaker=None)
    prepared = PreparedSet(write_set(tmp_path, room.codec_id, clips))
    for clip in prepared:
        tokens = reference_of(prepared, clip)
        (source,) = [each for each in prepared if np.array_equal(prepared[each]["acoustic"], tokens.acoustic)]
        assert prepared.info(source).speaker == prepared.info(clip).speaker
        assert (source == clip) == (clip in ("c/7", "c/8"))
        assert np.array_equal(tokens.speaker, prepared[source]["speaker"])


def test_the_held_loss_is_that_of_the_network_shown_and_the_same_every_time(room: Room) -> None:
    settings = room.task().settings
    nets = NetSettings.model_validate(NETS | {"speaker": room.speaker})
    torch.manual_seed(0)
    trained, shown = TtsNetwork(nets), TtsNetwork(nets)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    module = TtsModule(trained, settings)  # type: ignore[arg-type]
    data = PreparedData(room.data, settings, pictures=False, vocabulary=CODEC)
    with at_rest(shown):
        first = held_loss(module, shown, data.val_dataloader())
        torch.rand(5)
        again = held_loss(module, shown, data.val_dataloader())
    assert first == again
    assert module.network is trained
    assert equal(trained.state_dict(), before)
    with at_rest(trained):
        assert held_loss(module, trained, data.val_dataloader()) != first
    assert first.keys() == {"val/loss", "val/duration", "val/content", "val/flow"}
