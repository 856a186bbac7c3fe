"""Licences of a model's parts, and what a deployment may use.

A model is bound by the licence of everything it is made of and from: weights, codec, base, corpora. A policy lists what
is allowed; all else is refused, each part with its reason. Tags are SPDX identifiers, or names of our own that begin
with ``LicenseRef-`` where SPDX has none. This is bookkeeping for people who know their contracts, no advice on law.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from dubflow.config import Strict, presets_folder, validated
from dubflow.corpora.manifest import CorpusManifest
from dubflow.errors import BadInput, WrongUse
from dubflow.registry.package.manifest import PartLicence

FORMAT: Literal["dubflow.licences/1"] = "dubflow.licences/1"
UNKNOWN = "LicenseRef-unknown"
LTX_2, RESEARCH, PUBLIC = "LicenseRef-LTX-2-Community", "LicenseRef-research-only", "LicenseRef-public-domain"

NOT_COMMERCIAL = {
    "CC-BY-NC-4.0": "CC BY-NC 4.0 forbids commercial use",
    "CC-BY-NC-SA-4.0": "CC BY-NC-SA 4.0 forbids commercial use",
    "CC-BY-NC-ND-4.0": "CC BY-NC-ND 4.0 forbids commercial use",
    "CC-BY-NC-3.0": "CC BY-NC 3.0 forbids commercial use",
    "CC-BY-NC-SA-3.0": "CC BY-NC-SA 3.0 forbids commercial use",
    RESEARCH: "it is for research only",
}
"""Tags that no commercial deployment may use, and why."""
_REASONS = NOT_COMMERCIAL | {
    UNKNOWN: "nobody said under which licence it is",
    LTX_2: "the LTX-2 Community License asks larger companies for a paid licence, and binds derivatives",
}
_SPELLINGS = {
    "public domain": PUBLIC,
    "cc0": "CC0-1.0",
    "ltx-2 community license": LTX_2,
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "mit license": "MIT",
    "research only": RESEARCH,
    "unknown": UNKNOWN,
    "": UNKNOWN,
}
_CREATIVE_COMMONS = re.compile(r"cc[ -]?(by(?:[ -](?:nc|sa|nd))*)(?:[ -](\d\.\d))?", re.IGNORECASE)
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


class LicencePolicy(Strict):
    """What a deployment may use."""

    format: Literal["dubflow.licences/1"]
    name: str = Field(min_length=1)
    use: Literal["commercial", "research"] = Field(description="What the deployment is for.")
    allowed: tuple[str, ...] = Field(min_length=1, description="Tags that may be used.")
    refused: dict[str, str] = Field(default_factory=dict, description="Tags with a reason of their own for a refusal.")
    exceptions: dict[str, str] = Field(
        default_factory=dict, description="Tags that a contract allows beyond what their text says, and which contract."
    )

    @model_validator(mode="after")
    def _does_not_contradict_itself(self) -> LicencePolicy:
        both = sorted({*self.allowed, *self.exceptions} & self.refused.keys())
        if both:
            raise ValueError(f"allowed and refused: {', '.join(both)}")
        barred = sorted(NOT_COMMERCIAL.keys() & set(self.allowed)) if self.use == "commercial" else []
        if barred:
            reasons = "; ".join(f"{tag}: {NOT_COMMERCIAL[tag]}" for tag in barred)
            raise ValueError(f"no commercial deployment may use {reasons} (a contract goes under exceptions)")
        return self

    def reason_against(self, tag: str) -> str | None:
        """Why ``tag`` may not be used here; None where it may."""
        if tag in self.allowed or tag in self.exceptions:
            return None
        return self.refused.get(tag) or _REASONS.get(tag) or f"the policy {self.name} does not list it"


@dataclass(frozen=True)
class Refusal:
    """A part that may not be used, and why."""

    part: str
    licence: str
    reason: str

    def __str__(self) -> str:
        return f"{self.part} ({self.licence}): {self.reason}"


def refusals(parts: Iterable[PartLicence], policy: LicencePolicy) -> tuple[Refusal, ...]:
    """Every part that ``policy`` does not allow."""
    judged = [(part, policy.reason_against(part.licence)) for part in parts]
    return tuple(Refusal(part.part, part.licence, reason) for part, reason in judged if reason is not None)


def check_licences(parts: Sequence[PartLicence], policy: LicencePolicy) -> None:
    """Refuse what a deployment may not use.

    Raises:
        BadInput: ``registry.licence_refused`` with every part and its reason; also when no licence is named at all.
    """
    found = refusals(parts, policy)
    if not parts:
        found = (Refusal("model", UNKNOWN, _REASONS[UNKNOWN]),)
    if found:
        raise BadInput(
            "registry.licence_refused",
            f"The licence policy {policy.name} refuses {'; '.join(map(str, found))}.",
            "Use a model made of parts that are allowed, or write the contract that allows it into the policy.",
            policy=policy.name,
            refused=[{"part": one.part, "licence": one.licence, "reason": one.reason} for one in found],
        )


def load_licence_policy(name: str) -> LicencePolicy:
    """Read a licence policy: ``commercial`` or ``research``, or the path of a YAML file.

    Raises:
        WrongUse: ``registry.unknown_licence_policy``.
        BadInput: ``registry.bad_licence_policy``; ``config.bad_preset`` with every offending field.
    """
    folder = presets_folder() / "licences"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in folder.glob("*.yaml")))
        raise WrongUse(
            "registry.unknown_licence_policy", f"There is no licence policy {name!r}.", f"Known: {known}; or a file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput("registry.bad_licence_policy", f"{path.name} is not YAML: {error}.", "Correct it.") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput(
            "registry.bad_licence_policy",
            f"{path.name} is of format {found!r}; this dubflow reads {FORMAT}.",
            "Compare it with a shipped one.",
        )
    return validated(LicencePolicy, content, path.name)


def tag_of(text: str | None) -> str:
    """The tag of a licence as people write it: ``CC BY 4.0`` is ``CC-BY-4.0``; nothing is ``LicenseRef-unknown``."""
    words = " ".join((text or "").split())
    if words.lower() in _SPELLINGS:
        return _SPELLINGS[words.lower()]
    commons = _CREATIVE_COMMONS.fullmatch(words)
    if commons:
        kinds = re.split(r"[ -]", commons[1].upper())
        rest = [kind for kind in ("NC", "SA", "ND") if kind in kinds[1:]]
        return "-".join(["CC", "BY", *rest, commons[2] or "4.0"])
    if _TAG.fullmatch(words):
        return words
    return "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-") or "unnamed")


def corpus_licences(corpus: CorpusManifest) -> tuple[PartLicence, ...]:
    """Licences of a corpus's clips, each with how many clips are under it."""
    counts: dict[str, int] = {}
    for row in corpus.rows:
        tag = tag_of(row.licence)
        counts[tag] = counts.get(tag, 0) + 1
    part = f"corpus {corpus.header.name}"
    return tuple(PartLicence(part=part, licence=tag, note=f"{count} clips") for tag, count in sorted(counts.items()))
