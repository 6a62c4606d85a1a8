"""Every page in both schemes: nothing for axe to find, nothing out of reach on a telephone, nothing from elsewhere.

That a page asks nobody but its own server and keeps its content security policy is watched by `desk` in every test.
"""

import re
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Desk

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
ROUTES: Final = Path(__file__).parents[2] / "dashboard" / "src" / "routes.tsx"
TELEPHONE: Final = {"width": 320, "height": 640}  # WCAG 1.4.10: what is read needs one direction of scrolling


def routes() -> set[str]:
    """Read from the table of routes each address that shows a page."""
    blocks = re.findall(r"createRoute\(\{(.*?)\}\)\n", ROUTES.read_text(encoding="utf-8"), re.DOTALL)
    paths = {match[1] for block in blocks if "component:" in block and (match := re.search(r"path: '([^']+)'", block))}
    return {f"/{path}" for path in paths}


def example(desk: Desk, path: str) -> str:
    """Give an address of a route, with ids of what exists."""
    known = desk.ask(
        "{ me { role } marketMakers(first: 1) { nodes { id } } tickets(first: 1) { nodes { ticketId } } }"
        if "$" in path
        else "{ me { role } }"
    )
    for name in re.findall(r"\$(\w+)", path):
        value = known["tickets"]["nodes"][0]["ticketId"] if "ticket" in name.lower() else known["marketMakers"]["nodes"][0]["id"]
        path = path.replace(f"${name}", value)
    return path


def settle(desk: Desk) -> None:
    """Wait until the page shows what it came for."""
    expect(desk.page.get_by_role("heading", level=1)).to_be_visible()
    expect(desk.page.locator("[aria-busy=true]")).to_have_count(0)


def violations(desk: Desk) -> list[str]:
    """Name what axe finds on the page as it is now."""
    found = Axe().run(desk.page, options=RULES).response["violations"]
    return [f"{fault['id']}: {node['html']}" for fault in found for node in fault["nodes"]]


def test_the_table_of_routes_is_read_whole() -> None:
    assert {"/login", "/market-orders", "/people/users", "/settlement", "/settings", "/logging/tickets"} <= routes()
    assert len(routes()) == len(re.findall(r"component: \w+Page\b", ROUTES.read_text(encoding="utf-8")))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_route(desk: Desk, scheme: str) -> None:
    desk.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    desk.open("/login")
    expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
    found = {"/login": violations(desk)}
    desk.sign_in("ADMIN")
    for path in [*sorted(routes() - {"/login"}), "/no/such/page"]:
        desk.open(example(desk, path))
        settle(desk)
        found[path] = violations(desk)
    desk.open("/logging/tickets")
    desk.page.get_by_role("table", name="Tickets").get_by_role("link").first.click()
    expect(desk.page.get_by_role("dialog").get_by_role("region", name="Changes")).to_be_visible()
    found["a ticket"] = violations(desk)
    desk.open("/people/users")
    desk.page.get_by_role("table", name="Users").get_by_role("link").last.click()
    expect(desk.page.get_by_role("dialog").get_by_role("region", name="Rights")).to_be_visible()
    found["a user"] = violations(desk)
    desk.open("/people/users?new=user")
    expect(desk.page.get_by_role("dialog", name="New user")).to_be_visible()
    found["a new user"] = violations(desk)
    desk.open("/settings")
    desk.page.keyboard.press("?")
    expect(desk.page.get_by_role("dialog", name="Keys")).to_be_visible()
    found["the keys"] = violations(desk)
    desk.page.keyboard.press("Escape")
    desk.page.keyboard.press("Control+k")
    expect(desk.page.get_by_role("dialog")).to_be_visible()
    found["the palette"] = violations(desk)
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_a_telephone_needs_no_sideways_scrolling_on_any_route(desk: Desk) -> None:
    desk.page.set_viewport_size(TELEPHONE)
    desk.enter("ADMIN", "/market-orders")
    wide = {}
    for path in sorted(routes() - {"/login"}):
        desk.open(example(desk, path))
        settle(desk)
        width = desk.page.evaluate("document.documentElement.scrollWidth")
        if width > TELEPHONE["width"]:
            wide[path] = width
    assert wide == {}


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
