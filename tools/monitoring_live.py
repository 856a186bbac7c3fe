"""Hold rules and dashboards against a real Prometheus that scrapes a real server, as it would in a cluster.

    python tools/monitoring_live.py --prometheus PATH --workspace DEMO [--minutes 4]

A server (Triton and gateway), a worker in a process of its own and ``dubflow metrics`` of a workspace (``make demo``
leaves one) are started and scraped; clips are dubbed meanwhile and some requests are refused. Then every expression of
rules, alerts and panels is asked through Prometheus' HTTP API: none may be refused, and those over metrics that exist
here must find data. What was scraped is kept, without values, in
``infra/monitoring/metrics``. Exit code 1 where something is not as it should be. Everything that was started is ended.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from dubflow.gateway.consent import ConsentTerms
from dubflow.gateway.database import Database
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.settings import load_settings
from dubflow.gateway.stock_voices import DEFAULT, stock_voice
from dubflow.gateway.submission import DubSubmission
from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_clip
from dubflow.platform.dub_client import DubClient
from dubflow.platform.monitoring.boards import BOARDS
from dubflow.platform.monitoring.catalogue import METRICS, externals, kept, names_in
from dubflow.platform.monitoring.documents import RULES
from dubflow.platform.serving_stack import plan_stack
from dubflow.platform.serving_status import start_detached, stop_stack
from dubflow.serving.golden import CLIP
from dubflow.serving.launcher import free_ports
from dubflow.serving.options import ServeOptions
from dubflow.serving.state import read_state

ROOT = Path(__file__).resolve().parents[1]
HERE = "127.0.0.1"
EVERY, RATE = "5s", "1m"
START_S, STOP_S, ANSWER_S, DUB_S = 240.0, 60.0, 30.0, 300.0
ENDED = {
    f"panel training: {title}": "none: all trainings of the workspace have ended"
    for title in ("Silent for {{run}}", "Newest checkpoint {{run}}")
}
"""Panels that show running trainings alone; a workspace with one has data there."""


@dataclass(frozen=True)
class Asked:
    """One expression, and what became of it."""

    where: str
    expr: str
    series: int
    error: str = ""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", type=Path, default=shutil.which("prometheus"), help="its program")
    parser.add_argument("--workspace", type=Path, default=ROOT / "demo", help="with trainings and verdicts")
    parser.add_argument("--minutes", type=float, default=4.0, help="of dubs and scrapes")
    parser.add_argument("--keep", type=Path, default=ROOT / METRICS, help="where scrapes are kept, without values")
    given = parser.parse_args()
    if given.prometheus is None:
        parser.error("no prometheus on PATH: Debian's package of that name has it; name it with --prometheus")
    with tempfile.TemporaryDirectory(prefix="dubflow-live-") as folder, ExitStack() as stack:
        targets = started(Path(folder), given.workspace, stack)
        address = prometheus(Path(folder), given.prometheus, targets, stack)
        dubs = work(Path(folder), targets["dubflow-gateway"], 60 * given.minutes)
        failures = report(address, dubs)
        keep(targets, given.keep)
    return int(bool(failures))


def started(folder: Path, workspace: Path, stack: ExitStack) -> dict[str, str]:
    """Everything that is scraped; addresses by job."""
    state = folder / "serve"
    worker, telemetry = free_ports(2)
    plan = plan_stack(state, ServeOptions(), mode="triton", port=0, workers=0)
    stack.callback(stop_stack, state, STOP_S)
    start_detached(plan, START_S, tell)
    python = [sys.executable, "-m"]
    its = {"DUBFLOW_GATEWAY_WORKER_METRICS_PORT": str(worker)}
    stack.enter_context(running("worker", [*python, "dubflow.gateway.worker", "--state", str(state)], folder, its))
    command = [*python, "dubflow", "metrics", str(workspace), "--listen", str(telemetry)]
    stack.enter_context(running("telemetry", command, folder))
    found = read_state(state)
    assert found.gateway is not None
    assert found.metrics is not None
    made = {"gateway": found.gateway, "triton": found.metrics}
    made |= {"worker": f"{HERE}:{worker}", "telemetry": f"{HERE}:{telemetry}"}
    return {f"dubflow-{name}": address for name, address in made.items()}


@contextmanager
def running(name: str, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """A process while the block runs."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | (environment or {}))
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def prometheus(folder: Path, program: Path, targets: dict[str, str], stack: ExitStack) -> str:
    """A server of Prometheus with our rules, looked at every few seconds; its address, once it is ready."""
    (folder / "rules").mkdir()
    for path in (ROOT / RULES).glob("*.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in content["groups"]:
            group["interval"] = EVERY  # as they are, but in time for a test of minutes
        (folder / "rules" / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    jobs = [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in targets.items()]
    content = {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(folder / "rules" / "*.yaml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (port,) = free_ports(1)
    address = f"http://{HERE}:{port}"
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HERE}:{port}",
        "--enable-feature=exemplar-storage",
    ]
    stack.enter_context(running("prometheus", command, folder))
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/-/ready", timeout=2, trust_env=False).is_success:
                return address
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"Prometheus is not ready: {(folder / 'prometheus.log').read_text()[-2000:]}")


def work(folder: Path, gateway: str, seconds: float) -> int:
    """Dubs, one after the other, and requests that are refused; how many dubs were done."""
    clip = folder / "clip.mp4"
    frames = read_clip(CLIP, audio=False).frames
    assert frames is not None
    write_clip(clip, frames[:25], 25)
    keys = KeyStore(Database(load_settings(state=folder / "serve").database_url))
    key, _ = keys.create("monitoring", {"submit", "read"})
    until, done = time.monotonic() + seconds, 0
    with DubClient(f"http://{gateway}", key) as client:
        uploaded = client.upload(clip).key
        refused(client, gateway, key, uploaded, folder)
        while time.monotonic() < until:
            text = ("five", "one two", "a red house")[done % 3]
            asked = DubSubmission(clip=uploaded, text=text, language="en", voice=DEFAULT)
            made, _ = client.submit(asked, f"live-{done}")
            *_, last = client.follow(made, DUB_S)
            if last.state != "done":
                raise RuntimeError(f"a dub was {last.state}: {last.error}")
            done += 1
            tell(f"dub {done}: done")
            for path, sent in (("/v1/dubs/dub_none", key), ("/v1/dubs", "dk_wrong")):
                headers = {"Authorization": f"Bearer {sent}"}
                httpx.get(f"http://{gateway}{path}", headers=headers, timeout=ANSWER_S, trust_env=False)
    return done


def refused(client: DubClient, gateway: str, key: str, clip: str, folder: Path) -> None:
    """A dub whose consent is taken back while it waits behind another one."""
    recording = stock_voice(DEFAULT, folder / "voices")
    now = datetime.now(UTC)
    terms = ConsentTerms(
        person="nobody: a synthetic voice",
        how="By running this tool.",
        given=now,
        scope="One refusal.",
        languages=("en",),
        expires=now + timedelta(hours=1),
        reference_sha256=sha256_file(recording),
        recorded_by="tools/monitoring_live.py",
    )
    reference, consent = client.upload(recording).key, client.record_consent(terms)
    client.submit(DubSubmission(clip=clip, text="one", language="en", voice=DEFAULT), "live-before")
    asked = DubSubmission(clip=clip, text="two", language="en", reference=reference, consent=consent)
    made, _ = client.submit(asked, "live-refused")
    headers = {"Authorization": f"Bearer {key}"}
    httpx.delete(f"http://{gateway}/v1/consents/{consent}", headers=headers, timeout=ANSWER_S, trust_env=False)
    *_, last = client.follow(made, DUB_S)
    if last.error is None or last.error.code != "gateway.consent_revoked":
        raise RuntimeError(f"a dub whose consent was taken back was {last.state}")


def report(address: str, dubs: int) -> list[str]:
    """Ask everything, print it, and answer what is wrong."""
    wrong: list[str] = []
    active = api(address, "targets", state="active")["activeTargets"]
    print(f"{dubs} dubs were done while it ran (embedded world). Targets:\n")
    table(("job", "health", "last error"), [(one["labels"]["job"], one["health"], one["lastError"]) for one in active])
    wrong += [f"target {one['labels']['job']}: {one['lastError']}" for one in active if one["health"] != "up"]
    groups = api(address, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wrong += [f"rule {one['name']}: {one.get('lastError')}" for one in rules if one["health"] != "ok"]
    print(
        f"Rules: {len(rules)} in {len(groups)} groups, {sum(one['health'] == 'ok' for one in rules)} evaluated well.\n"
    )
    foreign = {name for one in externals(ROOT) for name in one.metrics}
    asked = ask_all(address, rules)
    names = {name for one in asked for name in names_in(one.expr)}
    there = {name: int(count(address, f"count({name})")) for name in sorted(names)}
    rows = [(one.where, one.series, told(one, there, foreign)) for one in asked]
    table(("asked", "series", ""), [row for row in rows if not row[0].startswith("alert ")])
    alerts = [one for one in asked if one.where.startswith("alert ")]
    table(("alert", "its metrics"), [(one.where.removeprefix("alert "), told(one, there, foreign)) for one in alerts])
    for state in ("firing", "pending"):
        found = sorted({f"{one['name']}{labels(one)}" for one in rules if one.get("state") == state})
        print(f"{state.capitalize()} at the end: {', '.join(found) or 'none'}.\n")
    seen = api(
        address,
        "query_exemplars",
        query="dubflow_job_seconds_bucket",
        start=str(time.time() - 3600),
        end=str(time.time()),
    )
    print(f"Examples with a trace id: {sum(len(one['exemplars']) for one in seen)}.\n")
    wrong += [f"{one.where}: {one.error}" for one in asked if one.error]
    wrong += [f"{where}: no data" for where, _, verdict in rows if verdict == "NO DATA"]
    print("\n".join(wrong) or "Nothing is wrong.")
    return wrong


def ask_all(address: str, rules: list[dict[str, Any]]) -> list[Asked]:
    """Every expression of rules, alerts and panels, once."""
    made = [
        (f"{'alert' if one['type'] == 'alerting' else 'record'} {one['name']}{labels(one)}", one["query"])
        for one in rules
    ]
    for file, board in BOARDS.items():
        for panel in board.panels:
            made += [(f"panel {file}: {panel.title} {query.legend}".rstrip(), query.expr) for query in panel.queries]
    found = []
    for where, expr in made:
        expr = expr.replace("$__rate_interval", RATE)
        try:
            found.append(Asked(where, expr, len(api(address, "query", query=expr)["result"])))
        except RuntimeError as error:
            found.append(Asked(where, expr, 0, str(error)))
    return found


def labels(rule: dict[str, Any]) -> str:
    """Labels that tell rules of one name apart."""
    told = [str(value) for key, value in sorted(rule.get("labels", {}).items()) if key in ("slo", "window", "job")]
    return f" ({', '.join(told)})" if told else ""


def told(one: Asked, there: dict[str, int], foreign: set[str]) -> str:
    """Whether an expression found what it should."""
    if one.error:
        return one.error
    missing = [name for name in sorted(names_in(one.expr)) if not there[name]]
    if one.where.startswith("alert ") and not missing:
        return "there"
    if one.series and not one.where.startswith("alert "):
        return "data"
    for name in missing:
        if name in foreign:
            return f"known, not scraped here ({name})"
    if "ALERTS" in names_in(one.expr):
        return "none fires"
    if one.where in ENDED:
        return ENDED[one.where]
    return "NO DATA" if not one.where.startswith("alert ") else f"missing: {', '.join(missing)}"


def keep(targets: dict[str, str], folder: Path) -> None:
    """What is scraped, without values; and how many series it is."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for job, address in targets.items():
        text = httpx.get(f"http://{address}/metrics", timeout=ANSWER_S, trust_env=False).text
        name = job.removeprefix("dubflow-")
        (folder / f"{name}.txt").write_text(kept(text), encoding="utf-8")
        rows.append((job, sum(not line.startswith("#") for line in text.splitlines())))
    print()
    table(("scraped", "series"), rows)


def count(address: str, query: str) -> float:
    """The value of a query that has one; 0 where it has none."""
    found = api(address, "query", query=query)["result"]
    return float(found[0]["value"][1]) if found else 0.0


def api(address: str, path: str, **parameters: str) -> Any:
    """What Prometheus answers."""
    answer = httpx.get(f"{address}/api/v1/{path}", params=parameters, timeout=ANSWER_S, trust_env=False).json()
    if answer["status"] != "success":
        raise RuntimeError(f"{answer['errorType']}: {answer['error']}")
    return answer["data"]


def table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """In Markdown."""
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print(flush=True)


def tell(text: str) -> None:
    """How far it is."""
    sys.stderr.write(f"{time.strftime('%T')} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
