"""Make the judges that come with the package: small networks, trained on the embedded world.

    python tools/judges.py phones OUT
    python tools/judges.py sync OUT

Each subcommand is a module beside this one (``judge_phones``); what it makes on the way lies below OUT, and a call that
was stopped is made again. ``--voices CORPUS`` (of sync: ``--heads CORPUS``) takes a corpus that was
rendered before instead of rendering one.
"""

from __future__ import annotations

import argparse

import judge_phones
import judge_sync


def main(words: list[str] | None = None) -> int:
    """Make the judge that is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="judge", required=True, metavar="JUDGE")
    for name, module in (("phones", judge_phones), ("sync", judge_sync)):
        kind = kinds.add_parser(name, help=module.__doc__.splitlines()[0], description=module.__doc__)
        module.add_options(kind)
        kind.set_defaults(make=module.make)
    asked = parser.parse_args(words)
    code: int = asked.make(asked)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
