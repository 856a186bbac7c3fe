"""A package becomes a version: its files are copied, and the new version is the challenger.

Doing it twice, or again after a kill at any moment, gives one version: files first, then the version with its digest
as a tag, then the entry in the history; each step finds what an earlier attempt finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.registry.history import Change, State
from dubflow.registry.licences import LicencePolicy, check_licences
from dubflow.registry.models import Registry, now
from dubflow.registry.package.facts import DiflowFacts
from dubflow.registry.package.lineage_page import lineage_page
from dubflow.registry.package.opening import ModelPackage, open_package, read_package
from dubflow.registry.run_files import is_there, run_of
from dubflow.registry.versions import DIGEST_TAG

EXPERIMENT = "models"
"""Where packages are kept that no tracked run made."""
LINEAGE_PAGE = "lineage/lineage.html"
"""In the run: the graph from prompts and clips to the model, drawn."""


@dataclass(frozen=True)
class Registered:
    """A package in the registry.

    Attributes:
        found: whether it was there already.
    """

    model: str
    version: int
    package: str
    found: bool


def register(
    registry: Registry,
    package_folder: Path,
    *,
    by: str,
    trusted_keys: Sequence[Path] = (),
    licences: LicencePolicy | None = None,
    run: str | None = None,
    reason: str = "",
) -> Registered:
    """Copy a package into the registry as a new version, which becomes the challenger.

    Args:
        by: who does it. trusted_keys: one of them must have signed it; none: the signature is not looked at now (it
            is wherever it is loaded). licences: what a deployment may use; None: not asked now.
        run: MLflow's id of the run that made it, which gets the files; None: a run of its own in ``models``.

    Raises:
        BadInput: those of :func:`open_package`, ``registry.licence_refused``, ``registry.no_run``.
        OurFault: ``registry.unreachable``, ``registry.journal_unreachable``.
    """
    package = open_package(package_folder, trusted_keys) if trusted_keys else read_package(package_folder)
    if licences is not None:
        check_licences(package.manifest.licences, licences)
    model, digest = package.name, package.digest
    _make_model(registry, model)
    found = _of(registry.journal.state(model), digest)
    if found is None:
        version = _made_version(registry, package, run)
        change = Change(by=by, at=now(), reason=reason)
        found = _entered(registry, model, version, digest, change)
        registry.state(model, told=False)  # aliases follow
        return Registered(model, found, digest, found=found != version)
    registry.state(model)
    return Registered(model, found, digest, found=True)


def run_in(registry: Registry, folder: Path) -> str | None:
    """MLflow's id of the run that worked in ``folder``; None where it is not in this registry, which is told.

    Raises:
        OurFault: ``registry.unreachable``.
    """
    run = run_of(folder)
    if run is not None:
        with registry.reaching():
            if is_there(registry.client, run):
                return run
    registry.note(f"MLflow: {registry.store.shown} has no run that worked in {folder}; the version names none of it.")
    return None


def _entered(registry: Registry, model: str, version: int, digest: str, change: Change) -> int:
    """Write the entry; the version that has the digest, also where somebody else's registration was quicker."""
    while True:
        state = registry.journal.state(model)
        there = _of(state, digest)
        if there is not None:
            if there != version:
                with registry.reaching():
                    registry.client.delete_model_version(model, str(version))
            return there
        if registry.journal.append(state.registered(version, digest, change)):
            return version


def _of(state: State, digest: str) -> int | None:
    return {package: version for version, package in state.packages}.get(digest)


def _make_model(registry: Registry, model: str) -> None:
    from mlflow.exceptions import MlflowException

    with registry.reaching():
        try:
            registry.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _made_version(registry: Registry, package: ModelPackage, run: str | None) -> int:
    """The version of a package, made if an earlier attempt did not get so far."""
    client, model, digest = registry.client, package.name, package.digest
    with registry.reaching():
        made = client.search_model_versions(f"name='{model}' and tags.`{DIGEST_TAG}`='{digest}'")
        if made:
            return min(int(one.version) for one in made)
    holder = _holder(registry, package) if run is None else _existing(registry, run)
    path = f"packages/{digest[:16]}"
    with registry.reaching():
        client.log_artifacts(holder, str(package.folder), path)
        client.log_text(holder, lineage_page(package.name, package.lineage()), LINEAGE_PAGE)
        source = f"{client.get_run(holder).info.artifact_uri.rstrip('/')}/{path}"
        version = client.create_model_version(model, source, run_id=holder, tags=_tags(package))
        if run is None:
            client.set_terminated(holder)
        return int(version.version)


def _existing(registry: Registry, run: str) -> str:
    from mlflow.exceptions import MlflowException

    with registry.reaching():
        try:
            return str(registry.client.get_run(run).info.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise BadInput(
                "registry.no_run", f"{registry.store.shown} has no run {run}.", "Name the run that made the model."
            ) from error


def _holder(registry: Registry, package: ModelPackage) -> str:
    """The run that holds the files of a package which no tracked run made."""
    from mlflow.exceptions import MlflowException

    client = registry.client
    with registry.reaching():
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                experiment = str(client.create_experiment(EXPERIMENT, artifact_location=registry.store.artifacts))
            except MlflowException:
                found = client.get_experiment_by_name(EXPERIMENT)  # somebody made it in between
                if found is None:
                    raise
                experiment = str(found.experiment_id)
        else:
            experiment = str(found.experiment_id)
        runs = client.search_runs([experiment], f"tags.`{DIGEST_TAG}` = '{package.digest}'", max_results=1)
        if runs:
            return str(runs[0].info.run_id)
        name = f"{package.name} {package.digest[:12]}"
        return str(client.create_run(experiment, run_name=name, tags={DIGEST_TAG: package.digest}).info.run_id)


def _tags(package: ModelPackage) -> dict[str, str]:
    facts, manifest = package.facts, package.manifest
    tags = {
        DIGEST_TAG: package.digest,
        "dubflow.format": manifest.format,
        "dubflow.kind": manifest.kind,
        "dubflow.world": facts.world,
        "dubflow.licences": ", ".join(manifest.tags),
        "dubflow.languages": ", ".join(facts.languages),
        "dubflow.signed_by": package.signed_by or "not checked",
    }
    if isinstance(facts, DiflowFacts):
        return tags | {"dubflow.stage": facts.stage, "dubflow.codec": facts.codec}
    return tags | {"dubflow.base": f"{facts.base.id} {facts.base.version}"}
