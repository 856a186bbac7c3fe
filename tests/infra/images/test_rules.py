"""Each rule has a Dockerfile that breaks it and nothing else; the project's own break none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubflow.platform.images.checking import RULES, check_dockerfile, check_images
from dubflow.platform.images.dockerfile import parse_dockerfile
from dubflow.platform.images.rules import CHECKS

ROOT = Path(__file__).resolve().parents[3]
BROKEN = Path(__file__).parent / "broken"
FINE = (BROKEN / "fine.Dockerfile").read_text(encoding="utf-8")


def broken_by(text: str) -> set[str]:
    """The rules that a text breaks, but for those about locks."""
    file = parse_dockerfile(text)
    return {check.rule.name.partition(".")[2] for check in CHECKS if any(True for _ in check.look(file))}


def test_every_rule_has_a_file_that_breaks_it() -> None:
    files = {path.stem for path in BROKEN.glob("*.Dockerfile")} - {"fine"}
    assert files == {rule.name.partition(".")[2] for rule in RULES}
    assert {rule.group for rule in RULES} == {"image"}
    assert all(check.hint for check in CHECKS)


def test_a_file_that_keeps_all_rules_is_left_alone() -> None:
    assert check_dockerfile(BROKEN / "fine.Dockerfile", BROKEN) == []


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_rule_refuses_what_breaks_it_and_says_where(rule: str) -> None:
    path = BROKEN / f"{rule.partition('.')[2]}.Dockerfile"
    found = check_dockerfile(path, BROKEN)
    assert {one.rule for one in found} == {rule}
    assert {one.severity for one in found} == {"refused"}
    for one in found:
        assert one.message.endswith(".")
        assert one.hint
        assert one.line is not None
        assert 1 <= one.line <= len((BROKEN / one.where).read_text(encoding="utf-8").splitlines())


def test_the_images_of_the_project_keep_all_rules() -> None:
    assert check_images(ROOT / "infra" / "images") == []


def test_a_folder_without_images_is_not_fine(tmp_path: Path) -> None:
    (one,) = check_images(tmp_path)
    assert (one.rule, one.severity) == ("image.readable", "refused")


@pytest.mark.parametrize(
    ("line", "instead", "rules"),
    [
        ("USER 10001:10001", "USER 0", {"non_root"}),
        ("USER 10001:10001", "USER 10001:10001\nUSER root", {"non_root"}),
        ("FROM ${BASE} AS base", "FROM python:3.11 AS base", {"base_by_digest"}),
        ("FROM ${BASE} AS base", "FROM python AS base", {"base_by_digest", "no_latest"}),
        ("FROM ${BASE} AS base", f"FROM python@sha256:{'a' * 64} AS base", set()),
        ("FROM ${BASE} AS base", "FROM ${OTHER} AS base", {"base_by_digest"}),
        ("COPY src ./src", "COPY --chown=1:1 ./ ./src", {"copy_named"}),
        ("COPY src ./src", "COPY *.py ./src", {"copy_named"}),
        ("COPY src ./src", "RUN git clone there", {"no_fetching"}),
        ("COPY src ./src", "RUN FOO=1 curl there", {"no_fetching"}),
        ("COPY src ./src", "RUN echo 'a | b' || true", set()),
        ("COPY src ./src", "RUN set -o pipefail; cat a | sort", set()),
        ("COPY src ./src", 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN cat a | sort', set()),
        ("COPY src ./src", 'RUN cat a | sort\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]', {"pipefail"}),
        ("COPY src ./src", "RUN <<EOF\ncat a | sort\nEOF", {"pipefail"}),
        ("COPY src ./src", "RUN uv pip install numpy==1.26.4", {"hashes"}),
        ("COPY src ./src", "RUN python3.11 -m pip install -r good.lock", {"hashes"}),
        ("COPY src ./src", "RUN uv pip install --no-deps .", {"hashes"}),
        ("COPY src ./src", "RUN apt-get update && apt-get upgrade -y", {"apt"}),
        ("COPY src ./src", "ENV A=1 AWS_SECRET_ACCESS_KEY=x", {"no_secrets"}),
        ("COPY src ./src", "ENV INDEX ftp://ann:secret@there/x", {"no_secrets"}),
        ("COPY src ./src", "ARG INDEX=registry.example.org/team/", {"no_hosts"}),
        ("HEALTHCHECK NONE\n", "", {"exec_form"}),
        ("HEALTHCHECK NONE", "HEALTHCHECK --interval=5s CMD curl localhost", {"exec_form"}),
        ("HEALTHCHECK NONE", 'HEALTHCHECK --interval=5s CMD ["python", "-V"]', set()),
        ("HEALTHCHECK NONE", "HEALTHCHECK NONE\nVOLUME /state", {"read_only_root"}),
    ],
)
def test_what_a_rule_sees_and_what_it_lets_pass(line: str, instead: str, rules: set[str]) -> None:
    assert FINE.count(line) == 1
    assert broken_by(FINE.replace(line, instead)) == rules


def test_a_secret_is_not_repeated_in_what_is_said() -> None:
    text = FINE.replace("ARG REVISION", "ARG REVISION\nENV INDEX=https://ann:hunter2@there.example.org/x")
    file = parse_dockerfile(text)
    said = [message for check in CHECKS for _, message in check.look(file)]
    assert said
    assert not any("hunter2" in message for message in said)


def test_the_page_lists_every_rule_as_it_is() -> None:
    page = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `image.")] == [
        f"| `{rule.name}` | {rule.asks} |" for rule in RULES
    ]
