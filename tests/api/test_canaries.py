"""A secret that somebody sends in any text field of any mutation is kept nowhere and shown nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import redis.asyncio
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLType,
    print_ast,
)
from graphql.utilities import value_to_literal
from structlog.testing import capture_logs

from api import schema
from api.settings import Settings
from api.tickets import ARGUMENTS, DECLARED
from tests.api.test_every_mutation import CASES, Desk, documents
from tests.api.test_exports import export
from tests.world import PASSWORD, Api

TEXTS = {"String", "ID"}
SECRET_FIELDS = {  # of all; a new one must be added by hand
    ("login", "password"),
    ("createUser", "password"),
    ("updateUser", "password"),
    ("changePassword", "currentPassword"),
    ("changePassword", "newPassword"),
    ("uploadKycDocument", "contentBase64"),
}


def mutation_fields() -> dict[str, Any]:
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    return dict(mutation_type.fields)


def places(kind: GraphQLType, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where texts stand in an argument of a type."""
    if isinstance(kind, GraphQLNonNull):
        yield from places(kind.of_type, path)
    elif isinstance(kind, GraphQLList):
        yield from places(kind.of_type, (*path, 0))
    elif isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            yield from places(field.type, (*path, name))
    elif isinstance(kind, GraphQLScalarType) and kind.name in TEXTS:
        yield path


WALK = [
    (name, (key, *path))
    for name, field in mutation_fields().items()
    for key, argument in field.args.items()
    for path in places(argument.type)
]


def is_secret(name: str, path: tuple[str | int, ...]) -> bool:
    return path[0] == "input" and path[-1] not in DECLARED[name].records


def put(arguments: dict[str, Any], path: tuple[str | int, ...], value: str) -> dict[str, Any]:
    """Return the arguments with a value at a place."""
    changed: Any = copy.deepcopy(arguments)
    inner = changed
    for step in path[:-1]:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    inner[path[-1]] = value
    return dict(changed)


def literally(name: str, arguments: dict[str, Any]) -> str:
    """Write a document with the arguments in it."""
    types = mutation_fields()[name].args
    written = []
    for key, value in arguments.items():
        literal = value_to_literal(value, types[key].type)
        assert literal is not None
        written.append(f"{key}: {print_ast(literal)}")
    return f"mutation {{ {name}({', '.join(written)}) {{ ticketId }} }}"


@pytest.fixture(scope="module")
async def desk(api: Api) -> Desk:
    return Desk(api, await api.trader(EUR="100000", CEA="1000"), await api.maker("MM-Canary", CEA="10000"))


@contextlib.asynccontextmanager
async def overheard(settings: Settings) -> AsyncIterator[list[str]]:
    """Collect every command that Redis gets."""
    assert settings.redis_url
    client = redis.asyncio.from_url(settings.redis_url)
    heard: list[str] = []
    async with client.monitor() as monitor:

        async def listen() -> None:
            while True:
                heard.append(str(await monitor.next_command()))

        task = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await client.aclose()


async def assert_nowhere(api: Api, canaries: list[str], *texts: str) -> None:
    """Look into every table, into exports, and into what else was collected."""
    rows = await api.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    patterns = [f"%{canary}%" for canary in canaries]
    for row in rows:
        found = await api.sql(
            f'SELECT t::text FROM "{row["table_name"]}" t WHERE t::text LIKE ANY($1::text[])', patterns
        )
        assert found == [], row["table_name"]
    files = [(await export(api, kind)).text for kind in ("csv", "ndjson")]
    for text in (*files, *texts):
        for canary in canaries:
            assert canary not in text


def test_what_no_ticket_may_hold_is_known() -> None:
    assert {(name, path[-1]) for name, path in WALK if is_secret(name, path)} == SECRET_FIELDS
    assert {path[0] for _, path in WALK} <= ARGUMENTS


async def test_a_secret_in_any_text_field_is_kept_and_shown_nowhere(desk: Desk, settings: Settings) -> None:
    """As a variable and as a literal, where it may succeed and where it fails.

    A password in its own field; elsewhere the token of the session that asks.
    """
    api, canaries, answers = desk.api, [], []
    with capture_logs() as logs:
        async with overheard(settings) as heard:
            for name, path in WALK:
                one = CASES[name]
                for make in (one.success, one.refusal):
                    token = await desk.token_of(one.who)
                    canary = f"canary-{secrets.token_hex(12)}" if is_secret(name, path) else token
                    arguments = put(await make(desk), path, canary)
                    bad = put(arguments, ("input",), canary) if path[0] == "input" else arguments
                    for document, variables in (
                        (documents(name, arguments), arguments),
                        (literally(name, arguments), {}),
                        (documents(name, arguments), {**arguments, "input": [bad["input"]]} if "input" in bad else bad),
                    ):
                        if name == "changePassword":  # ends the session
                            token = await desk.token_of(one.who)
                        count = await api.ticket_count()
                        response = await api.post(document, variables, token)
                        roots = [row for row in await api.tickets_since(count) if row["attempt_id"]]
                        assert len(roots) == 1, response.text
                        if not is_secret(name, path):
                            refused = "INVALID_CREDENTIALS" if name == "login" else "INVALID_INPUT"
                            assert roots[0]["error_code"] in (refused, "BAD_REQUEST"), (name, path)
                        canaries.append(canary)
                        answers.append(response.text)
    assert len(heard) > 0
    await assert_nowhere(api, sorted(set(canaries)), str(logs), str(heard), *answers)


async def test_a_cookie_is_a_secret_too(desk: Desk) -> None:
    api = desk.api
    cookie = await api.login(api.admin_email)
    asked = {"userId": desk.trader.id, "asset": "EUR", "transactionType": "DEPOSIT", "amount": "1",
             "notes": f"my cookie is {cookie}.", "idempotencyKey": cookie[:40]}  # fmt: skip
    document = (
        "mutation($input: CreateTransactionInput!) { createTransaction(input: $input) { errors { code message } } }"
    )
    before = await api.state()
    async with httpx.AsyncClient(cookies={"carbondesk": cookie}) as client:
        response = await client.post(
            api.url, json={"query": document, "variables": {"input": asked}}, headers={"Sec-Fetch-Site": "same-origin"}
        )
    (error,) = response.json()["data"]["createTransaction"]["errors"]
    assert error["code"] == "INVALID_INPUT"
    assert await api.state() == before
    await assert_nowhere(api, [cookie], response.text)


async def test_a_password_in_the_wrong_field_is_refused_and_not_recorded(desk: Desk) -> None:
    api, secret = desk.api, "a password of somebody"
    asked = {"email": "new@canary.test", "name": f"x {secret}", "role": "TRADER", "password": secret}
    document = "mutation($input: CreateUserInput!) { createUser(input: $input) { ticketId errors { code } } }"
    count = await api.ticket_count()
    answered = (await api.ask(document, input=asked))["createUser"]
    assert [error["code"] for error in answered["errors"]] == ["INVALID_INPUT"]
    (row,) = await api.tickets_since(count)
    assert json.loads(row["request_payload"])["input"] == {
        "email": "new@canary.test", "name": "[redacted]", "role": "TRADER", "password": "[redacted]"
    }  # fmt: skip
    login = "mutation($i: LoginInput!) { login(input: $i) { errors { code } } }"
    count = await api.ticket_count()
    await api.ask(login, "", i={"email": PASSWORD, "password": PASSWORD})
    (row,) = await api.tickets_since(count)
    assert PASSWORD not in str(dict(row))
    assert row["error_code"] == "INVALID_CREDENTIALS"


async def test_who_has_his_password_in_his_address_signs_in_all_the_same(desk: Desk) -> None:
    email, secret = "somebody.with.a.long.name@desk.test", "somebody.with.a.long.name"
    hashed = await desk.api.passwords.hash(secret)
    await desk.api.sql(
        "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
        " VALUES (gen_random_uuid(), $1, 'S', 'TRADER', $2, now(), now())", email, hashed,
    )  # fmt: skip
    login = "mutation($i: LoginInput!) { login(input: $i) { ticketId errors { code } accessToken } }"
    answered = (await desk.api.ask(login, "", i={"email": email, "password": secret}))["login"]
    assert answered["errors"] == [] and answered["accessToken"]
    ticket = await desk.api.ticket(answered["ticketId"])
    assert ticket["requestPayload"] == {"input": {"email": "[redacted]", "password": "[redacted]"}}


async def test_short_or_common_texts_are_no_secrets(desk: Desk) -> None:
    login = "mutation($i: LoginInput!) { login(input: $i) { errors { code } } }"
    count = await desk.api.ticket_count()
    await desk.api.ask(login, "", i={"email": "x@desk.test", "password": "x"})
    (row,) = await desk.api.tickets_since(count)
    assert json.loads(row["request_payload"])["input"]["email"] == "x@desk.test"
    assert row["error_code"] == "INVALID_CREDENTIALS"
