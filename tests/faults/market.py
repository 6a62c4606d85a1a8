"""A market of several API processes as its clients meet it: bare HTTP, many requests at once, every answer kept."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import orjson

from api import auth
from api.settings import Settings
from db.people import token_sha256
from tests.world import Api, Served, Trader, environment, serving_apart

ANSWER_SECONDS_MAX = 60
QUIET_SECONDS_MAX = 5
POLL_SECONDS = 0.05
TRANSACT = """mutation($input: CreateTransactionInput!) { createTransaction(input: $input) {
  ticketId errors { code message details } transaction { id amount balanceAfter ticketId } } }"""


@dataclass(frozen=True)
class Told:
    """What one attempt was answered: its ticket, a refusal's code or None, and the whole payload."""

    ticket_id: str
    code: str | None
    payload: dict[str, Any]
    is_replay: bool = False


@dataclass
class Market:
    """API processes on one database. api: the first of them, with the admin; who asks takes one by any number."""

    api: Api
    served: list[Served]
    settings: Settings
    session: aiohttp.ClientSession

    async def document(self, at: int, document: str, token: str, **variables: Any) -> dict[str, Any]:
        """Send a document to process `at`; return the body of its answer, which is a 200."""
        url = self.served[at % len(self.served)].url
        async with self.session.post(url, data=asked(document, variables), headers=heads(token)) as response:
            body: dict[str, Any] = orjson.loads(await response.read())
            assert response.status == 200, (response.status, body)
            return body

    async def ask(self, at: int, document: str, token: str, **variables: Any) -> Told:
        """Make one attempt at process `at`: it comes to an outcome or to one refusal with a code, and has a ticket."""
        (told,) = told_of(await self.document(at, document, token, **variables)).values()
        return told

    async def transact(self, at: int, holder_id: str, kind: str, asset: str, amount: str, **more: str) -> Told:
        """Deposit or withdraw as the admin."""
        asked_for = {"userId": holder_id, "asset": asset, "transactionType": kind, "amount": amount, **more}
        return await self.ask(at, TRANSACT, self.api.admin_token, input=asked_for)

    async def traders(self, count: int, **balances: str) -> list[Trader]:
        """Make traders who are signed in and may trade, each with these balances deposited."""
        made = [Trader(str(uuid4()), f"{uuid4()}@desk.test", auth.new_token()) for _ in range(count)]
        await self.api.sql(
            "INSERT INTO users (id, email, name, role, password_hash, kyc_status, created_at, updated_at)"
            " SELECT id, email, 'Trader', 'TRADER', 'x', 'APPROVED', now(), now()"
            " FROM unnest($1::uuid[], $2::text[]) AS t(id, email)",
            [one.id for one in made],
            [one.email for one in made],
        )
        await self.api.sql(
            "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, last_seen_at, expires_at)"
            " SELECT gen_random_uuid(), id, token, now(), now(), now() + interval '1 day'"
            " FROM unnest($1::uuid[], $2::bytea[]) AS t(id, token)",
            [one.id for one in made],
            [token_sha256(one.token) for one in made],
        )
        deposits = [
            self.transact(number, trader.id, "DEPOSIT", asset, amount)
            for number, trader in enumerate(made)
            for asset, amount in balances.items()
        ]
        for at in range(0, len(deposits), 16):  # fewer at a time than a process has connections
            told = await asyncio.gather(*deposits[at : at + 16])
            assert {one.code for one in told} == {None}
        return made

    async def root_tickets(self) -> dict[str, str | None]:
        """Return the error code, None for a success, of each root ticket."""
        rows = await self.api.sql("SELECT ticket_id, status, error_code FROM ticket_logs WHERE attempt_id IS NOT NULL")
        assert all((row["status"] == "SUCCESS") is (row["error_code"] is None) for row in rows)
        return {row["ticket_id"]: row["error_code"] for row in rows}

    async def one_value(self, statement: str, *arguments: Any) -> Any:
        """Return the only value of the only row."""
        ((value,),) = await self.api.sql(statement, *arguments)
        return value

    async def await_value(self, expected: Any, statement: str, *arguments: Any) -> None:
        """Wait until a statement's only value is the expected one."""
        value = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS_MAX):
                while (value := await self.one_value(statement, *arguments)) != expected:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(POLL_SECONDS)
        assert value == expected, f"{value} after {QUIET_SECONDS_MAX} s: {statement}"

    async def is_left_quiet(self) -> None:
        """Wait until no connection of the processes is in a transaction, as none is when nobody asks."""
        await self.await_value(
            0,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name LIKE 'carbondesk-%' AND state <> 'idle'",
        )

    async def verify(self) -> str:
        """Run `carbondesk verify`, the program, on the database; return its last line."""
        verifying = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api", "verify",
            env=environment(self.settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await verifying.communicate()
        assert verifying.returncode == 0, output.decode()
        return output.decode().splitlines()[-1]


def told_of(body: Mapping[str, Any]) -> dict[str, Told]:
    """Read the body of an answer that may hold no fault; return what was told by alias."""
    assert "errors" not in body, body
    is_replay = body.get("extensions", {}).get("replayed", False)
    told = {}
    for alias, payload in body["data"].items():
        codes = [error["code"] for error in payload["errors"]]
        assert payload["ticketId"] and len(codes) <= 1, payload
        told[alias] = Told(payload["ticketId"], codes[0] if codes else None, payload, is_replay)
    assert body["extensions"]["tickets"] == {alias: one.ticket_id for alias, one in told.items()}
    return told


def asked(document: str, variables: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"query": document, "variables": variables})


def heads(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


@contextlib.asynccontextmanager
async def market_of(settings: Settings, count: int, prefix: Sequence[str] = ()) -> AsyncIterator[Market]:
    """Start so many API processes; end them afterwards. Locks are taken in one order, so there was no deadlock.

    prefix: words that their command lines begin with.
    """
    assert settings.database_url is not None
    async with contextlib.AsyncExitStack() as stack:
        starting = [stack.enter_async_context(serving_apart(settings, f"API {at}", prefix)) for at in range(count)]
        served = await asyncio.gather(*starting)
        api = await stack.enter_async_context(contextlib.aclosing(Api(served[0].url, settings.database_url)))
        await api.create_admin()
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(ANSWER_SECONDS_MAX)
            )
        )
        yield Market(api, served, settings, session)
    owner = await asyncpg.connect(settings.database_url)  # the processes have ended, so their counts are complete
    deadlocks = await owner.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await owner.close()
    assert deadlocks == 0
