"""One HTML file that works from disk without a network.

Its content policy lets it load pictures that it carries, media beside it, and exactly the one style sheet and the one
script in it; whatever else a text might smuggle in would not run. Equal arguments give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from dubflow.judging.page.markup import Markup, element, raw_block


def document(title: str, top: Markup, sections: Sequence[Markup], *, style: str = "", script: str = "") -> str:
    """The file's text.

    Args:
        style, script: our own, behind the common ones.

    Raises:
        OurFault: ``judging.page_unsafe`` for a style or script that would end itself.
    """
    style = (files(__package__) / "page.css").read_text(encoding="utf-8") + style
    script = (files(__package__) / "page.js").read_text(encoding="utf-8") + script
    policy = (
        f"default-src 'none'; img-src data:; media-src 'self' file:; style-src {_pinned(style)}; "
        f"script-src {_pinned(script)}; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        raw_block("style", style),
    )
    body = element("body", top, element("main", sections), raw_block("script", script))
    return f"<!doctype html>\n{element('html', head, body, lang='en').source}\n"


def _pinned(source: str) -> str:
    """The source of a block as a content policy names it (W3C CSP 3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}'"
