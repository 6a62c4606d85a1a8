"""Who sees what."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import Desk

MARKET = ["Market makers", "Market orders"]
LOGGING: list[str | re.Pattern[str]] = ["Overview", "All tickets", "MM actions", re.compile(r"^Failed\d*$"), "Search"]
PEOPLE = ["Users", "Identity checks", "Deposits"]
RULES = ["Trades & settlement", "Settings"]
ENTRIES: dict[str, list[str | re.Pattern[str]]] = {
    "ADMIN": [*MARKET, *LOGGING, *PEOPLE, *RULES, "Operations", "Query"],
    "ANALYST": [*MARKET, *LOGGING, *RULES, "Query"],
    "TRADER": ["Market", "Trading"],
}


@pytest.mark.parametrize("role", ENTRIES)
def test_each_role_is_led_only_to_what_it_may_see(desk: Desk, role: str) -> None:
    desk.enter(role, "/")
    expect(desk.page.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(ENTRIES[role])
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()


def test_a_trader_who_types_the_address_of_the_log_is_told_which_role_it_needs(desk: Desk) -> None:
    desk.enter("TRADER", "/logging/tickets")
    expect(desk.page.get_by_text("It needs ADMIN or ANALYST; you are signed in as TRADER.")).to_be_visible()


@pytest.mark.parametrize("role", ["ADMIN", "ANALYST"])
def test_requests_and_responses_are_for_admins_only(desk: Desk, role: str) -> None:
    desk.enter(role, "/logging/tickets")
    desk.page.get_by_role("table", name="Tickets").get_by_role("link").first.click()
    drawer = desk.page.get_by_role("dialog")
    expect(drawer.get_by_role("region", name="Changes")).to_be_visible()
    denied = drawer.get_by_text("Request and response are shown to ADMIN only.")
    expect(denied).to_have_count(0 if role == "ADMIN" else 1)


def test_an_admin_sees_what_each_market_maker_owns(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-makers")
    maker = desk.ask("{ marketMakers(first: 1) { nodes { name balances { asset total } } } }")["marketMakers"]["nodes"][
        0
    ]
    row = desk.page.get_by_role("row").filter(has=desk.page.get_by_role("rowheader", name=maker["name"]))
    total = next(balance["total"] for balance in maker["balances"] if balance["asset"] == "CEA")
    expect(row).to_contain_text(f"{int(total):,}".replace(",", "\u202f"))


def test_an_unknown_address_says_so(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders")
    desk.open("/no/such/page")
    expect(desk.page.get_by_role("heading", name="There is no such page")).to_be_visible()
