"""``python -m dubflow.platform.manifests``: what of the cluster's files and contents is written by a program.

=============== ====================================================================================
``write``       pipelines and dashboards of ``infra/kubernetes``, anew; ``--check`` changes nothing
``images FILE`` the release's images, by digest, into ``components/images``, and then as ``write``
``secrets``     Secrets for an overlay's own store, made up, on standard output; for ``kubectl apply``
``bucket NAME`` the bucket in the storage that the environment names
=============== ====================================================================================
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dubflow.errors import DubflowError, ExitCode


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dubflow.platform.manifests", description="Files of a cluster.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    writing = verbs.add_parser("write", help="pipelines and dashboards of infra/kubernetes")
    writing.add_argument("--check", action="store_true", help="change nothing; exit code 3 where something would")
    verbs.add_parser("images", help="the release's images by digest").add_argument("file", type=Path)
    making = verbs.add_parser("secrets", help="made-up secrets for an overlay with a store of its own")
    making.add_argument("--overlay", default="dev", help="whose ExternalSecrets say what is wanted")
    verbs.add_parser("bucket", help="make a bucket").add_argument("name")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except DubflowError as error:
        sys.stderr.write(json.dumps({"error": error.as_dict() | {"exit_code": int(error.exit_code)}}) + "\n")
        return int(error.exit_code)


def _do(given: argparse.Namespace) -> int:
    if given.verb == "bucket":
        from dubflow.platform.manifests.bucket import make_bucket

        return _say(bucket=given.name, new=make_bucket(given.name))
    from dubflow.platform.pipelines.compiling import definitions_root

    root = definitions_root()
    if given.verb == "secrets":
        return _secrets(root, given.overlay)
    from dubflow.platform.manifests.generated import IMAGES, generated, put_right

    if given.verb == "images":
        from dubflow.atomic import write_text
        from dubflow.platform.manifests.images import component, read_release

        write_text(root / IMAGES, component(read_release(given.file)))
    files = generated(root)
    changed = [str(one.path) for one in files if one.changed]
    if given.verb == "write" and given.check:
        _say(changed=changed)
        return int(ExitCode.BAD_INPUT if changed else ExitCode.FINE)
    put_right(root, files)
    return _say(changed=changed)


def _secrets(root: Path, overlay: str) -> int:
    import yaml

    from dubflow.platform.manifests.secrets import made_up, manifests, wanted
    from dubflow.platform.preflight.rendering import render_overlay

    rendered = render_overlay(root / "infra" / "kubernetes", overlay)
    asked = wanted(one.body for one in rendered.manifests.resources)
    sys.stdout.write(yaml.safe_dump_all(manifests(made_up(), asked), sort_keys=False))
    return 0


def _say(**facts: object) -> int:
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
