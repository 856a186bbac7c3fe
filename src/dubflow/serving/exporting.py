"""A package as a model repository to take elsewhere: checked, spoken with, and laid out for Triton.

========================= ===================================================================
``export.json``           :class:`~dubflow.serving.export.Exported`
``model/``                the package, whole
``repository/``           Triton's model repository with that one version, loaded as it stands
========================= ===================================================================
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dubflow.atomic import atomic_dir, write_json
from dubflow.errors import WrongUse
from dubflow.registry.licences import LicencePolicy
from dubflow.serving.environment import why_not
from dubflow.serving.export import FILE, MODEL, Exported, export_model, read_export
from dubflow.serving.heard import check_heard
from dubflow.serving.laid_out import REPOSITORY
from dubflow.serving.repository import SERVED, install_version, switch_on
from dubflow.serving.settings import TritonSettings
from dubflow.serving.source import FolderSource

_GOLDEN_S = 120.0


def export_package(
    source: Path,
    out: Path,
    version: int,
    *,
    trusted_keys: Sequence[Path] = (),
    policy: LicencePolicy | None = None,
    settings: TritonSettings | None = None,
    mounted_at: Path | None = None,
) -> Exported:
    """Export a package (or a stored model) into the new folder ``out``; one that was made of it is found.

    The golden clip is dubbed in a process of its own, and again by a Triton that is started for it where one can run.

    Args:
        version: of the registry; 0 for a model from none. trusted_keys: one must have signed it; none: not looked at.
        policy: licences that are allowed; None: not asked. settings: instances and batching of the repository.
        mounted_at: where ``out`` will lie on the machine that serves; by default where it lies here.

    Raises:
        WrongUse: ``serving.export_exists``.
        BadInput: what is wrong with the model, as :func:`~dubflow.serving.export.export_model` says, its signature,
            or its licences; ``serving.golden_differs``.
    """
    origin = FolderSource(source, trusted_keys, policy)
    wanted = origin.wanted()
    out, settings = Path(out).absolute(), settings or TritonSettings()
    if out.exists():
        found = read_export(out) if (out / FILE).is_file() else None
        if found is None or found.package is None or (found.version, found.package) != (version, wanted.package):
            raise WrongUse("serving.export_exists", f"{out} exists and is another thing.", "Name a new folder.")
        return found
    with atomic_dir(out) as part:
        origin.bring(wanted, part / MODEL)
        exported = export_model(part, version)
        if not why_not():
            exported = exported.model_copy(update={"triton_s": speak_on_triton(part / MODEL, exported, settings)})
            write_json(part / FILE, exported.model_dump(mode="json"))
        _lay_out(part, version, settings, (mounted_at or out) / MODEL)
    return exported


def speak_on_triton(model: Path, exported: Exported, settings: TritonSettings) -> float:
    """Start a Triton for this model alone, hear the golden clip, and end it; how many seconds the dub took.

    Raises:
        BadInput: ``serving.golden_failed``, ``serving.golden_differs``. OurFault: what starting or loading says.
    """
    from dubflow.serving.control import Control
    from dubflow.serving.golden import dub_golden
    from dubflow.serving.launcher import TritonServer, read_key
    from dubflow.serving.triton_engine import TritonEngine

    with tempfile.TemporaryDirectory(prefix="dubflow-export-") as room:
        folder = Path(room)
        server = TritonServer(folder / REPOSITORY, folder, settings)
        server.start()
        try:
            install_version(folder / REPOSITORY, model, exported.version, settings)
            control = Control(server.grpc, folder, folder / REPOSITORY, load_s=settings.load_s)
            try:
                control.load(exported.version)
                engine = TritonEngine(
                    server.grpc,
                    read_key(folder),
                    model=exported.kind,
                    version=exported.version,
                    engine_id=exported.engine,
                    world=exported.world,
                    languages=exported.languages,
                    deadline_s=_GOLDEN_S,
                )
                dub = dub_golden(engine, _GOLDEN_S)
                check_heard(dub.heard, exported.heard)
            finally:
                control.close()
        finally:
            server.stop()
    return round(dub.seconds, 3)


def _lay_out(folder: Path, version: int, settings: TritonSettings, model: Path) -> None:
    """The repository, with the place where the model will lie when it is served."""
    with tempfile.TemporaryDirectory(prefix="dubflow-export-") as room:
        repository = Path(room) / REPOSITORY
        install_version(repository, folder / MODEL, version, settings)
        switch_on(repository, version)
        for path in repository.rglob(SERVED):
            write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"folder": str(model)})
        shutil.copytree(repository, folder / REPOSITORY, ignore=shutil.ignore_patterns("__pycache__"))
