"""A model repository as Triton reads it: the models of each version, from templates and a stored model.

===================================== ===============================================================
``MODEL/config.pbtxt``                of the template, with instances and batching by the settings
``MODEL/VERSION/model.py``            of the template
``MODEL/VERSION/served.json``         which stored model it speaks with
``../off/MODEL/VERSION/``              a version that is installed, and not to be loaded
===================================== ===============================================================

A version of the registry has the same number here; Triton ignores version 0, under which a model from no registry is
served, so that one has :data:`UNREGISTERED` as its number in the repository.
"""

from __future__ import annotations

import json
import py_compile
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from dubflow.atomic import atomic_dir, write_json, write_text
from dubflow.config import Strict
from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.registry.package.facts import IncontextFacts
from dubflow.registry.package.manifest import PACKAGE, read_manifest
from dubflow.serving.settings import TritonSettings

SERVED = "served.json"
UNREGISTERED = 1_000_000_000
"""Number in the repository of a model that comes from no registry."""

FRONT = "diflow"
PARTS = ("diflow_frontend", "diflow_denoiser", "diflow_codec")
MODELS = (*PARTS, FRONT)
"""In the order in which they are loaded: the front calls the others."""

_CPU = "instance_group [ { count: 1 kind: KIND_CPU } ]"
_BATCHING = re.compile(r"^dynamic_batching .*$", re.MULTILINE)
_MOST_REQUESTS = re.compile(r"^max_batch_size: 16$", re.MULTILINE)


class Installed(Strict):
    """What stands in ``served.json``: a stored model, and what is known of it without its weights."""

    format: Literal["dubflow.served/1"] = "dubflow.served/1"
    version: int = Field(ge=0, description="Of the registry; 0: from none.")
    package: str | None = Field(description="Digest of the package; None for a model that is in none.")
    kind: Literal["diflow"] = "diflow"
    engine: str = Field(description="Id of the engine, as results carry it.")
    world: Literal["embedded", "real"]
    languages: tuple[str, ...]
    folder: Path = Field(description="Of the stored model.")
    jobs_at_once: int = Field(32, ge=1)
    batch_items: int = Field(16, ge=1, description="Segments of a batch of the network, at most.")


@dataclass(frozen=True)
class Template:
    """One model of the templates."""

    name: str
    config: str
    program: Path


def templates_folder() -> Path:
    """Where the templates lie: inside an installed wheel, or in a checkout.

    Raises:
        OurFault: ``serving.no_templates``.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "model_repository", package.parents[1] / "serving" / "model_repository"):
        if folder.is_dir():
            return folder
    raise OurFault("serving.no_templates", "The models' templates are missing here.", "Reinstall dubflow.")


def slips_folder(repository: Path) -> Path:
    """Where the jobs of a repository's server are followed and cancelled."""
    return repository.parent / "slips"


def number_of(version: int) -> int:
    """Triton's number of a version."""
    return version or UNREGISTERED


def install_version(repository: Path, folder: Path, version: int, settings: TritonSettings | None = None) -> Installed:
    """Lay out the models of one version; nothing is loaded by that. A version that is there already is replaced.

    Args:
        repository: made where it is missing.
        folder: a model package whose signature was checked, or a stored model.
        version: of the registry; 0 for a model from none.

    Raises:
        BadInput: ``serving.no_engine`` for a package of an engine that cannot be served, and what reading
            the folder says.
        WrongUse: ``serving.wrong_stage``.
    """
    settings = settings or TritonSettings()
    repository = Path(repository).absolute()
    installed = look_at(folder, version).model_copy(
        update={"jobs_at_once": settings.jobs_at_once, "batch_items": settings.batch_requests}
    )
    slips_folder(repository).mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        template = _template(name)
        config, text = repository / name / "config.pbtxt", _config(template, settings)
        # Unchanged it stays untouched: by a changed config Triton would load every version anew.
        if not config.is_file() or config.read_text(encoding="utf-8") != text:
            write_text(config, text)
        target = _off(repository, version, name)
        shutil.rmtree(target, ignore_errors=True)
        with atomic_dir(target) as part:
            shutil.copyfile(template.program, part / "model.py")
            # Now: a file that a stub writes here later makes Triton load this version anew at every load of another.
            py_compile.compile(str(part / "model.py"), dfile=str(target / "model.py"), doraise=True)
            write_json(part / SERVED, installed.model_dump(mode="json"))
    return installed


def look_at(folder: Path, version: int) -> Installed:
    """What a package or stored model would be served as; its weights are not loaded.

    Raises:
        BadInput, WrongUse: as :func:`install_version`.
    """
    from dubflow.diflow.facts import model_digest, read_facts
    from dubflow.dubbing.diflow_engine import engine_id

    folder = Path(folder).absolute()
    package = None
    if (folder / PACKAGE).is_file():
        manifest = read_manifest(folder)
        package = manifest.digest
        if isinstance(manifest.facts, IncontextFacts):
            raise no_engine(manifest.name)
    facts = read_facts(folder)
    if facts.stage != "dubber":
        raise WrongUse(
            "serving.wrong_stage",
            f"{folder} is a model of the stage {facts.stage!r}; a server needs one that dubs.",
            "dubflow train dubber makes one.",
        )
    return Installed(
        version=version,
        package=package,
        engine=engine_id(model_digest(folder), facts.codec),
        world=facts.world,
        languages=facts.languages,
        folder=folder,
    )


def read_installed(folder: Path) -> Installed:
    """What a version's folder says of itself.

    Raises:
        OurFault: ``serving.bad_version_folder``.
    """
    try:
        return Installed.model_validate(json.loads((folder / SERVED).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise OurFault(
            "serving.bad_version_folder", f"{folder} was not laid out by us: {error}", "Install the version again."
        ) from error


def switch_on(repository: Path, version: int, names: tuple[str, ...] = MODELS) -> None:
    """Have the next load of these models bring the version.

    Raises:
        BadInput: ``serving.not_installed``.
    """
    for name in names:
        folder, off = repository / name / str(number_of(version)), _off(repository, version, name)
        if off.is_dir():
            shutil.rmtree(folder, ignore_errors=True)  # an older one of the same number
            off.rename(folder)
        elif not folder.is_dir():
            raise BadInput("serving.not_installed", f"Version {version} is not installed.", "Install it first.")


def switch_off(repository: Path, version: int, names: tuple[str, ...] = MODELS) -> None:
    """Have the next load of these models end the version."""
    for name in names:
        folder, off = repository / name / str(number_of(version)), _off(repository, version, name)
        if folder.is_dir():
            if off.is_dir():  # installed anew since, and that is the one to keep
                shutil.rmtree(folder)
            else:
                off.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(off)


def is_on(repository: Path, version: int, name: str = FRONT) -> bool:
    """Whether the next load of a model brings the version."""
    return (repository / name / str(number_of(version))).is_dir()


def versions_on(repository: Path, name: str) -> list[int]:
    """Numbers of Triton that the next load of a model brings."""
    folders = (Path(repository) / name).glob("[0-9]*")
    return sorted(int(folder.name) for folder in folders if folder.name.isdigit() and folder.is_dir())


def installed_versions(repository: Path) -> set[int]:
    """Versions of the registry that are laid out, loaded or not."""
    numbers = {*versions_on(repository, FRONT), *versions_on(_off_folder(repository), FRONT)}
    return {0 if number == UNREGISTERED else number for number in numbers}


def remove_version(repository: Path, version: int) -> None:
    """Remove a version that is not loaded."""
    switch_off(repository, version)
    for name in MODELS:
        shutil.rmtree(_off(repository, version, name), ignore_errors=True)


def no_engine(name: str) -> BadInput:
    """The error for a package of the in-context family."""
    return BadInput(
        "serving.no_engine",
        f"{name} is of the in-context family, whose pictures this dubflow cannot serve.",
        "Serve a diflow package; dubflow dub --engine incontext dubs without a server.",
    )


def _off_folder(repository: Path) -> Path:
    # Not inside: whatever else changes in a model's folder makes Triton load all its versions anew.
    return Path(repository).parent / "off"


def _off(repository: Path, version: int, name: str) -> Path:
    return _off_folder(repository) / name / str(number_of(version))


def _template(name: str) -> Template:
    folder = templates_folder() / name
    return Template(name, (folder / "config.pbtxt").read_text(encoding="utf-8"), folder / "1" / "model.py")


def _config(template: Template, settings: TritonSettings) -> str:
    """The template's config with instances and batching of the settings."""
    counts = {PARTS[0]: settings.frontends, PARTS[1]: settings.denoisers, PARTS[2]: settings.codecs}
    count = counts.get(template.name, 1)
    if settings.device == "gpu" and template.name in PARTS[1:]:
        cards = ", ".join(map(str, settings.gpus))
        group = f"instance_group [ {{ count: {count} kind: KIND_GPU gpus: [ {cards} ] }} ]"
    else:
        group = f"instance_group [ {{ count: {count} kind: KIND_CPU }} ]"
    text = template.config.replace(_CPU, group)
    delay = f"dynamic_batching {{ max_queue_delay_microseconds: {round(settings.batch_delay_s * 1e6)} }}"
    text = _BATCHING.sub(delay if settings.batching else "", text)
    most = settings.batch_requests if settings.batching else 1
    return _MOST_REQUESTS.sub(f"max_batch_size: {most}", text)
