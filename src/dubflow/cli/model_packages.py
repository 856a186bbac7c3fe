"""``dubflow models key``, ``package`` and ``verify``: what needs no registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import Json, emit
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from dubflow.registry.licences import LicencePolicy
    from dubflow.registry.package.opening import ModelPackage

TrustedKeys = Annotated[
    list[Path] | None,
    typer.Option("--trusted-key", envvar="DUBFLOW_TRUSTED_KEYS", help="Public key (PEM) that may sign packages."),
]
Licences = Annotated[
    str | None,
    typer.Option(envvar="DUBFLOW_LICENCES", help="Licence policy of the deployment: commercial, research or a file."),
]


def key(
    out: Annotated[Path, typer.Argument(help="File of the private key; .pub beside it.")], as_json: Json = False
) -> None:
    """Make a pair of keys for signing packages."""
    from dubflow.registry.package.signing import fingerprint, generate_key

    public = generate_key(out)
    answer = {"private": str(out), "public": str(public), "fingerprint": fingerprint(public)}
    say(answer, as_json, f"Private key {out} (keep it secret), public key {public}")


def package(
    stored: Annotated[str, typer.Argument(help="Folder of a stored model or adapter, or starter.")],
    out: Annotated[Path, typer.Option(help="Folder of the package.")],
    signing_key: Annotated[Path | None, typer.Option("--key", help="Private key (PEM) that signs it.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the model in the registry; by default diflow-STAGE.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Corpus, or pairs, it was trained on, for lineage and licences.")
    ] = None,
    licence: Annotated[list[str] | None, typer.Option(help="PART=LICENCE, such as 'corpus grid=CC BY 4.0'.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Stored model of stage 1 it was distilled from.")] = None,
    base: Annotated[str | None, typer.Option(help="Of an adapter: where its base lies now; headers are read.")] = None,
    as_json: Json = False,
) -> None:
    """Pack a stored model: weights, facts, card, licences and lineage, signed."""
    from dubflow.corpora.manifest import read_manifest
    from dubflow.diflow.stored import find_model
    from dubflow.registry.package.diflow import build_package
    from dubflow.registry.package.incontext import is_adapter_folder

    if is_adapter_folder(Path(stored)):
        _say_made(
            _adapter(Path(stored), out, signing_key, base, name, corpus or (), licence or ()), signing_key, as_json
        )
        return
    if base is not None:
        raise WrongUse("cli.wrong_use", "Only an adapter has a base.", "Leave --base out.")
    made = build_package(
        find_model(stored),
        out,
        signing_key,
        name=name,
        corpora=[read_manifest(folder) for folder in corpus or ()],
        licences=_parts(licence or ()),
        teacher=None if teacher is None else find_model(teacher),
    )
    _say_made(made, signing_key, as_json)


def _adapter(
    stored: Path,
    out: Path,
    signing_key: Path | None,
    base: str | None,
    name: str | None,
    pairs: Sequence[Path],
    licence: Sequence[str],
) -> ModelPackage:
    from dubflow.incontext.pairs.tables import pairs_of
    from dubflow.registry.package.incontext import build_adapter_package

    manifests = [pairs_of(folder) for folder in pairs]
    return build_adapter_package(
        stored, out, signing_key, base=base, name=name, pairs=manifests, licences=_parts(licence)
    )


def _say_made(made: ModelPackage, signing_key: Path | None, as_json: bool) -> None:
    signed = "signed" if signing_key is not None else "not signed"
    say(described(made), as_json, f"Package {made.folder}: {made.name}, {signed}\nDigest {made.digest}")


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a package.")],
    trusted_key: TrustedKeys = None,
    licences: Licences = None,
    as_json: Json = False,
) -> None:
    """Check signature, every file and the licences of a package; nothing of it is loaded."""
    from dubflow.registry.licences import check_licences
    from dubflow.registry.package.opening import open_package

    opened = open_package(folder, trusted_key or ())
    policy = policy_of(licences)
    if policy is not None:
        check_licences(opened.manifest.licences, policy)
    text = f"{folder} is whole and signed by {(opened.signed_by or '')[:16]}…: {opened.name}, digest {opened.digest}"
    say(described(opened), as_json, text)


def policy_of(name: str | None) -> LicencePolicy | None:
    """The licence policy of an option."""
    from dubflow.registry.licences import load_licence_policy

    return None if name is None else load_licence_policy(name)


def _parts(given: Sequence[str]) -> list[Any]:
    from dubflow.registry.licences import tag_of
    from dubflow.registry.package.manifest import PartLicence

    parts = []
    for text in given:
        part, equals, licence = text.partition("=")
        if not (part.strip() and equals and licence.strip()):
            raise WrongUse("cli.bad_licence", f"{text!r} names no part and licence.", "Write 'corpus grid=CC-BY-4.0'.")
        parts.append(PartLicence(part=part.strip(), licence=tag_of(licence)))
    return parts


def described(package: ModelPackage) -> dict[str, Any]:
    """A package for machines."""
    return {"folder": str(package.folder), "signed_by": package.signed_by, **package.manifest.model_dump(mode="json")}


def say(answer: dict[str, Any], as_json: bool, text: str) -> None:
    """An answer for machines, or one sentence for people."""
    emit(answer, as_json, lambda console: console.print(text, markup=False, highlight=False))
