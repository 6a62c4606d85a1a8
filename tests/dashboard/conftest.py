"""A person at the desk: a real Chromium on a real server with its demo market (`live_server`)."""

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.logins import Login

# No sandbox: tests may run as root. The rest keeps Chromium from talking to anybody but the server under test.
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What never leaves the machine; the last two are the files of Chromium's own viewer of PDFs.
WITHIN: Final = ("data:", "blob:", "chrome-extension://", "chrome://")
ANSWER_MS_MAX: Final = 10_000  # a first request on two busy cores; what should be quick is measured elsewhere

expect.set_options(timeout=ANSWER_MS_MAX)


class LiveServer(Protocol):
    """A running server with a seeded demo market."""

    url: str
    logins: list[Login]
    home: Path


@dataclass(frozen=True)
class Desk:
    """One person's browser and what they do with it."""

    page: Page
    server: LiveServer
    faults: list[str]

    def open(self, path: str) -> None:
        """Go to an address of the dashboard."""
        self.page.goto(self.server.url + path)

    def fill_sign_in(self, email: str, password: str) -> None:
        """Fill the sign-in form and send it."""
        self.page.get_by_role("textbox", name="Email").fill(email)
        self.page.get_by_role("textbox", name="Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def login(self, role: str) -> Login:
        """Give the login of the first demo person of a role."""
        return next(login for login in self.server.logins if login.role == role)

    def sign_in(self, role: str) -> None:
        """Sign in as the first demo person of a role, on whatever page asks for it."""
        login = self.login(role)
        self.fill_sign_in(login.email, login.password)
        expect(self.page.get_by_role("navigation", name="Main")).to_be_visible()

    def enter(self, role: str, path: str) -> None:
        """Come to an address as a person of a role."""
        self.open(path)
        self.sign_in(role)

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Run a GraphQL operation from within the page, with its cookie and origin, and return its data."""
        answer: dict[str, Any] = self.page.evaluate(
            """async (body) => {
                const response = await fetch('/graphql', {
                    method: 'POST', headers: { 'Content-Type': 'application/json' }, body,
                })
                return response.json()
            }""",
            json.dumps({"query": document, "variables": variables}),
        )
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def buy(self, price: str, quantity: str) -> dict[str, Any]:
        """Buy CEA as a trader of the demo, somewhere else, and return the payload."""
        login = self.login("TRADER")
        token = self._elsewhere(
            "mutation($input: LoginInput!) { login(input: $input) { accessToken } }",
            {"email": login.email, "password": login.password},
        )["login"]["accessToken"]
        payload: dict[str, Any] = self._elsewhere(
            "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { errors { code } order { status } } }",
            {"certificateType": "CEA", "side": "BUY", "price": price, "quantity": quantity},
            token,
        )["placeOrder"]
        return payload

    def _elsewhere(self, document: str, asked: dict[str, str], token: str = "") -> dict[str, Any]:
        body = json.dumps({"query": document, "variables": {"input": asked}}).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"{self.server.url}/graphql", body, headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=ANSWER_MS_MAX / 1000) as answer:  # noqa: S310
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def seller(self) -> dict[str, Any]:
        """Return the active market maker that has most CEA: one of the demo's, whichever others tests have made."""
        asked = "{ marketMakers(first: 100, filter: { isActive: true }) { nodes { id name balances { asset available } } } }"
        return max(
            self.ask(asked)["marketMakers"]["nodes"],
            key=lambda one: next(int(held["available"]) for held in one["balances"] if held["asset"] == "CEA"),
        )

    def place_maker_order(self, price: str, quantity: str) -> dict[str, Any]:
        """Sell CEA for a market maker that has some and return the payload."""
        maker = self.seller()
        payload: dict[str, Any] = self.ask(
            """mutation Place($input: PlaceMarketOrderInput!) {
                placeMarketOrder(input: $input) { ticketId errors { code } order { id } }
            }""",
            input={
                "marketMakerId": maker["id"],
                "certificateType": "CEA",
                "price": price,
                "quantity": quantity,
            },
        )["placeMarketOrder"]
        return payload


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the machine's Chromium; without one these tests fail, they are never skipped."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "The browser tests need a Chromium: name it in CHROMIUM or run them with `make test`"
    return {**browser_type_launch_args, "executable_path": executable, "args": FLAGS}


def watch(page: Page, server: LiveServer) -> list[str]:
    """Collect what must never happen in a page: errors in scripts, breaches of the policy, requests to others."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith((server.url, *WITHIN)) else faults.append(request.url),
    )
    return faults


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give a browser without cookies or storage, as wide as an office screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def desk(context: BrowserContext, live_server: LiveServer) -> Iterator[Desk]:
    """Give a person at the desk, and fail if their page did what no page may do."""
    page = context.new_page()
    desk = Desk(page, live_server, watch(page, live_server))
    yield desk
    assert desk.faults == []
