"""Keys and certificates that sign outputs: given by settings, or made here on first use for development.

The development chain is a CA of its own and one certificate below it, as C2PA wants them: whoever trusts that CA trusts
this installation and no other. Private keys are readable by their owner alone from their first moment, and the CA's is
not kept: nothing else can ever be signed with it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from dubflow.atomic import atomic_dir
from dubflow.errors import BadInput, WrongUse, missing_extra

KEY, CHAIN, TRUST = "signing.key", "chain.pem", "trust.pem"
_YEARS = timedelta(days=3650)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384"}


@dataclass(frozen=True)
class Signer:
    """A private key and its certificates.

    Attributes:
        key, chain: files, PEM; the key's own certificate stands first in the chain.
    """

    key: Path
    chain: Path
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def algorithm(self) -> str:
        """As C2PA names it: es256, es384 or ed25519."""
        private = self._private
        return "ed25519" if not hasattr(private, "curve") else _CURVES[private.curve.name]

    @cached_property
    def certificates(self) -> str:
        """The chain."""
        return self.chain.read_text(encoding="ascii")

    def sign(self, data: bytes) -> bytes:
        """A signature as COSE wants it: for ECDSA ``r`` and ``s`` side by side."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        private = self._private
        if self.algorithm == "ed25519":
            return bytes(private.sign(data))
        size = private.curve.key_size // 8
        hashed = hashes.SHA256() if self.algorithm == "es256" else hashes.SHA384()
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashed)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    @cached_property
    def _private(self) -> Any:
        return _private_key(self.key)


def open_signer(folder: Path, key: Path | None = None, chain: Path | None = None) -> Signer:
    """The signer of settings, or the development signer of ``folder``, made if need be.

    Raises:
        WrongUse: ``dubbing.half_a_signer`` for a key without a chain or the reverse; ``install.missing_extra``.
        BadInput: ``dubbing.bad_signer`` for a key or chain that cannot sign, or a key that others may read.
    """
    if (key is None) != (chain is None):
        raise WrongUse("dubbing.half_a_signer", "A signing key and its chain go together.", "Name both, or neither.")
    if key is None or chain is None:
        if not (folder / KEY).is_file():
            _make(folder)
        key, chain = folder / KEY, folder / CHAIN
    signer = Signer(Path(key), Path(chain))
    _check(signer)
    return signer


def _check(signer: Signer) -> None:
    """Key and first certificate belong together, the certificate is in force, and nobody else reads the key."""
    x509, serialization = _cryptography()
    try:
        if _others_read(signer.key.stat()):
            raise _bad(signer.key, "others may read it; take their rights away (chmod 600)")
        first = x509.load_pem_x509_certificates(signer.chain.read_bytes())[0]
    except (OSError, ValueError, IndexError) as error:
        raise _bad(signer.chain, "it holds no certificate") from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != _private_key(signer.key).public_key().public_bytes(*form):
        raise _bad(signer.chain, "its first certificate is for another key")
    now = datetime.now(UTC)
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        raise _bad(signer.chain, f"its certificate is valid until {first.not_valid_after_utc:%Y-%m-%d} only")


def _others_read(status: os.stat_result) -> bool:
    """Whether more than its owner may read a file; one that belongs to somebody else may be lent to us by a group, as
    Kubernetes does with secrets."""
    forbidden = 0o077 if status.st_uid == os.geteuid() else 0o027
    return bool(stat.S_IMODE(status.st_mode) & forbidden)


def _private_key(path: Path) -> Any:
    _, serialization = _cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _bad(path, "it is not a private key in PEM form without a password") from error
    fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES
    if not fits and not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _bad(path, "it is not a key on P-256, P-384 or Ed25519")
    return key


def _make(folder: Path) -> None:
    """A CA, a certificate below it, and the key of that; another process that is quicker wins."""
    x509, serialization = _cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec

    above, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name(x509, "dubflow development CA")
    root = _certificate(issuer, above, issuer, above, authority=True)
    leaf = _certificate(_name(x509, "dubflow development signer"), own, issuer, above, authority=False)
    pem = serialization.Encoding.PEM
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        with atomic_dir(folder) as part:
            descriptor = os.open(part / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(private)
            (part / CHAIN).write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
            (part / TRUST).write_bytes(root.public_bytes(pem))
    except OSError as error:
        if not (folder / KEY).is_file():
            raise WrongUse(
                "dubbing.no_signer",
                f"No signing key can be made in {folder}: {error.strerror}.",
                "Name another folder.",
            ) from error


def _certificate(subject: Any, key: Any, issuer: Any, issuer_key: Any, *, authority: bool) -> Any:
    x509, _ = _cryptography()
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(UTC)
    usage = (
        "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
        "decipher_only",
    )  # fmt: skip
    may = dict.fromkeys(usage, False) | {
        "digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority,
    }  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.KeyUsage(**may), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        # C2PA asks for one of a few purposes; this is the one that a certificate without a profile of its own uses.
        purpose = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(x509: Any, name: str) -> Any:
    oid = x509.oid.NameOID
    return x509.Name([x509.NameAttribute(oid.ORGANIZATION_NAME, "dubflow"), x509.NameAttribute(oid.COMMON_NAME, name)])


def _bad(path: Path, problem: str) -> BadInput:
    return BadInput(
        "dubbing.bad_signer", f"{path} cannot sign: {problem}.", "Name a key and the chain that belongs to it."
    )


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise missing_extra("cryptography") from error
    return x509, serialization
