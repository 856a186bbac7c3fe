"""Dockerfiles are read as a builder reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.platform.images.dockerfile import expanded, parse_dockerfile
from dubflow.platform.images.shell import commands, pipes

TEXT = """\
# a comment
ARG BASE=x@sha256:abc
FROM ${BASE} AS one
RUN --mount=type=secret,id=a,target=/b --network=none apt-get update \\
    # in the midst of it

    && echo "two  words" \\
    && true
ENV A=1 B="two words"
ENV OLD the old form
FROM one
COPY --from=one --chown=1:2 /a /b/
HEALTHCHECK --interval=5s CMD ["a", "b c"]
RUN <<EOF
first
second | third
EOF
USER 5
"""


def test_lines_flags_stages_and_heredocs() -> None:
    file = parse_dockerfile(TEXT)
    assert [one.pairs for one in file.arguments] == [{"BASE": "x@sha256:abc"}]
    assert [(stage.base, stage.name) for stage in file.stages] == [("${BASE}", "one"), ("one", "")]
    run = next(file.stages[0].of("RUN"))
    assert (run.line, run.flag("network")) == (4, "none")
    assert run.flag("mount") == "type=secret,id=a,target=/b"
    assert run.text == 'apt-get update && echo "two  words" && true'
    assert [one.pairs for one in file.stages[0].of("ENV")] == [{"A": "1", "B": "two words"}, {"OLD": "the old form"}]
    assert next(file.stages[1].of("COPY")).words == ["/a", "/b/"]
    assert next(file.stages[1].of("HEALTHCHECK")).text == 'CMD ["a", "b c"]'
    last = next(file.stages[1].of("RUN"))
    assert last.body == "first\nsecond | third"
    assert next(file.stages[1].of("USER")).line == 18
    assert [stage.name for stage in file.lineage(file.stages[1])] == ["one", ""]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("ARG A\n", 1),
        ("RUN a\nFROM b\n", 1),
        ("FROM a\nFETCH b\n", 2),
        ("FROM a\nONBUILD RUN b\n", 2),
        ("FROM a AS\n", 1),
        ("FROM a\nRUN b \\\n", 2),
        ("FROM a\nRUN <<EOF\nb\n", 2),
    ],
)
def test_what_is_no_dockerfile_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BadInput, match=r"platform\.bad_dockerfile") as caught:
        parse_dockerfile(text)
    assert caught.value.details["line"] == line


@settings(deadline=None)
@given(st.text(alphabet="AFROM RUN\\\n#<EOF'\"[]${}=&|", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        file = parse_dockerfile(text)
    except BadInput:
        return
    for one in file.instructions:
        assert isinstance(one.words, list)
        commands(one.text)


def test_variables_are_put_in_as_a_builder_does() -> None:
    values = {"A": "1", "EMPTY": ""}
    assert expanded("$A ${A} ${B} x$B", values) == "1 1  x"
    assert expanded("${B:-2} ${B-2} ${EMPTY:-3} ${EMPTY-3}", values) == "2 2 3 "
    assert expanded("${A:+4} ${B:+4} ${EMPTY+5}", values) == "4  5"


def test_commands_of_a_line() -> None:
    assert commands("a b && c 'd && e' || (f; g | h)") == [["a", "b"], ["c", "d && e"], ["f"], ["g"], ["h"]]
    assert commands("X=1 Y=2 apt-get install z") == [["apt-get", "install", "z"]]
    assert commands("xargs apt-get install\nthen b") == [["apt-get", "install"], ["b"]]


@pytest.mark.parametrize(
    ("line", "piped"),
    [
        ("a | b", True),
        ("a || b", False),
        ("echo 'a | b'", False),
        ("case $x in a|b) ;; esac", False),
        ("case x in a) ;; esac; c | d", True),
    ],
)
def test_a_pipe_is_told_from_what_looks_like_one(line: str, piped: bool) -> None:
    assert pipes(line) == piped
