"""What passes between the models comes out as it went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dubflow.diflow.inference.items import SilentClip
from dubflow.dubbing.diflow_frontend import SeenClip, SeenSegment
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.dubbing.engine import Job
from dubflow.dubbing.planning import PlannedSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.voice import Voice
from dubflow.errors import BadInput, DubflowError, OurFault, WrongUse
from dubflow.serving.asking import facts_of, job_of
from dubflow.serving.packing import clips_of, drawn_of, pack_drawn, pack_seen
from dubflow.serving.slips import Slip, SlipWatch, sweep_slips
from dubflow.serving.wire import Packet, json_bytes, json_of, one_of, packed_error, unpacked
from dubflow.speech.codecs import Tokens

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-9, 9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from([np.float32, np.int64, np.uint8, np.float16])
tensors = arrays.arrays(kinds, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=st.integers(0, 9))
facts = st.dictionaries(st.text().filter(lambda name: name != "error"), json_values, max_size=4)


@settings(deadline=None, max_examples=60)
@given(facts, st.dictionaries(st.sampled_from(["a", "0.b", "12.c"]), tensors))
def test_a_packet_comes_out_as_it_went_in(facts: dict[str, object], named: dict[str, np.ndarray]) -> None:
    out = unpacked(Packet(facts, named).packed())
    assert out.facts == facts
    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in out.arrays.items()} == {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in named.items()
    }


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=64))
def test_what_is_no_packet_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(OurFault) as caught:
        unpacked(np.frombuffer(content, np.uint8))
    assert caught.value.code == "serving.bad_packet"


@pytest.mark.parametrize("kind", [WrongUse, BadInput, OurFault])
def test_an_error_is_raised_again_as_it_was(kind: type[DubflowError]) -> None:
    error = kind("room.what_happened", "It happened: ‘é’.", "Undo it.", seconds=1.5, names=["a"])
    with pytest.raises(kind) as caught:
        unpacked(packed_error(error))
    assert caught.value.as_dict() == error.as_dict()
    assert caught.value.retryable == error.retryable


def test_json_is_an_object() -> None:
    assert json_of(json_bytes({"a": "é"})) == {"a": "é"}
    with pytest.raises(OurFault, match="no object"):
        json_of(json_bytes([1]))


def tokens(rng: np.random.Generator, length: int) -> Tokens:
    return Tokens(
        prosody=rng.integers(0, 1024, (1, length)),
        content=rng.integers(0, 1024, (2, length)),
        acoustic=rng.integers(0, 1024, (3, length)),
        speaker=rng.normal(size=8).astype(np.float32),
    )


def same(left: Tokens, right: Tokens) -> bool:
    names = ("prosody", "content", "acoustic", "speaker")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def test_segments_reach_the_denoiser_and_tokens_the_codec() -> None:
    rng = np.random.default_rng(3)
    voice = tokens(rng, 20)
    segments = tuple(
        SeenSegment(
            SilentClip(
                phonemes=rng.integers(0, 50, n),
                stress=rng.integers(0, 3, n),
                lips=rng.normal(size=(frames, 4)).astype(np.float32),
                face=rng.normal(size=(frames, 6)).astype(np.float32),
                speaker=voice.speaker,
                reference=voice,
                seed=number,
            ),
            0.5,
            ("seen",),
        )
        for number, (n, frames) in enumerate([(5, 10), (9, 30)])
    )
    packet = unpacked(pack_seen(SeenClip(segments, DubOptions(seed=4)), "slip").packed())
    assert DubOptions.model_validate(packet.facts["options"]) == DubOptions(seed=4)
    for clip, segment in zip(clips_of(packet), segments, strict=True):
        assert clip.seed == segment.clip.seed
        assert clip.reference is not None
        assert same(clip.reference, voice)
        for name in ("phonemes", "stress", "lips", "face", "speaker"):
            assert np.array_equal(getattr(clip, name), getattr(segment.clip, name))

    drawn = [DrawnSegment(tokens(rng, length), rng.integers(0, 9, 5), length > 40) for length in (32, 96)]
    packet = unpacked(pack_drawn(drawn).packed())
    (second,) = drawn_of(unpacked(one_of(packet, 1, crowded=[True]).packed()))
    assert same(second.tokens, drawn[1].tokens)
    assert np.array_equal(second.frame_durations, drawn[1].frame_durations)
    assert second.crowded


def test_a_job_crosses_by_its_clips_path_alone(tmp_path: Path) -> None:
    segment = PlannedSegment("wörter", 3, 17, np.array([1, 5, 1]), np.array([0, 1, 0]), ("fast",))
    sound = np.linspace(-1, 1, 50, dtype=np.float32)
    job = Job(tmp_path / "c.mp4", 20, (segment,), "de", Voice(sound, "0" * 64, "v.wav", False), DubOptions(steps=3))
    back = job_of(json_of(json_bytes(facts_of(job))), sound)
    assert (back.clip, back.frames, back.language, back.options) == (job.clip, 20, "de", job.options)
    assert (back.voice.sha256, back.voice.name, back.voice.oracle) == ("0" * 64, "v.wav", False)
    (again,) = back.segments
    assert (again.text, again.first, again.stop, again.notices) == ("wörter", 3, 17, ("fast",))
    assert np.array_equal(again.phonemes, segment.phonemes)
    with pytest.raises(BadInput, match="frames") as caught:
        job_of({**facts_of(job), "frames": 0}, sound)
    assert caught.value.code == "serving.bad_job"


def test_a_slip_tells_both_sides(tmp_path: Path) -> None:
    here = Slip.made(tmp_path)
    there = Slip(here.path)
    watch = SlipWatch(there)
    watch.stage("speaking", 0.25)
    assert here.share == 0.25
    assert not watch.stopped()
    here.cancel()
    assert watch.stopped()
    assert here.share == 0.25  # one does not write over the other
    here.remove()
    assert watch.stopped()  # whoever has it open keeps what it says
    there.close()
    Slip.made(tmp_path).close()
    sweep_slips(tmp_path)
    assert not list(tmp_path.iterdir())
