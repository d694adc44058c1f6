"""Where back-ends may be: URLs in one form, and which addresses lead into a private network."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

LONGEST_URL = 2000
LONGEST_HOST = 253

# IANA's registries of special-purpose addresses (RFC 6890 and what updates it), and one address of Azure's that is a public one
# by number but answers from inside only.
_PRIVATE_4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_6 = IPv6Network("2000::/3")
"""All that was ever given out; what is outside is the own machine, the own network, or nothing."""
_PRIVATE_6 = tuple(IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "3fff::/20"))
"""Protocols' own (Teredo among them, which leads to an IPv4 address behind somebody's router), and documentation."""
_MAPPED, _NAT64, _6TO4 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@%]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_TWO_MEANINGS = "ßẞς\u200c\u200d"
"""What the older and the newer rule for international names read differently."""
_PORTS = {"http": 80, "https": 443}


def is_private(address: str) -> bool:
    """Whether an IP address leads to this machine, into a private network or nowhere: every address that is not a public server's.

    Addresses that carry an IPv4 address inside are what that one is. Raises ValueError for what is no address.
    """
    one = ip_address(address)
    if isinstance(one, IPv4Address):
        return any(one in network for network in _PRIVATE_4)
    if one in _MAPPED or one in _NAT64:
        return is_private(str(IPv4Address(int(one) & 0xFFFFFFFF)))
    if one in _6TO4:
        return is_private(str(IPv4Address((int(one) >> 80) & 0xFFFFFFFF)))
    return one not in _GLOBAL_6 or any(one in network for network in _PRIVATE_6)


def checked_url(url: str) -> str:
    """The one form of a back-end's URL: http or https, a host, perhaps a port and a path, without a slash at its end.

    Raises ValueError with a sentence for everything else, and for every way to write an address that people cannot read.
    """
    if len(url) > LONGEST_URL:
        raise ValueError(f"a URL has {LONGEST_URL} characters at most")
    if any(one <= " " or one in "\\\x7f" for one in url):
        raise ValueError("a URL has no spaces, control characters or backslashes")
    if "?" in url or "#" in url:
        raise ValueError("a back-end's URL has no query and no fragment")
    scheme, authority, path = _parts(url)
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError(_what_is_wrong(authority))
    host, port = _host(found[1]), int(found[2]) if found[2] else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    where = host if port == _PORTS[scheme] else f"{host}:{port}"
    return f"{scheme}://{where}{path}"


def names_private(url: str) -> bool:
    """Whether a checked URL leads to a private address by what is written in it; names tell only once they are looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return is_private(host)
    except ValueError:
        return False


def _parts(url: str) -> tuple[str, str, str]:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in _PORTS:
        raise ValueError("a back-end's URL begins with http:// or https://")
    authority, slash, path = rest.partition("/")
    path = (slash + path).rstrip("/")
    if not _PATH.fullmatch(path) or any(one in (".", "..") for one in path.split("/")):
        raise ValueError("the path has characters that do not belong there")
    return scheme.lower(), authority, path


def _what_is_wrong(authority: str) -> str:
    if "@" in authority:
        return "a URL has no name or password in it: a key is given apart from it"
    if not authority or authority.startswith(":"):
        return "the URL names no host"
    return "the URL's host or port cannot be read"


def _host(written: str) -> str:
    if written.startswith("["):
        try:
            return f"[{IPv6Address(written[1:-1]).compressed}]"
        except AddressValueError as error:
            raise ValueError("the URL's host is no IPv6 address") from error
    host = _in_ascii(written).removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _quad(host)
    if len(host) > LONGEST_HOST or not all(_LABEL.fullmatch(one) for one in labels):
        raise ValueError("the URL's host is no name that a server can have")
    return host


def _in_ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    if any(one in _TWO_MEANINGS for one in host):
        raise ValueError("the URL's host has letters with two meanings: write it in ASCII (xn--…)")
    try:
        return host[: LONGEST_HOST + 1].encode("idna").decode().lower()
    except UnicodeError as error:
        raise ValueError("the URL's host is no name that a server can have") from error


def _quad(host: str) -> str:
    """An IPv4 address in its usual form; never one of the others, which some read and some do not: 127.1, 0x7f.1, 2130706433."""
    try:
        return str(IPv4Address(host))
    except AddressValueError as error:
        raise ValueError("an IPv4 address is written as four decimal numbers: 192.0.2.1") from error
