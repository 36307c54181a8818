"""Where others may send this server, and where not."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from catena.guard import Guard, Refused, is_public
from catena.upstream.http import HttpClient, HttpError
from tests.receiver import receiver

PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # the metadata of a cloud
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # and of another
    "169.254.169.254",  # and of most
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://0/",
        "http://localhost/",
        "https://LOCALHOST:8080/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_a_host_is_judged_by_where_it_leads_however_it_is_written(url: str) -> None:
    with pytest.raises(Refused, match="at an address that is not public"):
        await Guard().check(url)
    await Guard(allow_private=True).check(url)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("", "begins with https://"),
        ("example.com", "begins with https://"),
        ("ftp://example.com/", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("HTTP://example.com/", "begins with https://"),
        ("https:///path", "with a host"),
        ("https://bücher.example/", "in ASCII"),
        ("https://example.com/a b", "in ASCII"),
        ("https://example.com/\r\nx: y", "in ASCII"),
        ("https://user:password@example.com/", "without a user name"),
        ("https://example.com:99999/", "valid URL"),
        ("https://example.com:0/", "a port from 1"),
        ("https://[::1/", "valid URL"),
        ("https://example.com/" + "x" * 2048, "at most 2048"),
        ("https://" + "x" * 64 + ".example/", "valid host"),
    ],
)
async def test_what_is_no_url_to_fetch_is_refused_even_where_everything_is_allowed(
    url: str, wanted: str
) -> None:
    with pytest.raises(Refused, match=wanted):
        await Guard(allow_private=True).check(url)


def names(*addresses: str) -> Guard:
    """A guard for whom every host is at these addresses."""

    async def lookup(host: str, port: int) -> Sequence[str]:
        if not addresses:
            raise OSError("no such host")
        return addresses

    return Guard(lookup=lookup)


async def test_a_name_is_as_good_as_the_worst_of_its_addresses() -> None:
    await names("1.1.1.1", "2606:4700::1111").check("https://hooks.example/")
    for private in ("10.0.0.1", "::1"):
        with pytest.raises(Refused):
            await names("1.1.1.1", private).check("https://hooks.example/")


async def test_a_name_that_is_not_known_yet_passes_until_it_is_used() -> None:
    await names().check("https://hooks.example/")
    with pytest.raises(OSError, match="no such host"):
        await names().addresses("hooks.example", 443)


async def test_what_is_connected_to_is_the_address_that_was_judged() -> None:
    """A name that moves between the judgement and the connection moves nothing: it is looked up once."""
    asked = []

    async def lookup(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    async with receiver() as endpoint:
        client = HttpClient(resolve=Guard(allow_private=True, lookup=lookup).addresses)
        url = endpoint.url.replace("127.0.0.1", "hooks.example")
        reply = await client.request("POST", url, body=b"x")
        assert reply.status == 200
        assert endpoint.heard[0].headers["host"].startswith("hooks.example:")
        assert [host for host, _ in asked] == ["hooks.example"]
        await client.close()
        client = HttpClient(resolve=Guard(lookup=lookup).addresses)
        with pytest.raises(Refused):
            await client.request("POST", url, body=b"x")
        assert len(endpoint.heard) == 1
        await client.close()


async def test_the_next_address_is_tried_where_one_does_not_accept() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def nowhere(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.3"]

    async with receiver() as endpoint:
        client = HttpClient(resolve=lookup)
        assert (await client.request("POST", endpoint.url)).status == 200
        await client.close()
        client = HttpClient(resolve=nowhere)
        with pytest.raises(HttpError, match="refused the connection"):
            await client.request("POST", endpoint.url)
        await client.close()
