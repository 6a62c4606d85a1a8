"""What the first page and each further one cost to load, by the files that are served; and what a busy book costs.

`make bench NAME=dashboard` measures the second for longer, and by Lighthouse too.
"""

import re
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import expect

from .conftest import Desk

ASSETS: Final = Path(__file__).parents[2] / "api" / "_dashboard" / "assets"
KB: Final = 1000
FIRST_JS_MAX, FIRST_CSS_MAX, LAZY_JS_MAX, QUERY_JS_MAX = 240 * KB, 30 * KB, 60 * KB, 220 * KB
FIRST_PAGE, FIRST_LIST = "MarketOrdersPage", "MakerOrders"
QUERY_PARTS: Final = ("QueryPage", "Editor")
STATIC: Final = re.compile(r"""(?:\bfrom|\bimport)\s*["'`]\./([\w.-]+\.js)["'`]""")
LAZY: Final = re.compile(r"""\bimport\(\s*["'`]\./([\w.-]+\.js)["'`]""")
SCRIPT_SHARE_MAX = 0.40  # of the time that passes; the goal of 0.10 is `bench/dashboard.py`'s, on a machine of its own
BUSY_S, CHANGES_PER_S = 4, 50


@cache
def source(name: str) -> str:
    """Read a script."""
    return (ASSETS / name).read_text(encoding="utf-8")


def closure(*names: str) -> frozenset[str]:
    """Name the scripts that must be there before these can run."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += STATIC.findall(source(name))
    return frozenset(found)


def weight(names: frozenset[str]) -> int:
    """Add up what is sent of files: compressed by gzip where they are."""
    packed = (ASSETS / f"{name}.gz" for name in names)
    return sum((file if file.is_file() else file.with_suffix("")).stat().st_size for file in packed)


def entry() -> frozenset[str]:
    """Name the scripts that index.html begins with."""
    html = (ASSETS.parent / "index.html").read_text(encoding="utf-8")
    return closure(*re.findall(r'<script[^>]+src="/assets/([\w.-]+\.js)"', html))


def named(script: str) -> str:
    """Give the part that a script begins."""
    return re.sub(r"-[\w-]{8}\.js$", "", script)


def script_of(part: str, scripts: frozenset[str]) -> str:
    """Name the script that begins a part which these scripts load when it is needed."""
    names: list[str] = [name for script in scripts for name in LAZY.findall(source(script))]
    return next(name for name in names if named(name) == part)


def lazy_parts() -> dict[str, frozenset[str]]:
    """Name, for each part that is loaded when it is needed, what it needs beyond what is there when it is asked for.

    There are the entry, who asks, and, for all others, the first page with the list below it.
    """
    always = entry()
    first = script_of(FIRST_PAGE, always)
    begun = closure(first, script_of(FIRST_LIST, closure(first)))
    parts: dict[str, frozenset[str]] = {}
    waiting = [(always, always)]
    while waiting:
        there, asking = waiting.pop()
        for name in {name for script in asking for name in LAZY.findall(source(script))}:
            needed = closure(name)
            beyond = needed - (there if named(name) in (FIRST_PAGE, FIRST_LIST) else there | begun)
            known = parts.get(named(name))
            if known is None or weight(known) < weight(beyond):
                parts[named(name)] = beyond
                waiting.append((there | needed, needed))
    return parts


def test_the_first_page_is_light() -> None:
    scripts = entry() | lazy_parts()[FIRST_PAGE]
    styles = frozenset(file.name for file in ASSETS.glob("index-*.css")) | frozenset(
        file.name for file in ASSETS.glob(f"{FIRST_PAGE}-*.css")
    )
    assert styles
    assert weight(scripts) <= FIRST_JS_MAX
    assert weight(styles) <= FIRST_CSS_MAX


def test_each_further_page_is_light() -> None:
    parts = lazy_parts()
    seen = {"MarketMakersPage", "UsersPage", "SettlementPage", "SettingsPage", "Palette", *QUERY_PARTS}
    assert seen <= set(parts)
    assert weight(frozenset().union(*(parts[name] for name in QUERY_PARTS))) <= QUERY_JS_MAX
    heavy = {
        name: weight(scripts)
        for name, scripts in parts.items()
        if name not in (FIRST_PAGE, *QUERY_PARTS) and weight(scripts) > LAZY_JS_MAX
    }
    assert heavy == {}


def script_seconds(cdp: Any) -> float:
    """Read how long scripts of a page have had the processor."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration"))


def test_a_busy_book_leaves_the_page_at_rest(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    maker = desk.seller()
    other = desk.page.context.new_page()  # what makes the book move is not counted
    other.goto(desk.server.url + "/favicon.svg")
    desk.page.bring_to_front()
    cdp = desk.page.context.new_cdp_session(desk.page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: other programs do not count
    before, begun = script_seconds(cdp), time.monotonic()
    placed = other.evaluate(
        """async ([maker, seconds, pause]) => {
            const document = `mutation Place($input: PlaceMarketOrderInput!) {
                placeMarketOrder(input: $input) { order { id } } }`
            const ends = performance.now() + seconds * 1000
            const placed = []
            while (performance.now() < ends) {
                const next = performance.now() + pause
                const price = `13.${10 + placed.length % 80}`
                const input = { marketMakerId: maker, certificateType: 'CEA', price, quantity: '1' }
                const response = await fetch('/graphql', {
                    method: 'POST', headers: { 'Content-Type': 'application/json' },
                    body: JSON.stringify({ query: document, variables: { input } }),
                })
                const { data } = await response.json()
                if (data.placeMarketOrder.order) placed.push(data.placeMarketOrder.order.id)
                await new Promise((done) => setTimeout(done, Math.max(0, next - performance.now())))
            }
            return placed
        }""",
        [maker["id"], BUSY_S, 1000 / CHANGES_PER_S],
    )
    share = (script_seconds(cdp) - before) / (time.monotonic() - begun)
    assert len(placed) > BUSY_S
    assert 0 < share <= SCRIPT_SHARE_MAX
    for order_id in placed:
        desk.ask("mutation ($id: ID!) { cancelMarketOrder(id: $id) { errors { code } } }", id=order_id)
    other.close()
