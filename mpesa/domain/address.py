"""The address that a request came from, as proxies and sockets write it."""

import re
from collections.abc import Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

# RFC 7239's word for an unknown address (section 6.2).
UNKNOWN = "unknown"

# `a.b.c.d:port` and `[v6]:port`, as Azure's gateways write them into X-Forwarded-For. An IPv6
# address without brackets has no port: its last group could not be told from one.
_WITH_PORT = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?|\[([^\[\]]+)\](?::[0-9]{1,5})?")


def read_address(text: str | None) -> str:
    """Read the bare address in its shortest form; `UNKNOWN` for every text that is none.

    Port, brackets and zone (RFC 4007) are taken away, since they do not distinguish senders. IPv4
    within IPv6 (`::ffff:192.0.2.1`, RFC 4291, 2.5.5.2), as a socket for both shows it, is IPv4.
    """
    address = _parsed(text or "")
    return UNKNOWN if address is None else str(address)


def sender_of(address: str, *, ipv6_prefix: int = 64) -> str:
    """The key of a sender: the address; of IPv6 its /64, since a customer has at least that.

    (RFC 6177.) All unknown addresses have the same key.

    Args:
        address: from `read_address`.
        ipv6_prefix: the number of bits of an IPv6 address that count.
    """
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network(f"{parsed}/{ipv6_prefix}", strict=False))
    return UNKNOWN if parsed is None else str(parsed)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    stripped = text.strip()
    found = _WITH_PORT.fullmatch(stripped)
    bare = (found[1] or found[2]) if found else stripped
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def from_listed(networks: Iterable[IPv4Network | IPv6Network]) -> Callable[[str | None], bool]:
    """Build a test of addresses from `CALLBACK_ALLOWED_IPS`; no network lists every address."""
    allowed = tuple(networks)

    def listed(source: str | None) -> bool:
        if not allowed:
            return True
        known = read_address(source)
        return known != UNKNOWN and any(ip_address(known) in network for network in allowed)

    return listed
