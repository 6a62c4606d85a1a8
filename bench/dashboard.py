"""What the dashboard costs a browser: under 50 changes a second for 30 s, and by Lighthouse's measure.

    make bench NAME=dashboard [ARGS="--seconds 30 --rate 50 --loads 3 --no-lighthouse"]

The whole product runs as `make run` starts it. Traders place and cancel orders that rest in the book while Chromium
shows it to an admin. The share of scripts is the processor time that Chromium itself counts (ScriptDuration), over the
time that passed; long tasks are what the page was told of. Meanwhile events are kept from the page: each such gap has
to end in a whole book. What the ladder showed at a sequence is compared with the server's book as of that sequence.
Event to pixel is the time from when the page hears of a change until a frame that shows it is drawn.

Lighthouse (brought by npm into a temporary folder) loads the same page as somebody who is signed in, while the book
changes 5 times a second; its figures are medians of all loads.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Page

from api import logins
from bench.parts import browser, npm
from bench.parts.figures import Figure, conclude, percentile
from bench.parts.ground import free_port
from db import embedded

SECONDS, RATE, LOADS = 30.0, 50.0, 3
TRADERS = 4
GAPS = 5
QUIET_MS = 2_500  # before and after: what a gap owes comes within this
READY_S_MAX = 90.0
LIGHTHOUSE: Final = "lighthouse@13.5.0"
LIGHTHOUSE_RATE = 5.0
PAGE: Final = "/market-orders?cert=CEA"
ASSETS: Final = Path(__file__).parents[1] / "api" / "_dashboard" / "assets"
LONG_TASK_MS, RATE_SHARE_MIN = 100, 0.9
SCRIPT_SHARE_MAX, PIXEL_MS_MAX, HEAP_MIB_MAX, HEAP_GROWTH_MIB_MAX, FIRST_ROUTE_KB_MAX = 0.10, 150, 40, 2, 260
SCORES: Final = {"performance": 0.95, "accessibility": 1.0, "best-practices": 1.0}
AUDITS: Final = {
    "largest-contentful-paint": ("LCP_s", 1e-3, 1.2),
    "cumulative-layout-shift": ("CLS", 1, 0.02),
    "total-blocking-time": ("TBT_ms", 1, 100),
}
BOOK: Final = """query ($sequence: BigInt!) { orderBook(certificateType: CEA, depth: 20, asOfSequence: $sequence) {
    bids { price quantity } asks { price quantity } } }"""


@dataclass(frozen=True, slots=True)
class Desk:
    """A running market and who may sign in."""

    port: int
    people: list[logins.Login]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def person(self, role: str) -> logins.Login:
        return next(login for login in self.people if login.role == role)


@contextlib.contextmanager
def running() -> Iterator[Desk]:
    """Run the product with its demo market, its own servers and nothing of yours."""
    with TemporaryDirectory(prefix="carbondesk-bench-") as folder:
        Path(folder).chmod(0o711)
        home, port = Path(folder, "home"), free_port()
        environment = {**os.environ, "CARBONDESK_HOME": str(home), "PORT": str(port), "DEMO": "1", "FLOW": "0"}
        for name in ("DATABASE_URL", "DATABASE_APP_URL", "REDIS_URL"):
            environment.pop(name, None)
        product = subprocess.Popen([sys.executable, "-m", "api", "run"], env=environment, stdout=subprocess.DEVNULL)
        try:
            ready(f"http://127.0.0.1:{port}/readyz", product)
            yield Desk(port, logins.read(home))
        finally:
            product.terminate()
            product.wait(READY_S_MAX)
            embedded.erase(home)


def ready(url: str, product: subprocess.Popen[bytes]) -> None:
    """Wait until the market answers."""
    ends_at = time.monotonic() + READY_S_MAX
    while time.monotonic() < ends_at and product.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the market did not start")


class Client:
    """Somebody who asks over one connection."""

    def __init__(self, desk: Desk, role: str, number: int = 0) -> None:
        """Sign in as one of the people of a role."""
        self.connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=10)
        self.token = ""
        person = [login for login in desk.people if login.role == role][number]
        login = "mutation ($input: LoginInput!) { login(input: $input) { accessToken } }"
        found = self.ask(login, input={"email": person.email, "password": person.password})
        self.token = found["login"]["accessToken"]

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Run an operation and return its data."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        self.connection.request("POST", "/graphql", json.dumps({"query": document, "variables": variables}), headers)
        answer = json.load(self.connection.getresponse())
        data: dict[str, Any] = answer["data"]
        return data


def trade(client: Client, stop: threading.Event, rate: float, done: list[int]) -> None:
    """Place a bid that rests, then cancel it, and so on: each is one change of the book."""
    place = "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } order { id } } }"
    cancel = "mutation ($id: ID!) { cancelOrder(id: $id) { errors { code } } }"
    begun = time.monotonic()
    for number in itertools.count():
        if stop.wait(max(0.0, begun + number / rate - time.monotonic())):
            return
        if number % 2 == 0:
            price = f"11.{50 + number // 2 % 40}"
            order = {"certificateType": "CEA", "side": "BUY", "price": price, "quantity": "1"}
            payload = client.ask(place, input=order)["placeOrder"]
        else:
            payload = client.ask(cancel, id=payload["order"]["id"])["cancelOrder"]
        assert payload["errors"] == [], payload
        done.append(number)


@contextlib.contextmanager
def changing(desk: Desk, rate: float) -> Iterator[list[int]]:
    """Let traders change the book that often a second; yield what has a part for each change."""
    stop = threading.Event()
    done: list[int] = []
    clients = [Client(desk, "TRADER", number) for number in range(TRADERS)]
    threads = [threading.Thread(target=trade, args=(client, stop, rate / TRADERS, done)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wrong_books(desk: Desk, pictures: list[dict[str, Any]]) -> list[int]:
    """Name the sequences at which the page showed another book than the server had."""
    admin = Client(desk, "ADMIN")
    return [
        picture["sequence"]
        for picture in pictures
        if browser.levels(picture) != browser.levels(admin.ask(BOOK, sequence=picture["sequence"])["orderBook"])
    ]


def burst(page: Page, desk: Desk, seconds: float, rate: float) -> list[Figure]:
    """Watch the book while it changes and events get lost, and count what that costs the page."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: other programs do not count
    page.wait_for_timeout(QUIET_MS)
    page.evaluate(browser.RESET)
    at_rest = browser.cost(cdp, collected=True)
    with changing(desk, rate) as done:
        begun = time.monotonic()
        before = browser.cost(cdp)
        for _ in range(GAPS):
            page.wait_for_timeout(seconds * 1000 / (GAPS + 1))
            page.evaluate("() => { probe.drops = 1 }")
        page.wait_for_timeout(max(0.0, begun + seconds - time.monotonic()) * 1000)
        after = browser.cost(cdp)
        passed = time.monotonic() - begun
        changes = len(done) / passed
    page.wait_for_timeout(QUIET_MS)
    probe = page.evaluate("probe")
    page.evaluate(browser.RESET)
    growth = browser.cost(cdp, collected=True).heap - at_rest.heap
    script, busy = (after.script - before.script) / passed, (after.busy - before.busy) / passed
    healed = [lost["healedMs"] for lost in probe["lost"] if lost["healedMs"] is not None]
    wrong = wrong_books(desk, probe["pictures"])
    long_tasks = [duration for duration in probe["longTasks"] if duration > LONG_TASK_MS]
    waits, lags = probe["waits"], probe["lags"]
    print(f"{changes:.1f} changes/s for {passed:.0f} s; main thread busy {busy:.1%}, of it scripts {script:.1%}")
    print(f"{len(probe['pictures'])} pictures, wrong at {wrong}; whole books after {[round(one) for one in healed]} ms")
    print(f"event to pixel p50 {percentile(waits, 50):.0f} ms, of {len(waits)} events")
    print(f"  since the server made it p50 {percentile(lags, 50):.0f} ms, p95 {percentile(lags, 95):.0f} ms")
    print(f"long tasks {[round(one) for one in probe['longTasks']]}")
    return [
        Figure("changes_per_s", changes, ">=", RATE_SHARE_MIN * rate),
        Figure("script_share", script, "<=", SCRIPT_SHARE_MAX),
        Figure(f"tasks_over_{LONG_TASK_MS}_ms", len(long_tasks), "<=", 0),
        Figure("gaps_healed", len(healed), ">=", GAPS),
        Figure("books_compared", len(probe["pictures"]), ">=", seconds),
        Figure("books_wrong", len(wrong), "<=", 0),
        Figure("event_to_pixel_p95_ms", percentile(waits, 95), "<=", PIXEL_MS_MAX),
        Figure("heap_MiB", at_rest.heap + growth, "<=", HEAP_MIB_MAX),
        Figure("heap_growth_MiB", growth, "<=", HEAP_GROWTH_MIB_MAX),
    ]


def weight(urls: list[str]) -> float:
    """Add up scripts as gzip sends them. Unit: kB of 1000 bytes."""
    files = [ASSETS / f"{url.rpartition('/')[2]}.gz" for url in urls if "/assets/" in url]
    return sum((file if file.is_file() else file.with_suffix("")).stat().st_size for file in files) / 1000


def watched(desk: Desk, chromium: str, seconds: float, rate: float) -> list[Figure]:
    """Open the book in a browser of its own and measure it."""
    admin = desk.person("ADMIN")
    with browser.signed_in(chromium, desk.origin, PAGE, admin.email, admin.password) as (page, outside):
        page.reload()
        page.get_by_role("status", name="Book: Live").wait_for()
        page.wait_for_load_state("networkidle")
        loaded = weight(page.evaluate(browser.SCRIPTS))
        figures = burst(page, desk, seconds, rate)
        violations = page.evaluate("probe.violations")
    for fault in (*outside, *violations):
        print("not allowed:", fault)
    return [
        *figures,
        Figure("first_route_kB", loaded, "<=", FIRST_ROUTE_KB_MAX),
        Figure("requests_outside", len(outside), "<=", 0),
        Figure("policy_violations", len(violations), "<=", 0),
    ]


def load(desk: Desk, chromium: str, home: Path) -> dict[str, Any]:
    """Let Lighthouse load the page as somebody who is signed in, on a desktop; return its report."""
    cookie = f"carbondesk={Client(desk, 'ADMIN').token}"
    with TemporaryDirectory(prefix="carbondesk-lighthouse-") as folder:
        report = Path(folder, "report.json")
        command = [
            npm.node_of(home),
            str(home / "node_modules" / "lighthouse" / "cli" / "index.js"),
            f"{desk.origin}{PAGE}",
            "--preset=desktop",
            "--quiet",
            "--output=json",
            f"--output-path={report}",
            f"--chrome-flags=--headless=new {' '.join(browser.FLAGS)}",
            f"--extra-headers={json.dumps({'Cookie': cookie})}",
            f"--only-categories={','.join(SCORES)}",
        ]
        subprocess.run(command, cwd=folder, env={**os.environ, "CHROME_PATH": chromium}, check=True)
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert found["finalDisplayedUrl"].endswith(PAGE), found["finalDisplayedUrl"]
    return found


def lighthouse(desk: Desk, chromium: str, loads: int) -> list[Figure]:
    """Take the medians of some loads while the book changes."""
    with npm.installed(LIGHTHOUSE) as home, changing(desk, LIGHTHOUSE_RATE):
        reports = [load(desk, chromium, home) for _ in range(loads)]
    for audit in reports[0]["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9 and audit["scoreDisplayMode"] == "binary":
            print(f"not met: {audit['title']}")
            for item in audit.get("details", {}).get("items", []):
                print("  ", item.get("node", {}).get("snippet", item))
    scores = [
        Figure(name.replace("-", "_"), median(report["categories"][name]["score"] for report in reports), ">=", goal)
        for name, goal in SCORES.items()
    ]
    audits = [
        Figure(name, median(report["audits"][key]["numericValue"] for report in reports) * unit, "<=", goal)
        for key, (name, unit, goal) in AUDITS.items()
    ]
    return scores + audits


def main() -> int:
    """Measure, print, conclude."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of changes")
    parser.add_argument("--rate", type=float, default=RATE, help="changes a second")
    parser.add_argument("--loads", type=int, default=LOADS, help="by Lighthouse")
    parser.add_argument("--no-lighthouse", action="store_true", help="where there is no npm")
    options = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        print("A Chromium is needed: name it in CHROMIUM, or run scripts/chromium")
        return 2
    with running() as desk:
        figures = watched(desk, chromium, options.seconds, options.rate)
        if not options.no_lighthouse:
            figures += lighthouse(desk, chromium, options.loads)
    return conclude(figures)


if __name__ == "__main__":
    sys.exit(main())
