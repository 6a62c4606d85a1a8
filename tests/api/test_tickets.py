"""The ticket hook: one root mutation field, one attempt, one ticket, whatever becomes of it."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from gql import GraphQLRequest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from api import schema
from api.tickets import DECLARED
from tests.world import CANCEL_MARKET_ORDER, PASSWORD, PLACE_MARKET_ORDER, PLACE_ORDER, Api, Trader

REQUEST = """mutation($input: RequestDepositInput!) { requestDeposit(input: $input) {
  ticketId errors { code message details } deposit { id } } }"""
LOGIN = """mutation($input: LoginInput!) { login(input: $input) {
  ticketId errors { code message } accessToken user { id email } } }"""
TICKET_ID = re.compile(r"TKT-\d{4}-\d{6,}")
WAIT_SECONDS_MAX = 10


@pytest.fixture(scope="module")
async def trader(api: Api) -> Trader:
    return await api.trader(EUR="1000000", CEA="1000")


@pytest.fixture(scope="module")
async def maker(api: Api) -> dict[str, Any]:
    return await api.maker("MM-Tickets", CEA="100000")


@pytest.fixture(scope="module")
async def faults(api: Api) -> AsyncIterator[None]:
    """Let real triggers fail: deposits announced as `fault` and `deadlock`, orders of 777 and 888 certificates."""
    await api.sql(
        "CREATE FUNCTION fail_on_purpose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'a secret of the house' USING ERRCODE = TG_ARGV[0]; END $$"
    )
    for table, condition, code in (
        ("deposits", "NEW.reference = 'fault'", "P0001"),
        ("deposits", "NEW.reference = 'deadlock'", "40P01"),
        ("orders", "NEW.quantity = 777", "P0001"),
        ("orders", "NEW.quantity = 888", "40P01"),
    ):
        await api.sql(
            f"CREATE TRIGGER t_{uuid4().hex} BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition})"
            f" EXECUTE FUNCTION fail_on_purpose('{code}')"
        )
    yield
    await api.sql("DROP FUNCTION fail_on_purpose CASCADE")


def selling(maker: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"marketMakerId": maker["id"], "certificateType": "CEA", "price": "50.00", "quantity": "1", **other}


def literal(maker: dict[str, Any], alias: str, quantity: str = '"1"', directive: str = "") -> str:
    """Write a root field that sells, its arguments in the document."""
    return (
        f'{alias}: placeMarketOrder(input: {{marketMakerId: "{maker["id"]}", certificateType: CEA, price: "50.00",'
        f" quantity: {quantity}}}) {directive} {{ ticketId errors {{ code }} order {{ id }} }}"
    )


async def outcomes(api: Api, count: int) -> list[tuple[str, str, str | None]]:
    return [(row["action_type"], row["status"], row["error_code"]) for row in await api.tickets_since(count)]


# ------------------------------------------------------------------------------------------------------- each outcome


async def test_a_success_names_its_ticket_in_payload_extensions_and_header(api: Api, maker: dict[str, Any]) -> None:
    count = await api.ticket_count()
    response = await api.post(PLACE_MARKET_ORDER, {"input": selling(maker)}, **{"User-Agent": "a test"})
    payload = response.json()["data"]["placeMarketOrder"]
    assert TICKET_ID.fullmatch(payload["ticketId"])
    assert response.json()["extensions"]["tickets"] == {"placeMarketOrder": payload["ticketId"]}
    assert response.headers["x-ticket-id"] == payload["ticketId"]
    (row,) = await api.tickets_since(count)
    assert (row["ticket_id"], row["action_type"], row["status"]) == (payload["ticketId"], "MM_ORDER_PLACED", "SUCCESS")
    assert (row["ip_address"], row["user_agent"]) == ("127.0.0.1", "a test")
    assert row["attempt_id"] is not None
    assert row["duration_ms"] > 0
    (session,) = await api.sql("SELECT s.user_id FROM user_sessions s WHERE s.id = $1", row["session_id"])
    assert session["user_id"] == row["user_id"]
    stored = json.loads(row["response_data"])
    assert (stored["order"]["id"], stored["order"]["ticketId"]) == (payload["order"]["id"], payload["ticketId"])


async def test_a_refusal_names_its_failed_ticket_in_payload_extensions_and_header(
    api: Api, maker: dict[str, Any]
) -> None:
    count = await api.ticket_count()
    response = await api.post(PLACE_MARKET_ORDER, {"input": selling(maker, side="BUY")})
    body = response.json()
    assert "errors" not in body
    payload = body["data"]["placeMarketOrder"]
    assert (payload["order"], payload["trades"]) == (None, [])
    assert body["extensions"]["tickets"] == {"placeMarketOrder": payload["ticketId"]}
    assert response.headers["x-ticket-id"] == payload["ticketId"]
    assert await outcomes(api, count) == [("MM_ORDER_PLACED", "FAILED", "SIDE_NOT_ALLOWED")]


async def test_a_denial_is_forbidden_with_a_failed_ticket(api: Api, maker: dict[str, Any], trader: Trader) -> None:
    before, count = await api.state(), await api.ticket_count()
    response = await api.post(PLACE_MARKET_ORDER, {"input": selling(maker)}, trader.token)
    body = response.json()
    assert body["data"] == {"placeMarketOrder": None}
    (error,) = body["errors"]
    assert error["message"] == "This needs role ADMIN; you are signed in as TRADER."
    (row,) = await api.tickets_since(count)
    assert error["extensions"] == {"code": "FORBIDDEN", "ticketId": row["ticket_id"]}
    assert body["extensions"]["tickets"] == {"placeMarketOrder": row["ticket_id"]}
    assert response.headers["x-ticket-id"] == row["ticket_id"]
    assert (row["status"], row["error_code"], str(row["user_id"])) == ("FAILED", "FORBIDDEN", trader.id)
    assert row["error_message"] == error["message"]
    assert await api.state() == before


async def test_an_anonymous_mutation_is_unauthenticated_and_leaves_no_ticket(api: Api, maker: dict[str, Any]) -> None:
    before, count = await api.state(), await api.ticket_count()
    for variables in ({"input": selling(maker)}, {"input": selling(maker, quantity="NaN")}):
        response = await api.post(PLACE_MARKET_ORDER, variables, "")
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] in ("UNAUTHENTICATED", "BAD_REQUEST")
        assert "ticketId" not in error["extensions"]
        assert "tickets" not in response.json().get("extensions", {})
        assert "x-ticket-id" not in response.headers
    well_formed = await api.post(PLACE_MARKET_ORDER, {"input": selling(maker)}, "")
    assert well_formed.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert well_formed.json()["data"] == {"placeMarketOrder": None}
    assert (await api.state(), await api.ticket_count()) == (before, count)


async def test_what_names_no_mutation_leaves_no_ticket(api: Api, maker: dict[str, Any], trader: Trader) -> None:
    count = await api.ticket_count()
    for document in (
        "mutation {",
        "mutation { nothing }",
        'mutation { cancelMarketOrder(id: "x") { nothing } }',
        'mutation { cancelMarketOrder(id: "x", other: 1) { ticketId } }',
        "mutation {" + " ".join(literal(maker, f"a{number}") for number in range(21)) + "}",
        "{ " + "a " * 70 + "}",
    ):
        response = await api.post(document)
        assert response.json()["errors"][0]["extensions"]["code"] in ("BAD_REQUEST", "TOO_COMPLEX"), document[:50]
    denied = await api.ask("{ users { nodes { id } } }", trader.token)
    assert denied.errors[0]["extensions"] == {"code": "FORBIDDEN"}
    async with api.watching() as session:
        with pytest.raises(Exception, match="POST only"):
            await session.execute(GraphQLRequest(CANCEL_MARKET_ORDER, variable_values={"id": "x"}))
    assert await api.ticket_count() == count


# ----------------------------------------------------------------------------------------------- arguments, documents


@pytest.mark.parametrize("form", ["variable", "literal", "missing variable", "missing field", "null", "wrong enum"])
async def test_an_argument_that_does_not_coerce_leaves_one_bad_request_ticket(
    api: Api, maker: dict[str, Any], form: str
) -> None:
    before, count = await api.state(), await api.ticket_count()
    document, variables = PLACE_MARKET_ORDER, {"input": selling(maker)}
    match form:
        case "variable":
            variables = {"input": selling(maker, quantity=1.5)}
        case "literal":
            document, variables = f"mutation {{ {literal(maker, 'placeMarketOrder', '1.5')} }}", {}
        case "missing variable":
            variables = {}
        case "missing field":
            variables = {"input": {"marketMakerId": maker["id"]}}
        case "null":
            variables = {"input": selling(maker, quantity=None)}
        case "wrong enum":
            variables = {"input": selling(maker, certificateType="VER")}
    response = await api.post(document, variables)
    body = response.json()
    assert body["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "data" not in body
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"], row["error_code"]) == ("MM_ORDER_PLACED", "FAILED", "BAD_REQUEST")
    assert body["errors"][0]["extensions"]["ticketId"] == row["ticket_id"]
    assert body["extensions"]["tickets"] == {"placeMarketOrder": row["ticket_id"]}
    assert response.headers["x-ticket-id"] == row["ticket_id"]
    assert await api.state() == before


async def test_a_malformed_argument_fails_each_root_field_of_the_document(api: Api, maker: dict[str, Any]) -> None:
    before, count = await api.state(), await api.ticket_count()
    document = "mutation {" + literal(maker, "good") + literal(maker, "bad", "-1") + "}"
    response = await api.post(document)
    body = response.json()
    rows = await api.tickets_since(count)
    assert [(row["error_code"], row["attempt_id"] is not None) for row in rows] == [("BAD_REQUEST", True)] * 2
    assert body["extensions"]["tickets"] == {"good": rows[0]["ticket_id"], "bad": rows[1]["ticket_id"]}
    assert response.headers["x-ticket-id"] == f"{rows[0]['ticket_id']},{rows[1]['ticket_id']}"
    assert await api.state() == before


async def test_several_aliases_of_one_field_are_attempts_of_their_own(api: Api, maker: dict[str, Any]) -> None:
    count = await api.ticket_count()
    response = await api.post(
        "mutation {" + literal(maker, "b") + literal(maker, "a", '"0"') + literal(maker, "c", '"2"') + "}"
    )
    body = response.json()
    assert list(body["data"]) == ["b", "a", "c"]
    assert [[error["code"] for error in one["errors"]] for one in body["data"].values()] == [
        [],
        ["INVALID_QUANTITY"],
        [],
    ]
    tickets = {alias: one["ticketId"] for alias, one in body["data"].items()}
    assert len(set(tickets.values())) == 3
    assert body["extensions"]["tickets"] == tickets
    assert response.headers["x-ticket-id"] == ",".join(tickets.values())
    rows = await api.tickets_since(count)
    assert [row["ticket_id"] for row in rows] == list(tickets.values())
    quantities = [json.loads(row["request_payload"])["input"]["quantity"] for row in rows]
    assert quantities == ["1", "0", "2"]


async def test_a_success_before_a_denial_and_a_fault_keeps_its_ticket_in_the_answer(
    api: Api, maker: dict[str, Any], trader: Trader, faults: None
) -> None:
    count = await api.ticket_count()
    document = """mutation {
      first: requestDeposit(input: {amount: "1", reference: "R"}) { ticketId errors { code } }
      second: approveKyc(userId: "x") { ticketId }
      third: requestDeposit(input: {amount: "1", reference: "fault"}) { ticketId }
      fourth: requestDeposit(input: {amount: "0", reference: "R"}) { ticketId errors { code } } }"""
    body = (await api.post(document, None, trader.token)).json()
    rows = await api.tickets_since(count)
    assert [(row["status"], row["error_code"]) for row in rows] == [
        ("SUCCESS", None),
        ("FAILED", "FORBIDDEN"),
        ("FAILED", "INTERNAL"),
        ("FAILED", "INVALID_AMOUNT"),
    ]
    ids = [row["ticket_id"] for row in rows]
    assert body["extensions"]["tickets"] == dict(zip(("first", "second", "third", "fourth"), ids, strict=True))
    assert body["data"]["first"] == {"ticketId": ids[0], "errors": []}
    assert (body["data"]["second"], body["data"]["third"]) == (None, None)
    assert {error["path"][0]: error["extensions"]["ticketId"] for error in body["errors"]} == {
        "second": ids[1],
        "third": ids[2],
    }


async def test_fragments_on_mutation_are_followed(api: Api, maker: dict[str, Any]) -> None:
    count = await api.ticket_count()
    document = (
        "mutation { ...Both ... on Mutation {" + literal(maker, "inline") + "} ...Both }"
        " fragment Both on Mutation { " + literal(maker, "one") + " ...Deep } fragment Deep on Mutation { "
        + literal(maker, "two", '"0"') + "}"
    )  # fmt: skip
    body = (await api.post(document)).json()
    assert set(body["data"]) == {"one", "two", "inline"}
    assert body["extensions"]["tickets"] == {alias: one["ticketId"] for alias, one in body["data"].items()}
    rows = await api.tickets_since(count)
    assert len(rows) == 3
    payloads = {row["ticket_id"]: json.loads(row["request_payload"]) for row in rows}
    assert payloads[body["data"]["two"]["ticketId"]]["input"]["quantity"] == "0"


@pytest.mark.parametrize("bad", [False, True], ids=["well-formed", "malformed"])
async def test_fields_left_out_by_directives_leave_no_ticket(api: Api, maker: dict[str, Any], bad: bool) -> None:
    count = await api.ticket_count()
    document = (
        "mutation($yes: Boolean!, $no: Boolean = false, $q: Decimal!) {"
        + literal(maker, "done", "$q", "@include(if: $yes)")
        + literal(maker, "skipped", "$q", "@skip(if: $yes)")
        + literal(maker, "excluded", "$q", "@include(if: $no)")
        + literal(maker, "never", "$q", "@skip(if: true)")
        + "... @skip(if: $yes) {" + literal(maker, "within", "$q") + "} }"
    )  # fmt: skip
    body = (await api.post(document, {"yes": True, "q": "NaN" if bad else "1"})).json()
    rows = await api.tickets_since(count)
    assert [row["error_code"] for row in rows] == ["BAD_REQUEST" if bad else None]
    assert body["extensions"]["tickets"] == {"done": rows[0]["ticket_id"]}
    if not bad:
        assert set(body["data"]) == {"done"}


async def test_a_response_key_that_is_repeated_is_one_attempt(api: Api, trader: Trader) -> None:
    count = await api.ticket_count()
    document = """mutation {
      a: requestDeposit(input: {amount: "3", reference: "twice"}) { ticketId }
      ... on Mutation { a: requestDeposit(input: {amount: "3", reference: "twice"}) { errors { code } } } }"""
    body = (await api.post(document, None, trader.token)).json()
    assert await outcomes(api, count) == [("DEPOSIT_REQUESTED", "SUCCESS", None)]
    assert body["data"]["a"]["errors"] == []
    assert TICKET_ID.fullmatch(body["data"]["a"]["ticketId"])
    assert len(await api.sql("SELECT FROM deposits WHERE reference = 'twice'")) == 1


async def test_variables_with_defaults_are_recorded_as_they_count(api: Api, maker: dict[str, Any]) -> None:
    document = """mutation($id: ID!, $price: Decimal = "60.00", $side: OrderSide = BUY) {
      placeMarketOrder(input: {marketMakerId: $id, certificateType: CEA, side: $side, price: $price, quantity: 1})
      { ticketId errors { code } } }"""
    answered = await api.ask(document, id=maker["id"])
    assert answered["placeMarketOrder"]["errors"] == [{"code": "SIDE_NOT_ALLOWED"}]
    ticket = await api.ticket(answered["placeMarketOrder"]["ticketId"])
    assert ticket["requestPayload"]["input"] == {
        "marketMakerId": maker["id"],
        "certificateType": "CEA",
        "side": "BUY",
        "price": "60.00",
        "quantity": 1,
    }


# --------------------------------------------------------------------------------------------------------------- faults


async def test_an_error_below_a_committed_mutation_leaves_its_ticket_a_success(api: Api) -> None:
    app = f"{urlsplit(api.database_url).path.lstrip('/')}_app"
    count = await api.ticket_count()
    await api.sql(f'REVOKE SELECT ON cash_market_trades FROM "{app}"')
    try:
        response = await api.post(
            """mutation { createMarketMaker(input: {name: "MM-Nested", email: "nested@internal.test"}) {
              ticketId errors { code } marketMaker { id stats { trades } } } }"""
        )
    finally:
        await api.sql(f'GRANT SELECT ON cash_market_trades TO "{app}"')
    body = response.json()
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"]) == ("MM_CREATED", "SUCCESS")
    assert body["data"]["createMarketMaker"] == {"ticketId": row["ticket_id"], "errors": [], "marketMaker": None}
    (error,) = body["errors"]
    assert error["path"] == ["createMarketMaker", "marketMaker", "stats"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert response.headers["x-ticket-id"] == row["ticket_id"]
    assert len(await api.sql("SELECT FROM market_maker_clients WHERE name = 'MM-Nested'")) == 1


@pytest.mark.parametrize("kind", ["fault", "deadlock"])
async def test_a_fault_in_a_unit_is_masked_and_leaves_a_failed_ticket(
    api: Api, trader: Trader, faults: None, kind: str
) -> None:
    before, count = await api.state(), await api.ticket_count()
    asked = {"amount": "5", "reference": kind, "idempotencyKey": f"unit-{kind}"}
    response = await api.post(REQUEST, {"input": asked}, trader.token)
    await assert_masked(api, response, before, count, "requestDeposit", "DEPOSIT_REQUESTED", trader.id)


@pytest.mark.parametrize(("quantity", "kind"), [("777", "fault"), ("888", "deadlock")])
async def test_a_fault_at_the_desk_is_masked_and_leaves_a_failed_ticket(
    api: Api, trader: Trader, faults: None, quantity: str, kind: str
) -> None:
    before, count = await api.state(), await api.ticket_count()
    asked = {"certificateType": "CEA", "side": "SELL", "price": "90.00", "quantity": quantity,
             "idempotencyKey": f"desk-{kind}"}  # fmt: skip
    response = await api.post(PLACE_ORDER, {"input": asked}, trader.token)
    await assert_masked(api, response, before, count, "placeOrder", "ORDER_PLACED", trader.id)
    again = await api.order(trader, "SELL", "90.00", "1")  # the desk lives, and its book is right
    assert again["order"]["status"] == "OPEN"
    book = (await api.ask("{ orderBook(certificateType: CEA) { asks { price quantity } } }"))["orderBook"]
    levels = await api.sql(
        "SELECT price, sum(quantity - filled_quantity) AS quantity FROM orders WHERE certificate_type = 'CEA'"
        " AND side = 'SELL' AND status IN ('OPEN', 'PARTIALLY_FILLED') GROUP BY price ORDER BY price"
    )
    assert book["asks"] == [{"price": f"{row['price']:.2f}", "quantity": f"{row['quantity']:f}"} for row in levels]


async def assert_masked(
    api: Api, response: Any, before: dict[str, str], count: int, name: str, action: str, user_id: str
) -> None:
    body = response.json()
    assert body["data"] == {name: None}
    (error,) = body["errors"]
    (row,) = await api.tickets_since(count)
    assert (row["action_type"], row["status"], row["error_code"]) == (action, "FAILED", "INTERNAL")
    assert (str(row["user_id"]), row["error_message"]) == (user_id, "Internal error.")
    assert (error["extensions"]["code"], error["extensions"]["ticketId"]) == ("INTERNAL", row["ticket_id"])
    assert body["extensions"]["tickets"] == {name: row["ticket_id"]}
    assert "secret" not in response.text
    assert "secret" not in str(dict(row))
    assert await api.state() == before
    assert (
        await api.sql("SELECT FROM idempotency WHERE ticket_id = $1", row["ticket_id"]) == []
    )  # a retry may go better


async def test_one_faulty_command_costs_its_neighbours_nothing(api: Api, trader: Trader, faults: None) -> None:
    count = await api.ticket_count()
    asked = [
        {"certificateType": "CEA", "side": "SELL", "price": "91.00", "quantity": quantity}
        for quantity in ("1", "777", "1", "0", "1", "777", "1")
    ]
    answers = await asyncio.gather(*(api.post(PLACE_ORDER, {"input": one}, trader.token) for one in asked))
    bodies = [answer.json() for answer in answers]
    assert ["errors" in body for body in bodies] == [False, True, False, False, False, True, False]
    rows = {row["ticket_id"]: row["error_code"] for row in await api.tickets_since(count)}
    assert [rows[body["extensions"]["tickets"]["placeOrder"]] for body in bodies] == [
        None, "INTERNAL", None, "INVALID_QUANTITY", None, "INTERNAL", None
    ]  # fmt: skip
    assert len(rows) == 7


async def test_an_attempt_goes_on_when_its_client_is_gone(api: Api, trader: Trader) -> None:
    count = await api.ticket_count()
    body = json.dumps({"query": REQUEST, "variables": {"input": {"amount": "4", "reference": "gone"}}}).encode()
    port = urlsplit(api.url).port
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /graphql HTTP/1.1\r\nHost: desk\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {trader.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await api.ticket_count() < count + 5:  # noqa: ASYNC110 - the other side is a database
            await asyncio.sleep(0.05)
    assert await outcomes(api, count) == [("DEPOSIT_REQUESTED", "SUCCESS", None)] * 5
    assert len(await api.sql("SELECT FROM deposits WHERE reference = 'gone'")) == 5


# ------------------------------------------------------------------------------------------------------------ redaction


async def test_a_password_is_never_kept_whatever_becomes_of_the_attempt(api: Api, trader: Trader) -> None:
    canary = "canary-in-the-coal-mine"
    user = {"email": "canary@desk.test", "name": "Canary", "role": "TRADER", "password": canary}
    create = "mutation($input: CreateUserInput!) { createUser(input: $input) { ticketId errors { code } } }"
    long = canary * 20
    count = await api.ticket_count()
    fields = f'email: "c2@desk.test", name: "C", role: TRADER, password: "{canary}"'
    attempts: list[tuple[str, dict[str, Any], str | None]] = [
        (create, {"input": user}, None),  # success
        (create, {"input": user}, None),  # refusal: EMAIL_TAKEN
        (create, {"input": {**user, "password": long}}, None),  # refusal: too long
        (create, {"input": user}, trader.token),  # denial
        (create, {"input": {**user, "role": "KING"}}, None),  # does not coerce
        (create, {"input": {**user, "passphrase": canary}}, None),  # a field that is not there
        (create, {"input": {**user, "name": {"password": canary}}}, None),
        (create, {"input": {**user, "password": [canary]}}, None),
        (create, {"input": {**user, "password": {"value": canary}}}, None),
        (create, {"input": {**user, "password": canary + "\x00"}}, None),
        (create, {"input": canary}, None),
        (create, {"input": [canary]}, None),
        (f"mutation {{ createUser(input: {{{fields}}}) {{ ticketId }} }}", {}, None),
        (f"mutation {{ createUser(input: {{{fields}}}) {{ ticketId }} }}", {}, trader.token),
        (f'mutation {{ createUser(input: "{canary}") {{ ticketId }} }}', {}, None),
        (f"mutation {{ createUser(input: {{{fields}, age: 1}}) {{ ticketId }} }}", {}, None),
        (f'mutation($r: UserRole!) {{ createUser(input: {{email: "c3@desk.test", name: "C", role: $r,'
         f' password: "{canary}"}}) {{ ticketId }} }}', {"r": "NONE"}, None),
        (LOGIN, {"input": {"email": "canary@desk.test", "password": canary}}, ""),  # success
        (LOGIN, {"input": {"email": "canary@desk.test", "password": f"{canary}!"}}, ""),
        (LOGIN, {"input": {"email": "nobody@desk.test", "password": canary}}, ""),
        (LOGIN, {"input": {"email": 7, "password": canary}}, ""),
        (LOGIN, {"input": {"email": "canary@desk.test", "password": [canary]}}, ""),
        (f'mutation {{ login(input: {{email: "canary@desk.test", password: "{canary}"}}) {{ ticketId }} }}', {}, ""),
        (f'mutation {{ login(input: {{email: "canary@desk.test", password: "{canary}", x: 1}}) {{ ticketId }} }}', {},
         trader.token),
    ]  # fmt: skip
    tokens = []
    for document, variables, token in attempts:
        body = (await api.post(document, variables, token)).json()
        assert body["extensions"]["tickets"], (document, variables)
        login = (body.get("data") or {}).get("login") or {}
        tokens += [login["accessToken"]] if login.get("accessToken") else []
    assert len(await api.tickets_since(count)) == len(attempts)
    assert len(tokens) == 1
    tables = [row["table_name"] for row in await api.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )]  # fmt: skip
    assert {"ticket_logs", "ticket_payloads", "idempotency", "user_sessions"} <= set(tables)
    for table in tables:
        for secret in (canary, *tokens, api.admin_token):
            found = await api.sql(f'SELECT FROM "{table}" t WHERE t::text LIKE $1', f"%{secret}%")
            assert found == [], table
    (payload,) = {json.loads(row["request_payload"])["input"]["password"] for row in await api.tickets_since(count)
                  if row["status"] == "SUCCESS"}  # fmt: skip
    assert payload == "[redacted]"


# ---------------------------------------------------------------------------------------------------------- schema walk


def value_of(kind: GraphQLInputType) -> Any:
    """Return a value that coerces."""
    if isinstance(kind, GraphQLNonNull):
        return value_of(kind.of_type)
    if isinstance(kind, GraphQLList):
        return [value_of(kind.of_type)]
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        return {name: value_of(field.type) for name, field in kind.fields.items() if is_required_input_field(field)}
    assert isinstance(kind, GraphQLScalarType)
    return {"ID": "11111111-2222-4333-8444-555555555555", "String": "x", "Decimal": "1", "Boolean": True}[kind.name]


def documents() -> dict[str, tuple[str, dict[str, Any]]]:
    """Write one document for each mutation of the schema."""
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    found = {}
    for name, field in mutation_type.fields.items():
        wanted = {key: argument for key, argument in field.args.items() if is_required_argument(argument)}
        declared = ", ".join(f"${key}: {argument.type}" for key, argument in wanted.items())
        given = ", ".join(f"{key}: ${key}" for key in wanted)
        document = (
            f"mutation{f'({declared})' if declared else ''} {{ {name}{f'({given})' if given else ''} {{ ticketId }} }}"
        )
        found[name] = (document, {key: value_of(argument.type) for key, argument in wanted.items()})
    return found


def test_each_mutation_of_the_schema_is_declared_and_answers_with_a_payload() -> None:
    built = schema.build()._schema
    assert built.mutation_type is not None
    assert set(built.mutation_type.fields) == set(DECLARED)
    interface = built.get_type("MutationPayload")
    for name, field in built.mutation_type.fields.items():
        assert not isinstance(field.type, GraphQLNonNull), name  # null only together with an error
        assert interface in get_named_type(field.type).interfaces, name


@pytest.mark.parametrize("who", ["admin", "analyst", "trader"])
async def test_each_mutation_makes_exactly_one_root_ticket_whoever_asks(api: Api, trader: Trader, who: str) -> None:
    if who == "analyst":
        email = "analyst-of-tickets@desk.test"
        await api.ask(
            "mutation($input: CreateUserInput!) { createUser(input: $input) { ticketId } }",
            input={"email": email, "name": "A", "role": "ANALYST", "password": PASSWORD},
        )
    email = {"admin": api.admin_email, "trader": trader.email, "analyst": "analyst-of-tickets@desk.test"}[who]
    token = await api.login(email)
    walk = documents()
    for name, (document, variables) in walk.items():
        count = await api.ticket_count()
        body = (await api.post(document, variables, token)).json()
        roots = [row for row in await api.tickets_since(count) if row["attempt_id"] is not None]
        assert [row["ticket_id"] for row in roots] == [body["extensions"]["tickets"][name]], name
        if name in ("logout", "revokeSessions"):  # these end the session
            token = await api.login(email)
            api.admin_token = token if who == "admin" else api.admin_token
        if roots[0]["action_type"] != DECLARED[name].action:
            assert (name, roots[0]["action_type"]) == ("login", "USER_LOGIN")
