"""What an output says about itself, inside its C2PA manifest and to whoever reads it.

Nothing here names a person, a text or a file of the user: an output travels further than its job.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dubflow.config import Strict

FACTS_LABEL = "org.dubflow.dub"
FORMATS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".wav": "audio/wav"}
"""Media types that are signed, by ending of the file's name."""


class VoiceFacts(Strict):
    """Whose voice speaks, and by what right."""

    kind: Literal["stock", "consent", "unrecorded"] = Field(
        description="A synthetic stock voice, a person's with a consent record, or one without a record."
    )
    sha256: str = Field(description="Of the reference recording.")
    name: str | None = Field(None, description="Of the stock voice.")
    consent: str | None = Field(None, description="Id of the consent record.")


class OutputFacts(Strict):
    """One output."""

    format: Literal["dubflow.output/1"] = "dubflow.output/1"
    engine: str = Field(description="Engine and model, with digest.")
    world: Literal["embedded", "real"] = Field(description="Where the engine's model learnt to speak.")
    package: str | None = Field(None, description="Digest of the model package; none for the starter model.")
    language: str
    clip_sha256: str = Field(description="Of the source clip.")
    voice: VoiceFacts
    request: str = Field(description="Digest of the request.")
    job: str | None = Field(None, description="Id of the gateway's job; none for `dubflow dub`.")


class Ingredient(Strict):
    """What an output was made from."""

    relationship: str
    signed: bool = Field(description="Whether it carried a manifest of its own.")


class SignedBy(Strict):
    """Whose key signed; ``trusted`` is None when nobody said whom to trust."""

    name: str
    organisation: str
    serial: str
    algorithm: str
    trusted: bool | None


class Provenance(Strict):
    """What a file's manifest says, after everything in it was verified against the file's bytes."""

    format: Literal["dubflow.provenance/1"] = "dubflow.provenance/1"
    sha256: str = Field(description="Of the file.")
    signer: SignedBy
    generator: str
    actions: tuple[str, ...] = Field(description="In order, as C2PA names them.")
    source_types: tuple[str, ...] = Field(description="IPTC's digital source types of these actions.")
    ingredients: tuple[Ingredient, ...]
    uses: dict[str, str] = Field(description="What may be trained or mined with it, as CAWG names it.")
    facts: OutputFacts | None = Field(description="Ours; None for another program's output.")
