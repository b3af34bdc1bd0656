"""Which addresses may be dialled: none that lies inside our own network, however it is written."""

from __future__ import annotations

import ipaddress
import socket

from pipeline.errors import Retryable
from pipeline.fetch.refusals import rejected
from schemas.dead_letter import Reason, Stage

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Global by the registry, yet special: IETF protocol assignments, such as the NAT64 discovery address.
_SPECIAL = [
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),  # a cloud's host agent, reachable from its machines alone
    ipaddress.ip_network("3fff::/20"),
]
_UNICAST_6 = ipaddress.ip_network("2000::/3")


def resolve(host: str, port: int, allow_private: bool) -> str:
    """One address of `host`, to be dialled as it is; blocks on DNS.

    Raises Rejected if the name is unknown or any of its answers is not public, Retryable if DNS does not answer.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise rejected(Reason.IMAGE_NOT_FOUND, "no such host") from None
        raise Retryable(Stage.FETCH, "the host's name could not be resolved") from error
    except (UnicodeError, OSError) as error:
        raise rejected(Reason.UNSUPPORTED_URI, "the host's name can't be read") from error
    addresses = [str(answer[4][0]).partition("%")[0] for answer in answers]
    if not allow_private and not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not on the public internet")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Whether `address`, and the IPv4 address that it may carry inside, is a public unicast one."""
    inner = _carried(address)
    if inner is not None:
        return is_public(inner)
    special = any(address in network for network in _SPECIAL if network.version == address.version)
    special = special or (address.version == 6 and address not in _UNICAST_6)
    return address.is_global and not address.is_multicast and not special


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
