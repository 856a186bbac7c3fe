"""Webhooks: signed, told until they are heard, and never to anybody who is not on the internet."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dubflow.errors import BadInput, OurFault
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.queue import JobQueue
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.tables import DELIVERIES
from dubflow.gateway.webhook_target import address_of, is_public, read_target
from dubflow.gateway.webhooks import ATTEMPTS, DELIVERY, SIGNATURE, Webhooks, sign, verify, webhook_secret
from jobs_room import Clock, request, tables

SECRET = b"a secret of tests"
_DRIPS = 400


class Receiver(ThreadingHTTPServer):
    """Somebody's server: keeps what it gets, answers as it is told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.headers, self.drip, self.dripped = 204, {}, 0.0, 0
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    headers: dict[str, str]

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        if self.server.drip:
            try:
                for self.server.dripped in range(1, _DRIPS + 1):  # a line that does not end
                    self.wfile.write(b"X")
                    time.sleep(self.server.drip)
            except OSError:
                return
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    with Receiver(context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = tables(f"sqlite:///{tmp_path}/gateway.db", clock)
    yield made
    made.close()


def ended(database: Database, url: str) -> str:
    """A job that is done and wants it told."""
    job = JobStore(database).submit("a", request("secret words", webhook=url)).job.id
    queue = JobQueue(database)
    lease = queue.lease("w")
    assert lease is not None
    assert queue.finish(lease, {}, engine="e", served_version=1, clip_s=1, work_s=1) == "done"
    return job


def rows(database: Database) -> list[Any]:
    return list(database.read(lambda connection: connection.execute(select(DELIVERIES)).all()))


def test_the_end_of_a_job_is_told_once_it_is_heard(database: Database, clock: Clock) -> None:
    with receiving() as server:
        job = ended(database, f"http://{server.place}/hook?x=1")
        webhooks = Webhooks(database, SECRET, allowed=[server.place])
        assert (webhooks.deliver_due(), webhooks.deliver_due()) == (1, 0)
        clock.now += 1e6
        assert webhooks.deliver_due() == 0
    ((path, headers, body),) = server.got
    assert path == "/hook?x=1"
    assert verify(SECRET, body, headers[SIGNATURE], time.time())
    said = json.loads(body)
    assert (said["type"], said["job"]["id"], said["job"]["state"]) == ("dub.done", job, "done")
    assert said["id"] == headers[DELIVERY]
    assert b"secret words" not in body


def test_what_is_not_heard_is_said_again_the_same_for_a_day_at_most(database: Database, clock: Clock) -> None:
    with receiving() as server:
        ended(database, f"http://{server.place}/")
        webhooks = Webhooks(database, SECRET, allowed=[server.place])
        server.status = 503
        began, pauses = clock.now, []
        while rows(database)[0].state == "waiting":
            webhooks.deliver_due()
            last, clock.now = clock.now, max(clock.now, rows(database)[0].due_ms / 1000)
            pauses.append(clock.now - last)
        assert len(server.got) == ATTEMPTS
        assert len({(headers[DELIVERY], body) for _, headers, body in server.got}) == 1
        assert pauses[0] < 10
        assert pauses[:5] == sorted(pauses[:5])
        assert 3600 * 6 < clock.now - began < 3600 * 48
        assert rows(database)[0].state == "given_up"


@pytest.mark.parametrize(("status", "state"), [(410, "given_up"), (301, "waiting"), (302, "waiting"), (400, "waiting")])
def test_a_redirect_is_not_followed_and_gone_is_gone(database: Database, status: int, state: str) -> None:
    with receiving() as server:
        server.status, server.headers = status, {"Location": f"http://{server.place}/elsewhere"}
        ended(database, f"http://{server.place}/")
        assert Webhooks(database, SECRET, allowed=[server.place]).deliver_due() == 0
        assert (rows(database)[0].state, rows(database)[0].answer) == (state, status)
    assert [path for path, _, _ in server.got] == ["/"]


def test_a_receiver_that_keeps_us_waiting_is_left(database: Database) -> None:
    with receiving() as server:
        server.drip = 0.05
        ended(database, f"http://{server.place}/")
        webhooks = Webhooks(database, SECRET, allowed=[server.place], time_s=0.5)
        assert webhooks.deliver_due() == 0
        assert rows(database)[0].why == "gateway.webhook_unreachable"
        assert rows(database)[0].state == "waiting"
    assert 0 < server.dripped < _DRIPS, "cut off, not waited for to the end"


def test_a_delivery_whose_process_died_is_taken_over_and_nobody_elses(database: Database, clock: Clock) -> None:
    with receiving() as server:
        ended(database, f"http://{server.place}/")
        dead, other = (Webhooks(database, SECRET, allowed=[server.place]) for _ in range(2))
        assert dead._take() is not None
        assert other.deliver_due() == 0, "it may be under way"
        clock.now += 3 * dead.time_s + 1
        assert other.deliver_due() == 1


def test_two_processes_send_each_once(database: Database) -> None:
    with receiving() as server:
        for _ in range(8):
            ended(database, f"http://{server.place}/")
        with ThreadPoolExecutor(4) as pool:
            hands = [Webhooks(database, SECRET, allowed=[server.place]) for _ in range(4)]
            assert sum(pool.map(lambda one: one.deliver_due(), hands)) == 8
    assert len({headers[DELIVERY] for _, headers, _ in server.got}) == len(server.got) == 8


def test_a_refused_address_is_given_up_without_a_word(database: Database) -> None:
    with receiving() as server:
        ended(database, f"http://{server.place}/")
        ended(database, "https://rebound.example/")
        webhooks = Webhooks(database, SECRET, resolve=lambda host, port: ["127.0.0.1"])
        assert webhooks.deliver_due() == 0
        assert {row.why for row in rows(database)} == {"gateway.webhook_not_allowed"}
        assert {row.state for row in rows(database)} == {"given_up"}
    assert server.got == []


def test_tls_is_for_the_name_at_the_address_that_was_judged(database: Database, tmp_path: Path) -> None:
    """A name that resolves to one address is connected to there; certificate and Host are the name's."""
    authority, context = certified(tmp_path, "hooks.example")
    with receiving(context) as server:
        port = server.server_address[1]
        asked: list[str] = []

        def resolve(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]

        names = [f"hooks.example:{port}", f"other.example:{port}"]
        webhooks = Webhooks(database, SECRET, allowed=names, resolve=resolve, tls=authority)
        assert webhooks.send(f"https://hooks.example:{port}/a", b"{}", "whd_1") == 204
        assert server.got[0][1]["Host"] == f"hooks.example:{port}"
        assert asked == ["hooks.example"], "resolved once"
        with pytest.raises(OurFault, match=r"gateway\.webhook_unreachable"):
            webhooks.send(f"https://other.example:{port}/a", b"{}", "whd_2")
        stranger = Webhooks(database, SECRET, allowed=names, resolve=resolve)
        with pytest.raises(OurFault, match=r"gateway\.webhook_unreachable"):
            stranger.send(f"https://hooks.example:{port}/a", b"{}", "whd_3")
    assert len(server.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
        "https://0177.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
        "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/",
        "https://100.64.0.1/", "https://224.0.0.1/", "https://0.0.0.0/", "https://255.255.255.255/", "https://[fe80::1]/",
        "https://[fc00::1]/", "https://[ff02::1]/", "https://[::]/", "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/", "https://[::127.0.0.1]/", "https://192.0.2.1/", "https://198.18.0.1/",
    ],
)  # fmt: skip
def test_addresses_that_are_nobodys_business(url: str) -> None:
    with pytest.raises(BadInput, match=r"gateway\.(webhook_not_allowed|bad_webhook)"):
        read_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x", "https://a b/",
        "https://user:password@example.com/", "https://example.com/#x", "https://example.com:99999/", "https://exa\nmple/",
        "https://example.com/\r\nX: 1", "https://-x.example/", "https://[::1/", "gopher://x/", "https://ex\\ample.com/",
        "https://example.com/é", "https://exämple.com/",
        "https://" + "a" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook(url: str) -> None:
    with pytest.raises(BadInput, match=r"gateway\.bad_webhook"):
        read_target(url)


def test_public_ones_are_fine_and_named_ones_exempt() -> None:
    target = read_target("https://Hooks.Example.com/a/b?c=d")
    assert (target.host, target.port, target.path, target.authority) == (
        "hooks.example.com",
        443,
        "/a/b?c=d",
        "hooks.example.com",
    )
    assert address_of(target, lambda host, port: ["93.184.216.34"]) == "93.184.216.34"
    assert read_target("https://[2606:4700::1111]:8443/").authority == "[2606:4700::1111]:8443"
    assert read_target("http://127.0.0.1:99/", ["127.0.0.1:99"]).exempt
    with pytest.raises(BadInput):
        read_target("http://127.0.0.1:98/", ["127.0.0.1:99"])
    with pytest.raises(BadInput, match=r"webhook_not_allowed"):
        address_of(target, lambda host, port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(OurFault, match=r"webhook_unresolved"):
        address_of(target, lambda host, port: [])

    def away(host: str, port: int) -> list[str]:
        raise socket.gaierror("away")

    with pytest.raises(OurFault, match=r"webhook_unresolved"):
        address_of(target, away)


@given(st.ip_addresses())
def test_no_coat_makes_a_private_address_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
    if isinstance(address, ipaddress.IPv4Address):
        number = int(address)
        mapped = ipaddress.IPv6Address((0xFFFF << 32) + number)
        assert is_public(mapped) == is_public(address)
        for coat in ((0x64FF9B << 96) + number, (0x2002 << 112) + (number << 80), number):
            assert not is_public(ipaddress.IPv6Address(coat))


@given(st.binary(max_size=200), st.integers(0, 2**33), st.integers(0, 10_000))
def test_a_signature_holds_for_these_bytes_now(body: bytes, at: int, position: int) -> None:
    header = sign(SECRET, body, at)
    assert verify(SECRET, body, header, at + 299)
    assert not verify(SECRET, body, header, at + 301)
    assert not verify(b"another", body, header, at)
    assert not verify(SECRET, body + b"x", header, at)
    spoilt = list(header)
    place = position % len(spoilt)
    spoilt[place] = "0" if spoilt[place] != "0" else "1"
    assert not verify(SECRET, body, "".join(spoilt), at)


@pytest.mark.parametrize(
    "header", ["", "t=", "v1=abc", "t=1e3,v1=x", "t=١,v1=x", "t=-5,v1=", "t=" + "9" * 99 + ",v1=x"]
)
def test_a_header_that_is_none(header: str) -> None:
    assert not verify(SECRET, b"", header, 0)


def test_the_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    settings = GatewaySettings(state=tmp_path / "state")
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: webhook_secret(settings), range(8)))
    assert len(made) == 1
    assert len(made.pop()) == 64
    (path,) = (tmp_path / "state").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert webhook_secret(GatewaySettings(state=tmp_path, webhook_secret="given")) == b"given"


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Who trusts an authority, and a server that it vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "chain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return ssl.create_default_context(cafile=folder / "chain.pem"), server
