"""Signing in, getting where one wanted to go, and leaving."""

import re

from playwright.sync_api import expect

from .conftest import Desk


def test_a_visitor_signs_in_and_arrives_where_they_wanted_to_go(desk: Desk) -> None:
    desk.open("/logging/tickets?status=FAILED")
    expect(desk.page).to_have_title("Sign in · Carbon Desk")
    desk.sign_in("ADMIN")
    expect(desk.page).to_have_url(desk.server.url + "/logging/tickets?status=FAILED")
    expect(desk.page).to_have_title("All tickets · Logging · Carbon Desk")


def test_a_wrong_password_is_said_and_the_form_stays(desk: Desk) -> None:
    desk.open("/login")
    desk.fill_sign_in(desk.login("ADMIN").email, "not the password")
    expect(desk.page.get_by_role("alert").filter(has_text="Email or password is wrong.")).to_be_visible()
    expect(desk.page.get_by_role("textbox", name="Email")).to_have_value(desk.login("ADMIN").email)


def test_an_empty_form_is_answered_at_once_and_sends_nothing(desk: Desk) -> None:
    desk.open("/login")
    sent: list[str] = []
    desk.page.on("request", lambda request: sent.append(request.url) if "Login" in (request.post_data or "") else None)
    desk.page.get_by_role("button", name="Sign in").click()
    expect(desk.page.get_by_text("Enter your email address.")).to_be_visible()
    expect(desk.page.get_by_role("textbox", name="Email")).to_be_focused()
    assert sent == []


def test_the_token_is_out_of_reach_of_scripts(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders")
    assert desk.page.evaluate("document.cookie") == ""
    stored = desk.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "token" not in stored.lower()


def test_signing_out_ends_the_session(desk: Desk) -> None:
    desk.enter("ADMIN", "/market-orders")
    desk.page.get_by_role("button", name="Account of").click()
    desk.page.get_by_role("menuitem", name="Sign out").click()
    expect(desk.page).to_have_url(desk.server.url + "/login")
    desk.open("/market-orders")
    expect(desk.page).to_have_url(re.compile(r"/login\?to=/market-orders$"))


def test_a_return_address_never_leads_to_another_site(desk: Desk) -> None:
    desk.enter("ADMIN", "/login?to=//carbondesk.invalid/")
    expect(desk.page).to_have_url(re.compile(re.escape(desk.server.url) + r"/market-orders"))


def test_a_session_that_ended_is_renewed_over_the_page(desk: Desk) -> None:
    desk.enter("ADMIN", "/logging/tickets?status=SUCCESS")
    expect(desk.page.get_by_role("row").nth(1)).to_be_visible()
    desk.ask("mutation { logout { ticketId } }")
    desk.page.get_by_role("table", name="Tickets").get_by_role("link").first.click()
    dialog = desk.page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    login = desk.login("ADMIN")
    expect(dialog.get_by_role("textbox", name="Email")).to_have_value(login.email)
    desk.fill_sign_in(login.email, login.password)
    expect(dialog).to_be_hidden()
    expect(desk.page.get_by_role("dialog").get_by_role("region", name="Changes")).to_be_visible()
    expect(desk.page).to_have_url(re.compile(r"status=SUCCESS&ticket=TKT-"))
