"""Signed verdicts: nothing can be changed unnoticed, and nobody else can sign."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.gate.decide import judge
from dubflow.judging.gate.signing import SignedVerdict, generate_key, read_verdict, sign, verify, write_verdict
from dubflow.judging.gate.verdict import Verdict
from judging.gate.systems import policy, system

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return judge(system(wer=0.1, seed=2), system(wer=0.3, seed=1), policy(), made_at="2026-01-02T03:04:05+00:00")


def test_a_signed_verdict_comes_back_and_verifies(tmp_path: Path, verdict: Verdict) -> None:
    public = generate_key(tmp_path / "key")
    read = read_verdict(write_verdict(sign(verdict, tmp_path / "key"), tmp_path / "verdict.json"))
    assert verify(read, public) == verdict
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert sign(verdict, tmp_path / "key") == read  # Ed25519 signs alike every time


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    generate_key(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(WrongUse) as refused:
        generate_key(tmp_path / "key")
    assert refused.value.code == "judging.key_exists"
    assert (tmp_path / "key").read_bytes() == before


def _reason(content: dict[str, Any]) -> None:
    content["verdict"]["rules"][1]["reason"] = "fine"


def _package(content: dict[str, Any]) -> None:
    content["verdict"]["challenger"]["package"] = "00" * 32


def _figure(content: dict[str, Any]) -> None:
    content["verdict"]["rules"][1]["figures"]["gain"] += 1e-9


def _signature(content: dict[str, Any]) -> None:
    content["signature"]["signature"] = "00" * 64


@pytest.mark.parametrize("change", [_reason, _package, _figure, _signature])
def test_a_changed_verdict_does_not_verify(
    tmp_path: Path, verdict: Verdict, change: Callable[[dict[str, Any]], None]
) -> None:
    public = generate_key(tmp_path / "key")
    content = sign(verdict, tmp_path / "key").model_dump(mode="json")
    change(content)
    with pytest.raises(BadInput) as refused:
        verify(SignedVerdict.model_validate(content), public)
    assert refused.value.code == "judging.bad_signature"


def test_somebody_elses_signature_is_not_trusted(tmp_path: Path, verdict: Verdict) -> None:
    generate_key(tmp_path / "theirs")
    trusted = generate_key(tmp_path / "ours")
    with pytest.raises(BadInput) as refused:
        verify(sign(verdict, tmp_path / "theirs"), trusted)
    assert refused.value.code == "judging.other_signer"
    with pytest.raises(BadInput) as refused:
        verify(SignedVerdict(verdict=verdict), trusted)
    assert refused.value.code == "judging.not_signed"


def test_only_ed25519_keys_sign(tmp_path: Path, verdict: Verdict) -> None:
    (tmp_path / "key").write_text("no key")
    generate_key(tmp_path / "good")
    for name in ("key", "good.pub", "missing"):
        with pytest.raises(BadInput) as refused:
            sign(verdict, tmp_path / name)
        assert refused.value.code == "judging.bad_key"


def _decision(content: dict[str, Any]) -> None:
    content["verdict"]["decision"] = "refuse"


def _unknown_field(content: dict[str, Any]) -> None:
    content["verdict"]["mood"] = "good"


def _outer_format(content: dict[str, Any]) -> None:
    content["format"] = "dubflow.signed-verdict/2"


def _inner_format(content: dict[str, Any]) -> None:
    content["verdict"]["format"] = "dubflow.verdict/2"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_decision, "judging.bad_verdict"),
        (_unknown_field, "judging.bad_verdict"),
        (_outer_format, "judging.unknown_format"),
        (_inner_format, "judging.unknown_format"),
    ],
)
def test_verdicts_that_contradict_their_rules_are_not_read(
    tmp_path: Path, verdict: Verdict, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    content = SignedVerdict(verdict=verdict).model_dump(mode="json")
    change(content)
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(BadInput) as refused:
        read_verdict(path)
    assert refused.value.code == code


def test_what_is_no_verdict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read_verdict(tmp_path / "none.json")
    assert refused.value.code == "judging.no_verdict"
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(BadInput) as refused:
        read_verdict(tmp_path / "half.json")
    assert refused.value.code == "judging.bad_verdict"


def test_golden_verdict_is_still_read_and_verified() -> None:
    """Written by the first version of the format; who trusts the key beside it must always be able to check it."""
    signed = read_verdict(GOLDEN / "verdict.json")
    verdict = verify(signed, GOLDEN / "key.pub")
    assert (verdict.decision, verdict.world, verdict.policy) == ("promote", "embedded", "test")
    assert verdict.challenger.package == "cd" * 32
    assert write_verdict_text(signed) == (GOLDEN / "verdict.json").read_text("utf-8")


def write_verdict_text(signed: SignedVerdict) -> str:
    return json.dumps(signed.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
