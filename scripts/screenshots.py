"""Take the pictures of docs/screenshots anew: `make screenshots`.

The market is the demo, made afresh, with a trader who waits for a decision on his identity. Each picture is taken in
the light and in the dark scheme.
"""

import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from bench.dashboard import Client, Desk, running
from bench.parts.browser import FLAGS

FOLDER: Final = Path(__file__).parent.parent / "docs" / "screenshots"
VIEW: Final[ViewportSize] = {"width": 1280, "height": 800}
QUIET_MS: Final = 1_500  # until books have come and nothing slides any more
PDF: Final = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 300]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
CREATE_USER: Final = "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }"
UPLOAD: Final = "mutation ($input: UploadKycDocumentInput!) { uploadKycDocument(input: $input) { errors { code } } }"
LOGIN: Final = "mutation ($input: LoginInput!) { login(input: $input) { accessToken } }"
IDS: Final = """{
    marketMakers(first: 1) { nodes { id } }
    orders(first: 1, filter: { hasMarketMaker: true }) { nodes { ticketId } }
}"""


def wait_for_decision(desk: Desk) -> str:
    """Let a new trader upload two documents; return his id."""
    client = Client(desk, "ADMIN")
    email, password = "nora.quist@example.com", uuid4().hex
    person = {"email": email, "name": "Nora Quist", "role": "TRADER", "password": password}
    found = client.ask(CREATE_USER, input=person)["createUser"]["user"]["id"]
    client.token = ""
    client.token = client.ask(LOGIN, input={"email": email, "password": password})["login"]["accessToken"]
    for kind, name in (("PASSPORT", "passport.pdf"), ("PROOF_OF_ADDRESS", "electricity.pdf")):
        document = {"kind": kind, "fileName": name, "contentType": "application/pdf"}
        client.ask(UPLOAD, input=document | {"contentBase64": b64encode(PDF).decode()})
    return str(found)


def settle_two(page: Page) -> None:
    """Choose two trades and open the form of their settlement."""
    for number in (1, 2):
        page.get_by_role("checkbox").nth(number).check()
    page.get_by_role("button", name="Settle selected (2)").click()


def nothing(_: Page) -> None:
    """Leave the page as it comes."""


def shots(ids: dict[str, Any], trader: str) -> dict[str, tuple[str, Callable[[Page], None]]]:
    """Name each picture, its address, and what is done there first."""
    maker = ids["marketMakers"]["nodes"][0]["id"]
    ticket = ids["orders"]["nodes"][0]["ticketId"]
    return {
        "order-book": ("/market-orders?cert=CEA", nothing),
        "market-makers": ("/market-makers", nothing),
        "market-maker": (f"/market-makers/{maker}?tab=transactions", nothing),
        "overview": ("/logging/overview", nothing),
        "tickets": (f"/logging/tickets?ticket={ticket}", nothing),
        "identity-check": (f"/people/kyc?user={trader}", nothing),
        "settlement": ("/settlement", settle_two),
        "settings": ("/settings", nothing),
        "query": ("/query", nothing),
        "keys": ("/market-orders?cert=CEA", lambda page: page.keyboard.press("?")),
    }


def take(browser: Browser, desk: Desk, scheme: Any, pictures: dict[str, tuple[str, Callable[[Page], None]]]) -> None:
    """Take all pictures in one scheme, as the admin."""
    admin = desk.person("ADMIN")
    page = browser.new_page(viewport=VIEW, color_scheme=scheme, reduced_motion="reduce")
    page.goto(f"http://127.0.0.1:{desk.port}/settings")
    page.get_by_role("textbox", name="Email").fill(admin.email)
    page.get_by_role("textbox", name="Password").fill(admin.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation", name="Main").wait_for()
    for name, (path, act) in pictures.items():
        page.goto(f"http://127.0.0.1:{desk.port}{path}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(QUIET_MS)
        act(page)
        page.wait_for_timeout(QUIET_MS)
        page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
        print(f"{name}-{scheme}.png")
    page.close()


def main() -> int:
    """Run a market, take the pictures."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        print("A Chromium is needed: name it in CHROMIUM, or run scripts/chromium")
        return 2
    with running() as desk, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        pictures = shots(Client(desk, "ADMIN").ask(IDS), wait_for_decision(desk))
        for scheme in ("light", "dark"):
            take(browser, desk, scheme, pictures)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
