"""Who signed a package, and that the signature is one that others can verify."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from dubflow.errors import BadInput, WrongUse
from dubflow.judging.gate import signing as verdicts
from dubflow.registry.package.manifest import CARD, SIGNATURE
from dubflow.registry.package.opening import open_package, read_package
from dubflow.registry.package.signing import fingerprint, generate_key, sign_folder
from registry.packages import listed, packed, relist


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    for name in ("key", "other"):
        generate_key(home / name)
    packed(home, home / "key")
    return home


@pytest.fixture
def package(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "package", tmp_path / "package")


def refusal(package: Path, *keys: Path) -> str:
    with pytest.raises(BadInput) as caught:
        open_package(package, keys)
    return caught.value.code


def test_says_who_signed_it_among_those_who_are_trusted(made: Path, package: Path) -> None:
    opened = open_package(package, [made / "other.pub", made / "key.pub"])
    assert opened.signed_by == fingerprint(made / "key.pub") != fingerprint(made / "other.pub")
    assert read_package(package).signed_by is None


def test_a_stranger_is_refused_and_so_is_nobody(made: Path, package: Path) -> None:
    assert refusal(package, made / "other.pub") == "registry.package_other_signer"
    (package / SIGNATURE).unlink()
    assert refusal(package, made / "key.pub") == "registry.package_not_signed"
    with pytest.raises(WrongUse) as caught:
        open_package(package, [])
    assert caught.value.code == "registry.no_trusted_key"


def test_whoever_changes_a_file_and_the_list_lacks_the_key(made: Path, package: Path) -> None:
    (package / CARD).write_text("# Another model\n")
    relist(
        package,
        lambda content: content["files"].__setitem__(
            next(n for n, file in enumerate(content["files"]) if file["path"] == CARD), listed(package, CARD)
        ),
    )
    read_package(package)  # it is whole by its own word
    assert refusal(package, made / "key.pub") == "registry.package_bad_signature"
    sign_folder(package, made / "other")
    assert refusal(package, made / "key.pub") == "registry.package_other_signer"
    # Claiming to be the trusted key does not help either.
    bundle = json.loads((package / SIGNATURE).read_text())
    bundle["verificationMaterial"]["publicKey"]["hint"] = fingerprint(made / "key.pub")
    (package / SIGNATURE).write_text(json.dumps(bundle))
    assert refusal(package, made / "key.pub") == "registry.package_bad_signature"


def test_the_signature_of_another_package_is_none(made: Path, package: Path, tmp_path: Path) -> None:
    other = packed(tmp_path / "other", made / "key", seed=1)
    shutil.copyfile(other.folder / SIGNATURE, package / SIGNATURE)
    assert refusal(package, made / "key.pub") == "registry.package_bad_signature"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"verificationMaterial": 1}',
        '{"verificationMaterial": {"publicKey": {"hint": null}}}',
        "[" * 99999,
    ],
    ids=range(7),
)
def test_what_is_no_signature_is_said_to_be_none(made: Path, package: Path, content: str) -> None:
    (package / SIGNATURE).write_text(content)
    assert refusal(package, made / "key.pub") == "registry.package_bad_signature"


def test_a_signature_that_passes_over_files_does_not_count(made: Path, package: Path) -> None:
    """The library honours paths to ignore that a signer wrote into the bundle."""
    from model_signing import hashing, signing

    ignoring = hashing.Config().set_ignored_paths(paths=[SIGNATURE, CARD])
    signing.Config().use_elliptic_key_signer(private_key=made / "key").set_hashing_config(ignoring).sign(
        package, package / SIGNATURE
    )
    assert refusal(package, made / "key.pub") == "registry.package_bad_signature"


def test_anybody_can_verify_it_with_the_library_alone(made: Path, package: Path) -> None:
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=made / "key.pub")
    config.verify(package, package / SIGNATURE)
    (package / CARD).write_text("# Another\n")
    with pytest.raises(ValueError, match=r"card\.md"):
        config.verify(package, package / SIGNATURE)


def test_keys_are_kept_and_other_files_are_no_keys(made: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE((made / "key").stat().st_mode) == 0o600
    with pytest.raises(WrongUse) as exists:
        generate_key(made / "key")
    assert exists.value.code == "registry.key_exists"
    verdicts.generate_key(tmp_path / "ed25519")
    (tmp_path / "text").write_text("key")
    for name in ("ed25519", "text", "nowhere"):
        with pytest.raises(BadInput) as caught:
            packed(tmp_path / f"with {name}", tmp_path / name)
        assert caught.value.code == "registry.bad_signing_key"
        assert list((tmp_path / f"with {name}").glob("*package*")) == []
    with pytest.raises(BadInput) as caught:
        fingerprint(tmp_path / "ed25519.pub")
    assert caught.value.code == "registry.bad_signing_key"
