"""The policy: what a candidate must show before it may replace what is in use, written down before it is judged.

Metrics are compared as *gains*: positive means that the challenger is better, whichever direction the metric has.
Margins and differences are in the metric's own unit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, field_validator, model_validator

from dubflow.config import Strict, presets_folder, validated
from dubflow.corpora.cache import content_key
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.card.rows import Finite, MetricName, Slicing

FORMAT: Literal["dubflow.policy/1"] = "dubflow.policy/1"


class Primary(Strict):
    """What the release is for: the challenger must be shown to be better by more than the margin."""

    metric: MetricName
    margin: Finite = Field(0.0, ge=0, description="The gain must be shown to exceed this.")
    worthwhile: Finite = Field(
        gt=0,
        description="Smallest gain worth a release. Where the clips exclude it, the answer is refuse; the power line "
        "says how many clips would see it.",
    )

    @model_validator(mode="after")
    def _margin_is_less(self) -> Primary:
        if self.worthwhile <= self.margin:
            raise ValueError("worthwhile must be more than the margin")
        return self


class Guardrail(Strict):
    """What must not suffer: the challenger must be shown to be worse by less than the margin (non-inferiority)."""

    metric: MetricName
    margin: Finite = Field(gt=0, description="The largest loss that is acceptable.")


class Floor(Strict):
    """What must hold whoever the champion is; compared with the one-sided bound of the challenger's own figure."""

    metric: MetricName
    at_least: Finite | None = None
    at_most: Finite | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Floor:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")
        return self


class SliceRule(Strict):
    """A guardrail in every slice, with Holm's correction over all slices of the policy."""

    by: Slicing
    metric: MetricName
    margin: Finite = Field(gt=0, description="The largest loss that is acceptable within a slice.")
    smallest: int = Field(20, ge=2, description="Clips that a slice needs before anything is said of it.")
    too_few: Literal["inconclusive", "skip"] = Field("inconclusive", description="What a smaller slice leads to.")


class Policy(Strict):
    """Rules of promotion."""

    format: Literal["dubflow.policy/1"]
    name: str = Field(min_length=1)
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Largest risk of each wrong statement, one-sided.")
    power: float = Field(0.8, gt=0.5, lt=1, description="Of the power line.")
    rounds: int = Field(10_000, ge=200, le=100_000, description="Of the bootstrap.")
    seed: int = Field(0, ge=0)
    resample: Literal["clip", "speaker"] = Field("clip", description="speaker: for claims about other speakers.")
    smallest_sample: int = Field(ge=2, description="Clips; with fewer the answer is inconclusive at best.")
    success_rate: float = Field(0.0, ge=0, le=1, description="Smallest share of clips that the challenger may deliver.")
    primary: Primary
    guardrails: tuple[Guardrail, ...] = ()
    floors: tuple[Floor, ...] = ()
    slices: tuple[SliceRule, ...] = ()
    require_package: bool = Field(True, description="A verdict binds a package; a folder of clips has none.")
    licences: tuple[str, ...] | None = Field(None, description="Allowed ones (SPDX); null: not looked at.")
    lineage: tuple[str, ...] = Field((), description="Facts that the challenger's card must name.")
    costs: dict[str, Finite] = Field(default_factory=dict, description="Ceilings, such as device_s_per_minute.")

    @field_validator("guardrails", "floors")
    @classmethod
    def _each_metric_once(cls, rules: tuple[Guardrail | Floor, ...]) -> tuple[Guardrail | Floor, ...]:
        names = [rule.metric for rule in rules]
        if len(set(names)) != len(names):
            raise ValueError("a metric stands twice")
        return rules

    @field_validator("slices")
    @classmethod
    def _each_slicing_once(cls, rules: tuple[SliceRule, ...]) -> tuple[SliceRule, ...]:
        keys = [(rule.by, rule.metric) for rule in rules]
        if len(set(keys)) != len(keys):
            raise ValueError("a slicing of a metric stands twice")
        return rules

    @property
    def digest(self) -> str:
        """By which a verdict names the policy it was made under."""
        return content_key(self.model_dump(mode="json"))


def load_policy(name: str) -> Policy:
    """Read a policy: the name of a shipped one, or the path of a YAML file.

    Raises:
        WrongUse: ``judging.unknown_policy``.
        BadInput: ``judging.unknown_format``, ``judging.bad_policy``; ``config.bad_preset`` with every offending field.
    """
    folder = presets_folder() / "policies"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in folder.glob("*.yaml")))
        raise WrongUse(
            "judging.unknown_policy", f"There is no policy {name!r}.", f"Known: {known}; or name a YAML file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput("judging.bad_policy", f"{path.name} is not YAML: {error}.", "Correct the file.") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput(
            "judging.unknown_format",
            f"{path.name} is of format {found!r}; this dubflow reads {FORMAT}.",
            "Compare it with a shipped policy.",
        )
    return validated(Policy, content, path.name)
