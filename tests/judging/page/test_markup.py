from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import OurFault
from dubflow.judging.page.markup import element, join, raw_block

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    ["</p><script>x</script>", "'\"><img src=x onerror=y>", "&lt;&amp;&#60;", "<!--", "]]>", "\x00\x1b", "\ud800"]
)


class Reader(HTMLParser):
    """What a browser would find."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(text: str) -> str:
    return "".join("�" if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" else c for c in text)


@settings(deadline=None)
@given(ANYTHING)
def test_text_comes_out_as_text_whatever_it_holds(text: str) -> None:
    found = Reader(element("p", text).source)
    assert found.tags == [("p", {})]
    assert found.text == shown(text)


@settings(deadline=None)
@given(ANYTHING)
def test_an_attribute_holds_its_value_and_nothing_else(text: str) -> None:
    found = Reader(element("p", "in", title=text).source)
    assert found.tags == [("p", {"title": shown(text)})]
    assert found.text == "in"


@settings(deadline=None)
@given(ANYTHING)
def test_every_page_can_be_written_as_utf8(text: str) -> None:
    element("p", text, title=text).source.encode("utf-8")


def test_children_nest_and_nothing_is_left_of_none() -> None:
    assert element("ul", [element("li", "a"), None, element("li", "<")]).source == "<ul><li>a</li><li>&lt;</li></ul>"
    assert join("a", None, ["b", element("br")]).source == "ab<br>"


def test_attributes_are_named_as_in_html() -> None:
    made = element("input", class_="a", aria_label="b", hidden=True, id=None, controls=False, viewBox="0 0 1 1")
    assert made.source == '<input class="a" aria-label="b" hidden viewBox="0 0 1 1">'


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/a.png",
        "//example.com/a.png",
        "javascript:alert(1)",
        "data:text/html,<script>",
        "../up.mp4",
        "/etc/passwd",
        "media/../../x.mp4",
        "file:///etc/passwd",
        " media/a.mp4",
        "media/a.mp4\n",
        "",
    ],
)
def test_nothing_outside_the_pages_folder_can_be_linked(address: str) -> None:
    with pytest.raises(OurFault, match=r"judging\.page_unsafe"):
        element("img", src=address)


@pytest.mark.parametrize("address", ["#verdict", "media/0a1b-web.mp4", "data:image/png;base64,AAAA+/="])
def test_what_belongs_to_the_page_can(address: str) -> None:
    assert Reader(element("img", src=address).source).tags == [("img", {"src": address})]


@pytest.mark.parametrize("name", ["p onload", "p>", "", "1p", "p/"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(OurFault, match=r"judging\.page_unsafe"):
        element(name)


def test_handlers_are_refused() -> None:
    with pytest.raises(OurFault, match=r"judging\.page_unsafe"):
        element("p", onclick="x()")


@pytest.mark.parametrize("source", ["a</script>b", "<!-- a", "</style"])
def test_a_block_that_would_end_itself_is_refused(source: str) -> None:
    with pytest.raises(OurFault, match=r"judging\.page_unsafe"):
        raw_block("script", source)
