"""What the desk says while and after something is done: an order on its way, what one ticket wrote, how often it worked."""

import re
import secrets
from typing import Any, Final

from playwright.sync_api import Route, expect

from .conftest import Desk
from .test_accessible import violations

MADE: Final = "mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) { marketMaker { id } } }"
PLACE: Final = """mutation($input: PlaceMarketOrderInput!) {
    placeMarketOrder(input: $input) { ticketId errors { code } order { id } }
}"""


def maker(desk: Desk, cea: str) -> tuple[str, str]:
    """Make a market maker of one's own that has some CEA; return its id and name."""
    name = f"MM-{secrets.token_hex(3)}"
    made = desk.ask(
        MADE,
        input={
            "name": name,
            "email": f"{name.lower()}@internal.example",
            "initialBalances": [{"asset": "CEA", "amount": cea}],
        },
    )
    return made["createMarketMaker"]["marketMaker"]["id"], name


def sell(desk: Desk, maker_id: str, price: str, quantity: str) -> dict[str, Any]:
    """Sell CEA for it and return the payload."""
    asked = {"marketMakerId": maker_id, "certificateType": "CEA", "price": price, "quantity": quantity}
    payload: dict[str, Any] = desk.ask(PLACE, input=asked)["placeMarketOrder"]
    return payload


def best(desk: Desk, side: str) -> str:
    """Ask for the best bid or ask of CEA."""
    price: str = desk.ask("{ orderBook(certificateType: CEA) { bestBid bestAsk } }")["orderBook"][side]
    return price


def test_an_order_is_pending_at_once_then_what_the_server_says_and_its_row_flashes(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-orders")
    made, name = maker(desk, "100")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "PlaceMarketOrder" in (route.request.post_data or "") and len(held) == 0:
            held.append(route)
        else:
            route.fallback()

    page.route("**/graphql", hold)
    desk.open(f"/market-orders?cert=CEA&mm={made}")
    expect(page.get_by_text("Available 100 CEA")).to_be_visible()
    expect(page.get_by_role("status", name="Book: Live")).to_be_visible()
    page.evaluate("""() => {
        new MutationObserver((changes) => {
            for (const { target } of changes)
                if (target.dataset.placed) document.body.dataset.flashed = target.querySelector('button')?.getAttribute('aria-label')
        }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-placed'] })
    }""")
    price = best(desk, "bestAsk")
    page.get_by_role("textbox", name="Price").fill(price)
    page.get_by_role("textbox", name="Quantity").fill("7")
    page.get_by_role("button", name="Place sell order").click()
    rows = page.get_by_role("table", name="Market maker orders").get_by_role("row").filter(has_text=name)
    expect(rows).to_contain_text("Pending")
    expect(rows.get_by_role("button")).to_have_count(0)  # there is nothing to cancel yet
    held[0].continue_()
    expect(rows).to_contain_text("Open")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("link", name=re.compile("^TKT-"))).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-flashed", re.compile(rf"^Ask {re.escape(price)}, "))
    expect(page.locator("[data-placed]")).to_have_count(0)

    # A refused one leaves nothing behind: somebody else has withdrawn what was shown as available.
    page.get_by_role("textbox", name="Quantity").fill("93")
    page.get_by_role("checkbox", name="I have seen this").check()
    page.route("**/graphql", lambda route: withdraw_first(desk, made, route))
    page.get_by_role("button", name="Place sell order").click()
    alert = page.get_by_role("form", name="Sell order").get_by_role("alert")
    expect(alert).to_contain_text("Balance changed while you typed: now 90 CEA. Nothing was placed.")
    expect(alert.get_by_role("link", name=re.compile("^TKT-"))).to_be_visible()
    expect(rows).to_have_count(1)


def withdraw_first(desk: Desk, maker_id: str, route: Route) -> None:
    """Withdraw 3 CEA before the order reaches the server."""
    if "PlaceMarketOrder" in (route.request.post_data or ""):
        withdrawn = desk.ask(
            "mutation($input: CreateTransactionInput!) { createTransaction(input: $input) { errors { message } } }",
            input={
                "marketMakerId": maker_id,
                "asset": "CEA",
                "transactionType": "WITHDRAWAL",
                "amount": "3",
                "notes": "Back to the registry",
            },
        )
        assert withdrawn["createTransaction"]["errors"] == []
    route.fallback()


def test_what_one_ticket_wrote_is_one_line_that_opens(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-makers")
    made, _ = maker(desk, "100")
    price = best(desk, "bestBid")
    assert sell(desk, made, price, "1")["errors"] == []
    desk.open(f"/market-makers/{made}?tab=transactions")
    ledger = page.get_by_role("table", name="Transactions")
    expect(ledger.get_by_role("row")).to_have_count(4)  # heading, trade, lock, first deposit
    line = ledger.get_by_role("row").filter(has_text="2 rows")
    expect(line).to_contain_text("Settle out → Settle in")
    expect(line).to_contain_text(f"Settle out +1 CEA → Settle in +{price} EUR")
    fold = line.get_by_role("button", name=re.compile(r"^2 rows of TKT-"))
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.press("Enter")
    expect(ledger.get_by_role("row")).to_have_count(6)
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(fold).to_be_focused()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert len(download.value.path().read_text(encoding="utf-8").splitlines()) == 1 + 4  # files have every row
    fold.press("Enter")
    expect(ledger.get_by_role("row")).to_have_count(4)


def test_how_much_succeeded_for_a_market_maker_is_in_the_list(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-makers")
    made, name = maker(desk, "100")
    assert sell(desk, made, "9999999", "1")["errors"] != []
    page.reload()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
    share = row.get_by_title("1 of 2 actions in the last 24 hours were done")
    expect(share).to_have_text("50.0")


def test_the_json_of_a_ticket_is_searched_and_a_path_copied(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-makers")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    made, name = maker(desk, "41")
    ticket = sell(desk, made, best(desk, "bestAsk"), "40")["ticketId"]
    desk.open(f"/t/{ticket}")
    page.get_by_text("Raw JSON", exact=True).click()
    page.get_by_role("searchbox", name="Search in Raw JSON").fill(name.lower())
    found = page.get_by_role("list", name="Found in Raw JSON").get_by_role("listitem")
    expect(found.filter(has_text=f".marketMaker.name {name}")).to_be_visible()
    page.get_by_role("button", name="Copy the path .marketMaker.name", exact=True).click()
    expect(page.get_by_role("region", name="Notifications")).to_contain_text("Copied the path")
    assert page.evaluate("navigator.clipboard.readText()") == ".marketMaker.name"
    page.get_by_role("searchbox", name="Search in Raw JSON").fill("nowhere to be found")
    expect(page.get_by_text("0 found")).to_be_visible()


def test_a_key_is_changed_kept_and_given_back(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-makers")
    expect(page.get_by_role("table", name="Market makers")).to_be_visible()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    change = keys.get_by_role("button", name=re.compile("change the key for: New market maker$"))
    change.click()
    page.keyboard.press("j")
    expect(keys.get_by_text("j is taken: Next row.")).to_be_visible()
    change.click()
    page.keyboard.press("m")
    expect(keys.get_by_text("New market maker: m from now on.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("table", name="Market makers")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.press("m")
    expect(page.get_by_role("dialog", name="New market maker")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="New market maker")).to_have_count(0)
    page.keyboard.press("?")
    change.click()
    page.keyboard.press("Backspace")
    expect(keys.get_by_role("button", name="n, change the key for: New market maker")).to_be_visible()
    assert violations(desk) == []
