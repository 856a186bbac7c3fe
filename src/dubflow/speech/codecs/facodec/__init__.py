"""FACodec: the speech codec of NaturalSpeech 3, written anew, with the key layout of the published checkpoints.

This module is light: torch is imported when one of its two doors is used.

The published weights were not at hand when this was written. Held against independent definitions (a list of names and
shapes, numpy, torch's own layers) are: every key and shape, every layer, the quantisers, windows against whole files.
Not verified against the real files are:

* that they pass the strict check of :func:`convert_checkpoints`, names, types and all, and that torch reads them with
  ``weights_only``;
* that their tokens, speaker vectors and speech equal those of the original network (no recorded outputs), down to ties
  between codebook rows that rounding decides;
* that the speech sounds right, and how well the tokens separate pitch, words and voice;
* devices other than the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import missing_extra
from dubflow.speech.codecs.facodec.config import FacodecConfig

if TYPE_CHECKING:
    from dubflow.speech.codecs.facodec.codec import FacodecCodec


def convert_checkpoints(
    encoder_path: Path, decoder_path: Path, out_dir: Path, *, config: FacodecConfig | None = None
) -> Path:
    """Turn the published encoder and decoder files into a folder of safetensors and JSON; returns ``out_dir``.

    The files are read as plain tensors (``weights_only``): nothing in them is executed. What only training needs
    (predictors of pitch, phones and speaker) is dropped; the rest is stored bit for bit under its published names.

    Args:
        encoder_path: ``ns3_facodec_encoder.bin``.
        decoder_path: ``ns3_facodec_decoder.bin``.
        out_dir: a folder that does not exist yet; it appears whole or not at all.
        config: size of the networks; the published one by default.

    Raises:
        BadInput: ``speech.codec_checkpoint_unreadable``; ``speech.codec_checkpoint_mismatch``, which lists every
            missing, unexpected or wrongly shaped entry; ``media.missing`` and its kin for paths.
        WrongUse: ``speech.codec_folder_exists``, ``install.missing_extra``.
    """
    _require_torch()
    from dubflow.speech.codecs.facodec.checkpoint import convert

    return convert(Path(encoder_path), Path(decoder_path), Path(out_dir), config or FacodecConfig())


def load_facodec(folder: Path, *, device: str = "cpu", chunk_seconds: float = 2.0) -> FacodecCodec:
    """The codec of a folder that :func:`convert_checkpoints` wrote.

    Args:
        folder: holds ``facodec.json``, ``encoder.safetensors`` and ``decoder.safetensors``.
        device: a torch device.
        chunk_seconds: audio that is computed at a time; bounds memory, does not change tokens.

    Raises:
        BadInput: ``speech.codec_folder_broken``, ``speech.codec_checkpoint_mismatch``.
        WrongUse: ``install.missing_extra``.
    """
    _require_torch()
    from dubflow.speech.codecs.facodec.checkpoint import load
    from dubflow.speech.codecs.facodec.codec import FacodecCodec

    return FacodecCodec(load(Path(folder)), device=device, chunk_seconds=chunk_seconds)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401 - only to say which package is missing
    except ImportError as error:
        raise missing_extra("torch") from error
