"""What a deployment may not use is refused, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from dubflow.errors import BadInput, WrongUse
from dubflow.registry.licences import (
    LTX_2,
    NOT_COMMERCIAL,
    PUBLIC,
    RESEARCH,
    UNKNOWN,
    LicencePolicy,
    check_licences,
    corpus_licences,
    load_licence_policy,
    refusals,
    tag_of,
)
from dubflow.registry.package.manifest import PartLicence
from registry.package.test_lineage import corpus, row
from registry.packages import BARRED, FREE


@pytest.fixture(scope="module")
def commercial() -> LicencePolicy:
    return load_licence_policy("commercial")


def policy(**changes: Any) -> LicencePolicy:
    fields = {"format": "dubflow.licences/1", "name": "ours", "use": "commercial", "allowed": ["MIT"]}
    return LicencePolicy.model_validate(fields | changes)


def test_a_commercial_deployment_refuses_what_forbids_it_and_says_why(commercial: LicencePolicy) -> None:
    check_licences(FREE, commercial)
    with pytest.raises(BadInput) as caught:
        check_licences(BARRED, commercial)
    assert caught.value.code == "registry.licence_refused"
    assert "corpus lectures (CC-BY-NC-4.0): CC BY-NC 4.0 forbids commercial use" in caught.value.headline
    assert [one["part"] for one in caught.value.details["refused"]] == ["corpus lectures"]


@pytest.mark.parametrize("tag", [*NOT_COMMERCIAL, UNKNOWN, LTX_2, "GPL-3.0-only", "CC-BY-SA-4.0", "LicenseRef-acme"])
def test_no_tag_slips_through(commercial: LicencePolicy, tag: str) -> None:
    (found,) = refusals([PartLicence(part="base", licence=tag)], commercial)
    assert found.reason
    assert tag in str(found)


def test_research_may_use_more_but_nothing_unknown() -> None:
    research = load_licence_policy("research")
    without_derivatives = "CC-BY-NC-ND-4.0"  # what is trained on it may be one
    found = refusals([PartLicence(part="p", licence=tag) for tag in [*NOT_COMMERCIAL, LTX_2]], research)
    assert [one.licence for one in found] == [without_derivatives]
    assert len(refusals([PartLicence(part="p", licence=UNKNOWN)], research)) == 1


def test_saying_nothing_is_no_permission(commercial: LicencePolicy) -> None:
    with pytest.raises(BadInput, match="nobody said"):
        check_licences([], commercial)


def test_a_contract_is_an_exception_by_name(commercial: LicencePolicy) -> None:
    ours = policy(allowed=["Apache-2.0", "CC-BY-4.0"], exceptions={"CC-BY-NC-4.0": "contract 17 with the university"})
    check_licences(BARRED, ours)
    with pytest.raises(ValidationError, match="exceptions"):
        policy(allowed=["MIT", "CC-BY-NC-4.0"])
    assert policy(allowed=["MIT", "CC-BY-NC-4.0"], use="research").reason_against("CC-BY-NC-4.0") is None
    with pytest.raises(ValidationError, match="allowed and refused"):
        policy(refused={"MIT": "why not"})
    with pytest.raises(ValidationError):
        policy(allow=["MIT"])


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc-by-nc", "CC-BY-NC-4.0"),
        ("CC BY-NC-SA 3.0", "CC-BY-NC-SA-3.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("public domain", PUBLIC),
        ("Public  Domain", PUBLIC),
        ("LTX-2 Community License", LTX_2),
        ("research only", RESEARCH),
        ("Apache-2.0", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("our own terms, ask Ann", "LicenseRef-our-own-terms-ask-Ann"),
        ("LicenseRef-acme", "LicenseRef-acme"),
        (None, UNKNOWN),
        ("  ", UNKNOWN),
        ("///", "LicenseRef-unnamed"),
    ],
)
def test_tags_as_people_write_them(written: str | None, tag: str) -> None:
    assert tag_of(written) == tag
    assert tag_of(tag) == tag


def test_a_corpus_tells_what_its_clips_are_under() -> None:
    rows = (row(1, "a"), row(2, "b", "CC BY-NC 4.0"), row(3, "c", None), row(4, "d"))
    found = {(one.licence, one.note) for one in corpus_licences(corpus(*rows))}
    assert found == {("CC0-1.0", "2 clips"), ("CC-BY-NC-4.0", "1 clips"), (UNKNOWN, "1 clips")}


def test_policies_are_read_strictly(tmp_path: Path) -> None:
    content = policy().model_dump(mode="json")
    for name, change, code in (
        ("format", {"format": "dubflow.licences/9"}, "registry.bad_licence_policy"),
        ("field", {"allow_all": True}, "config.bad_preset"),
        ("use", {"use": "war"}, "config.bad_preset"),
    ):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content | change))
        with pytest.raises(BadInput) as caught:
            load_licence_policy(str(path))
        assert caught.value.code == code
    (tmp_path / "no.yaml").write_text("a: [")
    with pytest.raises(BadInput):
        load_licence_policy(str(tmp_path / "no.yaml"))
    with pytest.raises(WrongUse, match="commercial, research"):
        load_licence_policy("nonesuch")
