"""Whether files are still those of the manifest, without reading them all every time.

A file whose size and modification time are as they were when it was last hashed is taken for unchanged, as make and git
do; any other is hashed again. What was seen is kept in ``.stamps.json`` beside the prepared set; losing it costs only
time.
"""

from __future__ import annotations

import json
from pathlib import Path

from dubflow.atomic import write_json
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

_NAME = ".stamps.json"


class Stamps:
    """Digests by file, remembered between runs."""

    def __init__(self, folder: Path) -> None:
        self._path = Path(folder) / _NAME
        self._known: dict[str, list[int | str]] = {}
        self._seen: dict[str, list[int | str]] = {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = content if isinstance(content, dict) else {}
        except (OSError, ValueError):
            pass  # absent or cut short: everything is hashed once

    def check(self, path: Path, sha256: str) -> None:
        """Do nothing if the file at ``path`` has the digest ``sha256``.

        Raises:
            BadInput: ``corpora.file_changed``, and what ``media`` says of a file that cannot be read.
        """
        stamp = self._stamp(path)
        remembered = self._known.get(str(path))
        digest = remembered[2] if remembered and remembered[:2] == stamp else sha256_file(path)
        self._seen[str(path)] = [*stamp, digest]
        if digest != sha256:
            raise BadInput(
                "corpora.file_changed",
                f"{path} is not the file that the manifest was made with.",
                "Import or render the corpus again.",
            )

    def _stamp(self, path: Path) -> list[int | str]:
        if not path.is_file():
            return [-1, -1]
        facts = path.stat()
        return [facts.st_size, facts.st_mtime_ns]

    def write(self) -> None:
        """Keep what was seen, if it is anything new."""
        if self._seen != self._known:
            write_json(self._path, self._seen)
