"""Collating pads and changes nothing."""

from __future__ import annotations

import numpy as np
import torch

from diflow.training.room import drawn
from dubflow.diflow.flow.vocabulary import CODEC
from dubflow.diflow.training.batches import dubbing_batch
from dubflow.training.steps import moved

ROWS = [(7, "a", drawn(20, 6, 5, 1)), (2, "b", drawn(31, 9, 5, 2)), (4, "c", drawn(9, 3, 5, 3))]


def test_every_item_keeps_its_own_and_the_rest_is_padding() -> None:
    batch = dubbing_batch(ROWS, vocabulary=CODEC, number=11)
    speech = batch.speech
    assert (speech.number, speech.clips, speech.places) == (11, ("a", "b", "c"), (7, 2, 4))
    for item, (_, _, arrays) in enumerate(ROWS):
        n, tokens, frames = len(arrays["phones"]), arrays["content"].shape[1], len(arrays["lip"])
        assert (int(speech.text.lengths[item]), int(speech.lengths[item])) == (n, tokens)
        assert int(batch.picture.frames[item]) == frames
        for whole, own, padding in (
            (speech.text.phonemes[item], arrays["phones"], 0),
            (speech.text.stress[item], arrays["stress"], 0),
            (speech.token_durations[item], arrays["token_durations"], 0),
            (batch.frame_durations[item], arrays["frame_durations"], 0),
            (speech.content[item].T, arrays["content"].T, CODEC.pad),
            (speech.flow[item].T, np.concatenate([arrays["prosody"], arrays["acoustic"]]).T, CODEC.pad),
            (batch.picture.lips[item], arrays["lip"], 0),
            (batch.picture.face[item], arrays["face"], 0),
        ):
            assert torch.equal(whole[: len(own)], torch.from_numpy(own.astype(whole.numpy().dtype)))
            assert bool((whole[len(own) :] == padding).all())
        assert torch.equal(speech.speaker[item], torch.from_numpy(arrays["speaker"]))


def test_the_utterances_are_their_own_references() -> None:
    speech = dubbing_batch(ROWS, vocabulary=CODEC).speech
    reference = speech.spoken(1)
    assert torch.equal(torch.cat([reference.prosody, reference.acoustic], dim=1), speech.flow)
    assert torch.equal(reference.lengths, speech.lengths)


def test_moving_reaches_every_tensor_and_leaves_names_alone() -> None:
    batch = dubbing_batch(ROWS, vocabulary=CODEC, number=5)
    there = moved(batch, torch.device("meta"))
    tensors = [there.frame_durations, *vars(there.picture).values(), *vars(there.speech.text).values()]
    tensors += [value for value in vars(there.speech).values() if isinstance(value, torch.Tensor)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (there.speech.number, there.speech.clips) == (5, batch.speech.clips)
