"""The doctor tries the real thing and names what brings it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dubflow.cli import main as program
from dubflow.platform import doctor


def test_here_everything_needed_is_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dubflow", "doctor", "--json"])
    assert program._run() == 0
    answer = json.loads(capsys.readouterr().out)
    states = {finding["what"]: finding["state"] for finding in answer["findings"]}
    assert answer["fine"]
    assert {"Python", "H.264 and AAC encoding", "espeak-ng voices", "face model"} <= states.keys()
    assert {"lightning", "mlflow", "jiwer", "pystoi", "pesq", "starter model", "bfloat16"} <= states.keys()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    finding = doctor.import_finding("pyworld", "pyworld")
    assert (finding.state, finding.detail) == ("missing", "not installed")
    assert "dubflow[speech]" in finding.remedy


def test_what_only_some_need_is_optional_and_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    finding = doctor.import_finding("lightning", "lightning", "optional")
    assert (finding.state, finding.detail) == ("optional", "not installed")
    assert "dubflow[diflow]" in finding.remedy
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = doctor._ability("bfloat16", doctor._bfloat16, "optional")
    assert (finding.state, finding.detail) == ("optional", "needs torch")
    assert "dubflow[features]" in finding.remedy


def test_an_installation_without_a_starter_names_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dubflow.diflow.stored", reason="torch is not installed", exc_type=ImportError)
    from dubflow.diflow import facts

    monkeypatch.setattr(facts, "__file__", str(tmp_path / "dubflow" / "diflow" / "facts.py"))
    finding = doctor._ability("starter model", doctor._starter, "optional")
    assert finding.state == "optional"
    assert "no starter model" in finding.detail
    assert "dubflow train" in finding.remedy


@pytest.mark.parametrize(("library", "package"), doctor.SYSTEM_PACKAGES.items())
def test_each_system_library_is_told_from_those_of_like_names(library: str, package: str) -> None:
    assert doctor.system_package_for(f"{library}: cannot open shared object file") == (library, package)


def test_a_missing_system_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("importlib.import_module", load)
    finding = doctor.import_finding("cv2", "opencv-python-headless")
    assert (finding.detail, finding.remedy) == ("cannot load libGL.so.1", "apt-get install libgl1")


def test_something_missing_is_exit_code_3(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [doctor.Finding("cv2", "missing", "cannot load libGL.so.1", "apt-get install libgl1")]
    monkeypatch.setattr(doctor, "examine", lambda: broken)
    monkeypatch.setattr(sys, "argv", ["dubflow", "doctor"])
    assert program._run() == 3
    printed = capsys.readouterr().out
    assert "apt-get install libgl1" in printed
    assert "1 thing(s) missing" in printed
