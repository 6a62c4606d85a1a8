"""The live book: true, fresh, and honest when it is neither."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, WebSocketRoute, expect

from api.logins import Login

from .conftest import Desk, LiveServer, watch

BOOK: Final = """{ orderBook(certificateType: CEA, depth: 1000) {
    sequence bestBid bestAsk asks { price quantity } bids { price quantity }
} }"""
START_S_MAX: Final = 60


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


def book_event(message: dict[str, Any]) -> dict[str, Any] | None:
    """Give the event of a book that a message of the server carries, if it does."""
    data = (message.get("payload") or {}).get("data") if message["type"] == "next" else None
    event: dict[str, Any] | None = (data or {}).get("orderBookChanges")
    return event


def is_delta(message: dict[str, Any]) -> bool:
    """Tell whether a message changes a book."""
    return (book_event(message) or {}).get("__typename") == "OrderBookDelta"


def grouped(figure: str) -> str:
    """Write a figure as the dashboard does."""
    return f"{int(figure):,}".replace(",", "\u202f")


def row_of(desk: Desk, side: str, price: str) -> Locator:
    """Find the row of a price in the ladder."""
    return desk.page.get_by_role("button", name=re.compile(rf"^{side} {re.escape(price)},"))


def is_live(desk: Desk, **options: Any) -> None:
    """Wait until the book is live."""
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible(**options)


def shows_the_book(desk: Desk) -> None:
    """Compare the ladder with the server's book, level by level."""
    book = desk.ask(BOOK)["orderBook"]
    for side, levels in (("Ask", book["asks"]), ("Bid", book["bids"])):
        total = 0
        for level in levels[:20]:
            total += int(level["quantity"])
            name = f"{side} {level['price']}, {level['quantity']}, total {total}"
            expect(desk.page.get_by_role("button", name=name, exact=True)).to_be_visible()


def test_the_ladder_shows_the_book_of_the_server(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    shows_the_book(desk)


def test_an_order_of_a_market_maker_appears_without_a_reload_and_is_marked_as_mine(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    before = desk.ask(BOOK)["orderBook"]["asks"][0]
    payload = desk.place_maker_order(before["price"], "7")
    assert payload["errors"] == []
    expect(row_of(desk, "Ask", before["price"])).to_have_attribute(
        "aria-label", re.compile(rf"^Ask {re.escape(before['price'])}, {int(before['quantity']) + 7},")
    )
    row = desk.page.get_by_role("row").filter(has=row_of(desk, "Ask", before["price"]))
    row.get_by_role("button", name=re.compile("^Mine: ")).click()
    expect(desk.page.get_by_role("dialog").get_by_role("link", name=payload["ticketId"])).to_be_visible()


def test_the_address_says_which_book_and_the_switch_changes_it(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=EUA&rows=10")
    expect(desk.page.get_by_role("heading", name="EUA order book")).to_be_visible()
    desk.page.get_by_role("radiogroup", name="Certificate").get_by_text("CEA").click()
    expect(desk.page).to_have_url(desk.server.url + "/market-orders?cert=CEA&rows=10")
    desk.page.go_back()
    expect(desk.page.get_by_role("heading", name="EUA order book")).to_be_visible()


def test_prices_are_grouped_and_the_address_says_so(desk: Desk) -> None:
    desk.enter("ANALYST", "/market-orders?cert=CEA&group=0.10")
    is_live(desk)
    book = desk.ask(BOOK)["orderBook"]
    dime = Decimal("0.10")
    best = (Decimal(book["bestAsk"]) / dime).to_integral_value(ROUND_CEILING) * dime
    quantity = sum(int(level["quantity"]) for level in book["asks"] if Decimal(level["price"]) <= best)
    row = desk.page.get_by_role("row").filter(has=desk.page.get_by_role("rowheader", name=f"{best:.2f}", exact=True))
    expect(row.get_by_role("cell").nth(1)).to_contain_text(grouped(str(quantity)))


def test_what_an_address_asks_in_vain_is_named(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=XYZ")
    expect(desk.page.get_by_text("Ignored in the address: cert=XYZ")).to_be_visible()
    expect(desk.page.get_by_role("heading", name="CEA order book")).to_be_visible()


def test_both_books_can_be_watched_by_a_link(desk: Desk) -> None:
    desk.enter("ANALYST", "/market-orders?view=watch")
    for certificate in ("CEA", "EUA"):
        expect(desk.page.get_by_role("region", name=f"{certificate} order book")).to_be_visible()
        expect(desk.page.get_by_role("region", name=f"Recent trades in {certificate}")).to_be_visible()
    desk.page.keyboard.press("w")
    expect(desk.page.get_by_role("heading", name="CEA order book")).to_be_visible()


def test_silence_is_shown_as_stale_and_ends_with_the_next_event(desk: Desk) -> None:
    silent = False
    hold_the_socket(desk.page, lambda message: None if silent and book_event(message) else message)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    silent = True
    expect(desk.page.get_by_role("status", name="Book: Stale")).to_be_visible()
    expect(desk.page.get_by_role("status", name="Connection: Stale")).to_be_visible()
    silent = False
    is_live(desk, timeout=15_000)


def test_a_lost_change_is_noticed_and_the_whole_book_is_asked_for_again(desk: Desk) -> None:
    lost: list[int] = []

    def lose_one(message: dict[str, Any]) -> dict[str, Any] | None:
        if losing and is_delta(message) and not lost:
            lost.append(1)
            return None
        return message

    losing = False
    hold_the_socket(desk.page, lose_one)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    losing = True
    price = desk.ask(BOOK)["orderBook"]["bestAsk"]
    for _ in range(2):  # the second one shows that the first was lost
        assert desk.place_maker_order(price, "3")["errors"] == []
        time.sleep(0.1)
    desk.page.get_by_role("button", name=re.compile("^CEA order book: ")).click()
    feed = desk.page.get_by_role("dialog", name="Feed")
    expect(feed.get_by_text("Gaps").locator("..")).to_have_text("Gaps1")
    desk.page.keyboard.press("Escape")
    is_live(desk)
    shows_the_book(desk)
    assert lost == [1]


def test_a_book_that_contradicts_its_checksum_is_never_shown(desk: Desk) -> None:
    def falsify(message: dict[str, Any]) -> dict[str, Any]:
        event = book_event(message)
        if false and event and event["__typename"] == "OrderBookDelta":
            event["changes"] = [{"side": "SELL", "price": price, "quantity": "123456789", "orderCount": 1}]
        return message

    false, price = False, "0"
    hold_the_socket(desk.page, falsify)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    false, price = True, desk.ask(BOOK)["orderBook"]["bestAsk"]
    assert desk.place_maker_order(price, "3")["errors"] == []
    desk.page.get_by_role("button", name=re.compile("^CEA order book: ")).click()
    expect(desk.page.get_by_role("dialog", name="Feed").get_by_text("Gaps").locator("..")).to_have_text("Gaps1")
    expect(desk.page.get_by_text("123\u202f456\u202f789")).to_have_count(0)
    false = False
    desk.page.keyboard.press("Escape")
    is_live(desk)
    shows_the_book(desk)


def test_a_lost_connection_is_said_and_comes_back_by_itself(desk: Desk) -> None:
    sockets = hold_the_socket(desk.page, lambda message: message)
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    opened = len(sockets)
    sockets[-1].close(code=1012, reason="the server restarts")
    expect(desk.page.get_by_role("status", name="Connection: Live")).to_be_visible()
    is_live(desk)
    assert len(sockets) == opened + 1


@dataclass
class SecondServer:
    """The same market behind another door."""

    url: str
    logins: list[Login]
    home: Path


class Door:
    """An API process of its own on the market's servers, which a test may kill."""

    def __init__(self, server: LiveServer, port: int) -> None:
        """Name the market and the port."""
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, "CARBONDESK_HOME": str(server.home), "PORT": str(port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, and wait until it answers."""
        self._process = subprocess.Popen([sys.executable, "-m", "api", "serve"], env=self._environment)
        ends_at = time.monotonic() + START_S_MAX
        while time.monotonic() < ends_at:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310 - our own
                return
            time.sleep(0.2)
        raise AssertionError("not ready")

    def kill(self) -> None:
        """End it as a machine that loses power does."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def door(live_server: LiveServer, port: int) -> Iterator[Door]:
    """Serve the market by a second process."""
    served = Door(live_server, port)
    served.start()
    yield served
    served.kill()


def test_a_server_that_is_killed_leaves_the_book_marked_and_nothing_is_sent_until_it_is_back(
    context: BrowserContext, live_server: LiveServer, door: Door
) -> None:
    server = SecondServer(door.url, live_server.logins, live_server.home)
    page = context.new_page()
    desk = Desk(page, server, watch(page, server))
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    is_live(desk)
    best = desk.ask(BOOK)["orderBook"]["bestAsk"]
    page.get_by_role("combobox", name="Market maker", exact=True).click()
    page.get_by_role("option", name=re.compile(f"^{desk.seller()['name']}")).click()
    page.get_by_role("textbox", name="Price").fill(best)
    page.get_by_role("textbox", name="Quantity").fill("3")

    door.kill()
    expect(page.get_by_role("status", name="Book: Reconnecting")).to_be_visible()
    expect(page.get_by_role("status", name="Connection lost")).to_be_visible()
    expect(row_of(desk, "Ask", best)).to_be_visible()
    page.get_by_role("checkbox", name="Place anyway").check()
    page.get_by_role("button", name="Place sell order").click()
    expect(page.get_by_role("form", name="Sell order").get_by_text("Offline, not sent")).to_be_visible()

    door.start()
    is_live(desk, timeout=30_000)
    shows_the_book(desk)
    assert page.get_by_role("textbox", name="Quantity").input_value() == "3"
    assert desk.faults == []
