"""Reads a file's manifest and verifies it: signature, every assertion, every byte of the file that means something.

C2PA's hash of an MP4 leaves out a few boxes (file type, free space); our manifests hold a digest of those as well.
Inside the manifest's own box some bytes say nothing (padding, heads of boxes): changing them changes no statement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dubflow.dubbing.provenance.child import run_child
from dubflow.dubbing.provenance.facts import FACTS_LABEL, Ingredient, OutputFacts, Provenance, SignedBy
from dubflow.errors import BadInput

_ABSENT = ("ManifestNotFound", "NotSupported")


def read_provenance(path: Path, trust: Path | None = None) -> Provenance:
    """What the manifest of ``path`` says, verified.

    Args:
        trust: certificates (PEM) of those whose signatures are believed; without it only that nothing was changed after
            somebody signed is known, and the answer says so (``signer.trusted`` is None).

    Raises:
        BadInput: ``dubbing.no_provenance``, ``dubbing.provenance_broken`` (changed after it was signed, or unreadable),
            ``dubbing.provenance_untrusted``, ``dubbing.bad_trust``, what opening the file says.
        WrongUse: ``install.missing_extra``. OurFault: ``dubbing.provenance_child``.
    """
    path = Path(path)
    answer = run_child({"verb": "read", "trust": _anchors(trust)}, {"file": (path, "rb")})
    if "done" not in answer:
        raise _refused(path, answer)
    told = answer["done"]
    try:
        manifest = told["manifest"]["manifests"][told["manifest"]["active_manifest"]]
        assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
        failures = _failures(told["manifest"])
        if told["state"] not in ("Valid", "Trusted"):
            raise _broken(path, failures)
        facts = _facts(path, assertions.get(FACTS_LABEL), told["frame_sha256"])
        if trust is not None and told["state"] != "Trusted":
            raise _untrusted(path, manifest)
        return _provenance(told, manifest, assertions, facts, None if trust is None else True)
    except (KeyError, TypeError, AttributeError, IndexError, ValidationError) as error:
        raise _broken(path, ["the manifest is not put as C2PA puts it"]) from error


def _provenance(
    told: dict[str, Any],
    manifest: dict[str, Any],
    assertions: dict[str, Any],
    facts: OutputFacts | None,
    trusted: bool | None,
) -> Provenance:
    actions: list[dict[str, Any]] = next(
        (data["actions"] for label, data in assertions.items() if label.startswith("c2pa.actions")), []
    )
    signature = manifest["signature_info"]
    generator = manifest["claim_generator_info"][0]
    return Provenance(
        sha256=told["sha256"],
        signer=SignedBy(
            name=str(signature.get("common_name", "")),
            organisation=str(signature.get("issuer", "")),
            serial=str(signature.get("cert_serial_number", "")),
            algorithm=str(signature.get("alg", "")),
            trusted=trusted,
        ),
        generator=f"{generator['name']} {generator.get('version', '')}".strip(),
        actions=tuple(str(one["action"]) for one in actions),
        source_types=tuple(str(one["digitalSourceType"]) for one in actions if "digitalSourceType" in one),
        ingredients=tuple(
            Ingredient(relationship=str(one["relationship"]), signed="active_manifest" in one)
            for one in manifest.get("ingredients", [])
        ),
        uses={
            str(name): str(entry["use"])
            for name, entry in assertions.get("cawg.training-mining", {}).get("entries", {}).items()
        },
        facts=facts,
    )


def _facts(path: Path, data: dict[str, Any] | None, framed: str | None) -> OutputFacts | None:
    if data is None:
        return None
    signed_frame = data.pop("frame_sha256", None)
    if signed_frame != framed:
        raise _broken(path, ["boxes outside of C2PA's hash were changed"])
    return OutputFacts.model_validate(data)


def _failures(report: dict[str, Any]) -> list[str]:
    results = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return [str(one["code"]) for one in results]


def _anchors(trust: Path | None) -> str | None:
    if trust is None:
        return None
    try:
        text = Path(trust).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise _bad_trust(trust) from error
    if "BEGIN CERTIFICATE" not in text:
        raise _bad_trust(trust)
    return text


def _bad_trust(trust: Path) -> BadInput:
    return BadInput(
        "dubbing.bad_trust", f"{trust} holds no certificate in PEM form.", "Name the certificates of whom you trust."
    )


def _refused(path: Path, answer: dict[str, Any]) -> BadInput:
    if any(word in f"{answer['refused']} {answer['why']}" for word in _ABSENT):
        return BadInput(
            "dubbing.no_provenance",
            f"{path.name} carries no manifest.",
            "It was not made by dubflow, or its manifest was stripped.",
        )
    return _broken(path, [f"{answer['refused']}: {answer['why']}"])


def _broken(path: Path, reasons: list[str]) -> BadInput:
    return BadInput(
        "dubbing.provenance_broken",
        f"{path.name} is not what was signed: {'; '.join(reasons) or 'the manifest does not hold'}.",
        "It was changed after it was signed: get it again from where it was made.",
        reasons=reasons,
    )


def _untrusted(path: Path, manifest: dict[str, Any]) -> BadInput:
    signature = manifest["signature_info"]
    name = f"{signature.get('common_name', '')} ({signature.get('issuer', '')})"
    return BadInput(
        "dubbing.provenance_untrusted",
        f"{path.name} is whole, but was signed by {name}, which is not trusted here.",
        "Ask whoever gave it to you; if you trust the signer, name its certificates.",
        signer=name,
    )
