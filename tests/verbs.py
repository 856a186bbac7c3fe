"""What the tests of the verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Answer = Callable[..., dict[str, Any]]
"""Runs a verb with ``--json`` and gives its document; ``exit_code=`` says what to expect."""

SMALL = ("--identities", "2", "--clips", "2", "--languages", "en,de", "--seed", "5", "--size", "64", "--workers", "1")
"""A corpus that renders in a moment."""
