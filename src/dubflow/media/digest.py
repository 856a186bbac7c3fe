"""Content digests: what a file is, whatever it is called."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from dubflow.media.opening import open_regular

_BLOCK = 2**20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in bounded memory.

    Raises:
        BadInput: ``media.missing``, ``media.not_a_file``, ``media.no_permission``.
    """
    with open_regular(path) as file:
        return sha256_open(file)


def sha256_open(file: BinaryIO) -> str:
    """SHA-256 of an open file from its beginning; leaves the position at the end."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
