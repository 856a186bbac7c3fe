"""The content-addressed store under a prepared set: an object a clip while work goes on, packed into shards at its end.

Layout of the folder::

    objects/ab/<key>.safetensors   a finished clip that is not packed yet
    shards/<digest>.safetensors    many clips; a tensor is called <key>/<array>
    .locks                         ranges of this empty file are locked, nothing is written to it

A key is the digest of everything a clip's arrays depend on (:func:`content_key`), so whoever finds a key finds the
right arrays, and two runs that make the same object make the same bytes. Objects appear whole (written beside, then
renamed), so a killed run loses only the clips it was working on. Shards are never changed: packing writes new ones, and
the index that names them is replaced last.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from dubflow.atomic import sweep
from dubflow.corpora.tensorfile import Arrays, TensorFile, write_tensors
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

# Anything younger may belong to another run that is still working.
STALE_S = 3600.0
_META = "meta"
_PACKING = 1 << 61  # a place in the lock file that no key maps to


def content_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of ``parts`` as canonical JSON: sorted keys, no spaces."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """Objects and shards below one folder, safe for several processes at once.

    Locks are POSIX record locks: they exclude other processes (not threads of this one) and vanish with their owner,
    however it dies. Open one store a process and folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self._locks: BinaryIO = open(self.root / ".locks", "a+b")  # noqa: SIM115 - held as long as the store
        self._shards: dict[str, Shard] = {}
        self._shard_of: dict[str, str] = {}
        self._seen_ns = -1

    def close(self) -> None:
        """Give up all locks."""
        self._locks.close()

    @contextmanager
    def claim(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Hold the right to make ``key``; False (at once, unless ``wait``) while another process makes it."""
        with self._locked(int(key[:15], 16), wait=wait) as held:
            yield held

    @contextmanager
    def packing(self) -> Iterator[None]:
        """Hold the right to write shards and the index; waits."""
        with self._locked(_PACKING, wait=True):
            # Another run may have removed shards that were seen before; what `has` says from here on must hold.
            self._seen_ns = -1
            self.refresh()
            yield

    @contextmanager
    def _locked(self, place: int, *, wait: bool) -> Iterator[bool]:
        mode = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.lockf(self._locks, mode, 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def object_path(self, key: str) -> Path:
        """Where ``key`` lies until it is packed."""
        return self.root / "objects" / key[:2] / f"{key}.safetensors"

    def shard_path(self, name: str) -> Path:
        """Where a shard lies."""
        return self.root / "shards" / f"{name}.safetensors"

    def put(self, key: str, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Write one finished clip; doing it twice is the same as once."""
        write_tensors(self.object_path(key), arrays, {_META: json.dumps(meta, sort_keys=True)})

    def has(self, key: str) -> bool:
        """Whether ``key`` is there, as an object or in a shard; sees what other processes packed meanwhile."""
        if key in self._shard_of or self.object_path(key).is_file():
            return True
        self.refresh()
        return key in self._shard_of or self.object_path(key).is_file()

    def refresh(self) -> None:
        """Look again which shards there are."""
        folder = self.root / "shards"
        changed_ns = folder.stat().st_mtime_ns if folder.is_dir() else 0
        if changed_ns == self._seen_ns:
            return
        names = sorted(path.stem for path in folder.glob("*.safetensors") if not path.name.startswith("."))
        shards = {name: self._shards.get(name) or self._open(name) for name in names}
        self._adopt({name: shard for name, shard in shards.items() if shard is not None})
        self._seen_ns = changed_ns

    def _open(self, name: str) -> Shard | None:
        try:
            return Shard(self.shard_path(name))
        except BadInput:
            if self.shard_path(name).exists():
                raise
            return None  # another process merged it away just now

    def _adopt(self, shards: dict[str, Shard]) -> None:
        self._shards = shards
        self._shard_of = {key: name for name, shard in shards.items() for key in shard.keys}

    def shard_of(self, key: str) -> str:
        """Name of the shard that holds ``key``, after :meth:`pack`."""
        return self._shard_of[key]

    def meta(self, key: str) -> dict[str, Any]:
        """What was stored beside the arrays of ``key``, after :meth:`pack`."""
        return self._shards[self._shard_of[key]].meta(key)

    def read(self, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arrays and meta of ``key``, wherever it lies; arrays of a shard are views of its memory map."""
        if self.object_path(key).is_file():
            file = TensorFile(self.object_path(key))
            # Copies: a map holds its file open, and a shard is packed from more objects than a process may open files.
            return {name: file[name].copy() for name in file}, json.loads(file.metadata[_META])
        shard = self._shards[self._shard_of[key]]
        return shard.arrays(key), shard.meta(key)

    def pack(self, wanted: Iterable[str], shard_bytes: int) -> None:
        """Bring every wanted key into a shard; call it within :meth:`packing`.

        Shards less than half as large as ``shard_bytes``, counting wanted keys alone, are merged with the new ones, so
        what changed clips leave behind never exceeds what is in use; nothing is written when nothing is new.
        """
        wanted_set = set(wanted)
        pending = {key for key in wanted_set if key not in self._shard_of}
        if not pending:
            return
        small = {name for name, shard in self._shards.items() if shard.size(wanted_set) < shard_bytes / 2}
        merged = {key for name in small for key in self._shards[name].keys if key in wanted_set}
        written = self._write_shards(sorted(pending | merged), shard_bytes)
        kept = {name: shard for name, shard in self._shards.items() if name not in small}
        self._adopt({**kept, **{name: Shard(self.shard_path(name)) for name in written}})

    def _write_shards(self, keys: list[str], shard_bytes: int) -> list[str]:
        names: list[str] = []
        batch: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        size = 0
        for key in keys:
            arrays, meta = self.read(key)
            weight = sum(array.nbytes for array in arrays.values())
            if batch and size + weight > shard_bytes:
                names.append(self._write_shard(batch))
                batch, size = {}, 0
            batch[key] = (arrays, meta)
            size += weight
        return [*names, self._write_shard(batch)]

    def _write_shard(self, batch: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> str:
        name = hashlib.sha256("\n".join(sorted(batch)).encode()).hexdigest()[:32]
        tensors = {f"{key}/{array}": value for key, (arrays, _) in batch.items() for array, value in arrays.items()}
        metadata = {key: json.dumps(meta, sort_keys=True) for key, (_, meta) in batch.items()}
        write_tensors(self.shard_path(name), tensors, metadata)
        return name

    def clean(self, wanted: Iterable[str]) -> None:
        """Remove what the index that was just written does not need; call it within :meth:`packing`.

        Packed objects and shards without a wanted key go at once; other left-overs only when they are old enough to
        belong to no running process.
        """
        wanted_set = set(wanted)
        needed = {self._shard_of[key] for key in wanted_set}
        for path in (self.root / "shards").glob("*.safetensors"):
            if path.stem not in needed and not path.name.startswith("."):
                path.unlink(missing_ok=True)
        for key in wanted_set:
            self.object_path(key).unlink(missing_ok=True)
        for path in sorted((self.root / "objects").glob("*/*.safetensors")):
            if not path.name.startswith(".") and path.stat().st_mtime < time.time() - STALE_S:
                path.unlink(missing_ok=True)
        sweep(self.root, older_than_s=STALE_S)
        self._adopt({name: shard for name, shard in self._shards.items() if name in needed})

    def digest(self, name: str) -> str:
        """SHA-256 of a shard's bytes."""
        return sha256_file(self.shard_path(name))


class Shard:
    """A tensor file of many clips: tensors are called ``key/array``, the meta of a clip stands under its key."""

    def __init__(self, path: Path) -> None:
        self._file = TensorFile(path)
        self._names: dict[str, list[str]] = {key: [] for key in self._file.metadata}
        for tensor in self._file:
            key, name = tensor.split("/", 1)
            self._names[key].append(name)

    @property
    def keys(self) -> Iterable[str]:
        """Keys of the clips in it."""
        return self._names.keys()

    def meta(self, key: str) -> dict[str, Any]:
        """What was stored beside the arrays."""
        content: dict[str, Any] = json.loads(self._file.metadata[key])
        return content

    def arrays(self, key: str) -> dict[str, NDArray[Any]]:
        """Arrays of one clip by name, as views of a memory map."""
        return {name: self._file[f"{key}/{name}"] for name in self._names[key]}

    def size(self, among: set[str]) -> int:
        """Bytes of the tensors of those clips that are ``among``."""
        wanted = (f"{key}/{name}" for key, names in self._names.items() if key in among for name in names)
        return sum(self._file.bytes_of(tensor) for tensor in wanted)
