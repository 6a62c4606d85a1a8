"""What a page shows while its book changes, noted inside the page; and losses of events that are made there.

The notes are made by a script that runs before any of the page's own: it hears each message of a web socket first, and
can keep one to itself, which is a gap for the page. A picture is what the ladder shows at one sequence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from playwright.sync_api import CDPSession, Page, sync_playwright

FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
MIB: Final = 1024 * 1024
PROBE: Final = """
window.probe = { drops: 0, lost: [], waits: [], lags: [], pictures: [], longTasks: [], violations: [] }
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    probe.violations.push(`${violatedDirective} ${blockedURI}`)
})
new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) probe.longTasks.push(duration)
}).observe({ type: 'longtask' })

let heard = [] // events that no picture shows yet: their sequence, when they were heard, when they were made
let shown = -1
const painted = new MessageChannel()
painted.port1.onmessage = ({ data: sequence }) => {
    const now = performance.now()
    for (const event of heard) {
        if (event.sequence > sequence) continue
        probe.waits.push(now - event.at)
        probe.lags.push(performance.timeOrigin + now - event.made)
    }
    heard = heard.filter((event) => event.sequence > sequence)
}
const Socket = window.WebSocket
window.WebSocket = class extends Socket {
    constructor(...given) {
        super(...given)
        this.addEventListener('message', (message) => {
            const found = /"OrderBookDelta","sequence":"?(\\d+).*?"at":"([^"]+)/.exec(message.data)
            if (!found) return
            const event = { sequence: Number(found[1]), at: performance.now(), made: Date.parse(found[2]) }
            if (probe.drops === 0) heard.push(event)
            else {
                probe.drops -= 1
                probe.lost.push({ sequence: event.sequence, at: event.at, healedMs: null })
                message.stopImmediatePropagation()
            }
        })
    }
}

const figure = (cell) => cell.textContent.replace(/[^\\d.]/g, '')
const rowsOf = (side) => [...document.querySelectorAll(`tbody[data-side="${side}"] > tr:not([aria-hidden])`)].map(
    ({ children: [, price, quantity] }) => ({ price: figure(price), quantity: figure(quantity) }))
new MutationObserver(() => {
    const mark = document.querySelector('[role="status"][aria-label^="Book:"]')
    const sequence = Number(/seq ([\\d\\u202f]+)/.exec(mark?.textContent)?.[1].replaceAll('\\u202f', '') ?? -1)
    if (sequence === shown || sequence < 0) return
    shown = sequence
    probe.pictures.push({ sequence, asks: rowsOf('ask').reverse(), bids: rowsOf('bid') })
    for (const lost of probe.lost) {
        if (lost.healedMs === null && sequence >= lost.sequence) lost.healedMs = performance.now() - lost.at
    }
    requestAnimationFrame(() => painted.port2.postMessage(sequence)) // comes after the frame is drawn
}).observe(document, { subtree: true, childList: true, characterData: true })
"""
RESET: Final = "() => Object.assign(probe, { lost: [], waits: [], lags: [], pictures: [], longTasks: [] })"
SCRIPTS: Final = """() => performance.getEntriesByType('resource').map(({ name }) => name)
    .filter((name) => name.endsWith('.js'))"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a page has taken since it was loaded. Units: s of processor time; MiB."""

    script: float
    busy: float
    heap: float


@contextlib.contextmanager
def signed_in(chromium: str, origin: str, path: str, email: str, password: str) -> Iterator[tuple[Page, list[str]]]:
    """Open a page in a browser of its own; yield it and the requests that left the origin, as they come."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(PROBE)
        outside: list[str] = []

        def note(url: str) -> None:
            here = origin.partition("://")[2]
            if url.partition("://")[2].partition("/")[0] != here and not url.startswith(("data:", "blob:")):
                outside.append(url)

        page.on("request", lambda request: note(request.url))
        page.on("websocket", lambda socket: note(socket.url))
        page.goto(f"{origin}{path}")
        page.get_by_role("textbox", name="Email").fill(email)
        page.get_by_role("textbox", name="Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("navigation", name="Main").wait_for()
        yield page, outside
        browser.close()


def cost(cdp: CDPSession, *, collected: bool = False) -> Cost:
    """Read what a page has taken; `collected` takes out the garbage first."""
    if collected:
        cdp.send("HeapProfiler.collectGarbage")
    read = {entry["name"]: entry["value"] for entry in cdp.send("Performance.getMetrics")["metrics"]}
    return Cost(read["ScriptDuration"], read["TaskDuration"], read["JSHeapUsedSize"] / MIB)


def levels(book: dict[str, Any]) -> list[tuple[str, Decimal, Decimal]]:
    """Return the levels of a picture, or of a book of the API, in their order."""
    return [
        (side, Decimal(level["price"]), Decimal(level["quantity"])) for side in ("bids", "asks") for level in book[side]
    ]
