"""What could not be sent yet: kept on disk beside the run, so that neither a dead server nor a dead run loses it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dubflow.atomic import PARTIAL, atomic_file, write_json
from dubflow.tracking import inside_run


@dataclass(frozen=True)
class Point:
    """One number: its name, value, step, and when it was logged (ms since 1970)."""

    name: str
    value: float
    step: int
    time_ms: int


class Outbox:
    """Points, parameters and files that wait in a folder; the folder exists only while something does."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._points, self._parameters, self._files = root / "points.jsonl", root / "parameters.json", root / "files"

    def __bool__(self) -> bool:
        return self.root.exists()

    def counts(self) -> tuple[int, int]:
        """How many points and how many files wait."""
        return sum(1 for _ in self.points()), sum(1 for _ in self.files())

    def add_points(self, points: Iterable[Point]) -> None:
        """Put ``points`` behind those that wait."""
        lines = "".join(json.dumps(asdict(point)) + "\n" for point in points)
        if lines:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._points.open("a", encoding="utf-8") as stream:
                # First an end of line, should a killed run have left half a row; empty lines are passed over.
                stream.write("\n" + lines)

    def add_parameters(self, values: Mapping[str, str]) -> None:
        """Keep ``values`` beside those that wait."""
        if values:
            write_json(self._parameters, self.parameters() | dict(values))

    def add_file(self, path: Path, folder: str) -> None:
        """Keep a copy of ``path``, for ``folder`` of the run."""
        with atomic_file(self._files / inside_run(folder) / path.name) as part:
            shutil.copyfile(path, part)

    def points(self) -> Iterator[Point]:
        """Those that wait, oldest first; half a line is passed over."""
        if self._points.is_file():
            for line in self._points.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    yield Point(**json.loads(line))
                except (ValueError, TypeError):
                    continue

    def parameters(self) -> dict[str, str]:
        """Those that wait."""
        try:
            content = json.loads(self._parameters.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else {}

    def files(self) -> Iterator[tuple[Path, str]]:
        """Those that wait, each with its folder of the run."""
        for path in sorted(self._files.rglob("*")):
            if path.is_file() and PARTIAL not in path.name:
                folder = path.parent.relative_to(self._files).as_posix()
                yield path, "" if folder == "." else folder

    def clear(self) -> None:
        """Forget everything, once it has been sent."""
        shutil.rmtree(self.root, ignore_errors=True)
