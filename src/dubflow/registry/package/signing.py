"""Signatures of packages, by model-signing (OpenSSF): anybody can verify one with that program alone.

``model.sig`` is a Sigstore bundle over an in-toto statement that lists every other file with its SHA-256, signed by a
key on the curve P-256. The bundle names its key by a fingerprint only: whose it is, the reader must know, so trusted
public keys are always given by the one who verifies.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubflow.atomic import write_text
from dubflow.errors import BadInput, WrongUse, missing_extra
from dubflow.registry.package.manifest import PACKAGE, SIGNATURE, PackageManifest

_MOST_BYTES = 4 * 2**20


def generate_key(path: Path) -> Path:
    """Make a private key at ``path`` and its public key beside it (``.pub``); returns the path of the public one.

    Raises:
        WrongUse: ``registry.key_exists``, ``install.missing_extra``.
    """
    serialization, ec = _cryptography()
    path = Path(path)
    public = path.with_name(f"{path.name}.pub")
    key = ec.generate_private_key(ec.SECP256R1())
    pem, unlocked = serialization.Encoding.PEM, serialization.NoEncryption()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Never over another key, and never readable by others, not even for a moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise WrongUse("registry.key_exists", f"{path} exists already.", "Name another file.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unlocked))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    write_text(public, key.public_key().public_bytes(pem, info).decode("ascii"))
    return public


def fingerprint(public_key: Path) -> str:
    """How a signature names the key of the file ``public_key``: SHA-256 of its PEM form.

    Raises:
        BadInput: ``registry.bad_signing_key``. WrongUse: ``install.missing_extra``.
    """
    serialization, ec = _cryptography()
    try:
        key = serialization.load_pem_public_key(Path(public_key).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _bad_key(public_key) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _bad_key(public_key)
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, info)).hexdigest()


def sign_folder(folder: Path, key: Path) -> Path:
    """Sign all files of ``folder`` with the private key of the file ``key``; returns the path of the signature.

    Raises:
        BadInput: ``registry.bad_signing_key``. WrongUse: ``install.missing_extra``.
    """
    signing, _, hashing = _model_signing()
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=Path(key))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _bad_key(key) from error
    signature = Path(folder) / SIGNATURE
    config.set_hashing_config(_hashed(hashing)).sign(Path(folder), signature)
    return signature


def verify_folder(folder: Path, manifest: PackageManifest, trusted: Sequence[Path]) -> str:
    """Fingerprint of the trusted key that signed exactly the files of ``folder``.

    Args:
        trusted: files of public keys.

    Raises:
        BadInput: ``registry.package_not_signed``, ``registry.package_other_signer``,
            ``registry.package_bad_signature``, ``registry.bad_signing_key``.
        WrongUse: ``registry.no_trusted_key``, ``install.missing_extra``.
    """
    if not trusted:
        raise WrongUse(
            "registry.no_trusted_key",
            "No key is trusted, so no signature can be believed.",
            "Name the public key of whoever signs your models.",
        )
    keys = {fingerprint(key): Path(key) for key in trusted}
    folder = Path(folder)
    path = folder / SIGNATURE
    if not path.is_file():
        raise BadInput(
            "registry.package_not_signed",
            f"{folder} has no signature ({SIGNATURE}).",
            "Pack the model again with a signing key.",
        )
    bundle = _bundle(folder, path)
    named = bundle.get("verificationMaterial", {}).get("publicKey", {}).get("hint")
    if not isinstance(named, str):
        raise _bad_signature(folder, "it names no key")
    if named not in keys:
        raise BadInput(
            "registry.package_other_signer",
            f"{folder} was signed by the key {named[:16]}…, which is not trusted here.",
            "Ask who made it; if you trust them, name their public key.",
            signer=named,
            trusted=sorted(keys),
        )
    _, verifying, hashing = _model_signing()
    config = verifying.Config().use_elliptic_key_verifier(public_key=keys[named]).set_hashing_config(_hashed(hashing))
    try:
        config.verify(folder, path)
        covered = _covered(bundle)
    except Exception as error:  # the library lets parsers' and cryptography's own errors through
        raise _bad_signature(folder, " ".join(str(error).split())[:200] or type(error).__name__) from error
    # A signed bundle may itself name paths to ignore; ours must cover every file but the signature.
    wanted = {file.path: file.sha256 for file in manifest.files}
    if covered.keys() != {*wanted, PACKAGE} or any(covered[name] != digest for name, digest in wanted.items()):
        raise _bad_signature(folder, "it does not cover every file of the package")
    return named


def _bundle(folder: Path, path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        bundle = json.loads(content)
        material = bundle["verificationMaterial"]
        if not isinstance(material, dict) or not isinstance(material.get("publicKey", {}), dict):
            raise ValueError("it is no bundle of a key")
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise _bad_signature(folder, f"{SIGNATURE} cannot be read ({type(error).__name__})") from error
    return dict(bundle)


def _covered(bundle: dict[str, Any]) -> dict[str, str]:
    """Files and digests of a bundle whose signature has been verified."""
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return {one["name"]: one["digest"] for one in statement["predicate"]["resources"] if one["algorithm"] == "sha256"}


def _hashed(hashing: Any) -> Any:
    # Left to itself the library passes over .git, .gitattributes and the like.
    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _bad_signature(folder: Path, problem: str) -> BadInput:
    return BadInput(
        "registry.package_bad_signature",
        f"The signature of {folder} does not hold: {problem}.",
        "The package or its signature was changed; fetch it again from where it was made.",
        file=SIGNATURE,
    )


def _bad_key(path: Path) -> BadInput:
    return BadInput(
        "registry.bad_signing_key",
        f"{path} is not a key on the curve P-256, P-384 or P-521 in PEM form.",
        "Make one with: dubflow models key OUT, or openssl ecparam -genkey -name prime256v1 -noout -out OUT.",
    )


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise missing_extra("cryptography") from error
    return serialization, ec


def _model_signing() -> tuple[Any, Any, Any]:
    try:
        from model_signing import hashing, signing, verifying
    except ImportError as error:
        raise missing_extra("model_signing") from error
    return signing, verifying, hashing
