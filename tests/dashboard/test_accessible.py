"""Every page in both schemes: nothing for axe to find, nothing out of reach on a telephone, nothing from elsewhere.

That a page asks nobody but its own server and keeps its content security policy is watched by `desk` in every test.
"""

import re
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ViewportSize, expect

from .conftest import Desk

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
ROUTES: Final = Path(__file__).parents[2] / "dashboard" / "src" / "routes.tsx"
TELEPHONE: Final[ViewportSize] = {"width": 320, "height": 640}  # WCAG 1.4.10: what is read needs one direction of scrolling


def routes() -> set[str]:
    """Read from the table of routes each address that shows a page."""
    _, *blocks = ROUTES.read_text(encoding="utf-8").split("createRoute({")
    shown = (block for block in blocks if re.search(r"component: \w+Page\b", block))
    paths = {match[1] for block in shown if (match := re.search(r"path: '([^']+)'", block))}
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
    return [
        f"{fault['id']}: {node['html']} {[check['message'] for check in node['any']]}"
        for fault in found
        for node in fault["nodes"]
    ]


def in_both_schemes(desk: Desk, place: str) -> dict[str, list[str]]:
    """Name what axe finds on the page in the light and in the dark scheme; the page follows what the machine prefers."""
    found = {}
    for scheme in ("light", "dark"):
        desk.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        expect(desk.page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
        found[f"{place}, {scheme}"] = violations(desk)
    return found


def test_the_table_of_routes_is_read_whole() -> None:
    assert {"/login", "/market-orders", "/people/users", "/settlement", "/settings", "/logging/tickets"} <= routes()
    assert len(routes()) == len(re.findall(r"component: \w+Page\b", ROUTES.read_text(encoding="utf-8")))


AREAS: Final = ("logging", "market-makers", "market-orders", "people", "query", "settings", "settlement", "trading")


def test_every_route_lies_in_an_area_that_is_looked_at() -> None:
    assert {path.split("/")[1] for path in routes() - {"/login"}} == set(AREAS)


@pytest.mark.parametrize("area", AREAS)
def test_axe_finds_nothing_on_any_route_in_either_scheme(desk: Desk, area: str) -> None:
    desk.page.emulate_media(reduced_motion="reduce")
    desk.enter("TRADER" if area == "trading" else "ADMIN", "/settings")
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in routes() if path.split("/")[1] == area):
        desk.open(example(desk, path))
        settle(desk)
        found |= in_both_schemes(desk, path)
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_axe_finds_nothing_in_what_opens_over_a_page(desk: Desk) -> None:
    page = desk.page
    page.emulate_media(reduced_motion="reduce")
    desk.open("/login")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found = in_both_schemes(desk, "/login")
    desk.sign_in("ADMIN")
    desk.open("/people/users")
    page.get_by_role("table", name="Users").get_by_role("link").last.click()
    expect(page.get_by_role("dialog").get_by_role("region", name="Rights")).to_be_visible()
    found |= in_both_schemes(desk, "a user")
    desk.open("/people/users?new=user")
    expect(page.get_by_role("dialog", name="New user")).to_be_visible()
    found |= in_both_schemes(desk, "a new user")
    desk.open("/no/such/page")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    found |= in_both_schemes(desk, "no page")
    desk.open("/settings")
    settle(desk)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    found |= in_both_schemes(desk, "the keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    # Its choices are reached by arrow keys from the field, which axe does not see in the library's list.
    expect(page.get_by_role("textbox", name="Jump to")).to_be_focused()
    page.keyboard.press("ArrowDown")
    found |= {
        place: [fault for fault in faults if not fault.startswith("scrollable-region-focusable")]
        for place, faults in in_both_schemes(desk, "the palette").items()
    }
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_a_telephone_needs_no_sideways_scrolling_on_any_route(desk: Desk) -> None:
    desk.page.set_viewport_size(TELEPHONE)
    desk.enter("ADMIN", "/settings")
    wide = {}
    for path in sorted(routes() - {"/login", "/trading"}):
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
