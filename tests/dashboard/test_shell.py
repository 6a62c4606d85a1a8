"""The frame around every page: getting about by keys and by names, and what follows one from page to page."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from .conftest import Desk

TICKET = re.compile(r"^TKT-\d{4}-\d{6,}$")


def test_the_palette_leads_to_pages_makers_and_whatever_an_id_names(desk: Desk) -> None:
    desk.enter("ADMIN", "/settings")
    page = desk.page
    palette = page.get_by_role("dialog")
    search = palette.get_by_role("textbox", name="Jump to")

    def jump(text: str, choice: str) -> None:
        page.keyboard.press("Control+k")
        expect(search).to_be_focused()
        page.keyboard.type(text)
        expect(palette.get_by_role("button", name=choice)).to_be_visible()
        page.keyboard.press("Enter")
        expect(search).to_have_count(0)

    def arrive() -> None:
        desk.open("/settings")
        expect(page.get_by_role("region", name="Whole market")).to_be_visible()

    arrive()
    jump("identity", "People: Identity checks")
    expect(page.get_by_role("heading", name="Identity checks")).to_be_visible()
    known = desk.ask(
        "{ tickets(first: 1) { nodes { ticketId } } orders(first: 1, filter: { hasMarketMaker: true }) { nodes { id } }"
        " users(first: 1) { nodes { id name } } }"
    )
    ticket_id = known["tickets"]["nodes"][0]["ticketId"]
    jump(ticket_id.lower(), ticket_id)
    expect(page).to_have_url(re.compile(ticket_id))
    user = known["users"]["nodes"][0]
    arrive()
    jump(user["id"], user["name"])
    expect(page).to_have_url(re.compile(f"/people/users\\?user={user['id']}"))
    arrive()
    page.keyboard.press("Control+k")
    expect(search).to_be_focused()
    page.keyboard.type(known["orders"]["nodes"][0]["id"])
    expect(palette.get_by_role("button", name=re.compile("^SELL .* order$"))).to_be_visible()


def test_keys_lead_about_but_only_type_while_somebody_types(desk: Desk) -> None:
    desk.enter("ADMIN", "/settings")
    page = desk.page
    expect(page.get_by_role("region", name="Whole market")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    expect(page.get_by_role("table", name="Users")).to_be_visible()
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search users")
    expect(search).to_be_focused()
    page.keyboard.type("gdud?")
    expect(search).to_have_value("gdud?")
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    search.blur()
    page.keyboard.press("n")
    expect(page.get_by_role("dialog", name="New user")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.get_by_role("button", name=re.compile("^Local"))).to_be_visible()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    for group in ("Go to", "Everywhere", "Users"):
        expect(keys.get_by_role("region", name=group)).to_be_visible()
    keys.get_by_role("switch", name="Obey single keys").click(force=True)
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    page.keyboard.press("u")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.get_by_role("button", name=re.compile("^Local"))).to_be_visible()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_draft_outlives_the_session_it_was_begun_in(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/users?new=user")
    page = desk.page
    name, login = f"Ada {uuid4().hex[:6]}", desk.login("ADMIN")
    form = page.get_by_role("dialog", name="New user")
    form.get_by_role("textbox", name="Name").fill(name)
    form.get_by_role("textbox", name="Email").fill(f"{uuid4().hex}@example.com")
    form.get_by_role("textbox", name="First password").fill("correct horse battery")
    desk.ask("mutation { logout { ticketId } }")
    form.get_by_role("button", name="Create user").click()
    again = page.get_by_role("dialog", name="Your session has ended")
    expect(again).to_be_visible()
    again.get_by_role("textbox", name="Password").fill(login.password)
    again.get_by_role("button", name="Sign in").click()
    expect(again).to_have_count(0)
    expect(form.get_by_role("textbox", name="Name")).to_have_value(name)
    form.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()
    page.get_by_role("button", name=re.compile("^Notifications")).click()
    kept = page.get_by_role("dialog", name="Notifications")
    expect(kept.get_by_role("listitem").first).to_contain_text("User created")
    expect(kept.get_by_role("link", name=TICKET).first).to_be_visible()


def test_a_failure_is_counted_beside_the_failed_ones(desk: Desk) -> None:
    desk.enter("ADMIN", "/settings")
    entry = desk.page.get_by_role("navigation", name="Main").get_by_role("link", name=re.compile("^Failed"))
    before = desk.ask("{ ticketStats(filter: { status: FAILED }) { failedCount } }")["ticketStats"]["failedCount"]
    assert desk.place_maker_order("12.00", "99999999")["errors"]
    expect(entry).to_have_text(re.compile(rf"^Failed\s*{before + 1}$"))


@pytest.mark.parametrize(("role", "path", "needs"), [
    ("TRADER", "/people/users", "ADMIN"),
    ("ANALYST", "/people/kyc", "ADMIN"),
    ("TRADER", "/settings", "ADMIN or ANALYST"),
])
def test_a_closed_door_names_the_role_that_opens_it(desk: Desk, role: str, path: str, needs: str) -> None:
    desk.enter(role, path)
    expect(desk.page.get_by_text(f"It needs {needs}; you are signed in as {role}.")).to_be_visible()


def test_on_a_telephone_the_rail_is_a_bar_below_and_places_are_tabs_above(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 320, "height": 640})
    desk.enter("ADMIN", "/people/users")
    page = desk.page
    bar = page.get_by_role("navigation", name="Main")
    box = bar.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == pytest.approx(640, abs=1)
    page.get_by_role("navigation", name="People").get_by_role("link", name="Deposits").click()
    expect(page.get_by_role("heading", name="Deposits")).to_be_visible()
    bar.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Settings").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
