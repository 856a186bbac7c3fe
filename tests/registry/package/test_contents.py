"""What was done to a package is found and named before anything of it is loaded."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.registry.package.manifest import CARD, CONFIG, PACKAGE, SIGNATURE, WEIGHTS, inside
from dubflow.registry.package.opening import open_package, read_package
from dubflow.registry.package.signing import generate_key, sign_folder
from registry.packages import listed, packed, relist


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed package, and the key beside it."""
    home = tmp_path_factory.mktemp("made")
    generate_key(home / "key")
    packed(home, home / "key")
    return home


@pytest.fixture
def package(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "package", tmp_path / "package")


def flipped(folder: Path, name: str = WEIGHTS, place: int = -1) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)


def listed_file(folder: Path, name: str, content: bytes) -> None:
    """Put a file there and into the list, as whoever holds the key could."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)

    def change(manifest: dict) -> None:
        others = [file for file in manifest["files"] if file["path"] != name]
        manifest["files"] = sorted([*others, listed(folder, name)], key=lambda file: file["path"])

    relist(folder, change)


def another_preset(folder: Path) -> None:
    text = (folder / PACKAGE).read_text()
    assert '"tiny"' in text
    (folder / PACKAGE).write_text(text.replace('"tiny"', '"paper"'))


def link(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / WEIGHTS)
    (folder / WEIGHTS).symlink_to(folder.parent / WEIGHTS)


def link_of_folder(folder: Path) -> None:
    (folder / "codec").rename(folder.parent / "codec")
    (folder / "codec").symlink_to(folder.parent / "codec")


def link_of_list(folder: Path) -> None:
    (folder / PACKAGE).rename(folder.parent / PACKAGE)
    (folder / PACKAGE).symlink_to(folder.parent / PACKAGE)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")


def unix_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind("s.json")
    finally:
        os.chdir(here)


def torch_like_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "z", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    content = (folder / "z").read_bytes()
    (folder / "z").unlink()
    listed_file(folder, WEIGHTS, content)


def listing(path: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        relist(folder, lambda content: content["files"].append({**content["files"][0], "path": path}))

    return change


def with_field(name: str, value: object) -> Callable[[Path], None]:
    return lambda folder: relist(folder, lambda content: content.__setitem__(name, value))


PROTOCOLS = (2, 3, 4, 5)
TAMPERED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a flipped byte of the weights": (flipped, "package_changed", WEIGHTS),
    "a flipped byte of their header": (lambda folder: flipped(folder, place=9), "package_changed", WEIGHTS),
    "a flipped byte of the codec": (lambda folder: flipped(folder, "codec/world.json"), "package_changed", "codec/w"),
    "a flipped letter of the card": (lambda folder: flipped(folder, CARD, 3), "package_changed", CARD),
    "a longer file": (lambda folder: (folder / CARD).open("a").write("x"), "package_changed", CARD),
    "an extra file": (lambda folder: (folder / "more.json").write_text("{}"), "package_extra_file", "more.json"),
    "an extra folder": (lambda folder: (folder / "more").mkdir(), "package_extra_file", "more"),
    "a hidden file": (lambda folder: (folder / ".gitignore").write_text("*"), "package_extra_file", ".gitignore"),
    "a missing file": (lambda folder: (folder / CONFIG).unlink(), "package_missing_file", CONFIG),
    "missing weights": (lambda folder: (folder / WEIGHTS).unlink(), "package_missing_file", WEIGHTS),
    "a link to the same bytes": (link, "package_symlink", WEIGHTS),
    "a link to a folder": (link_of_folder, "package_symlink", "codec"),
    "a link for the list": (link_of_list, "package_symlink", PACKAGE),
    "a pipe": (pipe, "package_strange_file", "pipe.json"),
    "a socket": (unix_socket, "package_strange_file", "s.json"),
    "a pickle by name": (lambda folder: (folder / "weights.pt").write_bytes(b"x"), "package_pickle", "weights.pt"),
    "a pickle in capitals": (lambda folder: (folder / "W.PKL").write_bytes(b"x"), "package_pickle", "W.PKL"),
    "a pickle behind another name": (
        lambda folder: (folder / "a.bin.json").write_bytes(b"{}"),
        "package_pickle",
        "a.bin.json",
    ),
    "a listed checkpoint": (lambda folder: listed_file(folder, "a.ckpt", b"x"), "package_pickle", "a.ckpt"),
    **{
        f"a pickle of protocol {protocol} called weights": (
            lambda folder, protocol=protocol: listed_file(folder, WEIGHTS, pickle.dumps({"a": [1.0] * 99}, protocol)),
            "package_pickle",
            WEIGHTS,
        )
        for protocol in PROTOCOLS
    },
    "what torch saves called weights": (torch_like_zip, "package_pickle", WEIGHTS),
    "a pickle called a card": (lambda folder: listed_file(folder, CARD, pickle.dumps([1])), "package_pickle", CARD),
    "text called weights": (lambda folder: listed_file(folder, WEIGHTS, b"weights " * 9), "bad_package", WEIGHTS),
    "no text called a card": (lambda folder: listed_file(folder, CARD, b"\xff\xfe\xfd"), "bad_package", CARD),
    "a listed script": (lambda folder: listed_file(folder, "run.py", b"1"), "package_strange_file", "run.py"),
    "a path above": (listing("../outside.json"), "package_path_escapes", "../outside.json"),
    "an absolute path": (listing("/etc/passwd.json"), "package_path_escapes", "/etc/passwd.json"),
    "a path of another system": (listing("..\\outside.json"), "package_path_escapes", "outside.json"),
    "a path through itself": (listing("codec/../../x.json"), "package_path_escapes", "x.json"),
    "the list listed": (listing(PACKAGE), "package_path_escapes", PACKAGE),
    "the signature listed": (listing(SIGNATURE), "package_path_escapes", SIGNATURE),
    "two names that differ in case": (listing(CARD.upper()), "bad_package", "card.md"),
    "another version of the format": (with_field("format", "dubflow.package/2"), "unknown_package_format", "package/2"),
    "an unknown field": (with_field("entry_point", "os.system"), "bad_package", "entry_point"),
    "no licences": (with_field("licences", []), "bad_package", "licences"),
    "another kind of facts": (with_field("facts", {"kind": "other"}), "bad_package", "facts"),
    "a changed list": (another_preset, "package_changed", PACKAGE),
    "a list that is no JSON": (lambda folder: (folder / PACKAGE).write_text("{"), "bad_package", PACKAGE),
    "a list nested too deep": (lambda folder: (folder / PACKAGE).write_text("[" * 200_000), "bad_package", PACKAGE),
    "a list too large": (lambda folder: (folder / PACKAGE).write_bytes(b" " * (5 << 20)), "bad_package", PACKAGE),
    "no list": (lambda folder: (folder / PACKAGE).unlink(), "not_a_package", PACKAGE),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_refused_by_name(what: str, made: Path, package: Path) -> None:
    tamper, code, named = TAMPERED[what]
    tamper(package)
    for opening in (read_package, lambda folder: open_package(folder, [made / "key.pub"])):
        with pytest.raises(BadInput) as caught:
            opening(package)
        assert caught.value.code == f"registry.{code}"
        assert named in caught.value.headline


def test_whole_packages_open(made: Path, package: Path) -> None:
    opened = open_package(package, [made / "key.pub"])
    assert opened.manifest == read_package(made / "package").manifest
    assert opened.lineage().of("run")[0].name == "tiny"


def test_even_whoever_holds_the_key_cannot_pack_a_pickle(made: Path, package: Path) -> None:
    listed_file(package, WEIGHTS, pickle.dumps({"a": 1}))
    sign_folder(package, made / "key")
    with pytest.raises(BadInput) as caught:
        open_package(package, [made / "key.pub"])
    assert caught.value.code == "registry.package_pickle"


def test_every_single_flipped_bit_is_found(made: Path, package: Path) -> None:
    """No byte of any file, the list and the signature included, may differ unnoticed."""
    trusted = [made / "key.pub"]
    for path in sorted(one for one in package.rglob("*") if one.is_file()):
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 6)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            with pytest.raises(BadInput) as caught:
                open_package(package, trusted)
            assert caught.value.code.startswith("registry."), (path.name, place)
        path.write_bytes(whole)
    open_package(package, trusted)


def test_a_header_that_looks_like_a_pickle_is_no_pickle(tmp_path: Path) -> None:
    """A safetensors header of 0x280 bytes begins with the very two bytes of pickle protocol 2."""
    package = packed(tmp_path).folder
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode().ljust(0x0280)
    listed_file(package, WEIGHTS, len(header).to_bytes(8, "little") + header + b"x")
    assert (package / WEIGHTS).read_bytes()[:2] == b"\x80\x02"
    read_package(package)


@given(st.text(max_size=40) | st.text(alphabet="ab./\\~-", max_size=20))
@settings(deadline=None)
def test_paths_that_are_taken_stay_inside(path: str) -> None:
    if inside(path):
        root = Path("/srv/package")
        assert (root / path).resolve().is_relative_to(root)
        assert Path(os.path.normpath(path)) == Path(path)
        assert not path.startswith((".", "/", "~"))
