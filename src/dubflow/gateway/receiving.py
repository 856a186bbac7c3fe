"""Bodies from the network to the disk: bounded memory, size and time, a digest on the way, whole or not at all.

A body is written to the spool in pieces; its size is counted while it is read, whatever its headers say. Nothing that
was not received to its end stays behind.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dubflow.errors import WrongUse
from dubflow.gateway.errors import disk_full, too_large
from dubflow.gateway.guard import allow
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.threads import on_disk

SUFFIX = ".received"
_AT_ONCE = 2**20
_OVERHEAD = 2**16
_MOST_PARTS = 32
_NAME = 64


@dataclass(frozen=True)
class Received:
    """A file in the spool: whoever asked for it removes it."""

    path: Path
    bytes: int
    sha256: str

    def discard(self) -> None:
        """Remove it, if it is still there."""
        self.path.unlink(missing_ok=True)


@dataclass
class Form:
    """The parts of a form: texts by name, and files."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Received] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.discard()


async def receive_file(request: Request, settings: GatewaySettings) -> Received:
    """The whole body as a file.

    Raises:
        WrongUse: ``gateway.too_large``, ``gateway.upload_too_slow``, ``gateway.empty_upload``.
        OurFault: ``gateway.disk_full``.
    """
    _expect(request, settings, settings.clip_bytes)
    sink = _Sink(settings.spool, settings.clip_bytes)
    try:
        async for chunk in request.stream():
            sink.add(chunk)
            if sink.waiting >= _AT_ONCE:
                await on_disk(sink.flush)
        return await on_disk(sink.finish)
    except BaseException:
        sink.drop()
        raise


async def receive_form(request: Request, settings: GatewaySettings, files: Mapping[str, int]) -> Form:
    """The parts of a ``multipart/form-data`` body; the caller leaves it as a ``with`` block, which removes its files.

    Args:
        files: parts that may be files, and how large in bytes; a part is a file if it says a file's name, which is not
            looked at, else a text.

    Raises:
        WrongUse: as :func:`receive_file`; ``gateway.bad_form``.
    """
    most = sum(files.values()) + settings.body_bytes
    _expect(request, settings, most)
    reader = _FormReader(_boundary(request), settings, files)
    try:
        async for chunk in request.stream():
            await reader.feed(chunk)
        return await reader.finish()
    except BaseException:
        reader.drop()
        raise


def sweep(spool: Path, older_than_s: float) -> int:
    """Remove what killed processes left in the spool; how many files."""
    removed = 0
    for path in spool.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - older_than_s:
                path.unlink()
                removed += 1
    return removed


def _expect(request: Request, settings: GatewaySettings, most: int) -> None:
    """Lift the bounds of ordinary bodies, and refuse at once what the headers say is too large or has no room."""
    allow(request, most + _OVERHEAD, settings.upload_idle_s, settings.upload_s, settings.upload_least_rate)
    declared = request.headers.get("content-length", "0")
    length = int(declared) if declared.isdecimal() else 0
    if length > most + _OVERHEAD:
        raise too_large(most)
    if shutil.disk_usage(settings.spool).free < length + settings.spare_bytes:
        raise disk_full()


class _Sink:
    """One file on its way into the spool."""

    def __init__(self, spool: Path, most: int) -> None:
        self._path = spool / f"{secrets.token_hex(16)}{SUFFIX}"
        self._most = most
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._pieces: list[bytes] = []
        self.waiting = self.bytes = 0

    def add(self, piece: bytes) -> None:
        """Take a piece; in memory until :meth:`flush`."""
        self.bytes += len(piece)
        if self.bytes > self._most:
            raise too_large(self._most)
        self._pieces.append(piece)
        self.waiting += len(piece)

    def flush(self) -> None:
        """Write what waits."""
        pieces, self._pieces, self.waiting = self._pieces, [], 0
        if self._file is None:
            # Made by us alone, under a name of ours, for our eyes: a client names nothing here.
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(handle, "wb", buffering=0)
        for piece in pieces:
            self._digest.update(piece)
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]

    def finish(self) -> Received:
        """Write the rest."""
        if not self.bytes:
            raise WrongUse("gateway.empty_upload", "The file has 0 bytes.", "Send the file as the body or part.")
        self.flush()
        assert self._file is not None
        self._file.close()
        return Received(self._path, self.bytes, self._digest.hexdigest())

    def drop(self) -> None:
        """Leave nothing."""
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


class _FormReader:
    """Parts as they come. The parser calls back while it is fed; the calls are kept and worked off afterwards."""

    def __init__(self, boundary: bytes, settings: GatewaySettings, files: Mapping[str, int]) -> None:
        self._settings, self._limits = settings, files
        self._form = Form()
        self._calls: list[tuple[str, bytes]] = []
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._sink: _Sink | None = None
        self._text = bytearray()
        self._texts = self._parts = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": self._piece("header_field"),
                    "on_header_value": self._piece("header_value"),
                    "on_header_end": self._mark("header_end"),
                    "on_headers_finished": self._mark("headers_finished"),
                    "on_part_data": self._piece("part_data"),
                    "on_part_end": self._mark("part_end"),
                    "on_end": self._mark("end"),
                },
            )
        except FormParserError as error:
            raise _bad(str(error)) from error

    async def feed(self, chunk: bytes) -> None:
        """Some bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _bad("its parts are not separated as its header says") from error
        calls, self._calls = self._calls, []
        for name, data in calls:
            await self._work(name, data)

    async def finish(self) -> Form:
        """The form, once it has its end."""
        if not self._ended:
            raise _bad("it ends too early")
        return self._form

    def drop(self) -> None:
        """Leave nothing."""
        if self._sink is not None:
            self._sink.drop()
        for file in self._form.files.values():
            file.discard()

    async def _work(self, name: str, data: bytes) -> None:
        if name == "part_data":
            await self._data(data)
        elif name == "header_field":
            self._header = (self._header[0] + data, self._header[1])
        elif name == "header_value":
            self._header = (self._header[0], self._header[1] + data)
        elif name == "header_end":
            self._headers[self._header[0].lower()] = self._header[1]
            self._header = (b"", b"")
        elif name == "headers_finished":
            self._begin()
        elif name == "part_end":
            await self._end_part()
        elif name == "end":
            self._ended = True

    def _begin(self) -> None:
        self._parts += 1
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._headers = {}
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name or len(name) > _NAME or not name.isprintable():
            raise _bad("a part has no name")
        if self._parts > _MOST_PARTS or name in self._form.texts or name in self._form.files:
            raise _bad(f"{name[:_NAME]!r} stands twice in it, or it has too many parts")
        self._name, self._text = name, bytearray()
        if b"filename" not in options:
            return
        if name not in self._limits:
            raise _bad(f"{name!r} is a file where none is expected")
        self._sink = _Sink(self._settings.spool, self._limits[name])

    async def _data(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.add(data)
            if self._sink.waiting >= _AT_ONCE:
                await on_disk(self._sink.flush)
            return
        self._texts += len(data)
        if self._texts > self._settings.body_bytes:
            raise too_large(self._settings.body_bytes)
        self._text += data

    async def _end_part(self) -> None:
        if self._sink is not None:
            self._form.files[self._name] = await on_disk(self._sink.finish)
            self._sink = None
            return
        try:
            text = self._text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _bad(f"{self._name!r} is not UTF-8") from error
        if "\0" in text:
            raise _bad(f"{self._name!r} has characters that cannot be stored")
        self._form.texts[self._name] = text

    def _mark(self, name: str) -> Callable[[], None]:
        return lambda: self._calls.append((name, b""))

    def _piece(self, name: str) -> Callable[[bytes, int, int], None]:
        return lambda data, start, end: self._calls.append((name, bytes(data[start:end])))


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise _bad("its Content-Type has no boundary")
    return boundary


def _bad(why: str) -> WrongUse:
    return WrongUse("gateway.bad_form", f"The form does not read: {why}.", "Send multipart/form-data as curl -F does.")
