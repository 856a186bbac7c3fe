"""Files in an object storage, by key: ``s3://bucket/prefix`` or ``file:///folder``.

Each object is there whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from dubflow.atomic import PARTIAL, atomic_file
from dubflow.errors import BadInput, OurFault, WrongUse, missing_extra

_CHUNK = 4 << 20


def below(uri: str, *names: str) -> str:
    """The address of what lies below an address; its query (``?endpoint_override=…``) stays."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path="/".join([parts.path.rstrip("/"), *map(quote, names)])))


@dataclass(frozen=True)
class StoredObject:
    """One object: its key, its bytes, and when it was written, in seconds since 1970 (0 where nobody knows)."""

    key: str
    bytes: int
    modified_s: float


class Objects:
    """Single objects below an address.

    Every method raises :class:`OurFault` ``storage.failed`` where the storage does not do what it is asked, and
    :class:`WrongUse` ``storage.bad_key`` for a key that is none.
    """

    def __init__(self, uri: str) -> None:
        """Look at no more than the address; keys to the storage come from the environment (``AWS_ACCESS_KEY_ID``).

        Raises:
            WrongUse: ``storage.bad_address``, ``storage.secret_in_address``, ``install.missing_extra``.
        """
        self.uri = uri
        self._fs = _arrow()
        self._known: tuple[Any, str] | None = None
        _check(uri)
        with suppress(OSError):  # finding a bucket's region takes a network, which may be there later
            self._known = _opened(uri)

    @property
    def files(self) -> Any:
        """Arrow's file system of the address."""
        return self._open()[0]

    @property
    def root(self) -> str:
        """The path within it."""
        return self._open()[1]

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that it is, if it is one."""
        return Path(self.root) if self.files.type_name == "local" else None

    def path(self, key: str) -> Path | None:
        """Where an object lies on this machine, if the storage is a folder of it; whether it is there or not."""
        return None if self.folder is None else self.folder / checked_key(key)

    def find(self, key: str) -> StoredObject | None:
        """What is known of an object; None where there is none."""
        with self.asked("read"):
            found = self.files.get_file_info(self.at(key))
            return _stored(key, found) if found.type == self._fs.FileType.File else None

    def listing(self, prefix: str) -> list[StoredObject]:
        """All objects whose keys begin with ``prefix`` and a slash, by key."""
        with self.asked("listed"):
            at = self.at(prefix)
            chosen = self._fs.FileSelector(at, recursive=True, allow_not_found=True)
            found = [one for one in self.files.get_file_info(chosen) if one.type == self._fs.FileType.File]
            # Of a folder of this machine also those that are being written, whose names begin with a point.
            objects = [_stored(prefix + one.path[len(at) :], one) for one in found]
            return sorted((one for one in objects if PARTIAL not in one.key), key=lambda one: one.key)

    def put(self, key: str, content: Path | bytes) -> dict[str, Any]:
        """Write an object, in the place of one of its key; answers its ``sha256`` and ``bytes``.

        Raises:
            FileNotFoundError: the file on this machine is gone.
        """
        where, target = self.at(key), self.path(key)
        with _pieces(content) as pieces, self.asked("written"):
            if target is None:
                return self._stream(where, pieces)
            with atomic_file(target) as part:
                return self._stream(str(part), pieces)

    def get(self, key: str, target: Path, sha256: str | None = None) -> None:
        """Bring an object, whole or not at all.

        Raises:
            BadInput: ``storage.object_missing``, ``storage.object_damaged`` for other bytes than ``sha256``.
        """
        digest = hashlib.sha256()
        with atomic_file(target) as part:
            with part.open("wb") as out, self.asked("read"):
                if self.files.get_file_info(self.at(key)).type != self._fs.FileType.File:
                    raise BadInput("storage.object_missing", f"There is no {key} in {self.uri}.", "It may be too old.")
                with self.files.open_input_stream(self.at(key)) as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                        out.write(chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise BadInput("storage.object_damaged", f"{key} has other bytes than were written.", "Write it again.")

    def local(self, key: str, folder: Path) -> Path:
        """A path on this machine with an object's bytes: where it lies, or a copy of its name in ``folder``.

        Raises:
            BadInput: ``storage.object_missing``.
        """
        path = self.path(key)
        if path is None:
            path = folder / PurePosixPath(key).name
            self.get(key, path)
        elif not path.is_file():
            raise BadInput("storage.object_missing", f"There is no {key} in {self.uri}.", "It may be too old.")
        return path

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self.asked("removed"):
            if self.files.get_file_info(self.at(key)).type == self._fs.FileType.File:
                self.files.delete_file(self.at(key))

    def remove_below(self, prefix: str) -> None:
        """Remove what :meth:`listing` lists, if there is any."""
        with self.asked("removed"):
            if self.files.get_file_info(self.at(prefix)).type == self._fs.FileType.Directory:
                self.files.delete_dir(self.at(prefix))

    def at(self, key: str) -> str:
        """An object's path within :attr:`files`."""
        return f"{self.root}/{checked_key(key)}"

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Errors of the storage under our name, while it is ``what`` (*read*, *written*…)."""
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise OurFault(
                "storage.failed",
                f"{self.uri} could not be {what}: {said}",
                "See that it is reachable and that this process has keys to it.",
            ) from error

    def _open(self) -> tuple[Any, str]:
        if self._known is None:
            self._known = _opened(self.uri)
        return self._known

    def _stream(self, where: str, pieces: Iterator[bytes]) -> dict[str, Any]:
        digest, total = hashlib.sha256(), 0
        with self.files.open_output_stream(where) as stream:
            for piece in pieces:
                digest.update(piece)
                total += len(piece)
                stream.write(piece)
        return {"sha256": digest.hexdigest(), "bytes": total}


def checked_key(key: str) -> str:
    """``key``, if it stays below its storage wherever that is.

    Raises:
        WrongUse: ``storage.bad_key``.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(ord(each) < 32 or each in "\\\x7f" for each in key):
        raise WrongUse("storage.bad_key", f"{key[:80]!r} is no key.", "A key is names with slashes between them.")
    return key


def _stored(key: str, found: Any) -> StoredObject:
    return StoredObject(key, int(found.size or 0), found.mtime_ns / 1e9 if found.mtime_ns else 0.0)


def _arrow() -> Any:
    try:
        import pyarrow.fs
    except ModuleNotFoundError as error:
        raise missing_extra("pyarrow") from error
    return pyarrow.fs


def _check(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.username or parts.password:
        raise WrongUse(
            "storage.secret_in_address",
            f"The address of a storage ({parts.scheme}://…) has keys in it; they would be written into records.",
            "Give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a role.",
        )
    if parts.scheme not in ("s3", "file"):
        raise _no_address(uri, "it begins neither with s3:// nor with file:///")


def _opened(uri: str) -> tuple[Any, str]:
    try:
        files, root = _arrow().FileSystem.from_uri(uri)
    except ValueError as error:  # Arrow's ArrowInvalid is one
        raise _no_address(uri, str(error).splitlines()[0]) from error
    return files, str(root).rstrip("/")


def _no_address(uri: str, why: str) -> WrongUse:
    return WrongUse(
        "storage.bad_address",
        f"{uri} is no address of a storage: {why}.",
        "Write s3://bucket/prefix, with ?scheme=http&endpoint_override=host:port where it is not Amazon's.",
    )


@contextmanager
def _pieces(content: Path | bytes) -> Iterator[Iterator[bytes]]:
    if isinstance(content, bytes):
        yield iter([content])
        return
    with content.open("rb") as file:
        yield _chunks(file)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
