"""Settings are strict and every shipped preset is valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from dubflow.config import Settings, Strict, load_preset, preset_names
from dubflow.errors import BadInput, WrongUse


class Example(Strict):
    size: int = 3


def test_shipped_presets_include_the_embedded_default() -> None:
    assert {"tiny", "paper"} <= set(preset_names())


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(WrongUse, match="tiny") as caught:
        load_preset("huge", "prepare", Example)
    assert caught.value.code == "config.unknown_preset"


def test_unknown_and_wrong_fields_are_both_named(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("example: {size: many, colour: red}\n")
    with pytest.raises(BadInput) as caught:
        load_preset(str(preset), "example", Example)
    assert caught.value.code == "config.bad_preset"
    assert "size" in caught.value.headline
    assert "colour" in caught.value.headline


def test_what_is_not_yaml_is_bad_input(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("example: [")
    with pytest.raises(BadInput, match=r"mine\.yaml is not YAML"):
        load_preset(str(preset), "example", Example)


@pytest.mark.parametrize("content", [b"- a\n- b\n", b"just text", b"example: \xff\xfe"])
def test_what_has_no_sections_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=r"config\.bad_preset"):
        load_preset(str(tmp_path / "mine.yaml"), "example", Example)


def test_a_missing_section_gives_the_defaults(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("other: {}\n")
    assert load_preset(str(preset), "example", Example) == Example()


def test_values_do_not_change_after_validation() -> None:
    example = Example()
    with pytest.raises(ValidationError):
        example.size = 4  # type: ignore[misc]


def test_environment_sets_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFLOW_DECODE_SECONDS", "3")
    assert Settings().decode_seconds == 3
    monkeypatch.setenv("DUBFLOW_DECODE_SECONDS", "0")
    with pytest.raises(ValidationError):
        Settings()
