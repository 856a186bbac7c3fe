"""A pipeline of the real components export_serving and deploy, of a package that lies there already."""

import importlib
from pathlib import Path

from kfp import compiler, dsl

from dubflow.platform.pipelines.definitions import Definition, parse


def last_steps(folder: Path) -> Definition:
    """It, compiled in ``folder``; the repository's root must be on the path."""
    export = importlib.import_module("components.export_serving.component").export_serving
    deploy = importlib.import_module("components.deploy.component").deploy

    @dsl.pipeline(name="last-steps", description="Export a package, and deploy it.")
    def served(package: str, registry: str, name: str, version: int, workspace: str = "/workspace", code: str = ""):
        packed = dsl.importer(artifact_uri=package, artifact_class=dsl.Model, reimport=False).output
        common = {"workspace": workspace, "code": code, "name": name}
        exported = export(package=packed, registry=registry, version=version, **common)
        deploy(exported=exported.outputs["exported"], **common)

    path = folder / "last-steps.yaml"
    compiler.Compiler().compile(served, str(path))
    return parse(path.read_text(encoding="utf-8"))
