"""Logging and Query in both schemes: nothing for axe to find, nothing out of reach on a telephone."""

import pytest
from playwright.sync_api import expect

from .conftest import Desk
from .test_accessible import violations

PAGES = {
    "/logging/overview": "Overview",
    "/logging/tickets?last=24h&status=FAILED": "All tickets",
    "/logging/mm-actions": "Market maker actions",
    "/logging/failed": "Failed actions",
    "/logging/search": "Search",
    "/query": "Query",
}


def drawn(desk: Desk) -> list[str]:
    """Draw what a query with variables answers, and say what axe finds."""
    page = desk.page
    page.get_by_role("navigation", name="Library").get_by_role("button", name="Actions by day").click()
    expect(page.get_by_role("group", name="Variables, field by field")).to_be_visible()
    page.get_by_role("checkbox", name="Allow mutations").check()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("radiogroup", name="How the answer is shown").get_by_text("Chart").click()
    expect(page.get_by_role("combobox", name="Figure")).to_be_visible()
    return violations(desk)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_logging_and_query(desk: Desk, scheme: str) -> None:
    page = desk.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    desk.enter("ADMIN", "/logging/overview")
    found = {}
    for path, heading in PAGES.items():
        desk.open(path)
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        expect(page.get_by_role("status", name="Loading")).to_have_count(0)
        if path == "/query":
            expect(page.get_by_role("textbox", name="Query", exact=True)).to_be_visible()
            page.get_by_role("button", name="Run", exact=True).click()
            expect(page.get_by_role("table", name="Answer")).to_be_visible()
            found["a chart"] = drawn(desk)
        found[path] = violations(desk)
    trade = desk.ask("{ tickets(filter: { actionTypes: [MM_TRADE_EXECUTED] }, first: 1) { nodes { ticketId } } }")
    ticket_id = trade["tickets"]["nodes"][0]["ticketId"]
    for path in (f"/logging/tickets?ticket={ticket_id}", f"/logging/tickets/{ticket_id}"):
        desk.open(path)
        expect(page.get_by_role("region", name="Changes").get_by_role("table")).to_be_visible()
        page.get_by_text("Graph").click()
        expect(page.get_by_role("group", name="Graph of causes; the timeline lists the same tickets")).to_be_visible()
        page.get_by_text("Raw JSON", exact=True).click()
        page.get_by_role("searchbox", name="Search in Raw JSON").fill("ticket")
        expect(page.get_by_role("list", name="Found in Raw JSON")).to_be_visible()
        page.evaluate("scrollTo(0, 0)")  # what lies below the frame's head is hidden, not small
        found[path.replace(ticket_id, "…")] = violations(desk)
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_a_telephone_needs_no_sideways_scrolling_in_logging_and_query(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 360, "height": 740})
    desk.enter("ADMIN", "/logging/overview")
    widths = {}
    for path, heading in PAGES.items():
        desk.open(path)
        expect(desk.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(desk.page.locator("[aria-busy=true]")).to_have_count(0)
        widths[path] = desk.page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in widths.items() if width > 360} == {}
