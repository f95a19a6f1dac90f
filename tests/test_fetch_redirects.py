"""Where a request may lead: redirects, private addresses, and who gets to see secrets."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from ipaddress import IPv4Address

import pytest
import trustme

from clipmill.fetch import addresses
from fetch_server import (
    MP4,
    Request,
    Send,
    Server,
    answer,
    fetch,
    fetch_one,
    head,
    redirect,
)


def go(coroutine):
    return asyncio.run(coroutine)


def test_a_chain_of_redirects_is_followed_and_its_end_recorded(tmp_path):
    routes = {"/b/c": redirect("../d.mp4", 307), "/d.mp4": redirect("//{host}/e", 308)}

    async def chain():
        async with Server(routes | {"/a": redirect("/b/c", 301), "/e": answer()}) as server:
            routes_host = f"127.0.0.1:{server.port}"
            server.routes["/d.mp4"] = redirect(f"//{routes_host}/e?x=%2F", 308)
            return await fetch_one(server, tmp_path, server.url("/a"))

    trip = go(chain())
    assert [request.target for request in trip.requests] == ["/a", "/b/c", "/d.mp4", "/e?x=%2F"]
    assert trip.got.final_url.endswith("/e?x=%2F")


def test_a_redirect_in_a_circle_is_noticed(tmp_path):
    trip = fetch(tmp_path, redirect("/b"), "/a", {"/b": redirect("/a")})

    assert trip.failed.error_class == "redirect_loop"
    assert not trip.failed.retryable
    assert len(trip.requests) == 2


def test_redirects_without_end_are_given_up(tmp_path):
    routes = {f"/{i}": redirect(f"/{i + 1}") for i in range(1, 20)}
    trip = fetch(tmp_path, redirect("/1"), "/0", routes)

    assert trip.failed.error_class == "redirect_loop"
    assert len(trip.requests) == 11


@pytest.mark.parametrize(
    ("location", "error_class"),
    [
        ("file:///etc/passwd", "unsupported_scheme"),
        ("ftp://example.com/v.mp4", "unsupported_scheme"),
        ("http://[", "bad_response"),
        ("http:// /v.mp4", "invalid_url"),
    ],
)
def test_a_redirect_to_what_is_no_web_address(tmp_path, location, error_class):
    assert fetch(tmp_path, redirect(location)).failed.error_class == error_class


def test_a_redirect_without_a_place_is_an_answer(tmp_path):
    failed = fetch(tmp_path, answer(b"", 302)).failed
    assert (failed.error_class, failed.details["http_status"]) == ("http_status", 302)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "db.localhost", "[::1]", "0.0.0.0"),
        *("0x7f000001", "2130706433", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"),
        *(
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "10.1.2.3",
            "192.0.0.192",
            "192.168.0.1",
            "172.16.0.1",
        ),
        *("169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "100.100.100.200", "168.63.129.16"),
        *("224.0.0.1", "[ff02::1]", "255.255.255.255", "①②⑦.⓪.⓪.①"),
    ],
)
def test_lists_of_urls_do_not_reach_into_the_network_they_are_fetched_from(tmp_path, host):
    async def reach():
        async with Server({"/v.mp4": answer()}) as server:
            url = f"http://{host}:{server.port}/v.mp4"
            return await fetch_one(server, tmp_path, url, allow_private_addresses=False)

    trip = go(reach())
    assert trip.failed.error_class == "forbidden_address"
    assert not trip.failed.retryable
    assert not trip.requests
    assert "--allow-private-addresses" in trip.failed.message


class Names:
    """A name server in place of the system's: name -> addresses, one list per question."""

    def __init__(self, monkeypatch, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): turns for name, turns in names.items()}
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, host: str, port: int, **_more: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        turns = self.names[host]
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]


@pytest.mark.parametrize("found", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
def test_a_name_that_leads_to_a_private_address_is_refused(tmp_path, monkeypatch, found):
    Names(monkeypatch, inside_example_com=[found])

    async def reach():
        async with Server({"/v.mp4": answer()}) as server:
            url = f"http://inside.example.com:{server.port}/v.mp4"
            return await fetch_one(server, tmp_path, url, allow_private_addresses=False)

    trip = go(reach())
    assert trip.failed.error_class == "forbidden_address"
    assert found[-1] in trip.failed.message
    assert not trip.requests


@pytest.fixture
def loopback_is_public(monkeypatch):
    """Let this one loopback address pass for a public one, so that a server can be on it."""
    really = addresses.is_public
    home = IPv4Address("127.0.0.1")
    monkeypatch.setattr(addresses, "is_public", lambda a: a == home or really(a))


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest", "http://inside.example.com/"])
@pytest.mark.usefixtures("loopback_is_public")
def test_a_redirect_to_a_private_address_is_refused(tmp_path, monkeypatch, place):
    Names(monkeypatch, inside_example_com=[["127.0.0.2"]], **{"127_0_0_1": [["127.0.0.1"]]})

    trip = fetch(tmp_path, redirect(place), allow_private_addresses=False)

    assert trip.failed.error_class == "forbidden_address"
    assert len(trip.requests) == 1


@pytest.mark.usefixtures("loopback_is_public")
def test_a_name_cannot_change_its_mind_between_check_and_connection(tmp_path, monkeypatch):
    names = Names(monkeypatch, turncoat_example_com=[["127.0.0.1"], ["127.0.0.2"]])

    async def reach():
        async with Server({"/v.mp4": answer()}) as server:
            url = f"http://turncoat.example.com:{server.port}/v.mp4"
            return await fetch_one(server, tmp_path, url, allow_private_addresses=False)

    assert go(reach()).got.size
    assert names.asked == ["turncoat.example.com"]


def test_credentials_in_a_url_are_used_and_never_shown(tmp_path):
    async def reach(status: int):
        async with Server({"/v.mp4": answer(status=status)}) as server:
            url = f"http://me:s%40cret@127.0.0.1:{server.port}/v.mp4?token=t0psecret"
            return await fetch_one(server, tmp_path, url)

    trip = go(reach(200))
    assert trip.requests[0].headers["authorization"] == "Basic bWU6c0BjcmV0"
    refused = go(reach(404)).failed
    for text in (trip.got.final_url, refused.message, str(refused.details)):
        assert "cret" not in text.replace("REDACTED", "")


def test_secrets_stay_with_the_host_they_are_for(tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n"
        "127.0.0.1\tFALSE\t/a\tFALSE\t0\tsession\ts3cret\n"
        "example.com\tFALSE\t/\tFALSE\t0\tother\tc00kie\n"
    )

    async def reach():
        async with Server({"/b": answer()}) as other:
            routes = {"/a": redirect("/a/2"), "/a/2": redirect(other.url("/b"))}
            async with Server(routes) as server:
                url = f"http://me:secret@127.0.0.1:{server.port}/a"
                trip = await fetch_one(
                    server, tmp_path, url, headers={"X-Key": "k"}, cookies_file=str(cookies)
                )
                return trip.got, server.requests, other.requests[0].headers

    _, requests, elsewhere = go(reach())
    for request in requests:
        assert request.headers["x-key"] == "k"
        assert request.headers["cookie"] == "session=s3cret"
        assert "authorization" in request.headers
    assert not {"x-key", "cookie", "authorization"} & set(elsewhere)


def test_a_proxy_is_gone_through_and_may_be_at_a_private_address(tmp_path):
    async def proxied(request: Request, send: Send) -> None:
        assert request.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
        await send(head(length=len(MP4)) + MP4)

    async def reach(url: str):
        async with Server({"http://videos.example.com/v.mp4": proxied}) as server:
            proxy = f"http://me:secret@127.0.0.1:{server.port}"
            return await fetch_one(
                server, tmp_path, url, proxy=proxy, allow_private_addresses=False
            )

    assert go(reach("http://videos.example.com/v.mp4")).got.size
    inside = go(reach("http://10.0.0.1/v.mp4")).failed
    assert inside.error_class == "forbidden_address"


@pytest.fixture
def expired() -> ssl.SSLContext:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1", not_after=past).configure_cert(context)
    return context


def test_a_bad_certificate_is_refused_unless_allowed(tmp_path, expired):
    async def reach(**choices: object):
        async with Server({"/v.mp4": answer()}, tls=expired) as server:
            return await fetch_one(server, tmp_path, server.url(), **choices)

    failed = go(reach()).failed
    assert failed.error_class == "tls"
    assert not failed.retryable
    assert failed.details["attempts"] == 1
    assert "certificate" in failed.message
    assert go(reach(ignore_tls_errors=True)).got.size
