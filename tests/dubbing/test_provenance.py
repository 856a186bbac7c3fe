"""Outputs say where they come from, and nobody can change what they say or are without its being seen."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dubbing.room import Hummer, Room
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.provenance import child, sealing
from dubflow.dubbing.provenance.certificates import KEY, TRUST, Signer, open_signer
from dubflow.dubbing.provenance.facts import OutputFacts, VoiceFacts
from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.dubbing.provenance.sealing import UNSIGNED, open_seal
from dubflow.dubbing.provenance.signing import TRAINED_MEDIA, sign_output
from dubflow.dubbing.request import DubRequest, SegmentText
from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.media.decode import read_audio, read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_audio
from dubflow.media.probe import probe
from dubflow.progress import Silent

FACTS = OutputFacts(
    engine="diflow-starter-0123",
    world="embedded",
    package="ab" * 32,
    language="fr",
    clip_sha256="cd" * 32,
    voice=VoiceFacts(kind="consent", sha256="ef" * 32, consent="con_1"),
    request="01" * 32,
    job="dub_1",
)
Told = tuple[str, OutputFacts | None]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return open_signer(tmp_path_factory.mktemp("signer") / "signing")


@pytest.fixture(scope="module")
def signed(room: Room, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "o.mp4"
    shutil.copyfile(room.clip(), path)
    sign_output(path, FACTS, signer, room.clip())
    return path


@pytest.fixture
def told(signed: Path, tmp_path: Path) -> Callable[[bytes], Told | str]:
    """What is read out of other bytes in the place of a signed file: its statements, or the code of the refusal."""

    def read(content: bytes) -> Told | str:
        path = tmp_path / "o.mp4"
        path.write_bytes(content)
        try:
            found = read_provenance(path)
        except BadInput as error:
            return error.code
        return f"{found.actions}{found.uses}{found.signer}{found.ingredients}", found.facts

    return read


def test_what_was_signed_is_read(signed: Path, signer: Signer) -> None:
    found = read_provenance(signed, signer.key.with_name(TRUST))
    assert found.facts == FACTS
    assert found.sha256 == sha256_file(signed)
    assert (found.actions, found.source_types) == (("c2pa.opened", "c2pa.dubbed"), (TRAINED_MEDIA,))
    assert [(one.relationship, one.signed) for one in found.ingredients] == [("parentOf", False)]
    assert set(found.uses.values()) == {"notAllowed"}
    assert found.uses
    assert found.signer.trusted is True
    assert read_provenance(signed).signer.trusted is None


def test_a_signature_touches_neither_packets_nor_times(room: Room, signed: Path) -> None:
    before, after = probe(room.clip()), probe(signed)
    assert before.streams == after.streams
    assert before.duration == after.duration
    one, other = read_clip(room.clip()), read_clip(signed)
    assert one.frames is not None
    assert other.frames is not None
    assert (one.frames == other.frames).all()
    assert (one.waveform == other.waveform).all()


def boxes(content: bytes) -> list[tuple[bytes, int, int]]:
    """Kind, first and last position of the boxes at the top."""
    found, position = [], 0
    while position < len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        found.append((content[position + 4 : position + 8], position, position + size))
        position += size
    return found


def flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.slow
def test_a_byte_changed_in_any_box_is_seen(signed: Path, told: Callable[[bytes], Told | str]) -> None:
    content = signed.read_bytes()
    kinds = [kind for kind, _, _ in boxes(content)]
    assert {b"ftyp", b"moov", b"mdat", b"uuid"} <= set(kinds)
    for kind, start, stop in boxes(content):
        # Of the manifest's own box: a statement of ours.
        middle = content.index(b"diflow-starter-0123") if kind == b"uuid" else (start + stop) // 2
        for position in {middle} if kind == b"uuid" else {start + 8, middle, stop - 1}:
            if start + 8 <= position < stop:
                assert told(flipped(content, position)) == "dubbing.provenance_broken", kind
    for more in (b"\0\0\0\x08free", b"\0\0\0\x10skipabcdefgh", b"x"):
        assert told(content + more) == "dubbing.provenance_broken"
    assert told(content[:-1]) == "dubbing.provenance_broken"


@pytest.mark.slow
def test_flips_all_over_the_file_are_refused_or_change_no_statement(
    signed: Path, told: Callable[[bytes], Told | str]
) -> None:
    content = signed.read_bytes()
    original = told(content)
    manifest = next((start, stop) for kind, start, stop in boxes(content) if kind == b"uuid")
    rng = random.Random(5)
    positions = [rng.randrange(len(content)) for _ in range(40)] + [rng.randrange(*manifest) for _ in range(40)]
    inside = 0
    for position in positions:
        found = told(flipped(content, position))
        if isinstance(found, str):
            inside += manifest[0] <= position < manifest[1]
        else:
            # Only padding and heads inside of the manifest's own box may change, and they state nothing.
            assert manifest[0] <= position < manifest[1]
            assert found == original
    assert inside >= 10


@pytest.mark.slow
def test_a_dub_of_a_dub_keeps_the_first_ones_manifest(signed: Path, signer: Signer, tmp_path: Path) -> None:
    again = tmp_path / "again.mp4"
    shutil.copyfile(signed, again)
    sign_output(again, FACTS.model_copy(update={"language": "de"}), signer, signed)
    found = read_provenance(again)
    assert found.facts is not None
    assert found.facts.language == "de"
    assert [one.signed for one in found.ingredients] == [True]


def test_sound_alone_is_signed(room: Room, signer: Signer, tmp_path: Path) -> None:
    sound, path = read_audio(room.clip()), tmp_path / "o.wav"
    write_audio(path, sound, 16_000)
    sign_output(path, FACTS, signer, room.clip())
    assert read_provenance(path).facts == FACTS
    assert (read_audio(path) == (sound * 32768).round() / 32768).all()
    content = path.read_bytes()
    (tmp_path / "other.wav").write_bytes(flipped(content, 2000))
    with pytest.raises(BadInput, match="provenance_broken"):
        read_provenance(tmp_path / "other.wav")


def test_files_without_a_manifest_say_so(room: Room, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no clip")
    for path in (room.clip(), tmp_path / "text.mp4"):
        with pytest.raises(BadInput, match="no_provenance"):
            read_provenance(path)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, code in (("nothing", "media.missing"), ("pipe", "media.not_a_file")):
        with pytest.raises(BadInput, match=code):
            read_provenance(tmp_path / f"{name}.mp4")


def test_another_signer_is_not_trusted(signed: Path, tmp_path: Path) -> None:
    other = open_signer(tmp_path / "other")
    with pytest.raises(BadInput, match="provenance_untrusted"):
        read_provenance(signed, other.key.with_name(TRUST))
    (tmp_path / "trust.pem").write_text("nobody")
    with pytest.raises(BadInput, match="bad_trust"):
        read_provenance(signed, tmp_path / "trust.pem")


def test_the_key_is_the_owners_alone_and_stays_the_same(tmp_path: Path) -> None:
    signer = open_signer(tmp_path / "signing")
    assert stat.S_IMODE(signer.key.stat().st_mode) == 0o600
    content = signer.key.read_bytes()
    assert open_signer(tmp_path / "signing").key.read_bytes() == content
    assert "PRIVATE" not in (tmp_path / "signing" / TRUST).read_text()
    signer.key.chmod(0o644)
    with pytest.raises(BadInput, match="others may read it"):
        open_signer(tmp_path / "signing")


def test_a_key_may_be_lent_by_a_group_but_not_by_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = open_signer(tmp_path / "signing")
    monkeypatch.setattr(os, "geteuid", lambda: signer.key.stat().st_uid + 1)  # a pod's user, and root's file
    signer.key.chmod(0o440)
    assert open_signer(tmp_path / "signing").key == signer.key
    for open_to in (0o444, 0o460):
        signer.key.chmod(open_to)
        with pytest.raises(BadInput, match="others may read it"):
            open_signer(tmp_path / "signing")


def test_a_key_and_a_chain_go_together(tmp_path: Path) -> None:
    one, other = open_signer(tmp_path / "a"), open_signer(tmp_path / "b")
    with pytest.raises(WrongUse, match="half_a_signer"):
        open_signer(tmp_path / "c", key=one.key)
    with pytest.raises(BadInput, match="for another key"):
        open_signer(tmp_path / "c", one.key, other.chain)
    with pytest.raises(BadInput, match="no certificate"):
        open_signer(tmp_path / "c", one.key, one.key)
    assert not (tmp_path / "c" / KEY).exists()
    assert open_signer(tmp_path / "c", one.key, one.chain).algorithm == "es256"


def test_a_failed_signature_leaves_the_file_as_it_was(room: Room, signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\2\0" + b"\xff" * 40)
    before = path.read_bytes()
    with pytest.raises(DubflowError, match=r"not_signed|provenance_child"):
        sign_output(path, FACTS, signer, room.clip())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(WrongUse, match="cannot_sign"):
        sign_output(tmp_path / "subtitles.srt", FACTS, signer)


def task(room: Room, out: Path) -> DubTask:
    request = DubRequest(
        clip=room.clip(), segments=(SegmentText(text="red"),), language="en", reference=str(room.clip(1))
    )
    return DubTask(request, out)


def test_every_dub_is_signed_and_its_figures_name_the_signed_bytes(room: Room, tmp_path: Path) -> None:
    seal = open_seal(tmp_path / "signing", package="ab" * 32, job="dub_7")
    one = task(room, tmp_path / "o.mp4")
    (result,) = dub_all([one], Hummer(), Silent(), seal=seal).results
    assert result.signed
    assert result.out_sha256 == sha256_file(one.out)
    facts = read_provenance(one.out).facts
    assert facts is not None
    assert (facts.clip_sha256, facts.request, facts.engine) == (result.clip_sha256, result.request, "hummer")
    assert (facts.job, facts.package, facts.voice.kind) == ("dub_7", "ab" * 32, "unrecorded")
    assert facts.voice.sha256 == sha256_file(room.clip(1))
    assert dub_all([one], Hummer(), Silent(), seal=seal).found == 1


@pytest.mark.slow
def test_an_unsigned_dub_is_made_again_where_outputs_are_signed(room: Room, tmp_path: Path) -> None:
    one = task(room, tmp_path / "o.mp4")
    assert not dub_all([one], Hummer(), Silent()).results[0].signed
    report = dub_all([one], Hummer(), Silent(), seal=open_seal(tmp_path / "signing"))
    assert (report.found, report.results[0].signed) == (0, True)
    assert dub_all([one], Hummer(), Silent()).found == 1


def test_without_the_library_the_result_says_so(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "available", lambda: False)
    monkeypatch.setattr(child, "available", lambda: False)
    one = task(room, tmp_path / "o.mp4")
    seal = open_seal(tmp_path / "signing")
    (result,) = dub_all([one], Hummer(), Silent(), seal=seal).results
    assert UNSIGNED in result.notices
    assert not result.signed
    assert dub_all([one], Hummer(), Silent(), seal=seal).found == 1
    with pytest.raises(WrongUse, match="missing_extra"):
        read_provenance(one.out)
