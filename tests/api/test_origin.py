"""Where a request came from: the peer, and beyond it only what trusted proxies say."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from api.origin import client_address
from api.settings import Settings, SettingsError, load
from tests.world import Api, serving

NONE, ONE, TWO = "", "127.0.0.1", "127.0.0.1, 10.0.0.0/8, fd00::/8"


def connection(peer: str | None, *headers: str) -> HTTPConnection:
    return HTTPConnection({
        "type": "http", "client": None if peer is None else (peer, 1),
        "headers": [(b"x-forwarded-for", header.encode("latin-1")) for header in headers],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("proxies", "peer", "headers", "expected"),
    [
        # nobody is trusted: whatever is claimed, the peer it is
        (NONE, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        (NONE, "127.0.0.1", ["198.51.100.1"], "127.0.0.1"),
        (NONE, "2001:db8::9", [], "2001:db8::9"),
        (NONE, "::ffff:203.0.113.9", [], "203.0.113.9"),
        (NONE, None, ["198.51.100.1"], None),
        # one proxy
        (ONE, "127.0.0.1", [], "127.0.0.1"),
        (ONE, "127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (ONE, "::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (ONE, "127.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the client wrote 1.1.1.1 himself
        (ONE, "127.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),  # in a header of his own
        (ONE, "127.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        (ONE, "127.0.0.1", ["198.51.100.1, 127.0.0.1"], "198.51.100.1"),
        (ONE, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # who is no proxy cannot say it
        (ONE, "127.0.0.1", ["2001:DB8::0:1"], "2001:db8::1"),
        (ONE, "127.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        (ONE, "127.0.0.1", ['"[2001:db8::1]"'], "2001:db8::1"),
        (ONE, "127.0.0.1", ["198.51.100.1:54321"], "198.51.100.1"),
        (ONE, "127.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        (ONE, "127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        # two proxies
        (TWO, "10.0.0.2", ["198.51.100.1, 10.0.0.1"], "198.51.100.1"),
        (TWO, "127.0.0.1", ["6.6.6.6, 198.51.100.1, fd00::7"], "198.51.100.1"),
        (TWO, "fd00::1", ["198.51.100.1", "10.9.9.9"], "198.51.100.1"),
        (TWO, "10.0.0.2", ["10.0.0.3, 10.0.0.1"], "10.0.0.3"),  # all are ours: the furthest
        # garbage ends the reading at the last hop that was one
        (ONE, "127.0.0.1", [""], "127.0.0.1"),
        (ONE, "127.0.0.1", ["unknown"], "127.0.0.1"),
        (ONE, "127.0.0.1", ["_hidden, 198.51.100.1"], "198.51.100.1"),
        (ONE, "127.0.0.1", ["198.51.100.1, nonsense"], "127.0.0.1"),
        (TWO, "10.0.0.2", ["198.51.100.1, x, 10.0.0.1"], "10.0.0.1"),
        (ONE, "127.0.0.1", ["999.1.1.1"], "127.0.0.1"),
        (ONE, "127.0.0.1", ["1.2.3"], "127.0.0.1"),
        (ONE, "127.0.0.1", ["198.51.100.1\x00"], "127.0.0.1"),
        (ONE, "127.0.0.1", ["<script>"], "127.0.0.1"),
        (ONE, "127.0.0.1", ["'; DROP TABLE"], "127.0.0.1"),
        (TWO, "10.0.0.2", [", ".join(["1.1.1.1"] + ["10.0.0.1"] * 100)], "10.0.0.1"),
        (ONE, "not an address", ["198.51.100.1"], "not an address"),
    ],
)  # fmt: skip
def test_the_right_most_hop_that_is_not_ours_is_the_client(
    proxies: str, peer: str | None, headers: list[str], expected: str | None
) -> None:
    trusted = Settings(trusted_proxies=proxies).trusted_proxies
    assert client_address(connection(peer, *headers), trusted) == expected


def test_a_network_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, everybody")
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load()
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,::1")
    assert [str(network) for network in load().trusted_proxies] == ["10.0.0.0/8", "::1/128"]


REQUEST = 'mutation { cancelMarketOrder(id: "x") { ticketId } }'


async def test_a_ticket_has_the_peer_unless_a_proxy_is_trusted(api: Api, settings: Settings) -> None:
    count = await api.ticket_count()
    await api.post(REQUEST, None, None, **{"X-Forwarded-For": "198.51.100.1"})
    (row,) = await api.tickets_since(count)
    assert row["ip_address"] == "127.0.0.1"
    behind = settings.model_copy(update={"trusted_proxies": Settings(trusted_proxies=ONE).trusted_proxies})
    async with serving(behind) as proxied:
        await proxied.post(REQUEST, None, api.admin_token, **{"X-Forwarded-For": "6.6.6.6, 198.51.100.1"})
    (_, row) = await api.tickets_since(count)
    assert row["ip_address"] == "198.51.100.1"
    found = "query($f: TicketFilter) { tickets(filter: $f) { nodes { ipAddress } } }"
    assert (await api.ask(found, f={"ipAddress": "198.51.100.1"}))["tickets"]["nodes"] == [
        {"ipAddress": "198.51.100.1"}
    ]
