"""Where a webhook may go: public addresses by https, and nowhere else.

A name is resolved once, all of its addresses are judged, and the connection goes to an address that was judged: a name
that answers differently a moment later (DNS rebinding) leads nowhere. The name itself is kept for TLS (SNI and the
certificate) and for the ``Host`` header. Redirects are not followed. What must be reachable all the same (tests, an
intranet) is named ``host:port`` in the settings.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from dubflow.errors import BadInput, OurFault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

_MOST = 2048
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?")
_CARRIED = (  # IPv6 that is IPv4 in another coat: translated (NAT64), tunnelled (6to4, Teredo)
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
)
_CGNAT = ipaddress.IPv4Network("100.64.0.0/10")


@dataclass(frozen=True)
class Target:
    """A URL that was read and is allowed by its form.

    Attributes:
        host: in lower case, without brackets. path: with the query. exempt: named in the settings.
    """

    scheme: str
    host: str
    port: int
    path: str
    exempt: bool

    @property
    def authority(self) -> str:
        """For the ``Host`` header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return name if self.port == usual else f"{name}:{self.port}"


def read_target(url: str, allowed: Iterable[str] = ()) -> Target:
    """What a webhook's URL says; nothing is resolved. Good for refusing it when it is given.

    Args:
        allowed: ``host:port`` that may be private, and reached without TLS.

    Raises:
        BadInput: ``gateway.bad_webhook``, ``gateway.webhook_not_allowed``.
    """
    if (
        len(url) > _MOST
        or not url.isascii()
        or any(ord(each) <= 32 or ord(each) == 127 or each == "\\" for each in url)
    ):
        raise _bad("it is too long or has characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise _bad("its host or port does not read") from error
    if parts.scheme not in ("https", "http") or not host:
        raise _bad("it does not begin with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise _bad("it has a user or a password in it")
    if parts.fragment:
        raise _bad("it has a fragment")
    literal = _literal(host)
    if literal is None and not _NAME.fullmatch(host):
        raise _bad("its host is no name")
    port = port or {"https": 443, "http": 80}[parts.scheme]
    exempt = f"{host}:{port}" in {one.lower() for one in allowed}
    if parts.scheme != "https" and not exempt:
        raise _refused("it goes without TLS")
    if literal is not None and not exempt and not is_public(literal):
        raise _refused("its address is not a public one")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path if path.startswith("/") else "/" + path, exempt)


def address_of(target: Target, resolve: Resolve | None = None) -> str:
    """The address to connect to, judged; resolves once.

    Raises:
        BadInput: ``gateway.webhook_not_allowed`` when any of the name's addresses is not public.
        OurFault: ``gateway.webhook_unresolved``.
    """
    try:
        found = (resolve or _resolved)(target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise OurFault("gateway.webhook_unresolved", "The webhook's host has no address now.", "") from error
    addresses = [ipaddress.ip_address(one.partition("%")[0]) for one in found]
    if not addresses:
        raise OurFault("gateway.webhook_unresolved", "The webhook's host has no address now.", "")
    # One that is not public spoils all: a name that mixes them is made for passing checks.
    if not target.exempt and not all(map(is_public, addresses)):
        raise _refused("its host leads to an address that is not public")
    return str(addresses[0])


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be meant: not private, loopback, link-local, shared (CGNAT), multicast,
    reserved, unspecified, or one of these in an IPv6 coat."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _CARRIED) or int(address) >> 32 == 0:
            return False
        if address.is_site_local:
            return False
    elif address in _CGNAT:
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_link_local or address.is_loopback
        or address.is_private or address.is_unspecified
    )  # fmt: skip


def _literal(host: str) -> Address | None:
    """The address that a host is written as, in every form that a resolver would take for one."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0])
    if re.fullmatch(r"[0-9a-fx.]+", host) and re.match(r"(0x[0-9a-f]*|[0-9]+)(\.|\Z)", host.rpartition(".")[2] or host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1, 0x7f000001, 2130706433, 0177.0.0.1
        except OSError:
            return None
    return None


def _resolved(host: str, port: int) -> list[str]:
    return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _bad(why: str) -> BadInput:
    return BadInput("gateway.bad_webhook", f"The webhook's URL cannot be used: {why}.", "Give https://host/path.")


def _refused(why: str) -> BadInput:
    return BadInput(
        "gateway.webhook_not_allowed", f"The webhook must not be called: {why}.", "Give a public https:// address."
    )
