"""Operations in the browser: an admin sees how the process is, alarms say what to do, nobody else gets there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.dashboard.conftest import Desk

SHOTS = os.environ.get("SHOTS")  # a folder for pictures, to be looked at


def shot(desk: Desk, name: str) -> None:
    if SHOTS:
        for scheme in ("light", "dark"):
            desk.page.emulate_media(color_scheme=scheme)
            desk.page.wait_for_timeout(300)
            desk.page.screenshot(path=Path(SHOTS, f"{name}-{scheme}.png"), full_page=True)


def test_an_admin_sees_that_all_is_well(desk: Desk) -> None:
    desk.enter("ADMIN", "/operations")
    page = desk.page
    expect(page.get_by_role("heading", name="Operations", level=1)).to_be_visible()
    for name, value in {"Database": "Ready", "Redis": "Connected", "Sealing": "Running"}.items():
        expect(page.get_by_role("group", name=name, exact=True)).to_contain_text(value)
    books = page.get_by_role("region", name="Books").get_by_role("row")
    expect(books).to_have_count(3)
    expect(books.nth(1)).to_contain_text("CEA")
    pools = page.get_by_role("region", name="Connections to the database").get_by_role("row")
    expect(pools.filter(has_text="write")).to_contain_text("12")
    shot(desk, "operations")


def test_what_is_wrong_is_said_in_words(desk: Desk) -> None:
    desk.enter("ADMIN", "/settings")

    def broken(route: Route) -> None:
        if "operations" not in (route.request.post_data or ""):
            route.fallback()
            return
        answer = route.fetch()
        body = answer.json()
        body["data"]["operations"] |= {
            "isRedisConnected": False, "sealingAlarm": "ticket TKT-2026-000007 is not sealed: its digest differs",
        }  # fmt: skip
        body["data"]["operations"]["pools"][0] |= {"usedConnections": 12, "openConnections": 12}
        route.fulfill(response=answer, json=body)

    desk.page.route("**/graphql", broken)
    desk.open("/operations")
    page = desk.page
    expect(page.get_by_role("group", name="Redis")).to_contain_text("Trading goes on")
    expect(page.get_by_role("group", name="Sealing")).to_contain_text("Stopped")
    expect(page.get_by_role("group", name="Sealing")).to_contain_text("TKT-2026-000007 is not sealed")
    shot(desk, "operations-alarm")


@pytest.mark.parametrize("role", ["ANALYST", "TRADER"])
def test_others_are_told_who_may(desk: Desk, role: str) -> None:
    desk.enter(role, "/operations")
    expect(desk.page.get_by_role("main")).to_contain_text("ADMIN")
    expect(desk.page.get_by_role("group", name="Redis")).to_have_count(0)
