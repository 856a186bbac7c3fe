"""A Gemma tokenizer built here, for backbones that are built here: letters, and bytes for everything else."""

from __future__ import annotations

from typing import Any

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<image_soft_token>")
PAD, EOS, BOS = 0, 1, 2
# Printable ASCII, Latin-1 and Latin Extended-A letters, Greek, Cyrillic: the seven languages without byte sequences.
_LETTERS = ((33, 127), (0xA1, 0x180), (0x370, 0x400), (0x400, 0x460))


def vocabulary() -> dict[str, int]:
    """Pieces and their ids: special tokens, 256 bytes, the space mark, letters."""
    pieces = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    pieces += [chr(code) for start, stop in _LETTERS for code in range(start, stop)]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def local_tokenizer(tokens: int) -> Any:
    """A tokenizer of letters that pads to at most ``tokens``; nothing is downloaded."""
    from transformers.models.gemma import GemmaTokenizer

    return GemmaTokenizer(vocab=vocabulary(), merges=[], model_max_length=tokens)
