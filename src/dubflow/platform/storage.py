"""Sets of files in an object storage, each whole or not there: ``s3://bucket/prefix`` or ``file:///folder``.

A set is a folder of objects with a manifest, which is written last and removed first; without one a reader finds
nothing. The manifest says how many bytes each file has, and their SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file
from dubflow.storage import Objects

MANIFEST = "manifest.json"
FORMAT = "dubflow.stored-set/1"


class Storage:
    """The sets below an address.

    Every method raises :class:`OurFault` ``storage.failed`` where the storage does not do what it is asked.
    """

    def __init__(self, uri: str) -> None:
        """As :class:`Objects`, which are what sets are made of."""
        self.uri = uri
        self.objects = Objects(uri)

    def names(self) -> list[str]:
        """Of all sets that are there, sorted."""
        from pyarrow.fs import FileSelector, FileType

        files, root = self.objects.files, self.objects.root
        with self.objects.asked("listed"):
            found = files.get_file_info(FileSelector(root, allow_not_found=True))
            folders = sorted(one.base_name for one in found if one.type == FileType.Directory)
            marks = files.get_file_info([f"{root}/{name}/{MANIFEST}" for name in folders]) if folders else []
        return [name for name, mark in zip(folders, marks, strict=True) if mark.type == FileType.File]

    def manifest(self, name: str) -> dict[str, dict[str, Any]] | None:
        """SHA-256 and bytes of each file of a set; None where there is no such set.

        Raises:
            BadInput: ``platform.stored_set_damaged`` when it does not read.
        """
        if self.objects.find(f"{name}/{MANIFEST}") is None:
            return None
        with (
            self.objects.asked("read"),
            self.objects.files.open_input_stream(self.objects.at(f"{name}/{MANIFEST}")) as stream,
        ):
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
        self.objects.remove(f"{name}/{MANIFEST}")
        facts = {path: self.objects.put(f"{name}/{path}", content) for path, content in files.items()}
        text = json.dumps({"format": FORMAT, "files": facts}, indent=2, sort_keys=True).encode()
        self.objects.put(f"{name}/{MANIFEST}", text)

    def get(self, name: str, path: str, fact: Mapping[str, Any], target: Path) -> None:
        """Bring one file of a set, whole or not at all.

        Args:
            fact: what the set's manifest says of it.

        Raises:
            BadInput: ``platform.stored_set_damaged`` when it is missing or has other bytes.
        """
        try:
            self.objects.get(f"{name}/{path}", target, str(fact["sha256"]))
        except BadInput as error:
            how = "is missing" if error.code == "storage.object_missing" else "has other bytes than were written"
            raise self._damaged(name, f"{path} {how}") from error

    def remove(self, name: str) -> None:
        """Remove a set, if it is there."""
        self.objects.remove(f"{name}/{MANIFEST}")
        self.objects.remove_below(name)

    def _damaged(self, name: str, how: str) -> BadInput:
        return BadInput("platform.stored_set_damaged", f"{name} of {self.uri} is damaged: {how}.", "Remove it.")
