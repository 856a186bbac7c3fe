"""HTML and SVG that cannot be injected into: text is escaped unless it was built here.

A page is a tree of calls of :func:`element`. A ``str`` is always text; only :class:`Markup`, which only this module
makes, passes as it is. Element and attribute names come from our own code and are checked all the same.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from dubflow.errors import OurFault

_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "source"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9:-]*")
# Attributes through which a page can load, navigate or run something: their values come from our code alone.
_LOADING = frozenset({"href", "src", "srcset", "poster", "action", "formaction", "data"})


@dataclass(frozen=True)
class Markup:
    """A finished piece of HTML or SVG."""

    source: str


Child = Markup | str | None | Iterable["Child"]
Attribute = str | int | float | bool | None


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """``<name ...>children</name>``.

    Args:
        children: text (escaped), markup, or iterables of them; None is nothing.
        attributes: ``class_`` and ``for_`` lose their underscore, other underscores become hyphens. True stands alone,
            None and False are left out.

    Raises:
        OurFault: ``judging.page_unsafe`` for a name that is none, a handler (``on...``), or an address that leaves the
            page's folder.
    """
    parts = [_checked(name)]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = _attribute_name(key, value)
        parts.append(attribute if value is True else f'{attribute}="{escape(number(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children).source}</{name}>")


def join(*children: Child) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(_sources(children)))


def raw_block(name: str, source: str) -> Markup:
    """A ``style`` or ``script`` block of our own; its source must not be able to end it.

    Raises:
        OurFault: ``judging.page_unsafe``.
    """
    if "</" in source or "<!--" in source:
        raise OurFault("judging.page_unsafe", f"The page's own {name} would end itself.", "Write it without '</'.")
    return Markup(f"<{_checked(name)}>{source}</{name}>")


def escape(text: str) -> str:
    """``text`` for HTML: its five special characters as entities; what HTML cannot hold becomes U+FFFD."""
    return html.escape("".join(_shown(character) for character in text), quote=True)


def number(value: Attribute) -> str:
    """A figure as short as it is read: six significant digits, no exponent for the sizes of a drawing."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    # Control characters (Cc) and lone surrogates (Cs) are no HTML; marks that turn the direction of text stay, for
    # Hebrew and Arabic need them, and every untrusted text stands in an element of its own that isolates them.
    return "�" if unicodedata.category(character) in {"Cc", "Cs"} else character


def _sources(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if isinstance(child, Markup):
            yield child.source
        elif isinstance(child, str):
            yield escape(child)
        elif child is not None:
            yield from _sources(child)


def _attribute_name(key: str, value: Attribute) -> str:
    name = _checked(key.rstrip("_").replace("_", "-"))
    if name.startswith("on") or (name in _LOADING and not _stays_here(str(value))):
        raise OurFault("judging.page_unsafe", f"The page would carry {name}={value!r}.", "Link beside the page only.")
    return name


def _stays_here(address: str) -> bool:
    """An anchor of the page, a picture in the page, or a plain relative path below its folder."""
    return bool(re.fullmatch(r"#[\w-]+|data:image/png;base64,[A-Za-z0-9+/=]+|[\w-]+(/[\w-]+)*(\.\w+)?", address, re.A))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise OurFault("judging.page_unsafe", f"{name!r} is no name of an element or attribute.")
    return name
