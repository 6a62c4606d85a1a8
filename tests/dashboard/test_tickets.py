"""The list of tickets: live, narrowed in one way that box, chips, menus and address show, exported whole."""

import csv
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from .conftest import Desk

TICKET = re.compile(r"^TKT-\d{4}-\d{6,}$")
TABLE = "Tickets"


def row_of(desk: Desk, ticket_id: str) -> Locator:
    """Find the row of a ticket."""
    return desk.page.get_by_role("table", name=TABLE).get_by_role("row").filter(has_text=ticket_id)


def box(page: Page) -> Locator:
    """Find the field that takes the filter as text."""
    return page.get_by_role("combobox", name="Search tickets")


def chips(page: Page) -> Locator:
    """Find the conditions that hold."""
    return page.get_by_role("list", name="Conditions").get_by_role("listitem")


def parameters(page: Page) -> dict[str, str]:
    """Return what the address carries."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def best_ask(desk: Desk) -> str:
    """Return the lowest price at which somebody sells."""
    price: str = desk.ask("{ orderBook(certificateType: CEA) { bestAsk } }")["orderBook"]["bestAsk"]
    return price


@pytest.fixture
def tickets(desk: Desk) -> Desk:
    """Open the list as an admin."""
    desk.enter("ADMIN", "/logging/tickets")
    expect(desk.page.get_by_role("link", name=TICKET).first).to_be_visible()
    return desk


def test_an_action_appears_while_it_happens_with_how_it_ended(tickets: Desk) -> None:
    price = best_ask(tickets)
    done = tickets.place_maker_order(price, "3")
    refused = tickets.place_maker_order(price, "99999999")
    assert [error["code"] for error in refused["errors"]] == ["INSUFFICIENT_BALANCE"]
    expect(row_of(tickets, done["ticketId"])).to_contain_text("MM order placed")
    expect(row_of(tickets, done["ticketId"])).to_contain_text("OK")
    expect(row_of(tickets, refused["ticketId"])).to_contain_text("Failed")
    expect(row_of(tickets, refused["ticketId"])).to_contain_text("INSUFFICIENT_BALANCE")


def test_a_list_that_is_held_keeps_still_and_counts_what_is_new(tickets: Desk) -> None:
    page = tickets.page
    page.keyboard.press("L")
    expect(page.get_by_role("status", name="List: Paused")).to_be_visible()
    placed = tickets.place_maker_order(best_ask(tickets), "3")
    pill = page.get_by_role("button", name=re.compile(r"^\d+ new$"))
    expect(pill).to_be_visible()
    expect(row_of(tickets, placed["ticketId"])).to_have_count(0)
    pill.click()
    page.keyboard.press("L")  # lets in also what came after the press
    expect(row_of(tickets, placed["ticketId"])).to_be_visible()


def test_text_chips_menus_and_address_are_views_of_one_state(tickets: Desk) -> None:
    page = tickets.page
    maker = tickets.seller()
    text = f'action:MM_ORDER_* status:success mm:"{maker["name"]}" -error:BUSY SELL'
    box(page).fill(text)
    box(page).press("Enter")
    expect(chips(page)).to_have_text(
        [
            "action: MM_ORDER_*",
            "status: success",
            f"mm: {maker['name']}",
            "not error: BUSY",
            "text: SELL",
        ]
    )
    expect(page.get_by_role("button", name="Status (1)")).to_be_visible()
    wanted = {"action": "MM_ORDER_*", "status": "SUCCESS", "mm": maker["id"], "error": "-BUSY", "q": "SELL"}
    assert parameters(page) == wanted
    rows = page.get_by_role("table", name=TABLE).locator("tbody").get_by_role("row")
    expect(rows.first).to_contain_text("MM order placed")
    page.reload()
    expect(chips(page)).to_have_count(5)
    page.get_by_role("button", name="Remove status: success").click()
    page.get_by_role("button", name="Remove text: SELL").click()
    expect(chips(page)).to_have_count(3)
    expect(box(page)).to_have_value(f"action:MM_ORDER_* mm:{maker['name']} -error:BUSY")
    page.go_back()
    expect(chips(page)).to_have_count(4)
    assert parameters(page)["q"] == "SELL"


def test_what_is_typed_in_vain_is_named_and_the_rest_is_obeyed(tickets: Desk) -> None:
    page = tickets.page
    box(page).fill("status:failed mm:Nobody foo:bar")
    expect(page.get_by_text("There is no market maker “Nobody”.")).to_be_visible()
    expect(page.get_by_text("There is no key “foo”.")).to_be_visible()
    expect(chips(page)).to_have_text(["status: failed"])
    tickets.open("/logging/tickets?status=FOO&action=MM_CREATED,NO_SUCH")
    expect(page.get_by_text("Ignored in the address: action=NO_SUCH, status=FOO")).to_be_visible()
    expect(chips(page)).to_have_text(["action: MM_CREATED"])


def test_values_are_offered_with_their_counts(tickets: Desk) -> None:
    page = tickets.page
    stats = tickets.ask("{ ticketStats { byActionType { actionType count } } }")["ticketStats"]["byActionType"]
    logins = next(one["count"] for one in stats if one["actionType"] == "USER_LOGIN_FAILED")
    box(page).press_sequentially("action:login_f")
    option = page.get_by_role("option").filter(has_text="USER_LOGIN_FAILED")
    expect(option).to_contain_text(str(logins))
    box(page).press("ArrowDown")
    box(page).press("Enter")
    expect(box(page)).to_have_value("action:USER_LOGIN_FAILED ")
    expect(chips(page)).to_have_text(["action: USER_LOGIN_FAILED"])


def test_a_relative_window_stays_relative_and_dragging_over_bars_zooms(tickets: Desk) -> None:
    page = tickets.page
    page.get_by_role("button", name="All time").click()
    page.get_by_role("button", name="Last hour").click()
    expect(page).to_have_url(re.compile(r"\?last=1h$"))
    page.reload()
    expect(page.get_by_role("button", name="Last hour")).to_be_visible()
    bars = page.get_by_role("figure", name="Tickets over time").get_by_role("img")
    expect(bars).to_be_visible()
    place = bars.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + place["width"] * 0.5, place["y"] + 10)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] - 4, place["y"] + 10)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"\?from=.*&to=.*"))
    ends = parameters(page)
    length = datetime.fromisoformat(ends["to"]) - datetime.fromisoformat(ends["from"])
    assert timedelta(minutes=20) < length < timedelta(minutes=40)
    page.go_back()
    expect(page.get_by_role("button", name="Last hour")).to_be_visible()


def test_a_ticket_opens_over_the_list_leads_on_and_closes_back_to_it(tickets: Desk) -> None:
    page = tickets.page
    tickets.open("/logging/tickets?status=FAILED")
    links = page.get_by_role("link", name=TICKET)
    expect(links.nth(1)).to_be_visible()
    first, second = links.nth(0).inner_text(), links.nth(1).inner_text()
    links.first.press("Enter")
    drawer = page.get_by_role("dialog", name=first)
    for section in ("Changes", re.compile("^Related tickets"), "Sealing"):
        expect(drawer.get_by_role("region", name=section)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("dialog", name=second)).to_be_visible()
    assert parameters(page) == {"status": "FAILED", "ticket": second}
    page.reload()
    expect(page.get_by_role("dialog", name=second)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name=second)).to_be_hidden()
    assert parameters(page) == {"status": "FAILED"}


def test_the_short_address_leads_to_the_page_of_a_ticket_with_what_it_changed(tickets: Desk) -> None:
    page = tickets.page
    placed = tickets.place_maker_order(best_ask(tickets), "4")
    tickets.open(f"/t/{placed['ticketId']}")
    expect(page.get_by_role("heading", name=placed["ticketId"])).to_be_visible()
    changes = page.get_by_role("region", name="Changes")
    locked = changes.get_by_role("row").filter(has_text="balances.CEA.locked")
    expect(locked.get_by_role("cell").last).to_have_text("+4")
    expect(changes.get_by_role("row").filter(has_text="order.status")).to_contain_text("added")
    related = page.get_by_role("region", name=re.compile("^Related tickets"))
    expect(related).to_be_visible()
    expect(page.get_by_role("region", name="Sealing")).to_contain_text("Sealed")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the proof").click()
    proof = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert proof["ticketId"] == placed["ticketId"]
    assert proof["checkpoint"].startswith("carbondesk/")
    page.get_by_role("navigation", name="Filter to").get_by_role("link", name="this market maker").click()
    expect(row_of(tickets, placed["ticketId"])).to_be_visible()


def test_a_trade_is_drawn_after_the_orders_that_caused_it(tickets: Desk) -> None:
    page = tickets.page
    trade = tickets.ask("{ tickets(filter: { actionTypes: [MM_TRADE_EXECUTED] }, first: 1) { nodes { ticketId } } }")
    ticket_id = trade["tickets"]["nodes"][0]["ticketId"]
    tickets.open(f"/logging/tickets/{ticket_id}")
    related = page.get_by_role("region", name=re.compile("^Related tickets"))
    expect(related.get_by_text("MM order placed").first).to_be_visible()
    related.get_by_text("Graph").click()
    graph = related.get_by_role("group", name=re.compile("^Graph of causes"))
    own = graph.get_by_role("link", name=ticket_id)
    cause = graph.locator("div").filter(has_text="MM order placed").get_by_role("link").first
    assert own.bounding_box()["x"] > cause.bounding_box()["x"]  # type: ignore[index]


def test_a_ticket_that_does_not_exist_says_so(tickets: Desk) -> None:
    tickets.open("/t/TKT-1999-000001")
    expect(tickets.page.get_by_text("There is no such ticket")).to_be_visible()
    box_text = "tkt-1999-000001"
    tickets.open("/logging/tickets")
    box(tickets.page).fill(box_text)
    box(tickets.page).press("Enter")
    expect(tickets.page.get_by_role("dialog").get_by_text("There is no such ticket")).to_be_visible()


def test_older_tickets_follow_below(tickets: Desk) -> None:
    rows = tickets.page.get_by_role("link", name=TICKET)
    before = rows.count()
    tickets.page.get_by_role("button", name="Load more").click()
    expect(rows.nth(before)).to_be_visible()


def test_the_list_is_gone_through_by_keys_alone(tickets: Desk) -> None:
    page = tickets.page
    tickets.open("/logging/tickets?status=FAILED")
    second = page.get_by_role("link", name=TICKET).nth(1)
    expect(second).to_be_visible()
    ticket_id = second.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=ticket_id)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    expect(page.get_by_role("menuitem", name="NDJSON, everything")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("F")
    page.keyboard.press("C")
    expect(page).to_have_url(tickets.server.url + "/logging/tickets")


def exported(page: Page, kind: str) -> Download:
    """Export what is listed and return the file."""
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=kind).click()
    return download.value


def test_an_export_holds_what_the_table_shows_all_of_it(tickets: Desk) -> None:
    page = tickets.page
    tickets.place_maker_order(best_ask(tickets), "99999999")
    tickets.open("/logging/tickets?status=FAILED&action=MM_*")
    expect(page.get_by_role("status", name="How many match")).to_have_text(re.compile(r"^(\d+) of \1 match$"))
    listed = page.get_by_role("link", name=TICKET).all_inner_texts()
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_text(f"Export {len(listed)} rows")).to_be_visible()
    page.keyboard.press("Escape")

    file = exported(page, "CSV, everything")
    assert re.fullmatch(r"tickets_first_\d{4}-\d\d-\d\dT\d{6}Z_failed\.csv", file.suggested_filename)
    with Path(file.path()).open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [row["ticketId"] for row in rows] == listed
    assert {"requestPayload", "beforeState"} <= rows[0].keys()
    note = page.get_by_role("status", name=f"Exported {len(listed)} rows")
    ticket_id = note.get_by_role("link", name=TICKET).inner_text()
    recorded = tickets.ask(f'{{ ticket(ticketId: "{ticket_id}") {{ actionType requestPayload }} }}')["ticket"]
    assert recorded["actionType"] == "DATA_EXPORTED"
    assert recorded["requestPayload"]["filter"]["status"] == "FAILED"

    lines = Path(exported(page, "NDJSON, everything").path()).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["ticketId"] for line in lines] == listed
    page.get_by_role("button", name=re.compile("^Columns")).click()
    for column in ("By", "Market maker", "Entity", "ms", "Summary"):
        page.get_by_role("checkbox", name=column, exact=True).uncheck()
    page.keyboard.press("Escape")
    with Path(exported(page, "CSV, visible columns").path()).open(encoding="utf-8", newline="") as text:
        visible = list(csv.DictReader(text))
    assert list(visible[0]) == ["timestamp", "ticketId", "actionType", "status"]
    assert [row["ticketId"] for row in visible] == listed


def test_failed_actions_are_locked_to_what_failed_and_counted_by_reason(tickets: Desk) -> None:
    page = tickets.page
    tickets.open("/logging/failed?status=SUCCESS")
    expect(chips(page)).to_have_text(["status: failed"])
    expect(page.get_by_role("button", name="Remove status: failed")).to_have_count(0)
    reasons = tickets.ask("{ ticketStats(filter: { status: FAILED }) { byErrorCode { errorCode count } } }")
    code = reasons["ticketStats"]["byErrorCode"][0]
    page.get_by_role("group", name="By reason").get_by_role("button", name=code["errorCode"]).click()
    expect(page.get_by_role("status", name="How many match")).to_have_text(f"{code['count']} of {code['count']} match")
    tickets.open("/logging/mm-actions")
    expect(chips(page)).to_have_text(["mm: any market maker"])


def test_a_search_by_form_writes_the_same_query(tickets: Desk) -> None:
    page = tickets.page
    placed = tickets.place_maker_order(best_ask(tickets), "5")
    tickets.open("/logging/search")
    page.get_by_label("Entity type").select_option(label="Order")
    page.get_by_label("Entity ID").fill("no uuid")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Enter a UUID.")).to_be_visible()
    page.get_by_label("Entity ID").fill(placed["order"]["id"])
    page.get_by_role("button", name="Show as query").click()
    expect(page.get_by_label("The search as a query")).to_have_text(f"entity:ORDER id:{placed['order']['id']}")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(row_of(tickets, placed["ticketId"])).to_be_visible()
    assert parameters(page) == {"entity": "ORDER", "id": placed["order"]["id"]}


def test_a_view_is_saved_under_a_name_and_travels_as_a_file(tickets: Desk, tmp_path: Path) -> None:
    page = tickets.page
    tickets.open("/logging/failed?last=7d")
    page.get_by_role("button", name="Views", exact=True).click()
    page.get_by_label("Name of this view").fill("Failed this week")
    page.get_by_role("button", name="Save this view").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save views to a file").click()
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8")) == [
        {"name": "Failed this week", "path": "/logging/failed?last=7d"}
    ]
    file = tmp_path / "views.json"
    file.write_text(json.dumps([{"name": "Logins", "path": "/logging/tickets?action=USER_LOGIN"}]), encoding="utf-8")
    page.get_by_label("Take views from a file").set_input_files(file)
    page.get_by_role("link", name="Logins").click()
    expect(page).to_have_url(tickets.server.url + "/logging/tickets?action=USER_LOGIN")
    page.get_by_role("button", name="Views", exact=True).click()
    expect(page.get_by_role("link", name="Failed this week")).to_be_visible()


def test_the_overview_says_what_the_api_counts_and_leads_to_the_list(tickets: Desk) -> None:
    page = tickets.page
    tickets.open("/logging/overview")
    card = page.get_by_role("main").get_by_role("link", name=re.compile("^Failed \\d"))
    expect(card).to_be_visible()
    stats: dict[str, Any] = tickets.ask("{ ticketStats { failedCount byActionType { actionType count } } }")[
        "ticketStats"
    ]
    expect(card).to_contain_text(str(stats["failedCount"]))
    expect(page.get_by_role("img", name=re.compile(r"actions, \d+ failed"))).to_be_visible()
    page.get_by_role("region", name="Top actions").get_by_role("link").first.click()
    most = max(stats["byActionType"], key=lambda one: int(one["count"]))
    assert parameters(page) == {"last": "24h", "action": most["actionType"]}
    count = f"{most['count']:,}".replace(",", "\u202f")
    expect(page.get_by_role("status", name="How many match")).to_have_text(re.compile(f"of {count} match$"))


def test_rows_stay_when_the_server_is_away(tickets: Desk) -> None:
    page = tickets.page
    tickets.open("/logging/tickets?status=FAILED")
    rows = page.get_by_role("link", name=TICKET)
    expect(rows.first).to_be_visible()
    before = rows.count()
    page.route("**/graphql", lambda route: route.abort())
    page.keyboard.press("r")
    expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()
    expect(rows).to_have_count(before)
    page.unroute("**/graphql")
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_text("The server cannot be reached.")).to_have_count(0)
