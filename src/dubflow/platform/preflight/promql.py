"""Names of metrics in an expression of Prometheus.

Not a parser of the language, which promtool is: it takes out what cannot be a metric (texts, matchers, ranges, lists of
labels, functions, keywords), and what is left are names.
"""

from __future__ import annotations

import re

_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""")
_COMMENT = re.compile(r"#[^\n]*")
_BY_NAME = re.compile(r"""__name__\s*=\s*["']([a-zA-Z_:][\w:]*)["']""")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\b\s*\([^()]*\)")
_MATCHERS = re.compile(r"\{[^{}]*\}")
_RANGE = re.compile(r"\[[^\[\]]*\]")
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\w+|\[\[\w+\]\]")
_WORD = re.compile(r"(?<![\w.:$])([a-zA-Z_:][\w:]*)(\s*\()?")
_KEYWORDS = frozenset(
    {"by", "without", "on", "ignoring", "group_left", "group_right", "bool", "and", "or", "unless", "offset", "inf",
     "nan", "atan2", "sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk",
     "topk", "quantile", "limitk", "limit_ratio", "start", "end"}
)  # fmt: skip


def metric_names(expression: str) -> frozenset[str]:
    """The metrics that an expression reads."""
    found = set(_BY_NAME.findall(expression))
    text = _TEXT.sub('""', _COMMENT.sub("", expression) if "#" in _TEXT.sub("", expression) else expression)
    text = _VARIABLE.sub(" ", text)
    text = _RANGE.sub(" ", _LABELS.sub(" ", _MATCHERS.sub(" ", text)))
    for name, call in _WORD.findall(text):
        if not call and name.lower() not in _KEYWORDS:
            found.add(name)
    return frozenset(found)
