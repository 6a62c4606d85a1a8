"""The query tab: the API with its schema at hand, as a table, a file, or a program."""

import csv
import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Desk
from .test_budgets import ASSETS, QUERY_JS_MAX, closure, entry, weight


def editor(page: Page) -> Locator:
    """Find the field of the document."""
    return page.get_by_role("textbox", name="Query", exact=True)


def write(page: Page, document: str) -> None:
    """Replace the document."""
    editor(page).click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(document)


def answer(page: Page) -> Locator:
    """Find what is said of the answer."""
    return page.get_by_role("status", name="Answer")


@pytest.fixture
def query(desk: Desk) -> Desk:
    """Open the tab as an analyst."""
    desk.enter("ANALYST", "/query")
    expect(editor(desk.page)).to_be_visible()
    return desk


def test_every_example_runs(query: Desk) -> None:
    page = query.page
    examples = page.get_by_role("navigation", name="Library").get_by_role("list").first.get_by_role("button")
    expect(examples).to_have_count(12)
    for index in range(12):
        examples.nth(index).click()
        with page.expect_response(lambda response: response.url.endswith("/graphql")) as response:
            page.get_by_role("button", name="Run", exact=True).click()
        body = response.value.json()
        assert "errors" not in body, (examples.nth(index).inner_text(), body["errors"])
        expect(answer(page)).to_have_text(re.compile(r"^\d+ rows? · \d+ ms"))
        expect(page.get_by_role("alert")).to_have_count(0)


def test_all_pages_are_fetched_shown_and_downloaded(query: Desk) -> None:
    page = query.page
    count = query.ask("{ ticketStats(filter: { status: SUCCESS }) { totalActions } }")["ticketStats"]["totalActions"]
    assert count > 100
    document = """query All($after: String) {
        tickets(filter: { status: SUCCESS }, orderBy: OLDEST, first: 50, after: $after) {
            nodes { ticketId summary user { name } } pageInfo { hasNextPage endCursor } } }"""
    write(page, document)
    page.get_by_role("textbox", name="Variables (JSON)").fill("")
    page.get_by_role("button", name="Fetch all pages").click()
    expect(answer(page)).to_contain_text("all of it")
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV").click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert list(rows[0]) == ["ticketId", "summary", "user.name"]
    assert len(rows) >= count
    assert len({row["ticketId"] for row in rows}) == len(rows)
    expect(page.get_by_role("table", name="Answer")).to_have_attribute("aria-rowcount", str(len(rows) + 1))
    write(page, document.replace("pageInfo { hasNextPage endCursor }", ""))
    expect(page.get_by_role("button", name="Fetch all pages")).to_be_disabled()
    expect(page.get_by_text("Select pageInfo { hasNextPage endCursor }.")).to_be_visible()


def test_the_schema_completes_what_is_typed_without_a_request_elsewhere(query: Desk) -> None:
    page = query.page
    write(page, "{ ticketS")
    page.keyboard.press("Control+Space")
    expect(page.get_by_role("option", name=re.compile("^ticketStats"))).to_be_visible()


def test_a_mutation_does_not_run_until_it_is_allowed(desk: Desk) -> None:
    desk.enter("ADMIN", "/query")
    page = desk.page
    write(
        page, 'mutation { cancelMarketOrder(id: "00000000-0000-4000-8000-000000000000") { ticketId errors { code } } }'
    )
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Tick “Allow mutations” to run it.")
    page.get_by_role("checkbox", name="Allow mutations").check()
    page.keyboard.press("Control+Enter")
    table = page.get_by_role("table", name="Answer")
    expect(table).to_contain_text("ORDER_NOT_FOUND")


def test_a_query_is_saved_shared_and_handed_over_as_a_program(query: Desk) -> None:
    page = query.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    write(page, "{ me { email role } }")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Name").fill("Who am I")
    page.get_by_role("button", name="Save query").click()
    expect(page).to_have_url(re.compile(r"/query\?id="))
    page.get_by_role("button", name="Share").click()
    expect(page).to_have_url(re.compile(r"/query\?q="))
    link = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("navigation", name="Library").get_by_role("button", name="Book depth").click()
    expect(editor(page)).to_contain_text("orderBook")
    query.open(link.removeprefix(query.server.url))
    expect(editor(page)).to_contain_text("me { email role }")
    page.get_by_role("button", name="Code").click()
    program = page.get_by_label("Program").inner_text()
    page.keyboard.press("Escape")
    token = login_token(query)
    ran = subprocess.run(
        ["bash", "-c", program],
        env={"TOKEN": token, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert json.loads(ran.stdout)["data"]["me"]["role"] == "ANALYST"
    query.open("/query")
    page.get_by_role("navigation", name="Library").get_by_role("button", name="Who am I", exact=True).click()
    expect(editor(page)).to_contain_text("me { email role }")


def login_token(desk: Desk) -> str:
    """Sign in as a program does and return its token."""
    login = desk.login("ANALYST")
    document = "mutation In($input: LoginInput!) { login(input: $input) { accessToken } }"
    variables = {"input": {"email": login.email, "password": login.password}}
    request = urllib.request.Request(  # noqa: S310 - our own server
        f"{desk.server.url}/graphql",
        json.dumps({"query": document, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        token: str = json.load(response)["data"]["login"]["accessToken"]
    return token


def test_a_wrong_document_is_explained_where_it_is_wrong(query: Desk) -> None:
    page = query.page
    write(page, "{ me { ")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1: Syntax Error")
    write(page, "{ me { nope } }")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Cannot query field 'nope' on type 'User'.")


def test_a_subscription_streams_into_the_table_until_it_is_stopped(query: Desk) -> None:
    page = query.page
    write(page, "subscription { orderBook(certificateType: CEA, depth: 1) { sequence bestBid bestAsk } }")
    page.get_by_role("button", name="Run", exact=True).click()
    best = query.ask("{ orderBook(certificateType: CEA) { bestAsk } }")["orderBook"]["bestAsk"]
    expect(page.get_by_role("table", name="Answer")).to_contain_text(best)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_the_tab_with_its_editor_is_light() -> None:
    names = [file.name for part in ("QueryPage", "Editor") for file in ASSETS.glob(f"{part}-*.js")]
    assert len(names) == 2
    assert weight(closure(*names) - entry()) <= QUERY_JS_MAX


def test_several_queries_are_open_and_keep_what_was_typed_and_answered(query: Desk) -> None:
    page = query.page
    tabs = page.get_by_role("navigation", name="Open queries")
    library = page.get_by_role("navigation", name="Library")
    write(page, "{ me { email } }")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("table", name="Answer")).to_contain_text("@")
    library.get_by_role("button", name="Book depth").click()  # beside what was typed, not over it
    expect(editor(page)).to_contain_text("orderBook")
    expect(answer(page)).to_be_hidden()
    tabs.get_by_role("button", name="Failed actions", exact=True).click()
    expect(editor(page)).to_contain_text("{ me { email } }")
    expect(page.get_by_role("table", name="Answer")).to_contain_text("@")
    page.reload()
    expect(editor(page)).to_contain_text("{ me { email } }")
    tabs.get_by_role("button", name="Book depth", exact=True).click()
    expect(editor(page)).to_contain_text("orderBook")
    tabs.get_by_role("button", name="Close Book depth").click()
    expect(editor(page)).to_contain_text("{ me { email } }")
    tabs.get_by_role("button", name="Open another query").click()
    expect(tabs.get_by_role("button", name="New query", exact=True)).to_have_attribute("aria-current", "true")


def test_variables_are_filled_in_field_by_field_as_the_schema_says(query: Desk) -> None:
    page = query.page
    write(
        page,
        "query($filter: TicketFilter, $first: Int!) { tickets(filter: $filter, first: $first) { nodes { status } } }",
    )
    text = page.get_by_role("textbox", name="Variables (JSON)")
    text.fill('{ "first": 100 }')
    fields = page.get_by_role("group", name="Variables, field by field")
    fields.get_by_role("textbox", name="first").fill("3")
    fields.get_by_role("textbox", name="first").press("Enter")
    fields.get_by_text("filter: TicketFilter").click()
    fields.get_by_role("combobox", name="filter.status").select_option("FAILED")
    assert json.loads(text.input_value()) == {"first": 3, "filter": {"status": "FAILED"}}
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("table", name="Answer").get_by_role("cell", name="FAILED")).to_have_count(3)
    fields.get_by_role("combobox", name="filter.status").select_option("")
    assert json.loads(text.input_value()) == {"first": 3}


def test_figures_of_an_answer_are_drawn(query: Desk) -> None:
    page = query.page
    document = "{ orderBook(certificateType: CEA, depth: 5) { asks { price quantity } } }"
    write(page, document)
    page.get_by_role("textbox", name="Variables (JSON)").fill("")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("radiogroup", name="How the answer is shown").get_by_text("Chart").click()
    page.get_by_role("combobox", name="Figure").select_option("quantity")
    sizes = [int(level["quantity"]) for level in query.ask(document)["orderBook"]["asks"]]
    said = f"quantity over price: {len(sizes)} bars from {min(sizes)} to {max(sizes)}"
    expect(page.get_by_role("img", name=said)).to_be_visible()
