"""After a restore: the champions load, signed by whom they should be, and aliases are what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.errors import BadInput
from dubflow.platform.backup.manifest import Champion
from dubflow.registry.models import Registry


@dataclass(frozen=True)
class Proof:
    """A model whose champion was read to its last byte.

    Attributes:
        signed_by: fingerprint of the key; None where no key was named, and the signature was not looked at.
    """

    model: str
    champion: int
    package: str
    signed_by: str | None
    entries: int


def prove_registry(registry: Registry, expected: Sequence[Champion], trusted_keys: Sequence[Path]) -> tuple[Proof, ...]:
    """Every model that has a champion: history, aliases, and the package with its signature.

    Raises:
        BadInput: ``platform.restored_otherwise``; what reading a package says of its bytes or its signature.
    """
    proofs = []
    for one in expected:
        state = registry.state(one.model)
        if (state.number, state.digest, state.champion) != (one.number, one.digest, one.champion):
            raise BadInput(
                "platform.restored_otherwise",
                f"The history of {one.model} ends with entry {state.number}, not with {one.number} of the backup.",
                "Somebody promotes there already, or another registry was named.",
            )
        if one.champion is None or one.package is None:
            continue
        version = registry.version(one.model, one.champion, state)
        package = registry.read_files(version, trusted_keys)
        proofs.append(Proof(one.model, one.champion, package.digest, package.signed_by, state.number))
    return tuple(proofs)
