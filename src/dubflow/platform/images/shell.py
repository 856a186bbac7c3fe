"""A shell's line as commands, as far as our rules have to know."""

from __future__ import annotations

import shlex

_BETWEEN = frozenset({"&&", "||", ";", "|", "&", "|&", ";;", "\n"})
_WORDS_BEFORE = frozenset({"then", "do", "else", "{", "!", "if", "while", "exec", "nice", "env", "xargs", "sudo"})


def commands(line: str) -> list[list[str]]:
    """The commands of a line, each as its words; variables that stand before a command, and brackets, are left out."""
    found: list[list[str]] = [[]]
    for token in _tokens(line):
        if token in _BETWEEN:
            found.append([])
        elif token not in ("(", ")") and not (
            not found[-1] and (token in _WORDS_BEFORE or (token.partition("=")[0].isidentifier() and "=" in token))
        ):
            found[-1].append(token)
    return [words for words in found if words]


def pipes(line: str) -> bool:
    """Whether a line has a pipe, outside of quotes and of the patterns of a ``case``."""
    tokens = _tokens(line)
    if "case" in tokens and "esac" in tokens:
        tokens = tokens[: tokens.index("case")] + tokens[tokens.index("esac") :]
    return any(token in ("|", "|&") for token in tokens)


def _tokens(line: str) -> list[str]:
    found = shlex.shlex(line.replace("\n", " ; "), posix=True, punctuation_chars=True)
    found.whitespace_split = True
    found.commenters = ""
    try:
        return list(found)
    except ValueError:  # a quote without its twin: whatever runs it will say so
        return line.split()
