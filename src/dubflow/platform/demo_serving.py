"""The end of the demo: the champion is served, and a clip is dubbed over HTTP as anybody's would be.

The server is the one of ``dubflow serve up``, in the demo's folder and for its tenant. It ends with the demo, however
that ends, unless it is to be kept; a server that was kept is used. The API key is the demo's own and ends with it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.dubbing.request import SELF
from dubflow.errors import OurFault, WrongUse
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
from dubflow.serving.state import ServingState, read_state

TENANT = "demo"
SERVER = "serve"
_READY_S = 180.0
_DUB_S = 600.0
_STOP_S = 60.0
_KEY_DAYS = 1 / 24
_CONSENT = timedelta(days=7)
_TRIES = 9
_STEP_PERCENT = 20.0
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


@dataclass(frozen=True)
class ServedDub:
    """How the champion was served, and what it dubbed.

    Attributes:
        address: of the gateway. mode: triton or in_process; why: not Triton, or empty. version: in the registry.
        job: its id. found: whether an earlier run had asked for the same. stages: what was told of it, in order.
        voice: who spoke, by what right. out: the dubbed clip. provenance: what its manifest says, verified.
        kept: whether the server runs on.
    """

    address: str
    mode: str
    why: str
    version: int
    clip: Path
    job: str
    found: bool
    stages: tuple[str, ...]
    voice: str
    out: Path
    provenance: str
    kept: bool

    def as_dict(self) -> dict[str, object]:
        """JSON types only."""
        content = {**vars(self), "clip": str(self.clip), "out": str(self.out)}
        return content | {"stages": list(self.stages)}


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
    directory = home / SERVER
    with _its_own(), _running(directory, name, trusted_key, say, keep) as kept:
        state = await_served(directory, *champion, _READY_S)
        how = "Triton" if state.mode == "triton" else f"in-process ({state.why})"
        say(f"Version {champion[0]} of {name} is served at http://{state.gateway}, by {how}")
        with _key(directory, "run of the demo") as key, DubClient(f"http://{state.gateway}", key) as client:
            return _dub(client, directory, home, state, champion, wanted, say, kept)


def _dub(
    client: DubClient,
    directory: Path,
    home: Path,
    state: ServingState,
    champion: tuple[int, str],
    wanted: WantedDub,
    say: Callable[[str], None],
    kept: bool,
) -> ServedDub:
    asked = _submission(client, wanted, say)
    dub, found = _submitted(client, asked, sha256_file(wanted.clip), champion[1])
    say(f"{wanted.clip.name} ({wanted.why}) is {'known there already' if found else 'taken on'} as {dub.id}")
    stages = [_told(dub)]
    spoken: tuple[str, float] = (dub.stage, dub.percent)
    for dub in client.follow(dub, _DUB_S):  # noqa: B020 - the same dub, further on
        if dub.stage != spoken[0] or dub.percent >= spoken[1] + _STEP_PERCENT or dub.links.get("result"):
            spoken = (dub.stage, dub.percent)
            stages.append(_told(dub))
            say(f"{dub.id}: {stages[-1]}")
    if dub.state != "done":
        error = dub.error
        told = "" if error is None else f": {error.message} [{error.code}]"
        raise OurFault("platform.not_dubbed", f"The dub {dub.id} was {dub.state}{told}.", error.hint if error else "")
    result = client.result(dub)
    out = home / f"{wanted.clip.stem}-dubbed.mp4"
    client.fetch(result, "video", out)
    return ServedDub(
        address=f"http://{state.gateway}",
        mode=state.mode,
        why=state.why,
        version=champion[0],
        clip=wanted.clip,
        job=dub.id,
        found=found,
        stages=tuple(stages),
        voice=dub.voice or "",
        out=out,
        provenance=_provenance(out, directory),
        kept=kept,
    )


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
    user = f"{getpass.getuser()}, who ran the demo"
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


def _submitted(client: DubClient, asked: DubSubmission, clip: str, package: str) -> tuple[DubView, bool]:
    """The dub under a key made of all that it depends on; the next key where that one's has no result any more."""
    content = asked.model_dump(mode="json", exclude={"clip"}) | {"clip": clip, "package": package}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    for again in range(1, _TRIES + 1):
        dub, found = client.submit(asked, f"demo-{key[:40]}-{again}")
        if not found or dub.state not in ("failed", "cancelled", "expired"):
            break
    return dub, found


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
