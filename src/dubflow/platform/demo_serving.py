"""The end of the demo: the champion is served, and a clip is dubbed over HTTP as anybody's would be.

The server is the one of ``dubflow serve up``, in the demo's folder and for its tenant. It ends with the demo, however
that ends, unless it is to be kept; a server that was kept is used. The API key is the demo's own and ends with it. A
dub that lies there, made by this champion of this clip and text, is found, and then no server is started for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.dubbing.request import SELF
from dubflow.errors import DubflowError, OurFault, WrongUse
from dubflow.gateway.consent import ConsentTerms
from dubflow.gateway.database import Database
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.settings import load_settings
from dubflow.gateway.submission import DubSubmission
from dubflow.gateway.views import DubView
from dubflow.media.digest import sha256_file
from dubflow.platform.dub_client import DubClient
from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import await_served, is_up, start_detached, stop_stack
from dubflow.progress import human_seconds
from dubflow.serving.options import ServeOptions
from dubflow.serving.state import Mode, read_state

TENANT = "demo"
SERVER = "serve"
_READY_S = 180.0
_DUB_S = 600.0
_STOP_S = 60.0
_KEY_DAYS = 1 / 24
_CONSENT = timedelta(days=7)
_TRIES = 9
_STEP_PERCENT = 20.0
"""A line at every stage, and at every so much of a long one."""
# Where another server of this user lies is no matter of the demo's.
_ELSEWHERE = tuple(f"DUBFLOW_GATEWAY_{name}" for name in ("STATE", "DATABASE", "FILES", "REGISTRY", "MODEL"))


@dataclass(frozen=True)
class WantedDub:
    """A clip to dub over HTTP.

    Attributes:
        reference: file with the voice to clone, or ``self`` for the clip's own; None: the stock ``voice`` speaks.
        why: where the clip comes from, in a few words.
    """

    clip: Path
    text: str
    language: str
    why: str
    voice: str | None = None
    reference: str | None = None


class ServedDub(Strict):
    """How the champion was served, and what it dubbed; kept beside the clip."""

    asked: str = Field(description="Digest of all that the dub depends on; its idempotency key begins with it.")
    address: str = Field(description="Of the gateway.")
    mode: Mode
    why: str = Field(description="Why not Triton; empty where it was.")
    version: int = Field(description="In the registry.")
    clip: Path
    job: str
    found: bool = Field(description="Whether an earlier run had asked for the same.")
    stages: tuple[str, ...] = Field(description="What was told of it, in order.")
    voice: str = Field(description="Who spoke, by what right.")
    out: Path = Field(description="The dubbed clip.")
    sha256: str = Field(description="Of it.")
    provenance: str = Field(description="What its manifest says, verified.")
    kept: bool = Field(description="Whether the server runs on.")


def serve_and_dub(
    home: Path,
    name: str,
    champion: tuple[int, str],
    trusted_key: Path,
    wanted: WantedDub,
    say: Callable[[str], None],
    *,
    keep: bool = False,
) -> ServedDub:
    """Serve the champion of ``name`` from a server below ``home`` and have it dub the clip.

    Args:
        champion: its version, and its package's digest. keep: leave the server running.

    Raises:
        WrongUse, BadInput, OurFault: what starting it, its refusals, and the API say.
    """
    directory, out = home / SERVER, home / f"{wanted.clip.stem}-dubbed.mp4"
    asked = _digest(wanted, champion[1])
    record = out.with_suffix(".served.json")
    if not keep and not is_up(directory) and (found := _found(record, asked)) is not None:
        say(f"{wanted.clip.name} was dubbed over HTTP by an earlier run ({found.job}); no server is started for it")
        return found.model_copy(update={"found": True, "kept": False, "provenance": _provenance(out, directory)})
    with _its_own(), _running(directory, name, trusted_key, say, keep) as kept:
        state = await_served(directory, *champion, _READY_S)
        how = "Triton" if state.mode == "triton" else f"in-process ({state.why})"
        say(f"Version {champion[0]} of {name} is served at http://{state.gateway}, by {how}")
        with _key(directory, "run of the demo") as key, DubClient(f"http://{state.gateway}", key) as client:
            made = _dub(client, asked, wanted, out, say)
        done = ServedDub(
            asked=asked,
            address=f"http://{state.gateway}",
            mode=state.mode,
            why=state.why,
            version=champion[0],
            clip=wanted.clip,
            out=out,
            sha256=sha256_file(out),
            provenance=_provenance(out, directory),
            kept=kept,
            **made,
        )
    write_json(record, done.model_dump(mode="json"))
    return done


def _dub(client: DubClient, asked: str, wanted: WantedDub, out: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Ask for the dub, follow it, and bring it to ``out``; what :class:`ServedDub` says of it."""
    dub, found = _submitted(client, _submission(client, wanted, say), asked)
    say(f"{wanted.clip.name} ({wanted.why}) is {'known there already' if found else 'taken on'} as {dub.id}")
    stages = [_told(dub)]
    spoken = (dub.stage, dub.percent)
    for dub in client.follow(dub, _DUB_S):  # noqa: B020 - the same dub, further on
        if dub.stage != spoken[0] or dub.percent >= spoken[1] + _STEP_PERCENT or dub.links.get("result"):
            spoken = (dub.stage, dub.percent)
            stages.append(_told(dub))
            say(f"{dub.id}: {stages[-1]}")
    if dub.state != "done":
        error = dub.error
        told = "" if error is None else f": {error.message} [{error.code}]"
        raise OurFault("platform.not_dubbed", f"The dub {dub.id} was {dub.state}{told}.", error.hint if error else "")
    client.fetch(client.result(dub), "video", out)
    return {"job": dub.id, "found": found, "stages": tuple(stages), "voice": dub.voice or ""}


def _digest(wanted: WantedDub, package: str) -> str:
    """Of the clip, what it is to say, whose voice, and the model that speaks."""
    cloned = None if wanted.reference in (None, SELF) else sha256_file(str(wanted.reference))
    content = [sha256_file(wanted.clip), wanted.text, wanted.language, wanted.voice, wanted.reference, cloned, package]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _found(record: Path, asked: str) -> ServedDub | None:
    """What an earlier run wrote of the very same dub, where its file is still what it was."""
    try:
        found = ServedDub.model_validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None
    same = found.asked == asked and found.out.is_file() and sha256_file(found.out) == found.sha256
    return found if same else None


def _submission(client: DubClient, wanted: WantedDub, say: Callable[[str], None]) -> DubSubmission:
    """What is asked for, with everything uploaded that it names, and consent where a voice is to be cloned."""
    content = {"clip": client.upload(wanted.clip).key, "text": wanted.text, "language": wanted.language}
    if wanted.reference is None:
        return DubSubmission(**content, voice=wanted.voice)
    own = wanted.reference == SELF
    recording = wanted.clip if own else Path(wanted.reference)
    reference = SELF if own else client.upload(recording).key
    return DubSubmission(**content, reference=reference, consent=_consent(client, recording, wanted.language, say))


def _consent(client: DubClient, recording: Path, language: str, say: Callable[[str], None]) -> str:
    """The record for this recording; one that the user of the demo gives by running it, where there is none."""
    digest = sha256_file(recording)
    for identity, terms in client.consents():
        if terms.reference_sha256 == digest and language in terms.languages:
            return identity
    # In a container the user may have no name.
    user = f"{os.environ.get('USER') or f'user {os.getuid()}'}, who ran the demo"
    now = datetime.now(UTC)
    terms = ConsentTerms(
        person=user,
        how="By running dubflow demo on this recording; whoever does so says that they may clone the voice in it.",
        given=now,
        scope="One dub of the demo, on this machine.",
        languages=(language,),
        expires=now + _CONSENT,
        reference_sha256=digest,
        recorded_by="dubflow demo",
    )
    identity = client.record_consent(terms)
    say(f"Cloning the voice of {recording.name} needs consent: {identity} records that {user}, gives it for this dub")
    return identity


def _submitted(client: DubClient, submission: DubSubmission, asked: str) -> tuple[DubView, bool]:
    """The dub under a key made of ``asked``; under the next one where that one's has no result any more.

    Raises:
        OurFault: ``platform.not_dubbed`` where none of many has.
    """
    for again in range(1, _TRIES + 1):
        try:
            dub, found = client.submit(submission, f"{asked}-{again}")
        except DubflowError as error:
            if error.code != "gateway.idempotency_conflict":  # then it was asked under another consent
                raise
            continue
        if not found or dub.state not in ("failed", "cancelled", "expired"):
            return dub, found
    raise OurFault("platform.not_dubbed", f"None of {_TRIES} earlier dubs of this kind has a result.", "See its logs.")


def _told(dub: DubView) -> str:
    if dub.state == "done":
        return "done"
    left = f", about {human_seconds(dub.estimate_s)} left" if dub.estimate_s else ""
    return f"{dub.stage}, {dub.percent:.0f} %{left}"


def _provenance(out: Path, directory: Path) -> str:
    """One line of what the manifest says, once it was verified."""
    found = read_provenance(out, directory / "signing" / "trust.pem")
    facts = found.facts
    if facts is None:
        raise OurFault("platform.no_facts", f"The manifest of {out} says nothing of a dub.", "Dub the clip again.")
    voice = f"stock voice {facts.voice.name}" if facts.voice.kind == "stock" else f"consent {facts.voice.consent}"
    return (
        f"whole, signed by {found.signer.name}; {facts.engine} ({facts.world} world), "
        f"package {(facts.package or 'none')[:12]}, {voice}, job {facts.job}"
    )


@contextmanager
def _running(directory: Path, name: str, trusted_key: Path, say: Callable[[str], None], keep: bool) -> Iterator[bool]:
    """A server of the champion of ``name``; yields whether it stays. One that runs there already is used, and stays."""
    if is_up(directory):
        served = read_state(directory).model
        if served != name:
            raise WrongUse(
                "platform.other_server",
                f"The server of {directory} serves {served}, not {name}.",
                f"End it: dubflow serve down --state {directory}",
            )
        say(f"A server runs in {directory} already and is used")
        yield True
        return
    options = ServeOptions(model=None, name=name, trusted_keys=(trusted_key.absolute(),))
    plan = plan_stack(directory, options, port=0)
    try:
        start_detached(plan, _READY_S, say, outlives=keep)
        yield keep
    except BaseException:
        stop_stack(directory, _STOP_S)
        raise
    if not keep:
        stop_stack(directory, _STOP_S)
        say("The server has ended; nothing of it runs any more")


@contextmanager
def _key(directory: Path, what: str) -> Iterator[str]:
    """An API key for the length of a ``with`` block; it ends by itself within the hour where that is not reached."""
    store = KeyStore(Database(load_settings(state=directory).database_url))
    key, record = store.create(TENANT, ("submit", "read"), name=what, days=_KEY_DAYS)
    try:
        yield key
    finally:
        store.revoke(record.id)


@contextmanager
def _its_own() -> Iterator[None]:
    """Without the variables that name another server's folder, database or registry."""
    before = {name: os.environ.pop(name) for name in _ELSEWHERE if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
