"""A registry whose versions are promoted by number, and a server that keeps in mind what it has loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubflow.errors import OurFault
from dubflow.registry.models import Registry
from dubflow.registry.package.manifest import read_manifest
from dubflow.registry.package.opening import ModelPackage
from dubflow.registry.promoting import Override, promote, rollback
from dubflow.registry.registering import register
from dubflow.serving.export import MODEL as FOLDER
from dubflow.serving.export import Exported, export_model
from dubflow.serving.heard import Heard
from dubflow.serving.state import Mode, now
from registry.packages import MODEL, packed


class Releases:
    """Packages that are made, registered and promoted."""

    def __init__(self, registry: Registry, folder: Path, key: Path) -> None:
        self.registry, self.folder, self.key = registry, folder, key

    def package(self, seed: int) -> ModelPackage:
        return packed(self.folder / str(seed), self.key.with_suffix(""), seed)

    def register(self, seed: int) -> int:
        return register(self.registry, self.package(seed).folder, by="ada", trusted_keys=[self.key]).version

    def promote(self, version: int) -> None:
        promote(self.registry, MODEL, version, None, by="ada", override=Override("for a test"))

    def release(self, seed: int) -> int:
        version = self.register(seed)
        self.promote(version)
        return version

    def rollback(self) -> None:
        rollback(self.registry, MODEL, by="ada", reason="for a test")


def heard(engine: str, **changes: object) -> Heard:
    facts = {"engine": engine, "samples": 32000, "sha256": "a" * 64, "level_db": -20.0, "start": 0.1, "end": 1.5}
    return Heard.model_validate(facts | changes)


def describe(model: Path) -> Exported:
    """What an export of a small package says; nothing of it is loaded, for there is nothing that could be."""
    manifest = read_manifest(model)
    engine = f"small-{manifest.digest[:8]}"
    return Exported(
        version=0, package=manifest.digest, kind="diflow", engine=engine, world="embedded", languages=("en",),
        heard=heard(engine), seconds=0.0, made=now(),
    )  # fmt: skip


def export(folder: Path, version: int) -> Exported:
    return export_model(folder, version, describe)


class MemoryServer:
    """Serves as the watcher sees it, within this process; what it must fail at is told it by version."""

    mode: Mode = "triton"

    def __init__(self) -> None:
        self.laid_out: set[int] = set()
        self.loaded: set[int] = set()
        self.fails_to_load: set[int] = set()
        self.speaks_otherwise: set[int] = set()
        self.dead: set[int] = set()
        self.calls: list[tuple[str, int]] = []

    def install(self, export: Exported, folder: Path) -> None:
        assert (folder / FOLDER).is_dir()
        self.laid_out.add(export.version)

    def load(self, version: int) -> None:
        assert version in self.laid_out
        self.calls.append(("load", version))
        if version in self.fails_to_load:
            raise OurFault("serving.not_loaded", f"{version} does not load.")
        self.loaded.add(version)

    def reload(self, version: int, models: Sequence[str] = ()) -> None:
        self.calls.append(("reload", version))
        self.loaded.discard(version)
        self.load(version)
        self.dead.discard(version)

    def remove(self, version: int) -> None:
        self.calls.append(("remove", version))
        self.loaded.discard(version)
        self.laid_out.discard(version)

    def ready(self, version: int) -> bool:
        return version in self.loaded

    def installed(self) -> set[int]:
        return {*self.laid_out}

    def dub(self, export: Exported, folder: Path, within_s: float) -> tuple[Heard, float]:
        if export.version not in self.loaded or export.version in self.dead:
            raise OurFault("serving.backend_died", f"{export.version} does not answer.")
        changes = {"sha256": "b" * 64, "start": 0.9} if export.version in self.speaks_otherwise else {}
        return heard(export.engine, **changes), 0.1

    def restarted(self) -> None:
        """Nothing is loaded any more; what was laid out is."""
        self.loaded.clear()
