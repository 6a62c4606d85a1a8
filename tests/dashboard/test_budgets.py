"""What the first page and each further one cost to load, by the files that are served; and what a busy book costs.

`make bench NAME=dashboard` measures the second for longer, and by Lighthouse too.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from .conftest import Desk

ASSETS: Final = Path(__file__).parents[2] / "api" / "_dashboard" / "assets"
KB: Final = 1000
FIRST_JS_MAX, FIRST_CSS_MAX, LAZY_JS_MAX, QUERY_JS_MAX = 260 * KB, 30 * KB, 60 * KB, 220 * KB
FIRST_PAGE: Final = "MarketOrdersPage"
STATIC: Final = re.compile(r"""(?:\bfrom|\bimport)\s*["'`]\./([\w.-]+\.js)["'`]""")
LAZY: Final = re.compile(r"""\bimport\(\s*["'`]\./([\w.-]+\.js)["'`]""")
SCRIPT_SHARE_MAX, LONG_TASK_MS = 0.10, 100
BUSY_S, CHANGES_PER_S = 4, 25  # a page that asks as fast as it can shares the processors with the server


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


def lazy_parts() -> dict[str, frozenset[str]]:
    """Name, for each part that is loaded when it is needed, what it needs beyond the entry."""
    always = entry()
    names = {name for part in always for name in LAZY.findall(source(part))}
    return {re.sub(r"-[\w-]{8}\.js$", "", name): closure(name) - always for name in names}


def test_the_first_page_is_light() -> None:
    parts = lazy_parts()
    scripts = entry() | parts[FIRST_PAGE]
    styles = frozenset(file.name for file in ASSETS.glob("index-*.css")) | frozenset(
        file.name for file in ASSETS.glob(f"{FIRST_PAGE}-*.css")
    )
    assert styles
    assert weight(scripts) <= FIRST_JS_MAX
    assert weight(styles) <= FIRST_CSS_MAX


def test_each_further_page_is_light() -> None:
    parts = lazy_parts()
    assert {"MarketMakersPage", "UsersPage", "SettlementPage", "SettingsPage", "Palette"} <= set(parts)
    heavy = {
        name: weight(scripts)
        for name, scripts in parts.items()
        if weight(scripts) > (QUERY_JS_MAX if name == "QueryPage" else LAZY_JS_MAX)
    }
    assert heavy == {}


def metrics(cdp: Any) -> dict[str, float]:
    """Read what Chromium counts of a page."""
    return {entry["name"]: entry["value"] for entry in cdp.send("Performance.getMetrics")["metrics"]}


def test_a_busy_book_leaves_the_page_at_rest(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders?cert=CEA")
    expect(desk.page.get_by_role("status", name="Book: Live")).to_be_visible()
    maker = desk.ask("{ marketMakers(first: 1, filter: { isActive: true }) { nodes { id } } }")["marketMakers"]["nodes"][0]
    other = desk.page.context.new_page()  # what makes the book move must not be counted
    other.goto(desk.server.url + "/favicon.svg")
    cdp = desk.page.context.new_cdp_session(desk.page)
    cdp.send("Performance.enable")
    desk.page.evaluate("""() => {
        window.longTasks = []
        new PerformanceObserver((list) => {
            for (const { duration } of list.getEntries()) window.longTasks.push(duration)
        }).observe({ type: 'longtask' })
    }""")
    desk.page.bring_to_front()
    before = metrics(cdp)
    placed = other.evaluate(
        """async ([maker, changes, pause]) => {
            const document = `mutation Place($input: PlaceMarketOrderInput!) {
                placeMarketOrder(input: $input) { errors { code } } }`
            let placed = 0
            for (let number = 0; number < changes; number += 1) {
                const begun = performance.now()
                const input = { marketMakerId: maker, certificateType: 'CEA', price: `13.${10 + number % 80}`, quantity: '1' }
                const response = await fetch('/graphql', {
                    method: 'POST', headers: { 'Content-Type': 'application/json' },
                    body: JSON.stringify({ query: document, variables: { input } }),
                })
                const { data } = await response.json()
                if (data.placeMarketOrder.errors.length === 0) placed += 1
                await new Promise((done) => setTimeout(done, Math.max(0, pause - (performance.now() - begun))))
            }
            return placed
        }""",
        [maker["id"], BUSY_S * CHANGES_PER_S, 1000 / CHANGES_PER_S],
    )
    after = metrics(cdp)
    assert placed == BUSY_S * CHANGES_PER_S
    passed = after["Timestamp"] - before["Timestamp"]
    assert (after["ScriptDuration"] - before["ScriptDuration"]) / passed <= SCRIPT_SHARE_MAX
    assert [task for task in desk.page.evaluate("window.longTasks") if task > LONG_TASK_MS] == []
    desk.ask(
        "mutation ($id: ID!) { cancelAllMarketOrders(marketMakerId: $id, certificateType: CEA) { errors { code } } }",
        id=maker["id"],
    )
    other.close()
