"""Which network addresses a list of URLs may lead to: public ones, unless allowed otherwise."""

from __future__ import annotations

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from clipmill.fetch.failures import failure

Address = IPv4Address | IPv6Address

# Number forms that the C library reads as IPv4: 2130706433, 0x7f.1, 0177.0.0.1, 127.1
_NUMERIC = re.compile(r"(?i)(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\.?")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("::/96"))
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_IETF_PROTOCOLS = IPv4Network("192.0.0.0/24")  # holds a cloud's metadata service too
_AZURE_HOST = IPv4Address("168.63.129.16")  # public by number, but the host's own metadata service


class ForbiddenAddressError(OSError):
    """A name leads to an address that is not public; an ``OSError`` since resolvers raise those."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, seen through IPv4-in-IPv6 disguises."""
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
        if address in _NAT64_LOCAL or address.is_site_local:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and address not in _IETF_PROTOCOLS
        and address != _AZURE_HOST
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def literal_address(host: str) -> Address | None:
    """The address that a host spells in numbers, in any form the C library reads, or None."""
    bare = host.strip("[]")
    try:
        return ip_address(bare)
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(bare):
        return None
    try:
        return IPv4Address(socket.inet_aton(bare.rstrip(".")))
    except OSError:
        return None


def check_host(host: str) -> None:
    """Refuse a host that names something not public without asking DNS.

    Raises:
        DownloadError: ``forbidden_address``.
    """
    address = literal_address(host)
    name = host.rstrip(".").lower()
    local_name = name == "localhost" or name.endswith(".localhost")
    if local_name or (address is not None and not is_public(address)):
        raise failure("forbidden_address", refusal(host))


def refusal(host: str, address: str | None = None) -> str:
    """Say that a host is refused and how to allow it."""
    leads = f"{host} leads to {address}, which is" if address else f"{host} is"
    return (
        f"{leads} not a public address. URL lists may not reach loopback, private or link-local "
        "addresses; allow it with --allow-private-addresses."
    )


class GuardedResolver(AbstractResolver):
    """Resolves names in threads of its own, and refuses those that lead to private addresses.

    What it returns is what is connected to, so a name cannot change its mind after the check.

    Args:
        threads: names resolved at a time.
        allow_private: refuse nothing.
    """

    def __init__(self, threads: int, allow_private: bool) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="clipmill-dns")
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name.

        Raises:
            ForbiddenAddressError: the name has an address that is not public.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._pool, _look_up, host, port, family)
        for entry in found:
            if not self._allow_private and not is_public(ip_address(entry["host"])):
                raise ForbiddenAddressError(refusal(host, entry["host"]))
        return found

    async def close(self) -> None:
        """Let go of the threads without waiting for names nobody needs any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is not a name") from error
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST,
        )
        for kind, _, protocol, _, address in found
    ]
