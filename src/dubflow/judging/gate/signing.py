"""Signed verdicts: Ed25519 (RFC 8032) over the verdict's canonical JSON.

The file names the public key that belongs to its signature, which shows that nothing was changed since; that the
signer is who it should be shows only a key that the reader already trusts. Keys are PEM files: the private one unlocked
and readable by its owner alone, the public one beside it with the suffix ``.pub``.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from dubflow.atomic import write_json, write_text
from dubflow.config import Strict
from dubflow.errors import BadInput, WrongUse, missing_extra
from dubflow.judging.gate.verdict import FORMAT, Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNED: Literal["dubflow.signed-verdict/1"] = "dubflow.signed-verdict/1"


class Signature(Strict):
    """Who vouches for a verdict."""

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$", description="Raw, hexadecimal.")
    signature: str = Field(pattern=r"^[0-9a-f]{128}$", description="Hexadecimal.")


class SignedVerdict(Strict):
    """A verdict in a file, with or without a signature."""

    format: Literal["dubflow.signed-verdict/1"] = SIGNED
    verdict: Verdict
    signature: Signature | None = None


def generate_key(path: Path) -> Path:
    """Make a private key at ``path`` and its public key beside it; returns the path of the public one.

    Raises:
        WrongUse: ``judging.key_exists``, ``install.missing_extra``.
    """
    serialization, ed25519 = _cryptography()
    path = Path(path)
    public = path.with_name(f"{path.name}.pub")
    key = ed25519.Ed25519PrivateKey.generate()
    unlocked = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Never over another key, and never readable by others, not even for a moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise WrongUse("judging.key_exists", f"{path} exists already.", "Name another file.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(pem, pkcs8, unlocked))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    write_text(public, key.public_key().public_bytes(pem, info).decode("ascii"))
    return public


def sign(verdict: Verdict, key: Path) -> SignedVerdict:
    """Sign with the private key in the file ``key``.

    Raises:
        BadInput: ``judging.bad_key``. WrongUse: ``install.missing_extra``.
    """
    serialization, ed25519 = _cryptography()
    private: Ed25519PrivateKey = _load(key, ed25519.Ed25519PrivateKey, _private)
    raw, plain = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = private.public_key().public_bytes(raw, plain)
    made = private.sign(_message(verdict))
    return SignedVerdict(verdict=verdict, signature=Signature(public_key=public.hex(), signature=made.hex()))


def verify(signed: SignedVerdict, trusted: Path) -> Verdict:
    """The verdict, if the public key in the file ``trusted`` signed it.

    Raises:
        BadInput: ``judging.not_signed``, ``judging.other_signer``, ``judging.bad_signature``, ``judging.bad_key``.
        WrongUse: ``install.missing_extra``.
    """
    serialization, ed25519 = _cryptography()
    if signed.signature is None:
        raise BadInput("judging.not_signed", "The verdict is not signed.", "Run the gate again with --key.")
    public: Ed25519PublicKey = _load(trusted, ed25519.Ed25519PublicKey, _public)
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    if raw.hex() != signed.signature.public_key:
        raise BadInput(
            "judging.other_signer", "Another key signed this verdict.", "Ask who made it, or name the key you trust."
        )
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(bytes.fromhex(signed.signature.signature), _message(signed.verdict))
    except InvalidSignature as error:
        raise BadInput(
            "judging.bad_signature", "The verdict was changed after it was signed.", "Run the gate again."
        ) from error
    return signed.verdict


def fingerprint(signature: Signature) -> str:
    """SHA-256 of the signer's raw public key, hexadecimal: by which people tell keys apart."""
    return hashlib.sha256(bytes.fromhex(signature.public_key)).hexdigest()


def write_verdict(signed: SignedVerdict, path: Path) -> Path:
    """Write the file, whole or not at all."""
    write_json(path, signed.model_dump(mode="json"))
    return path


def read_verdict(path: Path) -> SignedVerdict:
    """Read what :func:`write_verdict` wrote; says nothing of the signature (:func:`verify`).

    Raises:
        BadInput: ``judging.no_verdict``, ``judging.unknown_format``, ``judging.bad_verdict``.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput("judging.no_verdict", f"There is no verdict {path}.", "Make one with `dubflow gate`.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput("judging.bad_verdict", f"{path} is not JSON: {error}.", "Run the gate again.") from error
    outer = content if isinstance(content, dict) else {}
    inner = outer.get("verdict")
    found = (outer.get("format"), inner.get("format") if isinstance(inner, dict) else None)
    if found != (SIGNED, FORMAT):
        raise BadInput(
            "judging.unknown_format",
            f"{path} is of format {found[0]!r} with {found[1]!r}; this dubflow reads {SIGNED} with {FORMAT}.",
            "Run the gate again with this version.",
        )
    try:
        return SignedVerdict.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput("judging.bad_verdict", f"{path}, {where}: {first['msg']}.", "Run the gate again.") from error


def _message(verdict: Verdict) -> bytes:
    # The digest is over canonical JSON; the prefix keeps the signature from meaning anything else elsewhere.
    return f"{SIGNED}\n{verdict.digest}".encode("ascii")


def _load(path: Path, kind: Any, load: Any) -> Any:
    try:
        key = load(Path(path).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise _bad_key(path) from error
    if not isinstance(key, kind):
        raise _bad_key(path)
    return key


def _private(content: bytes) -> Any:
    return _cryptography()[0].load_pem_private_key(content, password=None)


def _public(content: bytes) -> Any:
    return _cryptography()[0].load_pem_public_key(content)


def _bad_key(path: Path) -> BadInput:
    return BadInput(
        "judging.bad_key",
        f"{path} is not an Ed25519 key in PEM form.",
        "Make one with: openssl genpkey -algorithm ed25519 -out KEY",
    )


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise missing_extra("cryptography") from error
    return serialization, ed25519
