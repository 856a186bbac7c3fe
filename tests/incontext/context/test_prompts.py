"""The prompt: the released template, filled in once, with nothing that ends it early."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.incontext.prompts import TEMPLATE, dub_prompt


def test_it_is_the_published_template() -> None:
    assert TEMPLATE == '[Speaker] is speaking [Language/Accent], saying: "[Dialogue]"'
    assert dub_prompt("Bonjour.", "fr") == 'The person is speaking French, saying: "Bonjour."'
    assert (
        dub_prompt(["Bonjour.", " Ça va ? "], "fr-be", "A man")
        == 'A man is speaking French, saying: "Bonjour. Ça va ?"'
    )
    assert dub_prompt("hello", "Scots") == 'The person is speaking Scots, saying: "hello"'


def test_a_template_may_ask_for_the_code() -> None:
    compact = 'a person. [Code]: "[Dialogue]"'
    assert dub_prompt("Bonjour", "FR-be", template=compact) == 'a person. fr: "Bonjour"'
    assert dub_prompt("[Code]", "fr", template=compact) == 'a person. fr: "[Code]"'


@settings(deadline=None)
@given(st.text(min_size=1))
def test_what_is_said_cannot_change_the_rest(words: str) -> None:
    made = dub_prompt(words, "de")
    assert made.startswith('The person is speaking German, saying: "')
    assert made.count('"') == 2
    assert made.endswith('"')
