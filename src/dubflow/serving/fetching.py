"""Brings the export that a pod is to serve, and lets nothing pass that a trusted key did not sign.

What is left in the folder is what ``dubflow serve up --model FOLDER`` serves, under the version that the export names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from dubflow.atomic import atomic_dir
from dubflow.errors import BadInput, WrongUse
from dubflow.registry.licences import LicencePolicy, check_licences
from dubflow.registry.package.opening import open_package
from dubflow.serving.export import FILE, MODEL, Exported, read_export
from dubflow.storage import Objects

STARTER = "starter"


def fetch_export(
    source: str,
    out: Path,
    *,
    trusted_keys: Sequence[Path],
    version: int | None = None,
    package: str | None = None,
    policy: LicencePolicy | None = None,
) -> Exported | None:
    """Bring an export into the folder ``out``, which appears whole or not at all; what lay there before is replaced.

    Args:
        source: address of the export (``s3://…``, ``file:///…``), or ``starter`` for the shipped model, which is signed
            by nobody and answers with None. trusted_keys: public keys, one of which must have signed the package.
        version, package: what the export must be; None: whatever it is.

    Raises:
        WrongUse: ``serving.no_trusted_key``, ``storage.bad_address``.
        BadInput: ``storage.object_missing``, ``serving.not_an_export``, ``serving.other_package``; what is wrong with
            the package's signature, files or licences. OurFault: ``storage.failed``.
    """
    out = Path(out)
    if source == STARTER:
        from dubflow.diflow.facts import find_model

        _replace(out, lambda part: shutil.copytree(find_model(STARTER), part, dirs_exist_ok=True))
        return None
    if not trusted_keys:
        raise WrongUse(
            "serving.no_trusted_key",
            "What comes over a network is served only where a trusted key signed it; none is named.",
            "Give --trusted-key FILE.pub (or DUBFLOW_TRUSTED_KEYS).",
        )
    objects = Objects(source)
    found: list[Exported] = []

    def bring(part: Path) -> None:
        objects.get(FILE, part / FILE)
        for one in objects.listing(MODEL):
            objects.get(one.key, part / one.key)
        found.append(_checked(part, trusted_keys, version, package, policy))

    _replace(out, bring)
    return found[0]


def _replace(out: Path, bring: Callable[[Path], object]) -> None:
    shutil.rmtree(out, ignore_errors=True)  # of a container that was started again; nobody serves from it yet
    with atomic_dir(out) as part:
        bring(part)


def _checked(
    folder: Path, keys: Sequence[Path], version: int | None, package: str | None, policy: LicencePolicy | None
) -> Exported:
    export = read_export(folder)
    opened = open_package(folder / MODEL, keys)
    if policy is not None:
        check_licences(opened.manifest.licences, policy)
    wanted = (export.version if version is None else version, package or export.package)
    if (export.version, export.package) != wanted or opened.digest != export.package:
        raise BadInput(
            "serving.other_package",
            f"The export is version {export.version} with package {opened.digest[:12]}; asked for was version "
            f"{wanted[0]} with {(wanted[1] or 'none')[:12]}.",
            "Deploy the version again.",
            found=opened.digest,
            wanted=wanted[1],
        )
    return export
