"""Whether a file is whole, as far as its container says how long it should be.

Demuxers are lenient: a cut file plays until it stops, and half a clip would pass for a short one. The containers that
announce lengths are checked against the file's real size, by walking box or chunk headers only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from dubflow.errors import BadInput


class Readable(Protocol):
    """The part of a file object that is needed here."""

    def seek(self, offset: int, /) -> int: ...

    def read(self, size: int, /) -> bytes: ...


_MOST_BOXES = 200_000
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_EBML_SEGMENT = 0x18538067


def check_whole(file: Readable, size: int, demuxer: str, name: str) -> None:
    """Refuse a file that ends before its container says so.

    Args:
        file: open for reading; its position is left anywhere. size: bytes in it. demuxer: from :func:`sniff`.
        name: what to call it in an error.

    Raises:
        BadInput: ``media.truncated``; ``media.damaged`` for lengths that cannot be.
    """
    check = _CHECKS.get(demuxer)
    problem = check(file, size) if check is not None else None
    if problem:
        raise BadInput(
            "media.truncated", f"{name} is cut off: {problem}.", "Copy or download it again; only whole files are read."
        )


def declared_samples(file: Readable, demuxer: str) -> int | None:
    """How many samples a channel of a FLAC file says it has (STREAMINFO, RFC 9639); None when it does not say."""
    if demuxer != "flac":
        return None
    total = int.from_bytes(_at(file, 21, 5), "big") & (1 << 36) - 1
    return total or None


def _flac(file: Readable, size: int) -> str | None:
    position = 4
    for _ in range(_MOST_BOXES):
        header = _at(file, position, 4)
        if len(header) < 4:
            return "its metadata is not whole"
        position += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:  # the last block of metadata
            break
    return "it ends before its sound begins" if position >= size else None


def _mp4(file: Readable, size: int) -> str | None:
    position, has_header = 0, False
    for _ in range(_MOST_BOXES):
        if position >= size:
            return None if has_header else "it has no movie header (moov)"
        header = _at(file, position, 16)
        if len(header) < 8:
            # Some writers leave a few zero bytes behind the last box.
            return None if has_header and not any(header) else "its last box has no whole header"
        length, kind = struct.unpack(">I4s", header[:8])
        has_header |= kind == b"moov"
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        elif length == 0:
            length = size - position
        if length < 8:
            return None if has_header and not any(header) else "it has a box without a length"
        if position + length > size:
            return f"the box {kind.decode('latin-1')!r} should end at byte {position + length} of {size}"
        position += length
    return None


def _riff(file: Readable, size: int) -> str | None:
    declared = struct.unpack("<I", _at(file, 4, 4).ljust(4, b"\0"))[0]
    if _at(file, 0, 4) == b"RF64" or declared in _UNKNOWN_SIZES:
        return None
    if declared + 8 > size + 1:
        return f"it should have {declared + 8} bytes and has {size}"
    if _at(file, 8, 4) != b"WAVE":
        return None
    position = 12
    while position + 8 <= size:
        kind, length = struct.unpack("<4sI", _at(file, position, 8))
        if kind == b"data":
            short = length not in _UNKNOWN_SIZES and position + 8 + length > size
            return f"its samples should end at byte {position + 8 + length} of {size}" if short else None
        position += 8 + length + length % 2
    return "it has no samples (data chunk)"


def _aiff(file: Readable, size: int) -> str | None:
    declared = struct.unpack(">I", _at(file, 4, 4).ljust(4, b"\0"))[0] + 8
    return f"it should have {declared} bytes and has {size}" if declared > size + 1 else None


def _matroska(file: Readable, size: int) -> str | None:
    position = 0
    for _ in range(64):
        element = _ebml_element(_at(file, position, 16))
        if element is None:
            return "it ends inside an element's header" if position < size else "it has no segment"
        kind, header, length = element
        if length is None:
            return None
        end = position + header + length
        if end > size:
            return f"an element should end at byte {end} of {size}"
        if kind == _EBML_SEGMENT:
            return None
        position = end
    return "it has no segment"


def _ebml_element(data: bytes) -> tuple[int, int, int | None] | None:
    """Identifier, bytes of header, and bytes of content (None: unknown) of an EBML element (RFC 8794)."""
    if not data or not data[0]:
        return None
    id_bytes = 9 - data[0].bit_length()
    if len(data) <= id_bytes or not data[id_bytes]:
        return None
    size_bytes = 9 - data[id_bytes].bit_length()
    if len(data) < id_bytes + size_bytes:
        return None
    mask = (1 << 7 * size_bytes) - 1
    length = int.from_bytes(data[id_bytes : id_bytes + size_bytes], "big") & mask
    return int.from_bytes(data[:id_bytes], "big"), id_bytes + size_bytes, None if length == mask else length


def _png(file: Readable, size: int) -> str | None:
    return None if b"IEND" in _at(file, max(0, size - 4096), 4096) else "it has no end mark (IEND)"


def _jpeg(file: Readable, size: int) -> str | None:
    return None if b"\xff\xd9" in _at(file, max(0, size - 4096), 4096) else "it has no end mark (EOI)"


def _at(file: Readable, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


_CHECKS: dict[str, Callable[[Readable, int], str | None]] = {
    "mov": _mp4,
    "wav": _riff,
    "avi": _riff,
    "webp_pipe": _riff,
    "aiff": _aiff,
    "flac": _flac,
    "matroska": _matroska,
    "png_pipe": _png,
    "jpeg_pipe": _jpeg,
}
