"""The seed's examples at the desk: a market maker is made, sells, and trades; each action ends with its ticket."""

import re
import secrets
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Locator, Route, expect

from .conftest import Desk

TICKET: Final = re.compile(r"^TKT-\d{4}-\d{6,}$")


def toast(desk: Desk, title: str) -> Locator:
    """Find what was told in the corner."""
    return desk.page.get_by_role("region", name="Notifications").get_by_label(title, exact=True).first


def ticket_of(desk: Desk, title: str) -> str:
    """Follow the link of a toast to its ticket, and say which it is."""
    link = toast(desk, title).get_by_role("link", name=TICKET)
    ticket_id = link.inner_text()
    link.click()
    expect(desk.page.get_by_text(ticket_id).first).to_be_visible()
    expect(desk.page).to_have_url(re.compile(ticket_id))
    return ticket_id


def action_of(desk: Desk, ticket_id: str) -> dict[str, str]:
    """Ask what a ticket says."""
    ticket: dict[str, str] = desk.ask(
        "query($id: ID!) { ticket(ticketId: $id) { actionType status summary } }", id=ticket_id
    )["ticket"]
    return ticket


def balance(desk: Desk, name: str) -> dict[str, str]:
    """Ask what a market maker has of CEA."""
    nodes = desk.ask(
        "query($s: String!) { marketMakers(filter: { search: $s }, first: 1) { nodes {"
        " balance(asset: CEA) { available locked } } } }",
        s=name,
    )["marketMakers"]["nodes"]
    found: dict[str, str] = nodes[0]["balance"]
    return found


def best_price(desk: Desk) -> str:
    """Give a price that rests before every other: a tick above the best bid."""
    book = desk.ask("{ orderBook(certificateType: CEA) { bestBid bestAsk } }")["orderBook"]
    price = Decimal(book["bestBid"]) + Decimal("0.01")
    assert price < Decimal(book["bestAsk"])
    return str(price)


def test_the_examples_of_the_seed_by_mouse(desk: Desk) -> None:
    page, name = desk.page, f"MM-{secrets.token_hex(3)}"
    desk.enter("ADMIN", "/market-makers")
    page.get_by_role("button", name="New market maker").first.click()
    dialog = page.get_by_role("dialog", name="New market maker")
    dialog.get_by_role("textbox", name="Name").fill(name)
    dialog.get_by_role("textbox", name="Email").fill(f"{name.lower()}@internal.example")
    dialog.get_by_role("textbox", name="Initial CEA").fill("10 000")
    dialog.get_by_role("button", name="Create market maker").click()
    created = page.get_by_role("dialog", name="Market maker created")
    expect(created.get_by_role("link", name=TICKET)).to_be_visible()
    expect(toast(desk, "Market maker created")).to_contain_text("10\u202f000 CEA")
    created.get_by_role("link", name="Place an order").click()

    price = best_price(desk)
    expect(page.get_by_role("combobox", name="Market maker", exact=True)).to_have_value(name)
    expect(page.get_by_text("Available 10\u202f000 CEA")).to_be_visible()
    page.get_by_role("textbox", name="Price").fill(price)
    page.get_by_role("textbox", name="Quantity").fill("100")
    page.get_by_role("button", name="Place sell order").click()
    expect(toast(desk, "Order placed")).to_contain_text(f"SELL 100 CEA @ {price}")
    orders = page.get_by_role("table", name="Market maker orders")
    row = orders.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("0/100")
    expect(page.get_by_text("Available 9\u202f900 CEA · locked 100")).to_be_visible()
    assert balance(desk, name) == {"available": "9900", "locked": "100"}
    placed = ticket_of(desk, "Order placed")
    assert action_of(desk, placed)["actionType"] == "MM_ORDER_PLACED"

    page.go_back()
    assert desk.buy(price, "40") == {"errors": [], "order": {"status": "FILLED"}}
    expect(row).to_contain_text("40/100")
    expect(row).to_contain_text("Partially filled")
    page.get_by_role("link", name="Market makers").click()
    page.get_by_role("link", name=name).click()
    page.get_by_role("tab", name="Transactions").click()
    ledger = page.get_by_role("table", name="Transactions")
    ledger.get_by_role("button", name=re.compile("^2 rows of TKT-")).click()
    for why, amount in (("Settle out", "+40"), ("Lock", "\u2212100")):
        cell = page.get_by_role("cell", name=why, exact=True)
        expect(ledger.get_by_role("row").filter(has=cell)).to_contain_text(amount)
    page.get_by_role("tab", name="Tickets").click()
    expect(
        page.get_by_role("table", name="Tickets").get_by_role("row").filter(has_text="MM trade executed")
    ).to_be_visible()

    page.get_by_role("tab", name="Orders").click()
    page.get_by_role("button", name=re.compile("^Cancel SELL 60")).click()
    expect(page.get_by_role("dialog", name="Confirm").get_by_role("button", name="Keep")).to_be_focused()
    expect(page.get_by_role("dialog", name="Confirm")).to_contain_text("Releases 60 CEA.")
    page.get_by_role("button", name="Cancel the order").click()
    assert action_of(desk, ticket_of(desk, "Order cancelled"))["actionType"] == "MM_ORDER_CANCELLED"
    assert balance(desk, name) == {"available": "9960", "locked": "0"}


def test_the_examples_of_the_seed_by_keyboard_only(desk: Desk) -> None:
    page, name = desk.page, f"MM-{secrets.token_hex(3)}"
    desk.enter("ADMIN", "/market-makers")
    press, write = page.keyboard.press, page.keyboard.type
    expect(page.get_by_role("table", name="Market makers")).to_be_visible()
    press("n")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    write(name)
    press("Tab")
    write(f"{name.lower()}@internal.example")
    for _ in range(2):
        press("Tab")
    expect(page.get_by_role("textbox", name="Initial CEA")).to_be_focused()
    write("10.000,00")
    press("Enter")
    expect(page.get_by_role("link", name="Place an order")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("combobox", name="Market maker", exact=True)).to_have_value(name)

    price = best_price(desk)
    expect(page.get_by_role("status", name="Book: Live")).to_be_visible()
    press("s")
    expect(page.get_by_role("textbox", name="Price")).to_be_focused()
    write(price.replace(".", ","))
    for _ in range(4):  # past the ticks and the best ask
        press("Tab")
    expect(page.get_by_role("textbox", name="Quantity")).to_be_focused()
    write("100")
    press("Control+Enter")
    told = toast(desk, "Order placed")
    expect(told).to_contain_text(f"SELL 100 CEA @ {price}")
    told.get_by_role("link", name=TICKET).focus()
    press("Enter")
    expect(page).to_have_url(re.compile("TKT-"))
    assert desk.buy(price, "100") == {"errors": [], "order": {"status": "FILLED"}}
    press("g")
    press("m")
    expect(page.get_by_role("heading", name="Market makers", exact=True)).to_be_visible()
    press("/")
    write(name)
    expect(page).to_have_url(re.compile(f"q={name}"))
    page.get_by_role("link", name=name).focus()
    press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.get_by_text("Sold100")).to_be_visible()
    assert balance(desk, name) == {"available": "9900", "locked": "0"}


def test_a_refusal_is_said_at_the_field_and_its_ticket_stays_until_it_is_sent_away(desk: Desk) -> None:
    page, name = desk.page, f"MM-{secrets.token_hex(3)}"
    desk.enter("ADMIN", "/market-makers")
    for attempt in range(2):
        page.get_by_role("button", name="New market maker").first.click()
        dialog = page.get_by_role("dialog", name="New market maker")
        dialog.get_by_role("textbox", name="Name").fill(name)
        dialog.get_by_role("textbox", name="Email").fill(f"{name.lower()}-{attempt}@internal.example")
        dialog.get_by_role("button", name="Create market maker").click()
        if attempt == 0:
            page.get_by_role("dialog", name="Market maker created").get_by_role("button", name="Close").click()
    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("NAME_TAKEN")
    failed = toast(desk, "Market maker not created")
    expect(failed.get_by_role("link", name=TICKET)).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    failed.get_by_role("button", name=re.compile("^Dismiss")).click()
    expect(failed).to_be_hidden()
    page.get_by_role("button", name=re.compile("^Notifications")).click()
    kept = page.get_by_role("dialog", name="Notifications").get_by_role("listitem")
    expect(kept.first).to_contain_text("Market maker not created")
    expect(kept.nth(1)).to_contain_text("Market maker created")


def test_a_withdrawal_is_looked_at_once_more_and_a_deposit_is_seen_in_the_balance(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-makers")
    found = desk.ask('{ marketMakers(filter: { search: "MM-Alpha" }, first: 1) { nodes { id name } } }')
    maker = found["marketMakers"]["nodes"][0]
    desk.open(f"/market-makers/{maker['id']}?tab=transactions&asset=EUA")
    page.get_by_role("button", name="Add transaction").click()
    drawer = page.get_by_role("dialog", name=f"Add a transaction for {maker['name']}")
    drawer.get_by_role("radiogroup", name="Kind").get_by_text("Withdrawal").click()
    drawer.get_by_role("textbox", name="Amount").fill("99999999")
    drawer.get_by_role("button", name="Review the withdrawal").click()
    expect(drawer.get_by_text("Withdrawal exceeds available")).to_be_visible()
    expect(drawer.get_by_text("A note is required for withdrawals.")).to_be_visible()
    drawer.get_by_role("textbox", name="Amount").fill("5")
    drawer.get_by_role("textbox", name="Note").fill("Back to the registry")
    expect(drawer.get_by_text("(\u22125)")).to_be_visible()
    drawer.get_by_role("button", name="Review the withdrawal").click()
    drawer.get_by_role("button", name="Withdraw now").click()
    expect(toast(desk, "Withdrawn").get_by_role("link", name=TICKET)).to_be_visible()
    row = page.get_by_role("table", name="Transactions").get_by_role("row").filter(has_text="Back to the registry")
    expect(row).to_contain_text("\u22125")

    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    file = tmp_path / "ledger.csv"
    download.value.save_as(file)
    lines = file.read_text(encoding="utf-8").splitlines()
    count = desk.ask(
        "query($id: ID!) { marketMaker(id: $id) { transactions(filter: { asset: EUA }, first: 1) { totalCount } } }",
        id=maker["id"],
    )["marketMaker"]["transactions"]["totalCount"]
    assert len(lines) == count + 1
    assert "Back to the registry" in lines[1]


def test_a_market_maker_is_deactivated_by_its_name_and_activated_again(desk: Desk) -> None:
    page, name = desk.page, f"MM-{secrets.token_hex(3)}"
    desk.enter("ADMIN", "/market-makers")
    made = desk.ask(
        """mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) { marketMaker { id } } }""",
        input={
            "name": name,
            "email": f"{name.lower()}@internal.example",
            "initialBalances": [{"asset": "EUA", "amount": "50"}],
        },
    )["createMarketMaker"]["marketMaker"]["id"]
    for price in ("98", "99"):
        desk.ask(
            "mutation($input: PlaceMarketOrderInput!) { placeMarketOrder(input: $input) { ticketId } }",
            input={"marketMakerId": made, "certificateType": "EUA", "price": price, "quantity": "20"},
        )
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name="Deactivate…").click()
    dialog = page.get_by_role("dialog", name=f"Deactivate {name}")
    expect(dialog).to_contain_text("2 open orders are cancelled, which releases 40 EUA.")
    expect(dialog.get_by_role("button", name="Deactivate")).to_be_disabled()
    dialog.get_by_role("textbox", name=f"Type {name} to confirm").fill(name)
    dialog.get_by_role("button", name="Deactivate").click()
    expect(toast(desk, "Market maker deactivated")).to_contain_text("2 orders cancelled")
    expect(row).to_contain_text("Inactive")
    row.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name="Activate").click()
    expect(toast(desk, "Market maker activated").get_by_role("link", name=TICKET)).to_be_visible()
    expect(row.get_by_text("Active", exact=True)).to_be_visible()


def test_all_orders_of_a_market_maker_are_cancelled_and_each_has_its_ticket(desk: Desk) -> None:
    page, name = desk.page, f"MM-{secrets.token_hex(3)}"
    desk.enter("ADMIN", "/market-makers")
    made = desk.ask(
        "mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) { marketMaker { id } } }",
        input={
            "name": name,
            "email": f"{name.lower()}@internal.example",
            "initialBalances": [{"asset": "EUA", "amount": "50"}],
        },
    )["createMarketMaker"]["marketMaker"]["id"]
    for price in ("97", "98", "99"):
        desk.ask(
            "mutation($input: PlaceMarketOrderInput!) { placeMarketOrder(input: $input) { ticketId } }",
            input={"marketMakerId": made, "certificateType": "EUA", "price": price, "quantity": "10"},
        )
    desk.open(f"/market-orders?cert=EUA&mm={made}")
    page.get_by_role("checkbox", name="Choose SELL 10 EUA").first.check()
    page.get_by_role("button", name="Cancel selected (1)").click()
    dialog = page.get_by_role("dialog", name="Cancel 1 selected orders")
    expect(dialog).to_contain_text("Releases 10 EUA.")
    dialog.get_by_role("button", name="Cancel 1 order").click()
    expect(dialog).to_contain_text("✓ Cancelled")
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_role("button", name=f"Cancel all of {name}").click()
    dialog = page.get_by_role("dialog", name=f"Cancel all orders of {name}")
    expect(dialog).to_contain_text("Releases 20 EUA.")
    dialog.get_by_role("button", name="Cancel 2 orders").click()
    expect(dialog.get_by_text("✓ Cancelled")).to_have_count(2)
    tickets = dialog.get_by_role("link", name=TICKET).all_inner_texts()
    assert len(set(tickets)) == 2
    assert {action_of(desk, ticket)["actionType"] for ticket in tickets} == {"MM_ORDER_CANCELLED"}


def test_an_answer_that_never_comes_is_looked_up_and_nothing_is_done_twice(desk: Desk) -> None:
    page = desk.page
    desk.enter("ADMIN", "/market-orders")
    found = desk.ask('{ marketMakers(filter: { search: "MM-Alpha" }, first: 1) { nodes { id name } } }')
    maker = found["marketMakers"]["nodes"][0]
    desk.open(f"/market-orders?cert=EUA&mm={maker['id']}")
    lost: list[str] = []

    def lose(route: Route) -> None:
        sent = route.request.post_data or ""
        if "PlaceMarketOrder" in sent and not lost:
            route.fetch()
            lost.append(sent)
            route.abort()
        else:
            route.fallback()

    page.route("**/graphql", lose)
    expect(page.get_by_role("combobox", name="Market maker", exact=True)).to_have_value(maker["name"])
    page.get_by_role("textbox", name="Price").fill("95")
    page.get_by_role("textbox", name="Quantity").fill("1")
    page.get_by_role("button", name="Place sell order").click()
    page.get_by_role("checkbox", name="I have seen this").check()
    page.get_by_role("button", name="Place sell order").click()
    told = toast(desk, "Order placed")
    ticket_id = told.get_by_role("link", name=TICKET).inner_text()
    assert len(lost) == 1
    orders = desk.ask(
        "query($f: OrderFilter) { orders(filter: $f, first: 5) { nodes { price quantity ticketId } } }",
        f={"marketMakerId": maker["id"], "certificateType": "EUA"},
    )["orders"]["nodes"]
    assert [order["ticketId"] for order in orders if order["price"] == "95.00"] == [ticket_id]
    told.get_by_role("button", name="Cancel order").click()
    expect(toast(desk, "Order cancelled")).to_be_visible()


@pytest.mark.parametrize("path", ["/market-makers", "/market-orders"])
def test_an_analyst_reads_and_is_offered_nothing_to_change(desk: Desk, path: str) -> None:
    desk.enter("ANALYST", path)
    expect(desk.page.get_by_role("table").first).to_be_visible()
    expect(desk.page.locator("[aria-busy=true]")).to_have_count(0)
    for name in ("New market maker", "Place sell order", "Cancel", "Edit"):
        expect(desk.page.get_by_role("button", name=name, exact=True)).to_have_count(0)
