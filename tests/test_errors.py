"""Errors keep their facts wherever they travel."""

from __future__ import annotations

import json
import pickle

import pytest

from dubflow.errors import BadInput, DubflowError, ExitCode, OurFault, WrongUse, missing_extra


@pytest.mark.parametrize(
    ("kind", "exit_code", "users_doing", "retryable"),
    [
        (WrongUse, ExitCode.WRONG_USE, True, False),
        (BadInput, ExitCode.BAD_INPUT, True, False),
        (OurFault, ExitCode.OURS, False, True),
    ],
)
def test_class_decides_exit_code_blame_and_retry(
    kind: type[DubflowError], exit_code: ExitCode, users_doing: bool, retryable: bool
) -> None:
    error = kind("room.what", "Something is off.", "Mend it.")
    assert (error.exit_code, error.users_doing, error.retryable) == (exit_code, users_doing, retryable)


def test_exit_codes_are_the_documented_numbers() -> None:
    assert [int(ExitCode[name]) for name in ("FINE", "WRONG_USE", "BAD_INPUT", "OURS")] == [0, 2, 3, 4]


def test_survives_a_process_boundary_with_its_details() -> None:
    error = BadInput("media.no_video", "a.wav has no picture.", "Give a video.", path="a.wav", streams=1)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is BadInput
    assert again.as_dict() == error.as_dict()
    assert again.details == {"path": "a.wav", "streams": 1}


def test_message_carries_headline_code_and_hint() -> None:
    text = str(missing_extra("espeakng_loader"))
    assert "espeakng_loader" in text
    assert "install.missing_extra" in text
    assert "dubflow[speech]" in text


def test_dictionary_form_is_json_and_leaves_empty_details_out() -> None:
    plain = WrongUse("cli.wrong_use", "No.").as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert "details" not in plain
