"""The live list of tickets and the ticket over it."""

import re

import pytest
from playwright.sync_api import Locator, expect

from .conftest import Desk

TICKET = re.compile(r"^TKT-\d{4}-\d{6,}$")


def row_of(desk: Desk, ticket_id: str) -> Locator:
    """Find the row of a ticket."""
    return desk.page.get_by_role("table", name="Tickets").get_by_role("row").filter(has_text=ticket_id)


@pytest.fixture
def tickets(desk: Desk) -> Desk:
    """Open the list as an admin."""
    desk.enter("ADMIN", "/logging/tickets")
    expect(desk.page.get_by_role("link", name=TICKET).first).to_be_visible()
    return desk


def test_an_action_appears_while_it_happens_with_how_it_ended(tickets: Desk) -> None:
    price = tickets.ask("{ orderBook(certificateType: CEA) { bestAsk } }")["orderBook"]["bestAsk"]
    done = tickets.place_maker_order(price, "3")
    refused = tickets.place_maker_order(price, "99999999")
    assert [error["code"] for error in refused["errors"]] == ["INSUFFICIENT_BALANCE"]
    expect(row_of(tickets, done["ticketId"])).to_contain_text("MM order placed")
    expect(row_of(tickets, done["ticketId"])).to_contain_text("OK")
    expect(row_of(tickets, refused["ticketId"])).to_contain_text("Failed")
    expect(row_of(tickets, refused["ticketId"])).to_contain_text("INSUFFICIENT_BALANCE")


def test_a_paused_list_keeps_still_and_counts_what_is_new(tickets: Desk) -> None:
    tickets.page.get_by_role("switch", name="Live").click(force=True)
    expect(tickets.page.get_by_role("status", name="List: Paused")).to_be_visible()
    price = tickets.ask("{ orderBook(certificateType: CEA) { bestAsk } }")["orderBook"]["bestAsk"]
    placed = tickets.place_maker_order(price, "3")
    pill = tickets.page.get_by_role("button", name=re.compile(r"^\d+ new$"))
    expect(pill).to_be_visible()
    expect(row_of(tickets, placed["ticketId"])).to_have_count(0)
    pill.click()
    expect(row_of(tickets, placed["ticketId"])).to_be_visible()


def test_filters_live_in_the_address(tickets: Desk) -> None:
    page = tickets.page
    page.get_by_role("radiogroup", name="Status").get_by_text("Failed").click()
    expect(page).to_have_url(tickets.server.url + "/logging/tickets?status=FAILED")
    page.get_by_label("Action").first.click()
    page.get_by_role("option", name="MM order placed").click()
    expect(page).to_have_url(tickets.server.url + "/logging/tickets?status=FAILED&action=MM_ORDER_PLACED")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear").click()
    expect(page).to_have_url(tickets.server.url + "/logging/tickets")


def test_a_filter_in_the_address_is_obeyed_and_nonsense_is_named(tickets: Desk) -> None:
    price = tickets.ask("{ orderBook(certificateType: CEA) { bestAsk } }")["orderBook"]["bestAsk"]
    refused = tickets.place_maker_order(price, "99999999")
    tickets.open("/logging/tickets?status=FAILED&action=MM_ORDER_PLACED,NO_SUCH")
    expect(tickets.page.get_by_text("Ignored in the address: action=NO_SUCH")).to_be_visible()
    expect(row_of(tickets, refused["ticketId"])).to_be_visible()
    rows = tickets.page.get_by_role("table", name="Tickets").locator("tbody").get_by_role("row")
    expect(rows.filter(has_text="MM order placed").filter(has_text="Failed")).to_have_count(rows.count())


def test_a_ticket_opens_over_the_list_and_closes_back_to_it(tickets: Desk) -> None:
    page = tickets.page
    link = page.get_by_role("link", name=TICKET).first
    ticket_id = link.inner_text()
    link.press("Enter")
    expect(page).to_have_url(tickets.server.url + f"/logging/tickets?ticket={ticket_id}")
    drawer = page.get_by_role("dialog", name=ticket_id)
    for section in ("Changes", re.compile("^Related tickets")):
        expect(drawer.get_by_role("region", name=section)).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page).to_have_url(tickets.server.url + "/logging/tickets")


def test_the_short_address_of_a_ticket_opens_it(tickets: Desk) -> None:
    ticket_id = tickets.page.get_by_role("link", name=TICKET).first.inner_text()
    tickets.open(f"/t/{ticket_id}")
    expect(tickets.page.get_by_role("dialog", name=ticket_id)).to_be_visible()


def test_a_ticket_that_does_not_exist_says_so(tickets: Desk) -> None:
    tickets.open("/t/TKT-1999-000001")
    expect(tickets.page.get_by_text("There is no such ticket")).to_be_visible()


def test_older_tickets_are_added_below(tickets: Desk) -> None:
    rows = tickets.page.get_by_role("link", name=TICKET)
    before = rows.count()
    tickets.page.get_by_role("button", name="Load more").click()
    expect(rows.nth(before)).to_be_visible()
