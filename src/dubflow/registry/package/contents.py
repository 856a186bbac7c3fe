"""Whether a folder holds exactly the files of its package, byte for byte; nothing of them is loaded.

Everything that could run code or lead elsewhere is refused by name: links, devices and pipes, pickles (by their name
and by their first bytes), files that the package does not list. What is listed must be there, as long as it was and
with the same SHA-256.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file
from dubflow.registry.package.manifest import PACKAGE, SIGNATURE, SUFFIXES, PackageManifest

PICKLES = frozenset(
    (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".mar", ".torchscript")
)
"""Suffixes of files that are pickles or may hold one."""

_ZIP, _NUMPY = b"PK\x03\x04", b"\x93NUMPY"
_PICKLE_PROTOCOLS = (2, 3, 4, 5)
_LONGEST_HEADER = 100_000_000
_DEEPEST = 8


def files_below(folder: Path) -> dict[str, Path]:
    """Regular files below ``folder`` by their path within it, with slashes.

    Raises:
        BadInput: ``registry.package_symlink``, ``registry.package_pickle`` (by suffix),
            ``registry.package_strange_file``.
    """
    return {path.relative_to(folder).as_posix(): path for path in _walk(Path(folder), 0)}


def check_contents(folder: Path, manifest: PackageManifest) -> None:
    """Hold the files of ``folder`` against its manifest; every byte of every file is read.

    Raises:
        BadInput: those of :func:`files_below`; ``registry.package_extra_file``, ``registry.package_missing_file``,
            ``registry.package_changed``, ``registry.package_pickle`` (by content), ``registry.bad_package`` for a
            listed file that is not of the kind that its name says.
    """
    folder = Path(folder)
    found = files_below(folder)
    listed = {file.path for file in manifest.files}
    extra = sorted(found.keys() - listed - {PACKAGE, SIGNATURE})
    if extra:
        raise BadInput(
            "registry.package_extra_file",
            f"The package {folder} is refused: {extra[0]} is not in its list of files.",
            _again("It was put there afterwards."),
            file=extra[0],
        )
    missing = sorted(listed - found.keys())
    if missing:
        raise BadInput(
            "registry.package_missing_file",
            f"The package {folder} is refused: {missing[0]} is in its list and not there.",
            _again("A copy was cut short."),
            file=missing[0],
        )
    for file in manifest.files:
        path = found[file.path]
        _check_kind(folder, file.path, path)
        if path.stat().st_size != file.bytes or sha256_file(path) != file.sha256:
            raise BadInput(
                "registry.package_changed",
                f"The package {folder} is refused: {file.path} is not the file that was packed.",
                _again("A byte of it was changed."),
                file=file.path,
            )
        _check_structure(folder, file.path, path)


def _check_kind(folder: Path, name: str, path: Path) -> None:
    """Refuse a pickle, whatever it is called, and any kind of file that no package needs."""
    if PurePosixPath(name).suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted(SUFFIXES))
        raise BadInput(
            "registry.package_strange_file",
            f"The package {folder} is refused: {name} is of a kind that no package has.",
            _again(f"A package holds {kinds}."),
            file=name,
        )
    with open(path, "rb") as file:
        start = file.read(16)
    if _is_pickle(start):
        raise BadInput(
            "registry.package_pickle",
            f"The package {folder} is refused: {name} is a pickle inside, whatever its name says.",
            _again(_WHY),
            file=name,
        )


def _walk(folder: Path, depth: int, root: Path | None = None) -> Iterator[Path]:
    root = folder if root is None else root
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = Path(entry.path).relative_to(root).as_posix()
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise BadInput(
                "registry.package_symlink",
                f"The package {root} is refused: {name} is a link.",
                _again("A package holds files, never links to others."),
                file=name,
            )
        if stat.S_ISDIR(mode):
            if depth >= _DEEPEST:
                raise BadInput(
                    "registry.package_strange_file",
                    f"The package {root} is refused: {name} lies too deep.",
                    _again("No package has such folders."),
                    file=name,
                )
            inner = list(_walk(Path(entry.path), depth + 1, root))
            if not inner:
                raise BadInput(
                    "registry.package_extra_file",
                    f"The package {root} is refused: {name} is an empty folder.",
                    _again("It was put there afterwards."),
                    file=name,
                )
            yield from inner
        elif stat.S_ISREG(mode):
            _check_suffix(root, name)
            yield Path(entry.path)
        else:
            raise BadInput(
                "registry.package_strange_file",
                f"The package {root} is refused: {name} is a device or a pipe.",
                _again("A package holds plain files."),
                file=name,
            )


_WHY = "A pickle runs whatever code is in it when it is read; weights are kept as safetensors."


def _check_suffix(folder: Path, name: str) -> None:
    if any(suffix.lower() in PICKLES for suffix in PurePosixPath(name).suffixes):
        raise BadInput(
            "registry.package_pickle",
            f"The package {folder} is refused: {name} is a pickle by its name.",
            _again(_WHY),
            file=name,
        )


def _is_pickle(start: bytes) -> bool:
    """By the first bytes: pickle protocols 2 to 5, zip (how torch saves), numpy's own files.

    A safetensors file begins with the length of its header, which may happen to look like a pickle's mark; the brace
    that follows tells them apart, since no pickle goes on with seven bytes of a small number and a brace.
    """
    if start.startswith((_ZIP, _NUMPY)):
        return True
    marked = len(start) > 1 and start[0] == 0x80 and start[1] in _PICKLE_PROTOCOLS
    return marked and not (start[8:9] == b"{" and start[4:8] == bytes(4))


def _check_structure(folder: Path, name: str, path: Path) -> None:
    if name.endswith(".safetensors"):
        with open(path, "rb") as file:
            length, brace = int.from_bytes(file.read(8), "little"), file.read(1)
        if brace != b"{" or not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8):
            raise _misnamed(folder, name, "not a safetensors file")
        return
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _misnamed(folder, name, "not text") from error


def _misnamed(folder: Path, name: str, problem: str) -> BadInput:
    return BadInput("registry.bad_package", f"{name} of {folder} is {problem}.", "Pack the model again.", file=name)


def _again(why: str) -> str:
    return f"{why} Fetch the package again from where it was made."
