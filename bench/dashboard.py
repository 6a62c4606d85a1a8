"""What the dashboard costs a browser: under 50 changes a second for 30 s, and by Lighthouse's measure.

    make bench NAME=dashboard [ARGS="--seconds 30 --rate 50 --no-lighthouse"]

The whole product runs as `make run` starts it. Traders place and cancel orders that rest in the book while Chromium
shows it to an admin. The share of scripts is the processor time that Chromium itself counts (ScriptDuration), over the
time that passed; long tasks are what the page was told of. Lighthouse (npm, installed into a temporary folder) loads
the same page as somebody who is signed in.
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
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from api import logins
from bench.parts.figures import Figure, conclude
from bench.parts.ground import free_port
from db import embedded

SECONDS, RATE = 30.0, 50.0
TRADERS = 4
READY_S_MAX = 90.0
LONG_TASK_MS = 100
SCRIPT_SHARE_MAX, LONG_TASKS_MAX = 0.10, 0
LIGHTHOUSE: Final = "lighthouse@13.5.0"
GOALS: Final = {"performance": 0.95, "accessibility": 1.0, "best-practices": 1.0}
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGE: Final = "/market-orders?cert=CEA"
OBSERVE: Final = """() => {
    window.longTasks = []
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longTasks.push(duration)
    }).observe({ type: 'longtask' })
}"""


@dataclass(frozen=True, slots=True)
class Desk:
    """A running market and who may sign in."""

    port: int
    people: list[logins.Login]

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


def measure(page: Page, desk: Desk, seconds: float, rate: float) -> list[Figure]:
    """Watch the book while it changes, and count what that costs the page."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: other programs do not count
    stop = threading.Event()
    done: list[int] = []
    clients = [Client(desk, "TRADER", number) for number in range(TRADERS)]
    threads = [threading.Thread(target=trade, args=(client, stop, rate / TRADERS, done)) for client in clients]
    page.evaluate(OBSERVE)
    begun = time.monotonic()
    before = {entry["name"]: entry["value"] for entry in cdp.send("Performance.getMetrics")["metrics"]}
    for thread in threads:
        thread.start()
    page.wait_for_timeout(seconds * 1000)
    after = {entry["name"]: entry["value"] for entry in cdp.send("Performance.getMetrics")["metrics"]}
    passed = time.monotonic() - begun
    stop.set()
    for thread in threads:
        thread.join()
    script, busy = ((after[name] - before[name]) / passed for name in ("ScriptDuration", "TaskDuration"))
    long_tasks = [duration for duration in page.evaluate("window.longTasks") if duration > LONG_TASK_MS]
    print(f"{len(done) / passed:.1f} changes/s for {passed:.0f} s; long tasks {[round(one) for one in long_tasks]}")
    print(f"main thread busy {busy:.1%}, scripts {script:.1%}, heap {after['JSHeapUsedSize'] / 2**20:.1f} MiB")
    return [
        Figure("script share", script, "<=", SCRIPT_SHARE_MAX),
        Figure(f"tasks over {LONG_TASK_MS} ms", len(long_tasks), "<=", LONG_TASKS_MAX),
        Figure("changes per second", len(done) / passed, ">=", 0.9 * rate),
    ]


def watched(desk: Desk, chromium: str, seconds: float, rate: float) -> list[Figure]:
    """Open the book in a browser of its own and measure it."""
    admin = desk.person("ADMIN")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://127.0.0.1:{desk.port}{PAGE}")
        page.get_by_role("textbox", name="Email").fill(admin.email)
        page.get_by_role("textbox", name="Password").fill(admin.password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("status", name="Book: Live").wait_for()
        page.wait_for_timeout(2_000)
        figures = measure(page, desk, seconds, rate)
        browser.close()
    return figures


def lighthouse(desk: Desk, chromium: str) -> list[Figure]:
    """Let Lighthouse load the page as somebody who is signed in, on a desktop."""
    with TemporaryDirectory(prefix="carbondesk-lighthouse-") as folder:
        npm = shutil.which("npm") or "npm"
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", LIGHTHOUSE], cwd=folder, check=True)
        token = Client(desk, "ADMIN").token
        report = Path(folder, "report.json")
        command = [
            str(Path(folder, "node_modules/.bin/lighthouse")),
            f"http://127.0.0.1:{desk.port}{PAGE}",
            "--preset=desktop",
            "--quiet",
            "--output=json",
            f"--output-path={report}",
            f"--chrome-flags=--headless=new {' '.join(FLAGS)}",
            f"--extra-headers={json.dumps({'Cookie': f'carbondesk={token}'})}",
            f"--only-categories={','.join(GOALS)}",
        ]
        subprocess.run(command, cwd=folder, env={**os.environ, "CHROME_PATH": chromium}, check=True)
        result = json.loads(report.read_text(encoding="utf-8"))
    print("Lighthouse loaded", result["finalDisplayedUrl"])
    for name in ("largest-contentful-paint", "cumulative-layout-shift", "total-blocking-time"):
        print(f"  {result['audits'][name]['title']}: {result['audits'][name]['displayValue']}")
    for audit in result["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9 and audit["scoreDisplayMode"] == "binary":
            print(f"  not met: {audit['title']}")
    return [Figure(name, result["categories"][name]["score"], ">=", goal) for name, goal in GOALS.items()]


def main() -> int:
    """Measure, print, conclude."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--no-lighthouse", action="store_true")
    options = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        print("A Chromium is needed: name it in CHROMIUM, or run scripts/chromium")
        return 2
    with running() as desk:
        figures = watched(desk, chromium, options.seconds, options.rate)
        if not options.no_lighthouse:
            figures += lighthouse(desk, chromium)
    return conclude(figures)


if __name__ == "__main__":
    sys.exit(main())
