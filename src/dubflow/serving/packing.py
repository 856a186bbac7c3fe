"""Features and tokens of a clip's segments as packets, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from dubflow.diflow.inference.items import SilentClip
from dubflow.dubbing.diflow_frontend import SeenClip
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.serving.wire import Arrays, Packet
from dubflow.speech.codecs import Tokens


def pack_seen(seen: SeenClip, slip: str) -> Packet:
    """Features of a clip's segments for the denoiser; their voice, which all share, once.

    Args:
        slip: path of the job's slip.
    """
    arrays: Arrays = {}
    for number, segment in enumerate(seen.segments):
        clip = segment.clip
        arrays |= {
            f"{number}.phonemes": clip.phonemes,
            f"{number}.stress": clip.stress,
            f"{number}.lips": clip.lips,
            f"{number}.face": clip.face,
        }
    first = seen.segments[0].clip
    if first.reference is not None:
        arrays |= _token_arrays("voice", first.reference)
    facts = {
        "slip": slip,
        "options": seen.options.model_dump(mode="json"),
        "segments": [
            {
                "seed": one.clip.seed,
                "frames": one.clip.frames,
                "face_found": one.face_found,
                "notices": list(one.notices),
            }
            for one in seen.segments
        ],
    }
    return Packet(facts, arrays)


def clips_of(packet: Packet) -> list[SilentClip]:
    """The segments of :func:`pack_seen` as the network takes them."""
    voice = _tokens("voice", packet.arrays)
    return [
        SilentClip(
            phonemes=packet.arrays[f"{number}.phonemes"],
            stress=packet.arrays[f"{number}.stress"],
            lips=packet.arrays[f"{number}.lips"],
            face=packet.arrays[f"{number}.face"],
            speaker=voice.speaker,
            reference=voice,
            seed=int(facts["seed"]),
        )
        for number, facts in enumerate(packet.facts["segments"])
    ]


def pack_drawn(drawn: Sequence[DrawnSegment]) -> Packet:
    """Tokens of a clip's segments."""
    arrays: Arrays = {}
    for number, one in enumerate(drawn):
        arrays |= _token_arrays(f"{number}", one.tokens)
        arrays[f"{number}.durations"] = one.frame_durations
    return Packet({"crowded": [one.crowded for one in drawn]}, arrays)


def drawn_of(packet: Packet) -> list[DrawnSegment]:
    """What :func:`pack_drawn` packed."""
    return [
        DrawnSegment(_tokens(f"{number}", packet.arrays), packet.arrays[f"{number}.durations"], bool(crowded))
        for number, crowded in enumerate(packet.facts["crowded"])
    ]


def _token_arrays(name: str, tokens: Tokens) -> Arrays:
    return {
        f"{name}.prosody": tokens.prosody,
        f"{name}.content": tokens.content,
        f"{name}.acoustic": tokens.acoustic,
        f"{name}.speaker": tokens.speaker,
    }


def _tokens(name: str, arrays: Mapping[str, NDArray[Any]]) -> Tokens:
    return Tokens(
        prosody=arrays[f"{name}.prosody"],
        content=arrays[f"{name}.content"],
        acoustic=arrays[f"{name}.acoustic"],
        speaker=arrays[f"{name}.speaker"],
    )
