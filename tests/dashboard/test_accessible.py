"""Every page in both schemes: nothing for axe to find, nothing out of reach on a telephone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Desk

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PAGES = {
    "/market-orders?cert=CEA": "CEA order book",
    "/market-makers": "Market makers",
    "/logging/tickets": "All tickets",
    "/no/such/page": "There is no such page",
}


def violations(desk: Desk) -> list[str]:
    """Name what axe finds on the page as it is now."""
    found = Axe().run(desk.page, options=RULES).response["violations"]
    return [f"{fault['id']}: {node['html']}" for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(desk: Desk, scheme: str) -> None:
    desk.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    desk.open("/login")
    expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
    found = {"/login": violations(desk)}
    desk.sign_in("ADMIN")
    for path, heading in PAGES.items():
        desk.open(path)
        expect(desk.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        expect(desk.page.locator("[aria-busy=true]")).to_have_count(0)
        found[path] = violations(desk)
    desk.open("/logging/tickets")
    desk.page.get_by_role("table", name="Tickets").get_by_role("link").first.click()
    expect(desk.page.get_by_role("dialog").get_by_role("region", name="Changes")).to_be_visible()
    found["a ticket"] = violations(desk)
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize("path", ["/market-orders", "/market-makers", "/logging/tickets"])
def test_a_telephone_needs_no_sideways_scrolling(desk: Desk, path: str) -> None:
    desk.page.set_viewport_size({"width": 360, "height": 740})
    desk.enter("ADMIN", path)
    expect(desk.page.locator("[aria-busy=true]")).to_have_count(0)
    width = desk.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_the_first_key_press_leads_past_the_navigation(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders")
    desk.page.reload()
    expect(desk.page.get_by_role("navigation", name="Main")).to_be_visible()
    desk.page.keyboard.press("Tab")
    expect(desk.page.get_by_role("link", name="Skip to content")).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("main")).to_be_focused()


def test_the_scheme_is_remembered(desk: Desk) -> None:
    desk.page.emulate_media(color_scheme="light")
    desk.enter("ADMIN", "/market-orders")
    desk.page.get_by_role("button", name="Use the dark scheme").click()
    desk.page.reload()
    expect(desk.page.get_by_role("button", name="Use the light scheme")).to_be_visible()
    assert desk.page.evaluate("document.documentElement.dataset.mantineColorScheme") == "dark"
