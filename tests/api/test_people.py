"""Users, their passwords and their sessions: what an admin may do to others, and everybody to himself."""

from __future__ import annotations

import hashlib
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import pytest

from tests.world import PASSWORD, PLACE_ORDER, Api, Trader

pytestmark = pytest.mark.usefixtures("lawful")
USER = "id email name role isActive kycStatus"
ERRORS = "ticketId errors { code message field details }"
UPDATE = f"""mutation($id: ID!, $input: UpdateUserInput!) {{ updateUser(id: $id, input: $input) {{ {ERRORS}
  user {{ {USER} }} cancelledOrders {{ id status cancelReason }} sessionsRevoked }} }}"""
DELETE = f"""mutation($id: ID!) {{ deleteUser(id: $id) {{ {ERRORS}
  user {{ {USER} }} cancelledOrders {{ id status cancelReason }} sessionsRevoked }} }}"""
CHANGE_PASSWORD = f"""mutation($input: ChangePasswordInput!) {{ changePassword(input: $input) {{ {ERRORS}
  user {{ id }} sessionsRevoked accessToken expiresAt }} }}"""
REVOKE = f"""mutation($user: ID, $session: ID) {{ revokeSessions(userId: $user, sessionId: $session) {{ {ERRORS}
  user {{ id }} sessionsRevoked }} }}"""
SESSIONS = """query($id: ID) { sessions(userId: $id) {
  id user { id } createdAt lastSeenAt expiresAt ipAddress userAgent isCurrent } }"""
ME = "{ me { id } }"
OTHER_PASSWORD = "staple battery horse"


async def is_signed_in(api: Api, token: str) -> bool:
    return "data" in (await api.post(ME, None, token)).json()


async def person(api: Api, role: str) -> Trader:
    """Create somebody of a role who is signed in."""
    email = f"{role.lower()}-{uuid4().hex[:8]}@desk.test"
    created = await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } user { id } } }",
        input={"email": email, "name": role.title(), "role": role, "password": PASSWORD},
    )
    return Trader(created["createUser"]["user"]["id"], email, await api.login(email))


async def update(api: Api, user_id: str, **change: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.ask(UPDATE, id=user_id, input=change))["updateUser"]
    assert payload["errors"] == []
    return payload


# --------------------------------------------------------------------------------------------------------------- users


async def test_a_name_is_changed_and_nothing_else(api: Api) -> None:
    trader = await api.trader(EUR="10")
    payload = await update(api, trader.id, name=" Nora Quist ")
    assert payload["user"] == {
        "id": trader.id, "email": trader.email, "name": "Nora Quist", "role": "TRADER", "isActive": True,
        "kycStatus": "APPROVED",
    }  # fmt: skip
    assert (payload["cancelledOrders"], payload["sessionsRevoked"]) == ([], 0)
    assert await is_signed_in(api, trader.token)
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "USER_UPDATED", "Updated TRADER", "USER", trader.id,
    )  # fmt: skip
    assert [one for one in ticket["changes"] if one["before"] is not None] == [
        {"path": "user.name", "before": "Trader", "after": "Nora Quist"}
    ]


async def test_a_user_who_becomes_inactive_leaves_the_books_and_is_signed_out(api: Api) -> None:
    trader, other = await api.trader(EUR="1000", CEA="50"), await api.trader(EUR="1000")
    second = await api.login(trader.email)
    bid = (await api.order(trader, "BUY", "11.00", "10"))["order"]["id"]
    ask = (await api.order(trader, "SELL", "95.00", "20"))["order"]["id"]
    kept = (await api.order(other, "BUY", "11.00", "3"))["order"]["id"]
    count = await api.ticket_count()
    payload = await update(api, trader.id, isActive=False)
    assert payload["user"]["isActive"] is False
    assert payload["cancelledOrders"] == [
        {"id": order_id, "status": "CANCELLED", "cancelReason": "DEACTIVATED"} for order_id in (bid, ask)
    ]
    assert payload["sessionsRevoked"] == 2
    parent, *children = await api.tickets_since(count)
    assert (parent["ticket_id"], parent["action_type"], parent["summary"]) == (
        payload["ticketId"], "USER_UPDATED", "Updated TRADER, 2 open orders cancelled, 2 sessions ended",
    )  # fmt: skip
    assert [(row["action_type"], row["entity_id"], row["related_ticket_ids"][1]) for row in children] == [
        ("ORDER_CANCELLED", order_id, payload["ticketId"]) for order_id in (bid, ask)
    ]
    assert await api.balance(trader.id, "EUR") == ("1000.00", "0.00")
    assert await api.balance(trader.id, "CEA") == ("50", "0")
    assert [await is_signed_in(api, token) for token in (trader.token, second)] == [False, False]
    (row,) = await api.sql("SELECT status FROM orders WHERE id = $1", kept)
    assert row["status"] == "OPEN"

    await update(api, trader.id, isActive=True)
    assert not await is_signed_in(api, trader.token)  # what was revoked stays so
    assert await is_signed_in(api, await api.login(trader.email))


async def test_a_deleted_user_stays_with_his_history(api: Api) -> None:
    trader = await api.trader(EUR="1000")
    order = (await api.order(trader, "BUY", "10.50", "10"))["order"]["id"]
    payload = (await api.ask(DELETE, id=trader.id))["deleteUser"]
    assert payload["errors"] == []
    assert payload["cancelledOrders"] == [{"id": order, "status": "CANCELLED", "cancelReason": "DEACTIVATED"}]
    assert payload["sessionsRevoked"] == 1
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["status"]) == ("USER_DELETED", "SUCCESS")
    found = await api.ask("query($id: ID!) { user(id: $id) { isActive orders { totalCount } } }", id=trader.id)
    assert found["user"] == {"isActive": False, "orders": {"totalCount": 1}}
    again = (await api.ask(DELETE, id=trader.id))["deleteUser"]
    assert (again["errors"], again["cancelledOrders"], again["sessionsRevoked"]) == ([], [], 0)


async def test_another_role_is_another_session(api: Api) -> None:
    somebody = await person(api, "ANALYST")
    payload = await update(api, somebody.id, role="TRADER")
    assert (payload["user"]["role"], payload["sessionsRevoked"]) == ("TRADER", 1)
    assert not await is_signed_in(api, somebody.token)


async def test_a_password_set_by_an_admin_signs_the_user_out_and_is_nowhere(api: Api) -> None:
    somebody = await person(api, "ANALYST")
    count = await api.ticket_count()
    payload = await update(api, somebody.id, password=OTHER_PASSWORD)
    assert payload["sessionsRevoked"] == 1
    assert not await is_signed_in(api, somebody.token)
    assert await is_signed_in(api, await api.login(somebody.email, OTHER_PASSWORD))
    row = (await api.tickets_since(count))[0]
    assert "[redacted]" in row["request_payload"]
    (payloads,) = await api.sql("SELECT string_agg(p::text, '') AS text FROM ticket_payloads p")
    assert OTHER_PASSWORD not in payloads["text"]
    ticket = await api.ticket(payload["ticketId"])
    assert ticket["afterState"]["passwordChanged"] is True


async def test_a_role_is_kept_while_there_are_orders_or_balances(api: Api) -> None:
    trader = await api.trader(EUR="1000", CEA="7")
    await api.order(trader, "BUY", "10.00", "25")
    refusal = await api.refused("INVALID_INPUT", UPDATE, id=trader.id, input={"role": "ANALYST"})
    assert (refusal["field"], refusal["details"]) == ("role", {
        "role": "TRADER",
        "openOrders": 1,
        "balances": {
            "CEA": {"available": "7", "locked": "0"}, "EUR": {"available": "750.00", "locked": "250.00"},
        },
    })  # fmt: skip
    assert await is_signed_in(api, trader.token)
    poor = await api.trader()
    payload = await update(api, poor.id, role="ANALYST")
    assert payload["user"]["role"] == "ANALYST"


async def test_the_last_active_admin_cannot_be_locked_out(api: Api) -> None:
    (me,) = await api.sql("SELECT id::text FROM users WHERE email = $1", api.admin_email)
    for document, asked, field in (
        (UPDATE, {"input": {"isActive": False}}, "isActive"),
        (UPDATE, {"input": {"role": "ANALYST"}}, "role"),
        (DELETE, {}, "isActive"),
    ):
        refusal = await api.refused("INVALID_INPUT", document, id=me["id"], **asked)
        assert (refusal["field"], refusal["details"]) == (field, {"otherAdmins": 0})
    second = await person(api, "ADMIN")
    payload = (await api.ask(DELETE, second.token, id=me["id"]))["deleteUser"]
    assert (payload["errors"], payload["user"]["isActive"]) == ([], False)
    api.admin_token = second.token
    await update(api, me["id"], isActive=True)
    api.admin_token = await api.login(api.admin_email)
    assert (await api.ask(DELETE, id=second.id))["deleteUser"]["errors"] == []


@pytest.mark.parametrize("change", [
    {"role": "MARKET_MAKER"}, {"name": " "}, {"name": "x" * 65}, {"password": "short"}, {"password": "p" * 129},
])  # fmt: skip
async def test_a_wrong_change_is_refused_before_anything_is_looked_up(api: Api, change: dict[str, str]) -> None:
    refusal = await api.refused("INVALID_INPUT", UPDATE, id="nobody", input=change)
    assert refusal["field"] == next(iter(change))


async def test_a_maker_s_user_and_nobody_are_no_users_to_change(api: Api) -> None:
    maker = await api.maker()
    for user_id in (maker["user"]["id"], str(uuid4()), "x", ""):
        refusal = await api.refused("USER_NOT_FOUND", UPDATE, id=user_id, input={"name": "N"})
        assert (refusal["field"], refusal["details"]) == ("id", {"id": user_id})
        await api.refused("USER_NOT_FOUND", DELETE, id=user_id)


async def test_users_are_filtered_and_a_trader_reads_his_own_profile(api: Api) -> None:
    trader = await api.trader(EUR="5")
    document = "query($f: UserFilter) { users(filter: $f) { nodes { id } } }"
    for wanted, is_in in (
        ({"search": trader.email}, True), ({"search": trader.email, "role": "TRADER"}, True),
        ({"search": trader.email, "role": "ADMIN"}, False), ({"search": trader.email, "isActive": False}, False),
        ({"search": trader.email, "kycStatus": "APPROVED"}, True),
        ({"search": trader.email, "kycStatus": "NONE"}, False),
    ):  # fmt: skip
        found = (await api.ask(document, f=wanted))["users"]["nodes"]
        assert found == ([{"id": trader.id}] if is_in else []), wanted
    own = await api.ask(
        "{ me { id email kycStatus kycReason kycDocuments { id } balances { asset available }"
        " deposits { nodes { id } } } }",
        trader.token,
    )
    assert own["me"] == {
        "id": trader.id, "email": trader.email, "kycStatus": "APPROVED", "kycReason": None, "kycDocuments": [],
        "balances": [{"asset": "CEA", "available": "0"}, {"asset": "EUA", "available": "0"},
                     {"asset": "EUR", "available": "5.00"}],
        "deposits": {"nodes": []},
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ passwords


async def test_a_new_password_is_a_new_session_and_the_end_of_all_others(api: Api) -> None:
    trader = await api.trader()
    second = await api.login(trader.email)
    response = await api.post(
        CHANGE_PASSWORD, {"input": {"currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD}}, trader.token
    )
    payload = response.json()["data"]["changePassword"]
    assert (payload["errors"], payload["user"], payload["sessionsRevoked"]) == ([], {"id": trader.id}, 2)
    assert SimpleCookie(response.headers["set-cookie"])["carbondesk"].value == payload["accessToken"]
    assert [await is_signed_in(api, token) for token in (trader.token, second, payload["accessToken"])] == [
        False, False, True,
    ]  # fmt: skip
    assert await is_signed_in(api, await api.login(trader.email, OTHER_PASSWORD))
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityId"]) == (
        "ENTITY_MODIFIED", "Changed own password, 2 sessions ended", trader.id,
    )  # fmt: skip
    assert ticket["requestPayload"] == {"input": {"currentPassword": "[redacted]", "newPassword": "[redacted]"}}
    (stored,) = await api.sql("SELECT string_agg(p::text, '') AS text FROM ticket_payloads p")
    for secret in (OTHER_PASSWORD, payload["accessToken"]):
        assert secret not in stored["text"]


async def test_a_password_is_changed_by_whoever_knows_it_only(api: Api) -> None:
    trader = await api.trader()
    for current, new, code, field in (
        ("wrong horse battery", OTHER_PASSWORD, "INVALID_CREDENTIALS", "currentPassword"),
        ("", OTHER_PASSWORD, "INVALID_CREDENTIALS", "currentPassword"),
        (PASSWORD, PASSWORD, "INVALID_INPUT", "newPassword"),
        ("wrong", "short", "INVALID_INPUT", "newPassword"),
    ):
        asked = {"currentPassword": current, "newPassword": new}
        refusal = await api.refused(code, CHANGE_PASSWORD, trader.token, input=asked)
        assert refusal["field"] == field
    assert await is_signed_in(api, trader.token)
    (me,) = await api.sql("SELECT id::text FROM users WHERE email = $1", api.admin_email)
    refusal = await api.refused("INVALID_INPUT", UPDATE, id=me["id"], input={"password": OTHER_PASSWORD})
    assert "changePassword" in refusal["message"]


# ------------------------------------------------------------------------------------------------------------- sessions


async def test_sessions_are_listed_to_their_owner_and_to_admins(api: Api) -> None:
    trader = await api.trader()
    second = await api.login(trader.email)
    own = (await api.ask(SESSIONS, second))["sessions"]
    assert [one["isCurrent"] for one in own] == [True, False]
    assert {one["user"]["id"] for one in own} == {trader.id}
    assert (own[0]["ipAddress"], own[0]["userAgent"][:6]) == ("127.0.0.1", "Python")
    assert (await api.ask(SESSIONS, id=trader.id))["sessions"] == [{**one, "isCurrent": False} for one in own]
    stranger = await api.trader()
    for token, user_id in ((stranger.token, trader.id), (None, "x"), (None, str(uuid4()))):
        assert (await api.ask(SESSIONS, token, id=user_id))["sessions"] == []
    digest = hashlib.sha256(second.encode()).digest()
    await api.sql(
        "UPDATE user_sessions SET last_seen_at = now() - interval '31 minutes' WHERE token_sha256 = $1", digest
    )
    assert len((await api.ask(SESSIONS, id=trader.id))["sessions"]) == 1


async def test_one_session_is_ended_or_all(api: Api) -> None:
    trader = await api.trader()
    second, third = await api.login(trader.email), await api.login(trader.email)
    listed = (await api.ask(SESSIONS, third))["sessions"]
    first_id = listed[-1]["id"]
    payload = (await api.ask(REVOKE, third, session=first_id))["revokeSessions"]
    assert (payload["errors"], payload["user"], payload["sessionsRevoked"]) == ([], {"id": trader.id}, 1)
    assert [await is_signed_in(api, token) for token in (trader.token, second, third)] == [False, True, True]
    ticket = await api.ticket(payload["ticketId"])
    assert (ticket["actionType"], ticket["summary"], ticket["entityType"], ticket["entityId"]) == (
        "ENTITY_MODIFIED", "1 session ended: TRADER", "SESSION", first_id,
    )  # fmt: skip
    response = await api.post(REVOKE, {}, third)
    assert response.json()["data"]["revokeSessions"]["sessionsRevoked"] == 2
    assert SimpleCookie(response.headers["set-cookie"])["carbondesk"]["max-age"] == "0"
    assert [await is_signed_in(api, token) for token in (second, third)] == [False, False]


async def test_an_admin_ends_anybody_s_sessions(api: Api) -> None:
    trader = await api.trader()
    second = await api.login(trader.email)
    listed = (await api.ask(SESSIONS, id=trader.id))["sessions"]
    payload = (await api.ask(REVOKE, session=listed[0]["id"]))["revokeSessions"]
    assert (payload["user"], payload["sessionsRevoked"]) == ({"id": trader.id}, 1)
    assert [await is_signed_in(api, token) for token in (trader.token, second)] == [True, False]
    payload = (await api.ask(REVOKE, user=trader.id))["revokeSessions"]
    assert payload["sessionsRevoked"] == 1
    assert (await api.ask(REVOKE, user=trader.id))["revokeSessions"]["sessionsRevoked"] == 0
    assert await is_signed_in(api, api.admin_token)


async def test_nobody_ends_a_session_that_is_not_his(api: Api) -> None:
    trader, stranger = await api.trader(), await api.trader()
    session_id = (await api.ask(SESSIONS, trader.token))["sessions"][0]["id"]
    cases: list[tuple[str, str | None, dict[str, str]]] = [
        ("USER_NOT_FOUND", stranger.token, {"user": trader.id}),
        ("USER_NOT_FOUND", stranger.token, {"user": trader.id, "session": session_id}),
        ("NOT_FOUND", stranger.token, {"session": session_id}),
        ("NOT_FOUND", stranger.token, {"session": "x"}),
        ("NOT_FOUND", None, {"session": str(uuid4())}),
        ("NOT_FOUND", None, {"user": stranger.id, "session": session_id}),
        ("USER_NOT_FOUND", None, {"user": "x"}),
    ]
    for code, token, asked in cases:
        await api.refused(code, REVOKE, token, **asked)
    assert await is_signed_in(api, trader.token)


async def test_an_order_of_an_inactive_user_is_refused_at_the_door(api: Api) -> None:
    trader = await api.trader(EUR="100")
    await update(api, trader.id, isActive=False)
    asked = {"certificateType": "CEA", "side": "BUY", "price": "1.00", "quantity": "1"}
    response = await api.post(PLACE_ORDER, {"input": asked}, trader.token)
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
