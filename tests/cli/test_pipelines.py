"""Words of ``dubflow run`` that a schedule uses."""

from __future__ import annotations

from datetime import UTC, datetime

from verbs import Answer

WORDS = ("run", "nightly", "--where", "cluster", "--dry-run", "--daily")


def test_each_day_has_a_number_of_its_own_and_a_given_value_wins(answer: Answer) -> None:
    before = int(datetime.now(UTC).timestamp()) // 86_400
    number = answer(*WORDS, "seed")["arguments"]["seed"]
    assert before <= number <= int(datetime.now(UTC).timestamp()) // 86_400
    assert answer(*WORDS, "seed", "-p", "seed=5")["arguments"] == {"seed": 5}
    assert answer(*WORDS, "nonsense", exit_code=2)["error"]["code"] == "platform.unknown_parameter"
