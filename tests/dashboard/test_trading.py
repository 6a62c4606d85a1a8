"""A trader at the desk: buys and sells on the live book, and looks after the account."""

import re
import secrets
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from .conftest import Desk
from .test_accessible import violations
from .test_market_makers import TICKET, toast

PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture
def trader(desk: Desk) -> Desk:
    """Sign the last trader of the demo in, whom no other test needs."""
    login = [login for login in desk.server.logins if login.role == "TRADER"][-1]
    desk.open("/trading")
    desk.fill_sign_in(login.email, login.password)
    expect(desk.page.get_by_role("navigation", name="Main")).to_be_visible()
    return desk


def test_a_trader_places_an_order_from_the_ladder_and_cancels_it(trader: Desk) -> None:
    page = trader.page
    expect(page.get_by_role("status", name="Book: Live")).to_be_visible()
    bids = trader.ask("{ orderBook(certificateType: CEA) { bids { price } } }")["orderBook"]["bids"]
    price = bids[5]["price"]
    page.get_by_role("radiogroup", name="Side").get_by_text("Buy").click()
    page.get_by_role("button", name=re.compile(rf"^Bid {re.escape(price)},")).click()
    expect(page.get_by_role("textbox", name="Price")).to_have_value(price)
    expect(page.get_by_role("textbox", name="Quantity")).to_have_value("")
    page.get_by_role("textbox", name="Quantity").fill("10")
    page.get_by_role("button", name="Place buy order").click()
    told = toast(trader, "Order placed")
    expect(told).to_contain_text(f"BUY 10 CEA @ {price}")
    expect(told.get_by_text(TICKET)).to_be_visible()
    row = (
        page.get_by_role("table", name="My orders")
        .get_by_role("row")
        .filter(has_text=re.compile(rf"BUY.*{price}.*0/10"))
    )
    expect(row).to_be_visible()
    told.get_by_role("button", name="Cancel order").click()
    expect(toast(trader, "Order cancelled")).to_be_visible()
    expect(row).to_have_count(0)


def test_an_order_that_would_trade_at_once_has_to_be_agreed_to(trader: Desk) -> None:
    page = trader.page
    book = trader.ask("{ orderBook(certificateType: EUA) { asks { price quantity } } }")["orderBook"]
    ask = book["asks"][0]
    trader.open("/trading?cert=EUA")
    page.get_by_role("radiogroup", name="Side").get_by_text("Buy").click()
    page.get_by_role("textbox", name="Price").fill(ask["price"])
    page.get_by_role("textbox", name="Quantity").fill("1")
    expect(page.get_by_role("status", name="Check before placing")).to_contain_text(
        f"Would match now: 1 @ {ask['price']}"
    )
    page.get_by_role("button", name="Place buy order").click()
    expect(page.get_by_role("checkbox", name="I have seen this")).to_be_focused()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Place buy order").click()
    expect(toast(trader, "Order placed")).to_contain_text("1 traded")
    page.get_by_role("tab", name="Ledger").click()
    rows = page.get_by_role("table", name="Transactions").get_by_role("row")
    expect(rows.filter(has_text="EUA").filter(has_text="Settle in").first).to_contain_text("+1")


def test_a_trader_looks_after_the_account(trader: Desk) -> None:
    page = trader.page
    page.get_by_role("tab", name="Balances").click()
    expect(page.get_by_role("region", name="Balance of EUR")).to_be_visible()
    page.get_by_role("tab", name="Deposits").click()
    page.get_by_role("textbox", name="Amount").fill("1.234,56")
    page.get_by_role("textbox", name="Reference of the transfer").fill("SEPA 4711")
    page.get_by_role("button", name="Announce deposit").click()
    expect(toast(trader, "Deposit announced")).to_contain_text("1\u202f234.56")
    row = page.get_by_role("table", name="Announced deposits").get_by_role("row").filter(has_text="SEPA 4711")
    expect(row).to_contain_text("Pending")

    page.get_by_role("tab", name="Identity check").click()
    expect(page.get_by_text("You may trade.")).to_be_visible()


def test_a_new_trader_uploads_a_document_and_waits(desk: Desk, tmp_path: Path) -> None:
    page, email, password = desk.page, f"new-{secrets.token_hex(4)}@trader.example", "a password of a new trader"
    desk.enter("ADMIN", "/market-orders")
    made = desk.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }",
        input={"email": email, "name": "New Trader", "role": "TRADER", "password": password},
    )
    assert made == {"createUser": {"errors": []}}
    desk.page.context.clear_cookies()
    desk.open("/trading")
    desk.fill_sign_in(email, password)
    expect(page.get_by_text("Orders are refused until your identity check is approved")).to_be_visible()
    page.get_by_role("tab", name="Identity check").click()
    page.get_by_role("combobox", name="Document").click()
    page.get_by_role("option", name="Proof of address").click()
    scan = tmp_path / "scan.png"
    scan.write_bytes(PNG)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="File").click()
    chooser.value.set_files(scan)
    page.get_by_role("button", name="Upload").click()
    expect(toast(desk, "Document uploaded")).to_contain_text("scan.png")
    expect(page.get_by_text("The desk looks at your documents.")).to_be_visible()
    expect(page.get_by_role("list", name="Uploaded documents")).to_contain_text("scan.png")


def test_a_password_is_changed_and_the_session_goes_on(trader: Desk) -> None:
    page = trader.page
    login = [login for login in trader.server.logins if login.role == "TRADER"][-1]
    new = "a new and long password"
    page.get_by_role("tab", name="Password").click()
    for field, text in (("Password so far", "wrong"), ("New password", new), ("New password again", new)):
        page.get_by_role("textbox", name=field, exact=True).fill(text)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("form").get_by_role("alert")).to_contain_text("INVALID_CREDENTIALS")
    page.get_by_role("textbox", name="Password so far").fill(login.password)
    page.get_by_role("button", name="Change password").click()
    expect(toast(trader, "Password changed")).to_be_visible()
    page.get_by_role("tab", name="Orders").click()
    expect(page.get_by_role("status", name="Book: Live")).to_be_visible()
    for field, text in (
        ("Password so far", new),
        ("New password", login.password),
        ("New password again", login.password),
    ):
        page.get_by_role("tab", name="Password").click()
        page.get_by_role("textbox", name=field, exact=True).fill(text)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("textbox", name="Password so far")).to_have_value("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_traders_go(trader: Desk, scheme: str) -> None:
    trader.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    found = {}
    for tab in ("orders", "balances", "transactions", "deposits", "identity", "password"):
        trader.open(f"/trading?tab={tab}")
        expect(trader.page.get_by_role("tab", selected=True)).to_be_visible()
        expect(trader.page.locator("[aria-busy=true]")).to_have_count(0)
        found[tab] = violations(trader)
    assert {tab: faults for tab, faults in found.items() if faults} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_market_makers_are_run(desk: Desk, scheme: str) -> None:
    page = desk.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    desk.enter("ADMIN", "/market-makers")
    maker = desk.seller()["id"]
    paths = [f"/market-makers/{maker}?tab={tab}" for tab in ("balances", "transactions", "orders", "trades", "tickets")]
    found = {}
    for path in (*paths, f"/market-orders?mm={maker}", "/market-orders?view=watch"):
        desk.open(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(
            page.get_by_role("table").first if "balances" not in path else page.get_by_role("tablist")
        ).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        found[path] = violations(desk)
    desk.open("/market-makers")
    page.get_by_role("button", name="New market maker").first.click()
    expect(
        page.get_by_role("dialog", name="New market maker").get_by_role("textbox", name="Name", exact=True)
    ).to_be_focused()
    found["create"] = violations(desk)
    assert {path: faults for path, faults in found.items() if faults} == {}
