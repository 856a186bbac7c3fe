"""Pairs become latents once, and what cannot be encoded is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.faces.tracks import POINTS, FaceTrack, FaceTracks
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.tiny import tiny_backbone
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.pairs.manifest import PairFile, PairManifest, PairRow
from dubflow.incontext.pairs.own_sound import OwnSound, write_own_sound
from dubflow.incontext.training.encoding import EncodeReport, encode_pairs
from dubflow.incontext.training.latents import LatentSet, PairLatents, packed, read_index, unpacked
from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from incontext.training.room import DATA, Room, clip, write_pairs


class Faces:
    """A landmarker that sees one face, in the left half of every picture."""

    id = "drawn-face"

    def landmarks(self, frames: object) -> FaceTracks:
        count = len(frames)  # type: ignore[arg-type]
        corners = np.zeros((count, POINTS, 3), np.float32)
        corners[:, 1, :2], corners[:, 2, :2], corners[:, 3, :2] = (30, 0), (0, 64), (30, 64)
        track = FaceTrack(corners, np.ones(count, bool), (None,) * count)
        return FaceTracks([track], count, (64, 64), (None,) * count)


def changed(pairs: PairManifest, **changes: object) -> PairManifest:
    """The same manifest with the first row changed."""
    first = PairRow.model_validate(pairs.rows[0].model_dump() | changes)
    return PairManifest(pairs.header, [first, *pairs.rows[1:]], pairs.root)


def test_what_is_stored_is_what_the_base_makes_of_the_clips(room: Room) -> None:
    base, latents = tiny_backbone(), LatentSet(room.latents)
    pair = latents["pair/1"]
    frames = read_clip(room.pairs / "1-target.mp4", fps=25, audio=False).frames
    assert frames is not None
    assert torch.equal(pair.target_video, encode_video(base, frames[:9]))
    assert pair.target_video.shape == pair.context_video.shape == (8, 2, 2, 2)
    assert pair.target_audio.shape == pair.context_audio.shape == (9, 8)
    assert not torch.equal(pair.target_audio, pair.context_audio)
    assert pair.text.video.shape[0] == 1
    assert latents.negative() is not None


def test_a_given_mask_lies_on_the_grid_and_missing_ones_are_counted(room: Room) -> None:
    latents = LatentSet(room.latents)
    mask = latents["pair/0"].mask
    assert mask is not None
    assert mask.tolist() == [[[True, False], [False, False]]] * 2
    assert latents["pair/1"].mask is None
    assert set(latents.index.unmasked) == {f"pair/{number}" for number in range(1, 5)}
    assert set(latents.index.unmasked.values()) == {"it has no mask"}


@pytest.mark.slow
def test_a_second_run_does_nothing_and_a_changed_pair_is_done_alone(tmp_path: Path) -> None:
    pairs, base, out = write_pairs(tmp_path / "pairs", 2), tiny_backbone(), tmp_path / "latents"
    first = encode_pairs(pairs, base, out, DATA)
    files = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    again = encode_pairs(pairs, base, out, DATA)
    assert (first.done, first.found, again.done, again.found) == (2, 0, 0, 2)
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == files

    said = encode_pairs(changed(pairs, prompt="other words"), base, out, DATA)
    assert said.done == 0, "a prompt changes no picture"
    assert read_index(out).pairs["pair/0"].prompt == "other words"
    faces = encode_pairs(pairs, base, out, DATA, landmarker=Faces())
    assert (faces.done, faces.found) == (1, 1), "the pair with a mask of its own needs no landmarks"
    drawn = LatentSet(out)["pair/1"].mask
    assert drawn is not None
    assert drawn.tolist() == [[[True, False], [True, False]]] * 2
    larger = encode_pairs(pairs, base, out, DATA.model_copy(update={"width": 96}))
    assert larger.done == 2
    other = encode_pairs(pairs, tiny_backbone(seed=1), out, DATA)
    assert other.done == 2, "other weights make other latents"


def test_sound_that_this_base_made_is_taken_as_the_latents_that_it_was(tmp_path: Path) -> None:
    base, out = tiny_backbone(), tmp_path / "latents"
    own = OwnSound(torch.randn(10, 8), torch.randn(10, 8))
    write_own_sound(tmp_path / "0-sound.safetensors", own)
    sound = PairFile(path="0-sound.safetensors", sha256=sha256_file(tmp_path / "0-sound.safetensors"))

    def encoded(audio_vae: str) -> tuple[EncodeReport, PairLatents]:
        row = {"sound": sound, "lineage": {"base": {"audio_vae": audio_vae}}}
        pairs = changed(write_pairs(tmp_path, 2, mask=False), **row)
        return encode_pairs(pairs, base, out, DATA), LatentSet(out)["pair/0"]

    report, plain = encoded("of another base")
    assert (report.done, report.own_sound) == (2, 0)
    report, pair = encoded(fingerprint(base.audio_vae))
    assert (report.done, report.found, report.own_sound) == (1, 1, 1)
    assert torch.equal(pair.context_audio, own.context[:9])
    assert torch.equal(pair.target_audio, own.target[:9])
    assert torch.equal(pair.target_video, plain.target_video)
    assert plain.target_audio.shape == pair.target_audio.shape
    assert not torch.equal(plain.target_audio, pair.target_audio)


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path, 4, mask=False)
    rows = list(pairs.rows)
    silent = clip(tmp_path / "silent.mp4", 1, sound=False)
    short = clip(tmp_path / "short.mp4", 1, frames=5)
    rows[0] = PairRow.model_validate(rows[0].model_dump() | {"target": silent.model_dump()})
    rows[1] = PairRow.model_validate(rows[1].model_dump() | {"context": short.model_dump()})
    rows[2] = PairRow.model_validate(rows[2].model_dump() | {"rejected": ["its lips do not move"]})
    (tmp_path / "3-context.mp4").write_bytes(b"another file")
    with pytest.raises(BadInput) as refused:
        encode_pairs(PairManifest(pairs.header, rows, tmp_path), tiny_backbone(), tmp_path / "out", DATA)
    assert refused.value.code == "incontext.nothing_to_train_on"
    rows[3] = pairs.rows[2]
    report = encode_pairs(
        PairManifest(pairs.header, [*rows[:2], rows[3]], tmp_path), tiny_backbone(), tmp_path / "out", DATA
    )
    assert report.pairs == 1
    assert report.left_out["incontext.pair_too_short"] == 1
    assert sum(report.left_out.values()) == 2


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.bool]))
def test_tensors_of_any_kind_come_back_to_the_bit(seed: int, dtype: torch.dtype) -> None:
    value = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)).to(dtype)
    found = unpacked(packed({"a": value}))["a"]
    assert found.dtype == dtype
    assert torch.equal(found, value)
