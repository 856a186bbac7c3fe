"""The process that reads and writes manifests: it parses files of strangers, so it can open nothing and holds no key.

Started by :mod:`dubflow.dubbing.provenance.child`. It is handed open files by number and one line of JSON; what must be
signed it asks for on standard output, and is answered on standard input.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any, BinaryIO

import c2pa

from dubflow.media.confinement import confine, end_with_parent

# Boxes that C2PA's hash of an MP4 leaves out, beside the manifest itself.
_OUTSIDE = (b"ftyp", b"free", b"skip", b"mfra")
_BLOCK = 2**20
_MOST_ANSWER = 2**23


def main() -> None:
    """Read the task, give up everything else, do it, print one line."""
    task = json.loads(sys.stdin.buffer.readline())
    end_with_parent(int(task["parent"]))
    files = {name: os.fdopen(number, mode) for name, (number, mode) in task["files"].items()}
    confine(memory=task["memory"], cpu_s=task["cpu_s"], written=task["written"])
    answer: dict[str, Any]
    try:
        answer = {"done": (_sign if task["verb"] == "sign" else _read)(task, files)}
    except c2pa.C2paError as error:
        answer = {"refused": type(error).__name__, "why": str(error)[:500]}
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        answer = {"refused": type(error).__name__, "why": str(error)[:500]}
    _say(answer)


def _sign(task: dict[str, Any], files: dict[str, BinaryIO]) -> dict[str, Any]:
    media = task["media"]
    manifest = task["manifest"]
    if media.startswith("video/"):
        facts = next(one for one in manifest["assertions"] if one["label"] == task["facts_label"])
        facts["data"]["frame_sha256"] = _frame(files["plain"])
    builder = c2pa.Builder(manifest, _context(task))
    _add_source(builder, task, files.get("source"))

    def ask(data: bytes) -> bytes:
        _say({"sign": bytes(data).hex()})
        return bytes.fromhex(json.loads(sys.stdin.buffer.readline())["signature"])

    algorithm = getattr(c2pa.C2paSigningAlg, task["algorithm"].upper())
    signer = c2pa.Signer.from_callback(ask, algorithm, task["certificates"], None)
    files["plain"].seek(0)
    builder.sign(signer, media, files["plain"], files["signed"])
    files["signed"].flush()
    return {}


def _add_source(builder: c2pa.Builder, task: dict[str, Any], source: BinaryIO | None) -> None:
    """The clip as the parent that was opened; with the manifest it carries, where it is a container that can."""
    described = task["ingredient"]
    if source is not None and source.read(12)[4:8] == b"ftyp":
        source.seek(0)
        try:
            builder.add_ingredient(described, "video/mp4", source)
            return
        except c2pa.C2paError:
            pass  # a container that we can decode and this library cannot read: it is declared without its own manifest
    builder.add_ingredient(described, "application/octet-stream", _nothing())


def _nothing() -> BinaryIO:
    import io

    return io.BytesIO(b"")


def _read(task: dict[str, Any], files: dict[str, BinaryIO]) -> dict[str, Any]:
    file = files["file"]
    digest = _digest(file)
    file.seek(0)
    reader = c2pa.Reader(None, file, context=_context(task))
    text = reader.json()
    if len(text) > _MOST_ANSWER:
        raise ValueError("the manifest is too large")
    state = reader.get_validation_state()
    file.seek(4)
    framed = _frame(file) if file.read(4) == b"ftyp" else None
    return {"manifest": json.loads(text), "state": state, "frame_sha256": framed, "sha256": digest}


def _context(task: dict[str, Any]) -> c2pa.Context:
    settings: dict[str, Any] = {
        # Nothing is fetched: neither manifests that a file points to, nor the state of certificates.
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": task.get("trust") is not None},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if task.get("trust") is not None:
        settings["trust"] = {"trust_anchors": task["trust"]}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _frame(file: BinaryIO) -> str:
    """Digest of the boxes that C2PA's own hash leaves out, in their order, with their heads."""
    digest = hashlib.sha256()
    end = file.seek(0, os.SEEK_END)
    position = 0
    while position < end:
        file.seek(position)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:
            size = end - position
        if size < 8 or position + size > end:
            raise ValueError("the boxes do not fit the file")
        if kind in _OUTSIDE:
            file.seek(position)
            left = size
            while left:
                block = file.read(min(left, _BLOCK))
                digest.update(block)
                left -= len(block)
        position += size
    return digest.hexdigest()


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _say(content: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(content).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
