"""Signing in and what each role may see: opaque tokens by the database's clock, one policy a field, deny by default."""

import hashlib
import json
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import websockets
from gql import gql
from strawberry.schema.config import StrawberryConfig
from strawberry.types import get_object_definition
from websockets.typing import Subprotocol

from api import schema
from api.mutations import Mutation
from api.policy import ROLES, Allow, Policy
from api.queries import Query
from api.subscriptions import Subscription
from api.tickets import DECLARED
from domain.people import UserRole
from tests.world import PASSWORD, Api, Trader

LOGIN = """mutation($input: LoginInput!) { login(input: $input) {
  ticketId errors { code message field } accessToken expiresAt user { id email role } } }"""
LOGOUT = "mutation { logout { ticketId errors { code } } }"
ME = "{ me { id email role } }"


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    return await api.trader(EUR="1000", CEA="10")


@pytest.fixture(scope="module")
async def analyst(api: Api) -> Trader:
    created = await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } user { id } } }",
        input={"email": "analyst@desk.test", "name": "Analyst", "role": "ANALYST", "password": PASSWORD},
    )
    user_id = created["createUser"]["user"]["id"]
    return Trader(user_id, "analyst@desk.test", await api.login("analyst@desk.test"))


async def sign_in(api: Api, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
    return await api.post(LOGIN, {"input": {"email": email, "password": password}}, "", **headers)


async def by_cookie(api: Api, cookie: str, document: str = ME) -> Any:
    """Ask as a browser does that shows a page of this site."""
    response = await api.post(document, None, "", Cookie=cookie, Origin=api.url.removesuffix("/graphql"))
    return response.json()


async def who(api: Api, token: str) -> Any:
    """Return the role behind a bearer token, or the code of the refusal."""
    body = (await api.post(ME, None, token)).json()
    return body["data"]["me"]["role"] if "data" in body else body["errors"][0]["extensions"]["code"]


# ------------------------------------------------------------------------------------------------------------- sessions


async def test_a_login_hands_out_a_bearer_token_and_a_cookie_that_scripts_cannot_read(api: Api, trader: Trader) -> None:
    response = await sign_in(api, trader.email)
    payload = response.json()["data"]["login"]
    assert payload["errors"] == []
    assert payload["user"] == {"id": trader.id, "email": trader.email, "role": "TRADER"}
    cookie = SimpleCookie(response.headers["set-cookie"])["carbondesk"]
    assert cookie.value == payload["accessToken"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert (cookie["secure"], cookie["domain"]) == ("", "")  # plain http on loopback; one host only
    assert cookie["expires"]
    assert len(payload["accessToken"]) >= 43  # 256 random bits
    assert await who(api, payload["accessToken"]) == "TRADER"
    assert (await by_cookie(api, f"carbondesk={cookie.value}"))["data"]["me"]["id"] == trader.id


async def test_a_session_lasts_a_working_day_at_most(api: Api, trader: Trader) -> None:
    payload = (await sign_in(api, trader.email)).json()["data"]["login"]
    (row,) = await api.sql(
        "SELECT expires_at - created_at AS lasts, expires_at FROM user_sessions WHERE token_sha256 = $1",
        hashlib.sha256(payload["accessToken"].encode()).digest(),
    )
    assert row["lasts"].total_seconds() == 8 * 3600
    assert payload["expiresAt"] == row["expires_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_token_is_stored_as_its_sha_256_only(api: Api, trader: Trader) -> None:
    token = (await sign_in(api, trader.email)).json()["data"]["login"]["accessToken"]
    (row,) = await api.sql(
        "SELECT * FROM user_sessions WHERE token_sha256 = $1", hashlib.sha256(token.encode()).digest()
    )
    assert str(row["user_id"]) == trader.id
    assert token not in str(dict(row))
    assert (row["ip_address"], row["user_agent"][:12]) == ("127.0.0.1", "python-httpx")
    (user,) = await api.sql("SELECT password_hash FROM users WHERE id = $1", trader.id)
    assert user["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_logout_ends_this_session_and_takes_the_cookie_back(api: Api, trader: Trader) -> None:
    first, second = [(await sign_in(api, trader.email)).json()["data"]["login"]["accessToken"] for _ in range(2)]
    response = await api.post(LOGOUT, None, first)
    assert response.json()["data"]["logout"]["errors"] == []
    cookie = SimpleCookie(response.headers["set-cookie"])["carbondesk"]
    assert (cookie.value, cookie["max-age"]) == ("", "0")
    assert [await who(api, token) for token in (first, second)] == ["UNAUTHENTICATED", "TRADER"]
    assert (await by_cookie(api, f"carbondesk={first}"))["data"]["me"] is None
    (row,) = await api.sql(
        "SELECT revoked_at FROM user_sessions WHERE token_sha256 = $1", hashlib.sha256(first.encode()).digest()
    )
    assert row["revoked_at"] is not None
    ticket = await api.ticket(response.json()["data"]["logout"]["ticketId"])
    assert (ticket["actionType"], ticket["status"], ticket["user"]) == ("USER_LOGOUT", "SUCCESS", {"id": trader.id})


@pytest.mark.parametrize("case", ["wrong password", "unknown user", "no password", "other case password"])
async def test_a_wrong_login_says_the_same_in_every_case_and_opens_nothing(api: Api, trader: Trader, case: str) -> None:
    email, password = {
        "wrong password": (trader.email, f"{PASSWORD}!"),
        "unknown user": ("nobody@desk.test", PASSWORD),
        "no password": (trader.email, ""),
        "other case password": (trader.email, PASSWORD.upper()),
    }[case]
    sessions = await api.sql("SELECT count(*) FROM user_sessions")
    response = await sign_in(api, email, password)
    payload = response.json()["data"]["login"]
    assert payload["errors"] == [
        {
            "code": "INVALID_CREDENTIALS",
            "message": "Email address and password do not match an account that may sign in.",
            "field": None,
        }
    ]
    assert (payload["accessToken"], payload["expiresAt"], payload["user"]) == (None, None, None)
    assert "set-cookie" not in response.headers
    assert await api.sql("SELECT count(*) FROM user_sessions") == sessions


async def test_a_market_maker_cannot_sign_in_with_any_password(api: Api) -> None:
    maker = await api.maker()
    for password in ("", PASSWORD, "None"):
        payload = (await sign_in(api, maker["user"]["email"], password)).json()["data"]["login"]
        assert [error["code"] for error in payload["errors"]] == ["INVALID_CREDENTIALS"]
    (user,) = await api.sql("SELECT password_hash, can_sign_in FROM users WHERE id = $1", maker["user"]["id"])
    assert (user["password_hash"], user["can_sign_in"]) == (None, False)


async def test_the_database_itself_keeps_market_makers_out(api: Api, trader: Trader) -> None:
    maker = await api.maker()
    user_id = maker["user"]["id"]
    session = (
        "INSERT INTO user_sessions (id, user_id, can_sign_in, token_sha256, created_at, last_seen_at, expires_at)"
        " VALUES ($1, $2, $3, $4, now(), now(), now() + interval '1 hour')"
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="user_sessions_makers_never_sign_in"):
        await api.sql(session, uuid4(), user_id, True, b"x" * 32)
    with pytest.raises(asyncpg.CheckViolationError, match="user_sessions_can_sign_in_check"):
        await api.sql(session, uuid4(), user_id, False, b"x" * 32)
    with pytest.raises(asyncpg.CheckViolationError, match="users_maker_has_no_password"):
        await api.sql("UPDATE users SET password_hash = 'x' WHERE id = $1", user_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="user_sessions_makers_never_sign_in"):  # has sessions
        await api.sql("UPDATE users SET role = 'MARKET_MAKER', password_hash = NULL WHERE id = $1", trader.id)
    with pytest.raises(asyncpg.CheckViolationError, match="must have role MARKET_MAKER"):
        await api.sql("UPDATE market_maker_clients SET user_id = $2 WHERE id = $1", maker["id"], trader.id)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("expires_at = clock_timestamp() + interval '10 seconds'", "TRADER"),
        ("expires_at = clock_timestamp()", "UNAUTHENTICATED"),
        ("revoked_at = clock_timestamp()", "UNAUTHENTICATED"),
        ("last_seen_at = clock_timestamp() - interval '29 minutes 50 seconds'", "TRADER"),
        ("last_seen_at = clock_timestamp() - interval '30 minutes 1 second'", "UNAUTHENTICATED"),
    ],
    ids=["nearly expired", "expired", "revoked", "nearly idle", "idle"],
)
async def test_a_session_ends_by_the_clock_of_the_database(api: Api, trader: Trader, change: str, outcome: str) -> None:
    token = await api.login(trader.email)
    digest = hashlib.sha256(token.encode()).digest()
    await api.sql(f"UPDATE user_sessions SET {change} WHERE token_sha256 = $1", digest)
    count = await api.ticket_count()
    assert await who(api, token) == outcome
    cookie = await by_cookie(api, f"carbondesk={token}")
    assert cookie["data"]["me"] == (
        {"id": trader.id, "email": trader.email, "role": "TRADER"} if outcome == "TRADER" else None
    )
    if outcome != "TRADER":
        response = await api.post(LOGOUT, None, token)
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await api.ticket_count() == count


async def test_being_seen_is_noted_at_most_once_a_minute(api: Api, trader: Trader) -> None:
    token = await api.login(trader.email)
    digest = hashlib.sha256(token.encode()).digest()
    seen = "SELECT last_seen_at FROM user_sessions WHERE token_sha256 = $1"
    first = (await api.sql(seen, digest))[0]
    await who(api, token)
    assert (await api.sql(seen, digest))[0] == first
    await api.sql(
        "UPDATE user_sessions SET last_seen_at = last_seen_at - interval '2 minutes' WHERE token_sha256 = $1", digest
    )
    await who(api, token)
    assert (await api.sql(seen, digest))[0]["last_seen_at"] > first["last_seen_at"]


async def test_an_inactive_user_s_sessions_end_at_once(api: Api) -> None:
    leaver = await api.trader()
    await api.sql("UPDATE users SET is_active = false WHERE id = $1", leaver.id)
    assert await who(api, leaver.token) == "UNAUTHENTICATED"
    payload = (await sign_in(api, leaver.email)).json()["data"]["login"]
    assert [error["code"] for error in payload["errors"]] == ["INVALID_CREDENTIALS"]


@pytest.mark.parametrize("header", ["Bearer stolen", "bearer x y", "Bearer", "Basic eDp5"])
async def test_a_token_that_is_none_is_refused_and_another_scheme_is_nobody(api: Api, header: str) -> None:
    response = await api.post(ME, None, "", Authorization=header)
    if header.lower().startswith("bearer "):
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    else:
        assert response.json()["data"] == {"me": None}


async def test_a_cookie_of_another_site_signs_nobody_in_and_a_mutation_by_it_does_nothing(
    api: Api, trader: Trader
) -> None:
    token, count = await api.login(trader.email), await api.ticket_count()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        response = await api.post(LOGOUT, None, "", Cookie=f"carbondesk={token}", **headers)
        assert response.status_code == 403
    assert await api.ticket_count() == count
    assert await who(api, token) == "TRADER"


async def test_a_socket_signs_in_by_the_payload_of_its_first_message(api: Api, trader: Trader) -> None:
    async with api.watching(trader.token) as session:
        assert (await session.execute(gql("{ me { id } }")))["me"] == {"id": trader.id}
    async with api.watching("") as session:
        assert (await session.execute(gql("{ me { id } }")))["me"] is None
    async with websockets.connect(api.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": "Bearer stolen"}}))
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403


# -------------------------------------------------------------------------------------------------- tickets of a login


async def test_each_outcome_of_a_login_leaves_its_ticket(api: Api, trader: Trader) -> None:
    maker = await api.maker()
    asleep = await api.trader()
    await api.sql("UPDATE users SET is_active = false WHERE id = $1", asleep.id)
    cases: list[tuple[dict[str, Any], str, str, str | None]] = [
        ({"email": trader.email, "password": PASSWORD}, "USER_LOGIN", "SUCCESS", None),
        ({"email": f"  {trader.email.upper()} ", "password": PASSWORD}, "USER_LOGIN", "SUCCESS", None),
        ({"email": trader.email, "password": "wrong"}, "USER_LOGIN_FAILED", "FAILED", "INVALID_CREDENTIALS"),
        ({"email": "nobody@desk.test", "password": PASSWORD}, "USER_LOGIN_FAILED", "FAILED", "INVALID_CREDENTIALS"),
        ({"email": asleep.email, "password": PASSWORD}, "USER_LOGIN_FAILED", "FAILED", "INVALID_CREDENTIALS"),
        ({"email": maker["user"]["email"], "password": PASSWORD}, "USER_LOGIN_FAILED", "FAILED", "INVALID_CREDENTIALS"),
        ({"email": "", "password": ""}, "USER_LOGIN_FAILED", "FAILED", "INVALID_CREDENTIALS"),
        ({"email": trader.email}, "USER_LOGIN_FAILED", "FAILED", "BAD_REQUEST"),
    ]  # fmt: skip
    for asked, action, status, code in cases:
        before, count = await api.state(), await api.ticket_count()
        body = (await api.post(LOGIN, {"input": asked}, "")).json()
        (row,) = await api.tickets_since(count)
        assert (row["action_type"], row["status"], row["error_code"]) == (action, status, code), asked
        assert body["extensions"]["tickets"] == {"login": row["ticket_id"]}
        assert json.loads(row["request_payload"])["input"]["email"] == asked["email"]
        assert await api.state() == before
        if code == "INVALID_CREDENTIALS":
            payload = body["data"]["login"]
            assert payload == {
                "ticketId": row["ticket_id"],
                "errors": [{
                    "code": "INVALID_CREDENTIALS",
                    "message": "Email address and password do not match an account that may sign in.",
                    "field": None,
                }],
                "accessToken": None,
                "expiresAt": None,
                "user": None,
            }  # fmt: skip


async def test_a_login_s_ticket_names_who_signed_in_and_its_session(api: Api, trader: Trader) -> None:
    body = (await api.post(LOGIN, {"input": {"email": trader.email, "password": PASSWORD}}, "")).json()
    ticket = await api.ticket(body["data"]["login"]["ticketId"])
    assert (ticket["actionType"], ticket["summary"]) == ("USER_LOGIN", "TRADER signed in")
    assert ticket["user"] == {"id": trader.id}
    assert ticket["entityType"] == "SESSION"
    assert ticket["sessionId"] == ticket["entityId"]


# ---------------------------------------------------------------------------------------------------------------- roles


async def test_an_analyst_reads_without_payloads_and_emails(api: Api, analyst: Trader, trader: Trader) -> None:
    maker = await api.maker("MM-Seen", CEA="5")
    ticket = await api.ticket(maker["ticketId"], analyst.token)
    assert ticket["summary"] == "Created market maker MM-Seen with 5 CEA"
    assert [ticket[name] for name in ("requestPayload", "responseData", "beforeState", "afterState")] == [None] * 4
    assert ticket["changes"] == []
    seen = await api.ask(
        "{ marketMakers { nodes { name user { id email } createdBy { email } balances { asset } } }"
        " tickets { nodes { user { id email } requestPayload responseData } } me { email } }",
        analyst.token,
    )
    assert "MM-Seen" in {node["name"] for node in seen["marketMakers"]["nodes"]}
    assert {node["user"]["email"] for node in seen["marketMakers"]["nodes"]} == {None}
    assert seen["me"]["email"] == analyst.email
    for node in seen["tickets"]["nodes"]:
        assert (node["requestPayload"], node["responseData"]) == (None, None)
        assert not node["user"] or node["user"]["email"] is None or node["user"]["id"] == analyst.id
    assert "@" not in json.dumps(seen["marketMakers"])


async def test_an_analyst_cannot_find_out_an_email_address_by_searching(api: Api, analyst: Trader) -> None:
    maker = await api.maker("MM-Hidden")
    document = "query($s: String!) { marketMakers(filter: {search: $s}) { nodes { id } totalCount } }"
    secret = maker["user"]["email"].split("-", 2)[2]
    as_admin = await api.ask(document, s=secret)
    assert as_admin["marketMakers"]["nodes"] == [{"id": maker["id"]}]
    as_analyst = await api.ask(document, analyst.token, s=secret)
    assert as_analyst["marketMakers"] == {"nodes": [], "totalCount": 0}
    by_name = await api.ask(document, analyst.token, s="mm-hid")
    assert by_name["marketMakers"]["nodes"] == [{"id": maker["id"]}]


async def test_an_analyst_finds_no_free_text_of_people_in_tickets(api: Api, analyst: Trader, trader: Trader) -> None:
    await api.ask(
        "mutation($input: RequestDepositInput!) { requestDeposit(input: $input) { ticketId } }",
        trader.token,
        input={"amount": "1", "reference": "xylophonist"},
    )
    for search in ("xylophonist", trader.email, trader.email.split("@")[0]):
        found = await api.ask(
            "query($s: String!) { tickets(filter: {search: $s}) { totalCount } }", analyst.token, s=search
        )
        assert found["tickets"]["totalCount"] == 0, search


async def test_a_trader_sees_his_own_orders_only(api: Api, trader: Trader) -> None:
    other, maker = await api.trader(EUR="100"), await api.maker(CEA="5")
    own = (await api.order(trader, "BUY", "2.00", "1"))["order"]["id"]
    foreign = (await api.order(other, "BUY", "3.00", "1"))["order"]["id"]
    of_maker = (await api.sell(maker["id"], "95.00", "1"))["order"]["id"]
    listed = await api.ask("{ orders { nodes { id } totalCount } }", trader.token)
    assert listed["orders"] == {"nodes": [{"id": own}], "totalCount": 1}
    for wanted in ({"userId": other.id}, {"marketMakerId": maker["id"]}, {"hasMarketMaker": True}):
        found = await api.ask("query($f: OrderFilter) { orders(filter: $f) { nodes { id } } }", trader.token, f=wanted)
        assert found["orders"]["nodes"] == []
    for order_id, found_id in ((own, own), (foreign, None), (of_maker, None)):
        found = await api.ask("query($id: ID!) { order(id: $id) { id } }", trader.token, id=order_id)
        assert found["order"] == ({"id": found_id} if found_id else None)
    everybody = await api.ask("{ orders { nodes { id } } }")
    assert {own, foreign, of_maker} <= {node["id"] for node in everybody["orders"]["nodes"]}


async def test_a_trader_sees_himself_and_nobody_else(api: Api, trader: Trader) -> None:
    other = await api.trader(EUR="100")
    document = "query($id: ID!) { user(id: $id) { email balances { asset available } transactions { totalCount } } }"
    assert (await api.ask(document, trader.token, id=other.id))["user"] is None
    own = (await api.ask(document, trader.token, id=trader.id))["user"]
    assert own["email"] == trader.email
    assert {one["asset"] for one in own["balances"]} == {"CEA", "EUA", "EUR"}
    deposits = await api.ask("{ deposits { nodes { reference } } }", other.token)
    assert deposits["deposits"]["nodes"] == []


async def test_a_trade_s_parties_are_shown_to_the_parties_and_those_who_oversee(
    api: Api, trader: Trader, analyst: Trader
) -> None:
    await api.clear("EUA")
    maker, stranger = await api.maker(EUA="3"), await api.trader()
    await api.sell(maker["id"], "71.00", "3", "EUA")
    bought = await api.order(trader, "BUY", "71.00", "3", "EUA")
    document = """query($f: TradeFilter) { trades(filter: $f) { nodes { id price quantity ticketId buyer { id }
      seller { id } buyOrder { id } sellOrder { id } marketMaker { id } ticket { id } } } }"""

    async def seen(token: str | None) -> dict[str, Any]:
        answered = await api.ask(document, token, f={"certificateType": "EUA"})
        (node,) = [one for one in answered["trades"]["nodes"] if one["id"] == bought["trades"][0]["id"]]
        assert (node["price"], node["quantity"]) == ("71.00", "3")
        return {name: value for name, value in node.items() if name not in ("id", "price", "quantity") and value}

    assert await seen("") == {}
    assert await seen(stranger.token) == {}
    own = await seen(trader.token)
    assert own == {
        "ticketId": bought["trades"][0]["ticketId"],
        "buyer": {"id": trader.id},
        "buyOrder": {"id": bought["order"]["id"]},
    }
    for token in (None, analyst.token):
        assert set(await seen(token)) == {
            "ticketId", "buyer", "seller", "buyOrder", "sellOrder", "marketMaker", "ticket"
        }  # fmt: skip
    by_party = await api.ask(document, "", f={"userId": trader.id})
    assert by_party["trades"]["nodes"] == []  # to filter by a party is to learn it


# --------------------------------------------------------------------------------------------------------- schema walk

NAMES = StrawberryConfig().name_converter
READS = {
    "me": "{ me { id } }",
    "marketMakers": "{ marketMakers { nodes { id } } }",
    "marketMaker": '{ marketMaker(id: "x") { id } }',
    "certificates": "{ certificates { name } }",
    "orderBook": "{ orderBook(certificateType: CEA) { sequence } }",
    "trades": "{ trades { nodes { id } } }",
    "orders": "{ orders { nodes { id } } }",
    "order": '{ order(id: "x") { id } }',
    "tickets": "{ tickets { nodes { id } } }",
    "ticket": '{ ticket(ticketId: "x") { id } }',
    "ticketProof": '{ ticketProof(ticketId: "TKT-2026-000001") { leafHash } }',
    "users": "{ users { nodes { id } } }",
    "user": '{ user(id: "x") { id } }',
    "deposits": "{ deposits { nodes { id } } }",
    "sessions": "{ sessions { id } }",
    "operations": "{ operations { schemaState } }",
    "settings": "{ settings { publicMarketData } }",
    "candles": '{ candles(certificateType: CEA, bucket: DAY, from: "2026-01-01T00:00:00Z",'
    ' to: "2026-02-01T00:00:00Z") { open } }',
    "balancesAsOf": '{ balancesAsOf(userId: "x", at: "2026-01-01T00:00:00Z") { available } }',
    "transactions": "{ transactions { nodes { id } } }",
    **{
        f"aggregate{noun}": f"{{ aggregate{noun}(groupBy: []) {{ hasMore groups {{ count }} }} }}"
        for noun in ("Tickets", "Trades", "Orders", "Transactions")
    },
    "ticketStats": "{ ticketStats { totalActions } }",
    "attempt": '{ attempt(idempotencyKey: "k", mutation: "placeOrder") { ticketId } }',
}


def policies(root: Any) -> dict[str, Policy]:
    """Return the policy that stands outermost on each field of a root type."""
    found = {}
    for field in root.__strawberry_definition__.fields:
        allows = [extension for extension in field.extensions if isinstance(extension, Allow)]
        assert len(allows) == 1, field.python_name
        assert field.extensions[-1] is allows[0], field.python_name  # nothing runs before it
        found[NAMES.get_graphql_name(field)] = allows[0].policy
    return found


def test_every_root_field_carries_a_policy() -> None:
    built = schema.build()._schema
    assert built.query_type and built.subscription_type and built.mutation_type
    assert set(policies(Query)) == set(built.query_type.fields)
    assert set(policies(Subscription)) == set(built.subscription_type.fields)
    assert {name: one.policy for name, one in DECLARED.items()}.keys() == built.mutation_type.fields.keys()
    assert len(get_object_definition(Mutation, strict=True).fields) == len(DECLARED)
    assert [name for name, policy in policies(Query).items() if policy is Policy.ANYONE] == ["me"]
    public = {"candles", "certificates", "orderBook", "trades"}
    assert {name for name, policy in policies(Query).items() if policy is Policy.PUBLIC} == public
    assert {name for name, policy in policies(Subscription).items() if policy is Policy.PUBLIC} == {
        "orderBook", "orderBookChanges", "trades"
    }  # fmt: skip
    assert [name for name, one in DECLARED.items() if one.policy is Policy.ANYONE] == ["login"]


def test_every_policy_says_whom_it_lets_in() -> None:
    assert set(ROLES) == set(Policy) - {Policy.ANYONE, Policy.PUBLIC, Policy.SIGNED_IN}
    assert all(UserRole.MARKET_MAKER not in roles for roles in ROLES.values())


async def test_every_read_refuses_whom_its_policy_refuses(api: Api, trader: Trader, analyst: Trader) -> None:
    found = policies(Query)
    assert set(READS) == set(found)
    callers = {
        None: "",
        UserRole.ADMIN: api.admin_token,
        UserRole.ANALYST: analyst.token,
        UserRole.TRADER: trader.token,
    }
    count = await api.ticket_count()
    for name, policy in found.items():
        for role, token in callers.items():
            answered = await api.ask(READS[name], token)
            codes = [error["extensions"]["code"] for error in answered.errors]
            is_in = policy is Policy.SIGNED_IN and role is not None
            if policy in (Policy.ANYONE, Policy.PUBLIC) or is_in or role in ROLES.get(policy, ()):
                assert codes == [], (name, role)
            else:
                assert codes == ["UNAUTHENTICATED" if role is None else "FORBIDDEN"], (name, role)
                assert not (answered.data or {}).get(name), (name, role)
    assert await api.ticket_count() == count  # denied reads leave no ticket


async def test_a_role_the_policies_do_not_name_is_denied() -> None:
    from datetime import UTC, datetime

    from api.policy import refusal
    from domain.people import Caller, KycStatus, Session, User

    now = datetime(2026, 1, 1, tzinfo=UTC)
    maker = User(uuid4(), "m@desk.test", "M", UserRole.MARKET_MAKER, True, KycStatus.NONE, now)
    caller = Caller(maker, Session(uuid4(), maker.id, now, now, now, None, None))
    for policy in ROLES:
        denied = refusal(policy, caller)
        assert denied is not None
        assert denied.extensions == {"code": "FORBIDDEN"}
