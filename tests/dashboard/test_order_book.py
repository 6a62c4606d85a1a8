"""The live book: true, fresh, and honest when it is neither."""

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, WebSocketRoute, expect

from .conftest import Desk

BOOK = """{ orderBook(certificateType: CEA) {
    sequence bestAsk asks { price quantity } bids { price quantity }
} }"""


def hold_the_socket(page: Page, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> list[WebSocketRoute]:
    """Stand between page and server: `change` sees each message of the server, None loses it. Returns the sockets."""
    sockets: list[WebSocketRoute] = []

    def take(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)

        def pass_on(message: str | bytes) -> None:
            changed = change(json.loads(message))
            if changed is not None:
                socket.send(json.dumps(changed))

        server.on_message(pass_on)

    page.route_web_socket(re.compile(r"/graphql$"), take)
    return sockets


def is_book(message: dict[str, Any]) -> bool:
    """Tell whether a message of the server carries a book."""
    return message["type"] == "next" and "orderBook" in (message["payload"].get("data") or {})


def test_the_ladder_shows_the_book_of_the_server(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    book = desk.ask(BOOK)["orderBook"]
    ladder = desk.page.get_by_role("region", name="CEA order book")
    for side, levels in (("Ask", book["asks"]), ("Bid", book["bids"])):
        for level in levels[:20]:
            price = re.compile(f"^{re.escape(level['price'])}$")
            row = ladder.get_by_role("row").filter(has=desk.page.get_by_role("rowheader", name=price))
            quantity = f"{int(level['quantity']):,}".replace(",", "\u202f")
            expect(row.get_by_role("cell").nth(0)).to_have_text(side)
            expect(row.get_by_role("cell").nth(1)).to_have_text(quantity)


def test_an_order_of_a_market_maker_appears_without_a_reload(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    before = desk.ask(BOOK)["orderBook"]["asks"][0]
    payload = desk.place_maker_order(before["price"], "7")
    assert payload["errors"] == []
    row = desk.page.get_by_role("row").filter(has=desk.page.get_by_role("rowheader", name=before["price"], exact=True))
    after = f"{int(before['quantity']) + 7:,}".replace(",", "\u202f")
    expect(row.get_by_role("cell").nth(1)).to_contain_text(after)


def test_the_address_says_which_book_and_the_switch_changes_it(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=EUA&rows=10")
    expect(desk.page.get_by_role("heading", name="EUA order book")).to_be_visible()
    desk.page.get_by_role("radiogroup", name="Certificate").get_by_text("CEA").click()
    expect(desk.page).to_have_url(desk.server.url + "/market-orders?cert=CEA&rows=10")
    desk.page.go_back()
    expect(desk.page.get_by_role("heading", name="EUA order book")).to_be_visible()


def test_what_an_address_asks_in_vain_is_named(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=XYZ")
    expect(desk.page.get_by_text("Ignored in the address: cert=XYZ")).to_be_visible()
    expect(desk.page.get_by_role("heading", name="CEA order book")).to_be_visible()


def test_silence_is_shown_as_stale_and_ends_with_the_next_book(desk: Desk) -> None:
    silent = False
    hold_the_socket(desk.page, lambda message: None if silent and is_book(message) else message)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    silent = True
    expect(desk.page.get_by_role("status", name="Book: Stale")).to_be_visible(timeout=15_000)
    expect(desk.page.get_by_role("status", name="Connection: Stale")).to_be_visible()
    silent = False
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible(timeout=15_000)


def test_a_book_that_contradicts_its_checksum_is_never_shown(desk: Desk) -> None:
    false = False

    def falsify(message: dict[str, Any]) -> dict[str, Any]:
        if false and is_book(message):
            message["payload"]["data"]["orderBook"]["asks"][0]["quantity"] = "123456789"
        return message

    hold_the_socket(desk.page, falsify)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    false = True
    expect(desk.page.get_by_role("status", name="Book: Stale")).to_be_visible()
    expect(desk.page.get_by_text("contradicted, asking again")).to_be_visible()
    expect(desk.page.get_by_text("123\u202f456\u202f789")).to_have_count(0)
    false = False
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()


def test_a_lost_connection_is_said_and_comes_back_by_itself(desk: Desk) -> None:
    sockets = hold_the_socket(desk.page, lambda message: message)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    opened = len(sockets)
    sockets[-1].close(code=1012, reason="the server restarts")
    expect(desk.page.get_by_role("status", name="Connection: Live")).to_be_visible()
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    assert len(sockets) == opened + 1
