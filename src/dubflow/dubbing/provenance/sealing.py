"""What ``dub_all`` calls with an output before it takes its place: it is signed, or it is said why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dubflow.dubbing.provenance.certificates import Signer, open_signer
from dubflow.dubbing.provenance.child import available
from dubflow.dubbing.provenance.facts import OutputFacts, VoiceFacts
from dubflow.dubbing.provenance.signing import sign_output

SIGNING = "signing"
"""Folder of the state in which the development signer lies."""
UNSIGNED = "the output carries no C2PA manifest: c2pa-python is not installed (extra gateway)"


class Seal(Protocol):
    """Puts provenance into an output."""

    @property
    def signs(self) -> bool:
        """Whether outputs are signed by it; False: it only tells that they are not."""

    def __call__(self, path: Path, source: Path, facts: OutputFacts) -> tuple[str, ...]:
        """Sign the file ``path`` made from ``source`` in place; returns notices, one sentence each."""


@dataclass(frozen=True)
class SignedOutputs:
    """Signs, with what a job knows and an engine does not.

    Attributes:
        package: digest of the model's package. job: id of the gateway's job.
        voice: whose it is and by what right; without it, a voice that nobody recorded consent for.
    """

    signer: Signer
    package: str | None = None
    job: str | None = None
    voice: VoiceFacts | None = None
    signs: bool = True

    def __call__(self, path: Path, source: Path, facts: OutputFacts) -> tuple[str, ...]:
        """See :class:`Seal`."""
        known = {"package": self.package, "job": self.job, "voice": self.voice}
        filled = facts.model_copy(update={name: value for name, value in known.items() if value is not None})
        sign_output(path, filled, self.signer, source)
        return ()


@dataclass(frozen=True)
class Unsigned:
    """Where the library is missing: every result says that its output is not signed."""

    signs: bool = False

    def __call__(self, path: Path, source: Path, facts: OutputFacts) -> tuple[str, ...]:
        """See :class:`Seal`."""
        return (UNSIGNED,)


def open_seal(
    folder: Path,
    *,
    key: Path | None = None,
    chain: Path | None = None,
    package: str | None = None,
    job: str | None = None,
    voice: VoiceFacts | None = None,
) -> Seal:
    """The seal of a key and chain, or of the development signer of ``folder``; without the library, one that tells.

    Raises:
        As :func:`~dubflow.dubbing.provenance.certificates.open_signer`.
    """
    if not available():
        return Unsigned()
    return SignedOutputs(open_signer(folder, key, chain), package, job, voice)


def facts_of(
    *, engine: str, world: Literal["embedded", "real"], language: str, clip_sha256: str, voice_sha256: str, request: str
) -> OutputFacts:
    """What is known of an output without its job; the voice counts as unrecorded until the job says otherwise."""
    return OutputFacts(
        engine=engine,
        world=world,
        language=language,
        clip_sha256=clip_sha256,
        voice=VoiceFacts(kind="unrecorded", sha256=voice_sha256),
        request=request,
    )
