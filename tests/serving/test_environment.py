"""Where the wheel's server may run."""

from __future__ import annotations

import os
import platform

import pytest

from dubflow.errors import WrongUse
from dubflow.serving import environment


@pytest.mark.parametrize("version", ["2.0.0", "2.4.1", "10.0.0"])
def test_numpy_2_is_refused(version: str) -> None:
    with pytest.raises(WrongUse, match=version) as caught:
        environment.check_numpy(version)
    assert caught.value.code == "serving.numpy_2"


@pytest.mark.parametrize("version", ["1.26.4", "1.22.0", None])
def test_numpy_1_is_not(version: str | None) -> None:
    environment.check_numpy(version)


def test_it_says_why_not_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "aarch64" in environment.why_not()


@pytest.mark.parametrize(("library", "named"), [("glibc 2.31", "2.31"), ("", "of another kind")])
def test_it_says_why_not_with_an_old_c_library(monkeypatch: pytest.MonkeyPatch, library: str, named: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "confstr", lambda name: library)
    assert named in environment.why_not()
    assert "2.34" in environment.why_not()


def test_it_says_why_not_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_wheel", lambda: None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36")
    assert "nvidia-pytriton" in environment.why_not()
