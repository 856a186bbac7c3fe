"""Steps that serve: a package as a checked model repository, and that repository to where it answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.platform.inference_services import SERVED, DeploySettings, apply_service, inference_service
from dubflow.platform.serving_status import await_served, is_up
from dubflow.platform.steps.artifacts import place, work_folder
from dubflow.platform.steps.registry_words import champion_of
from dubflow.platform.steps.verbs import MARK, begin, run_verb
from dubflow.platform.trainjobs import cluster_api
from dubflow.registry.package.manifest import read_manifest
from dubflow.serving.export import Exported, read_export
from dubflow.serving.state import default_directory, read_state

MANIFEST = "inferenceservice.json"


def export_for_serving(
    out: str, workspace: str, package: str, registry: str, name: str, version: int
) -> dict[str, Any]:
    """``dubflow serve export`` of a package; the same bytes are found.

    ``version`` is the package's in the registry; 0: it is the champion already, and has its number.
    """
    root = begin(workspace)
    digest = read_manifest(Path(package)).digest
    champion = champion_of(registry, name)
    if not version and champion is not None and champion.package == digest:
        version = champion.version
    mounted = SERVED if on_cluster(DeploySettings()) else ""
    folder = work_folder(root, "exported", {"package": digest, "version": version, "mounted": mounted})
    words = ["export", package, "--out", str(folder), "--version", str(version)]
    made = run_verb("serve", *words, *(["--mounted-at", mounted] if mounted else []))
    place(folder, Path(out))
    facts = ("version", "package", "engine", "world", "phones_wrong", "triton_s")
    return {one: made[one] for one in facts if made[one] is not None}


def deploy_export(out: str, workspace: str, exported: str, uri: str, name: str) -> dict[str, Any]:
    """Bring an export to where it answers: the cluster's InferenceService, or the server that runs here.

    The manifest is left in ``out`` where a cluster can read ``uri``. A server here follows its registry by itself, so
    it is only waited for; where none runs, none is started, and that is what is said.

    Raises:
        OurFault: ``platform.not_deployed``, ``platform.not_served`` where the server does not come to serve it.
        BadInput: ``platform.served_refused`` where the server refuses the version.
    """
    begin(workspace)
    settings = DeploySettings()
    export = read_export(Path(exported))
    facts: dict[str, Any] = {"version": export.version, "model": name}
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if on_cluster(settings):
        manifest = inference_service(export, name, uri, settings)
        write_json(folder / MANIFEST, manifest)
        new = apply_service(manifest, cluster_api())  # type: ignore[arg-type]  # one client has both parts
        return facts | {"where": "cluster", "new": new}
    found = _on_server(export, name, settings.wait_s)
    write_json(folder / "served.json", facts | found)
    return facts | found


def on_cluster(settings: DeploySettings) -> bool:
    """Whether deployments go to Kubernetes: as set, or because this process runs in a pod."""
    inside = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    return settings.where == "cluster" or (settings.where == "auto" and inside)


def _on_server(export: Exported, name: str, within_s: float) -> dict[str, Any]:
    directory = Path(os.environ.get("DUBFLOW_GATEWAY_STATE") or default_directory())
    if not is_up(directory) or read_state(directory).model != name:
        told = f"no server of {name} runs here, and none is started: dubflow serve up --name {name}"
        sys.stderr.write(f"{MARK} {told}\n")
        return {"where": "nowhere"}
    state = await_served(directory, export.version, export.package, within_s)
    return {"where": "server", "since": state.current.since if state.current else "", "mode": state.mode}
