"""Sets of files in an object storage, each whole or not there: ``s3://bucket/prefix`` or ``file:///folder``.

A set is a folder of objects with a manifest, which is written last and removed first; without one a reader finds
nothing. The manifest says how many bytes each file has, and their SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from dubflow.atomic import atomic_file
from dubflow.errors import BadInput, OurFault, WrongUse, missing_extra
from dubflow.media.digest import sha256_file

MANIFEST = "manifest.json"
FORMAT = "dubflow.stored-set/1"
_CHUNK = 4 << 20


def below(uri: str, *names: str) -> str:
    """The address of what lies below an address; its query (``?endpoint_override=…``) stays."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(path="/".join([parts.path.rstrip("/"), *map(quote, names)])))


class Storage:
    """The sets below an address.

    Every method raises :class:`OurFault` ``platform.storage_failed`` where the storage does not do what it is asked.
    """

    def __init__(self, uri: str) -> None:
        """Look at no more than the address; keys to the storage come from the environment (``AWS_ACCESS_KEY_ID``).

        Raises:
            WrongUse: ``platform.bad_storage``, ``platform.secret_in_address``, ``install.missing_extra``.
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

    def names(self) -> list[str]:
        """Of all sets that are there, sorted."""
        with self._asked("listed"):
            found = self.files.get_file_info(self._fs.FileSelector(self.root, allow_not_found=True))
            folders = sorted(one.base_name for one in found if one.type == self._fs.FileType.Directory)
            marks = self.files.get_file_info([self._at(name, MANIFEST) for name in folders]) if folders else []
        return [name for name, mark in zip(folders, marks, strict=True) if mark.type == self._fs.FileType.File]

    def manifest(self, name: str) -> dict[str, dict[str, Any]] | None:
        """SHA-256 and bytes of each file of a set; None where there is no such set.

        Raises:
            BadInput: ``platform.stored_set_damaged`` when it does not read.
        """
        with self._asked("read"):
            if self.files.get_file_info(self._at(name, MANIFEST)).type != self._fs.FileType.File:
                return None
            with self.files.open_input_stream(self._at(name, MANIFEST)) as stream:
                text = stream.read()
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError("another format")
            files = {str(path): {"sha256": str(one["sha256"]), "bytes": int(one["bytes"])} for path, one in
                     content["files"].items()}  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(name, f"its manifest does not read ({error})") from error
        for path in files:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
                raise self._damaged(name, f"{path!r} leads out of it")
        return files

    def holds(self, name: str, files: Mapping[str, Path]) -> bool:
        """Whether the set is there with these very files, and perhaps others."""
        try:
            known = self.manifest(name) or {}
        except BadInput:
            return False
        return all(path in known and known[path]["sha256"] == sha256_file(file) for path, file in files.items())

    def put(self, name: str, files: Mapping[str, Path | bytes]) -> None:
        """Write a set, in the place of one of its name.

        Raises:
            FileNotFoundError: one of the files on this machine is gone.
        """
        with self._asked("written"):
            self._unmark(name)
        facts = {path: self._put(self._at(name, path), content) for path, content in files.items()}
        text = json.dumps({"format": FORMAT, "files": facts}, indent=2, sort_keys=True).encode()
        self._put(self._at(name, MANIFEST), text)

    def get(self, name: str, path: str, fact: Mapping[str, Any], target: Path) -> None:
        """Bring one file of a set, whole or not at all.

        Args:
            fact: what the set's manifest says of it.

        Raises:
            BadInput: ``platform.stored_set_damaged`` when it is missing or has other bytes.
        """
        digest = hashlib.sha256()
        with atomic_file(target) as part:
            with part.open("wb") as out, self._asked("read"):
                if self.files.get_file_info(self._at(name, path)).type != self._fs.FileType.File:
                    raise self._damaged(name, f"{path} is missing")
                with self.files.open_input_stream(self._at(name, path)) as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                        out.write(chunk)
            if digest.hexdigest() != fact["sha256"]:
                raise self._damaged(name, f"{path} has other bytes than were written")

    def remove(self, name: str) -> None:
        """Remove a set, if it is there."""
        with self._asked("removed"):
            self._unmark(name)
            if self.files.get_file_info(self._at(name)).type == self._fs.FileType.Directory:
                self.files.delete_dir(self._at(name))

    def _open(self) -> tuple[Any, str]:
        if self._known is None:
            self._known = _opened(self.uri)
        return self._known

    def _unmark(self, name: str) -> None:
        if self.files.get_file_info(self._at(name, MANIFEST)).type == self._fs.FileType.File:
            self.files.delete_file(self._at(name, MANIFEST))

    def _put(self, where: str, content: Path | bytes) -> dict[str, Any]:
        digest, total = hashlib.sha256(), 0
        with _pieces(content) as pieces, self._asked("written"):
            if self.files.type_name == "local":  # an object storage has no folders to make
                self.files.create_dir(str(PurePosixPath(where).parent), recursive=True)
            with self.files.open_output_stream(where) as stream:
                for piece in pieces:
                    digest.update(piece)
                    total += len(piece)
                    stream.write(piece)
        return {"sha256": digest.hexdigest(), "bytes": total}

    def _at(self, *parts: str) -> str:
        return "/".join([self.root, *parts])

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            raise OurFault(
                "platform.storage_failed",
                f"{self.uri} could not be {what}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
                "See that it is reachable and that this process has keys to it.",
            ) from error

    def _damaged(self, name: str, how: str) -> BadInput:
        return BadInput("platform.stored_set_damaged", f"{name} of {self.uri} is damaged: {how}.", "Remove it.")


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
            "platform.secret_in_address",
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
        "platform.bad_storage",
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
