"""The base's own audio latents of a pair, beside its clips.

What a base generated as latents loses words on the way through vocoder, sound file and encoder; a training that knows
the same audio autoencoder takes the latents as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dubflow.errors import BadInput


@dataclass(frozen=True, eq=False)
class OwnSound:
    """Normalised audio tokens ``[T, D]``, float32, of a pair's clips."""

    context: Tensor
    target: Tensor


def write_own_sound(path: Path, sound: OwnSound) -> None:
    """Write both as one safetensors file."""
    save_file({"context": sound.context.cpu().contiguous(), "target": sound.target.cpu().contiguous()}, path)


def read_own_sound(path: Path, tokens: int, width: int) -> OwnSound:
    """The first ``tokens`` of both.

    Raises:
        BadInput: ``incontext.bad_sound_latents`` for another file, fewer tokens or another width.
    """
    try:
        found = load_file(path)
        whole = OwnSound(found["context"].float(), found["target"].float())
    except (OSError, SafetensorError, KeyError) as error:
        raise _bad(path, str(error)) from error
    for one in (whole.context, whole.target):
        if one.ndim != 2 or one.shape[1] != width or len(one) < tokens or not bool(one.isfinite().all()):
            raise _bad(path, f"{tuple(one.shape)} instead of at least {tokens} tokens of {width} finite numbers")
    return OwnSound(whole.context[:tokens], whole.target[:tokens])


def _bad(path: Path, why: str) -> BadInput:
    return BadInput(
        "incontext.bad_sound_latents",
        f"{path.name} holds no audio latents of a pair: {why}.",
        "Make the pair again, or take `sound` out of its row; its clips' sound is then encoded.",
    )
