"""Policies: shipped ones are read, contradictions are refused with the field's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dubflow.config import presets_folder
from dubflow.errors import BadInput, WrongUse
from dubflow.judging.gate.policy import load_policy
from judging.gate.systems import policy


@pytest.mark.parametrize("name", sorted(path.stem for path in (presets_folder() / "policies").glob("*.yaml")))
def test_shipped_policies_are_read(name: str) -> None:
    assert load_policy(name).name == name


@pytest.mark.parametrize(
    "change",
    [
        {"mood": "good"},
        {"alpha": 0.5},
        {"primary": {"metric": "wer", "margin": 0.02, "worthwhile": 0.02}},
        {"primary": {"metric": "wer", "worthwhile": float("nan")}},
        {"guardrails": [{"metric": "secs", "margin": 0.0}]},
        {"guardrails": [{"metric": "secs", "margin": 0.1}, {"metric": "secs", "margin": 0.2}]},
        {"floors": [{"metric": "wer"}]},
        {"floors": [{"metric": "wer", "at_most": 0.4, "at_least": 0.1}]},
        {"slices": [{"by": "mood", "metric": "wer", "margin": 0.1}]},
        {"slices": [{"by": "speaker", "metric": "wer", "margin": 0.1}] * 2},
        {"smallest_sample": 0},
    ],
)
def test_contradictions_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**change)


def test_other_policies_have_other_digests() -> None:
    assert policy().digest == policy().digest
    assert policy(alpha=0.01).digest != policy().digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("format: dubflow.policy/2\n", "judging.unknown_format"),
        ("[]", "judging.unknown_format"),
        ("a: [", "judging.bad_policy"),
        ("format: dubflow.policy/1\nname: x\n", "config.bad_preset"),
    ],
)
def test_files_that_are_no_policy_are_refused(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as refused:
        load_policy(str(path))
    assert refused.value.code == code


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(WrongUse, match="release"):
        load_policy("nonesuch")
