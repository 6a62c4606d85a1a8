"""People, deposits, settlement, settings: what the back office does besides the market, done by hand in the browser."""

import json
import re
import struct
import urllib.error
import urllib.request
import zlib
from base64 import b64encode
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, expect

from .conftest import Desk

TICKET: Final = re.compile(r"^TKT-\d{4}-\d{6,}$")
PASSWORD: Final = "correct horse battery"
PDF: Final = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def png() -> bytes:
    """Draw a grey picture of 40 by 30."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x99" * 40) * 30
    head = struct.pack(">IIBBBBB", 40, 30, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Trader:
    """Somebody who trades, elsewhere: a program with a token of his own."""

    def __init__(self, desk: Desk) -> None:
        """Let the admin at the desk create him, and sign him in."""
        self.url = desk.server.url
        self.name = f"Trader {uuid4().hex[:8]}"
        self.email = f"{uuid4().hex}@example.com"
        self.id: str = desk.ask(
            "mutation ($input: CreateUserInput!) { createUser(input: $input) { user { id } } }",
            input={"email": self.email, "name": self.name, "role": "TRADER", "password": PASSWORD},
        )["createUser"]["user"]["id"]
        self.token = ""
        login = "mutation ($input: LoginInput!) { login(input: $input) { accessToken } }"
        self.token = self.ask(login, input={"email": self.email, "password": PASSWORD})["login"]["accessToken"]

    def ask(self, document: str, **variables: object) -> dict[str, Any]:
        """Run an operation as this trader and return its data."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        body = json.dumps({"query": document, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            answer = json.load(response)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def upload(self, kind: str, name: str, content_type: str, content: bytes) -> None:
        """Upload a document for the identity check."""
        payload = self.ask(
            "mutation ($input: UploadKycDocumentInput!) { uploadKycDocument(input: $input) { errors { code } } }",
            input={
                "kind": kind,
                "fileName": name,
                "contentType": content_type,
                "contentBase64": b64encode(content).decode(),
            },
        )
        assert payload["uploadKycDocument"]["errors"] == []

    def announce(self, amount: str, reference: str) -> None:
        """Announce a bank transfer."""
        payload = self.ask(
            "mutation ($input: RequestDepositInput!) { requestDeposit(input: $input) { errors { code } } }",
            input={"amount": amount, "reference": reference},
        )
        assert payload["requestDeposit"]["errors"] == []


def toast(desk: Desk, title: str) -> Locator:
    """Find the newest that the corner says under a title, and that it leads to its ticket."""
    told = desk.page.get_by_role("region", name="Notifications").get_by_role("status", name=title).last
    expect(told.get_by_role("link", name=TICKET)).to_be_visible()
    return told


def row_of(desk: Desk, table: str, text: str) -> Locator:
    """Find a row of a table by what it says."""
    return desk.page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


def test_an_admin_creates_a_user_and_reaches_the_ticket_from_the_toast(desk: Desk) -> None:
    name, email = f"Ada {uuid4().hex[:6]}", f"{uuid4().hex}@example.com"
    desk.enter("ADMIN", "/people/users")
    desk.page.get_by_role("button", name="New user").click()
    dialog = desk.page.get_by_role("dialog", name="New user")
    dialog.get_by_role("button", name="Create user").click()
    expect(dialog.get_by_text("Enter a name.")).to_be_visible()
    expect(dialog.get_by_text("Enter at least 15 characters.")).to_be_visible()
    dialog.get_by_role("textbox", name="Name").fill(name)
    dialog.get_by_role("textbox", name="Email").fill(desk.login("ADMIN").email)
    dialog.get_by_role("textbox", name="First password").fill(PASSWORD)
    dialog.get_by_role("button", name="Create user").click()
    expect(dialog.get_by_role("alert")).to_contain_text("EMAIL_TAKEN")
    expect(dialog.get_by_role("alert").get_by_role("link", name=TICKET)).to_be_visible()
    dialog.get_by_role("textbox", name="Email").fill(email)
    dialog.get_by_role("button", name="Create user").click()
    expect(dialog).to_be_hidden()
    expect(row_of(desk, "Users", name)).to_contain_text(email)
    toast(desk, "User created").get_by_role("link", name=TICKET).click()
    expect(desk.page.get_by_text("User created").last).to_be_visible()
    expect(desk.page).to_have_url(re.compile(r"TKT-\d{4}-\d{6}"))
    desk.page.go_back()
    expect(desk.page.get_by_role("heading", name="Users")).to_be_visible()


def test_the_list_of_users_is_what_its_address_says(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/users?role=KING")
    trader = Trader(desk)
    expect(desk.page.get_by_text("Ignored in the address: role=KING")).to_be_visible()
    desk.page.get_by_role("searchbox", name="Search users").fill(trader.name)
    expect(desk.page.get_by_role("status").filter(has_text="1 users")).to_be_visible()
    expect(desk.page).to_have_url(re.compile(r"q=Trader\+"))
    desk.page.reload()
    expect(row_of(desk, "Users", trader.name)).to_contain_text(trader.email)
    row_of(desk, "Users", trader.name).get_by_role("link", name=trader.name).click()
    drawer = desk.page.get_by_role("dialog", name=re.compile(trader.name))
    expect(drawer).to_contain_text(trader.email)
    expect(desk.page).to_have_url(re.compile(f"user={trader.id}"))
    desk.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_deactivating_names_what_follows_and_is_taken_back(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/users")
    trader = Trader(desk)
    desk.open(f"/people/users?user={trader.id}")
    drawer = desk.page.get_by_role("dialog", name=re.compile(trader.name))
    expect(drawer.get_by_role("region", name="Sessions (1)")).to_be_visible()
    drawer.get_by_role("button", name="Deactivate…").click()
    confirm = desk.page.get_by_role("dialog", name="Deactivate")
    expect(confirm).to_contain_text("0 open orders cancelled")
    expect(confirm).to_contain_text("1 session ended")
    expect(confirm.get_by_role("button", name="Deactivate")).to_be_disabled()
    confirm.get_by_role("textbox").fill(trader.name)
    confirm.get_by_role("button", name="Deactivate").click()
    expect(toast(desk, "User changed")).to_contain_text("1 sessions ended")
    expect(drawer.get_by_role("region", name="Sessions (0)")).to_be_visible()
    expect(drawer.get_by_text("Inactive").first).to_be_visible()
    drawer.get_by_role("button", name="Activate").click()
    expect(drawer.get_by_role("button", name="Deactivate…")).to_be_visible()


def test_another_role_and_another_password_are_given_after_saying_what_follows(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/users")
    trader = Trader(desk)
    desk.open(f"/people/users?user={trader.id}")
    drawer = desk.page.get_by_role("dialog", name=re.compile(trader.name))
    drawer.get_by_role("textbox", name="New password").fill("staple battery horse")
    drawer.get_by_role("button", name="Set password…").click()
    confirm = desk.page.get_by_role("dialog", name="Set a new password")
    expect(confirm).to_contain_text("It ends 1 session.")
    confirm.get_by_role("button", name="Set password").click()
    expect(confirm).to_be_hidden()
    expect(drawer.get_by_role("region", name="Sessions (0)")).to_be_visible()
    drawer.get_by_role("textbox", name="Role").or_(drawer.get_by_role("combobox", name="Role")).click()
    desk.page.get_by_role("option", name="Analyst").click()
    drawer.get_by_role("button", name="Change role…").click()
    desk.page.get_by_role("dialog", name="Change the role").get_by_role("button", name="Make analyst").click()
    expect(toast(desk, "User changed")).to_contain_text("Analyst")
    assert desk.ask("query ($id: ID!) { user(id: $id) { role } }", id=trader.id)["user"]["role"] == "ANALYST"


def test_a_session_of_somebody_is_ended_from_afar(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/users")
    trader = Trader(desk)
    desk.open(f"/people/users?user={trader.id}")
    sessions = desk.page.get_by_role("region", name="Sessions (1)")
    expect(sessions).to_contain_text("127.0.0.1")
    sessions.get_by_role("button", name=re.compile("^End the session from 127.0.0.1")).click()
    expect(desk.page.get_by_role("region", name="Sessions (0)")).to_be_visible()
    toast(desk, "Session ended")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        trader.ask("{ me { id } }")


def test_an_identity_is_checked_by_its_documents_rejected_with_a_reason_and_then_approved(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/kyc")
    trader = Trader(desk)
    trader.upload("PASSPORT", "passport.png", "image/png", png())
    trader.upload("PROOF_OF_ADDRESS", "bill.pdf", "application/pdf", PDF)
    desk.page.reload()
    row_of(desk, "Identity checks", trader.name).get_by_role("link").click()
    drawer = desk.page.get_by_role("dialog", name=re.compile(trader.name))
    check = drawer.get_by_role("region", name="Identity check: 2 documents")
    check.get_by_role("listitem").filter(has_text="bill.pdf").get_by_role("button", name="View").click()
    expect(check.locator("iframe[title='bill.pdf']")).to_be_visible()
    check.get_by_role("listitem").filter(has_text="passport.png").get_by_role("button", name="View").click()
    picture = check.get_by_role("img", name=re.compile("passport.png"))
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 40)
    expect(check.get_by_text("Read now; recorded as")).to_be_visible()
    read = "{ tickets(filter: { actionTypes: [KYC_DOWNLOADED], userId: %s }, first: 2) { nodes { status } } }"
    admin = desk.ask("{ me { id } }")["me"]["id"]
    assert desk.ask(read % json.dumps(admin))["tickets"]["nodes"] == [{"status": "SUCCESS"}] * 2

    drawer.get_by_role("button", name="Reject…").click()
    dialog = desk.page.get_by_role("dialog", name="Reject the identity check")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    expect(dialog.get_by_text("Say why.")).to_be_visible()
    dialog.get_by_role("textbox", name="Reason").fill("The passport has expired.")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    toast(desk, "Identity rejected")
    assert trader.ask("{ me { kycStatus kycReason } }")["me"] == {
        "kycStatus": "REJECTED",
        "kycReason": "The passport has expired.",
    }

    trader.upload("PASSPORT", "new.png", "image/png", png())
    desk.open(f"/people/kyc?user={trader.id}")
    drawer.get_by_role("button", name="Approve…").click()
    desk.page.get_by_role("dialog", name="Approve the identity check").get_by_role("button", name="Approve").click()
    toast(desk, "Identity approved")
    assert trader.ask("{ me { kycStatus } }")["me"]["kycStatus"] == "APPROVED"
    expect(row_of(desk, "Identity checks", trader.name)).to_have_count(0)


def test_deposits_are_credited_after_a_preview_or_rejected_with_a_reason(desk: Desk) -> None:
    desk.enter("ADMIN", "/people/deposits")
    trader = Trader(desk)
    came, never = f"SEPA {uuid4().hex[:8]}", f"SEPA {uuid4().hex[:8]}"
    trader.announce("5000.50", came)
    trader.announce("70", never)
    desk.page.reload()
    desk.page.get_by_role("button", name=f"Credit {came}").click()
    dialog = desk.page.get_by_role("dialog", name="Credit the deposit")
    expect(dialog).to_contain_text("0.00 → 5\u202f000.50")
    dialog.get_by_role("button", name=re.compile("^Credit 5")).click()
    toast(desk, "Deposit credited")
    expect(row_of(desk, "Deposits", came)).to_have_count(0)
    desk.page.get_by_role("button", name=f"Reject {never}").click()
    dialog = desk.page.get_by_role("dialog", name="Reject the deposit")
    dialog.get_by_role("textbox", name="Reason").fill("It never arrived.")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    toast(desk, "Deposit rejected")
    balances = trader.ask("{ me { balances { asset available } deposits { nodes { status } } } }")["me"]
    assert {balance["asset"]: balance["available"] for balance in balances["balances"]}["EUR"] == "5000.50"
    assert [deposit["status"] for deposit in balances["deposits"]["nodes"]] == ["REJECTED", "APPROVED"]
    desk.page.get_by_role("radiogroup", name="Status").get_by_text("Rejected").click()
    expect(desk.page).to_have_url(re.compile("status=REJECTED"))
    expect(row_of(desk, "Deposits", never)).to_contain_text("It never arrived.")


def test_trades_are_settled_together_each_with_its_ticket_or_not_at_all(desk: Desk) -> None:
    desk.enter("ADMIN", "/settlement")
    choices = desk.page.get_by_role("table", name="Trades").locator("tbody").get_by_role("checkbox")
    choices.nth(0).check()
    choices.nth(1).check()
    desk.page.get_by_role("button", name="Settle selected (2)").click()
    dialog = desk.page.get_by_role("dialog", name="Settle 2 trades")
    dialog.get_by_role("button", name="Record 2 settlements").click()
    expect(dialog.get_by_text("Enter the reference.").first).to_be_visible()
    reference = f"REG-{uuid4().hex[:8]}"
    dialog.get_by_role("textbox", name="Registry reference of all").fill(reference)
    dialog.get_by_role("textbox", name="Registry reference of trade 2").fill(f"{reference}-own")
    dialog.get_by_role("button", name="Record 2 settlements").click()
    toast(desk, "Trades settled")
    results = dialog.get_by_role("table", name="Trades to settle").locator("tbody").get_by_role("row")
    for row, expected in ((0, reference), (1, f"{reference}-own")):
        expect(results.nth(row)).to_contain_text(expected)
        expect(results.nth(row).get_by_role("link", name=TICKET)).to_be_visible()
    dialog.get_by_role("button", name="Close").last.click()
    settled = desk.ask("{ trades(filter: { status: SETTLED }, first: 2) { nodes { registryReference } } }")
    found = {trade["registryReference"] for trade in settled["trades"]["nodes"]}
    assert found == {reference, f"{reference}-own"}

    # Somebody else settles one of the next two meanwhile: then neither is settled here, and the row says so.
    pending = desk.ask("{ trades(filter: { status: EXECUTED }, first: 2) { nodes { id } } }")["trades"]["nodes"]
    desk.open("/settlement")
    choices.nth(0).check()
    choices.nth(1).check()
    desk.ask(
        "mutation ($id: ID!) { settleTrade(id: $id, registryReference: \"first\") { errors { code } } }",
        id=pending[1]["id"],
    )
    desk.page.get_by_role("button", name="Settle selected (2)").click()
    dialog.get_by_role("textbox", name="Registry reference of all").fill("second")
    dialog.get_by_role("button", name="Record 2 settlements").click()
    expect(dialog.get_by_role("alert")).to_contain_text("ALREADY_DECIDED")
    expect(results.nth(1)).to_contain_text("stands in the way")
    after = desk.ask("{ trades(filter: { status: EXECUTED }, first: 1) { nodes { id } } }")["trades"]["nodes"]
    assert after == [{"id": pending[0]["id"]}]


def test_the_rules_of_the_market_are_changed_and_each_change_is_a_ticket(desk: Desk) -> None:
    desk.enter("ADMIN", "/settings")
    panel = desk.page.get_by_role("region", name="EUA", exact=True)
    panel.get_by_role("textbox", name="Reference price of EUA").fill("72,50")
    panel.get_by_role("button", name="Set price").click()
    expect(toast(desk, "Reference price set")).to_contain_text("EUA 72.50 EUR")
    panel.get_by_role("button", name="Halt trading in EUA…").click()
    desk.page.get_by_role("dialog", name="Halt EUA").get_by_role("button", name="Halt EUA").click()
    toast(desk, "Trading halted")
    expect(panel.get_by_text("Halted")).to_be_visible()
    assert desk.ask("{ settings { haltedCertificates } }")["settings"]["haltedCertificates"] == ["EUA"]
    panel.get_by_role("button", name="Resume trading in EUA…").click()
    desk.page.get_by_role("dialog", name="Resume EUA").get_by_role("button", name="Resume EUA").click()
    toast(desk, "Trading resumed")
    whole = desk.page.get_by_role("region", name="Whole market")
    whole.get_by_role("textbox", name="Price band").fill("101")
    expect(whole.get_by_text("Above 0 and up to 100, or empty.")).to_be_visible()
    whole.get_by_role("textbox", name="Price band").fill("25")
    whole.get_by_role("button", name="Set band…").click()
    desk.page.get_by_role("dialog", name="Set the price band").get_by_role("button", name="Set 25 %").click()
    expect(toast(desk, "Settings changed")).to_contain_text("Band 25 %")
    desk.ask("mutation { updateSettings(input: { priceBandPercent: null }) { ticketId } }")


@pytest.mark.parametrize("path", ["/settings", "/settlement"])
def test_an_analyst_reads_and_finds_nothing_to_press(desk: Desk, path: str) -> None:
    desk.enter("ANALYST", path)
    expect(desk.page.get_by_role("heading", level=1)).to_be_visible()
    expect(desk.page.get_by_text("Trading").or_(desk.page.get_by_text("Executed")).first).to_be_visible()
    expect(desk.page.get_by_role("button", name=re.compile("Halt|Set|Save|Settle"))).to_have_count(0)
    expect(desk.page.get_by_role("checkbox")).to_have_count(0)
