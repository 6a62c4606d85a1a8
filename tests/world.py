"""The market as tests meet it: the real application on a free port, asked by the `gql` client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import uvicorn
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from api import supervisor
from api.app import create_app
from api.auth import Passwords
from api.settings import Settings
from api.supervisor import Child
from api.transport import Protocol

PASSWORD = "correct horse battery"
START_SECONDS_MAX = 20
# Whatever an action may change, all columns of all rows; accounts of zeros are opened by a mere look under lock.
STATE = {
    "balances": "seq > 0",
    **dict.fromkeys(
        ("users", "market_maker_clients", "certificates", "books", "orders", "cash_market_trades", "trade_settlements",
         "book_events", "asset_transactions", "deposits", "kyc_documents", "settings"),
        "true",
    ),
}  # fmt: skip
ORDER = """id side status price quantity filledQuantity remainingQuantity averagePrice cancelReason ticketId"""
ORDER_ANSWER = f"""ticketId errors {{ code message field details }} order {{ {ORDER} }}
  trades {{ id price quantity notional takerSide ticketId }}"""
PLACE_MARKET_ORDER = (
    f"mutation($input: PlaceMarketOrderInput!) {{ placeMarketOrder(input: $input) {{ {ORDER_ANSWER} }} }}"
)
CANCEL_MARKET_ORDER = f"mutation($id: ID!) {{ cancelMarketOrder(id: $id) {{ {ORDER_ANSWER} }} }}"
PLACE_ORDER = f"mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {ORDER_ANSWER} }} }}"
CANCEL_ORDER = f"mutation($id: ID!) {{ cancelOrder(id: $id) {{ {ORDER_ANSWER} }} }}"
TICKET = """query($id: ID!) { ticket(ticketId: $id) {
  ticketId actionType status summary errorCode errorMessage entityType entityId
  user { id } marketMaker { id } sessionId ipAddress userAgent durationMs relatedTicketIds tags digest
  requestPayload responseData beforeState afterState changes { path before after }
  relatedTickets { ticketId actionType } } }"""


@dataclass
class Answered:
    """What an operation came to: data, errors and extensions as sent."""

    data: dict[str, Any] | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    extensions: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        assert self.data is not None, self.errors
        assert not self.errors, self.errors
        return self.data[name]


@dataclass
class Api:
    """A running API and its admin."""

    url: str
    database_url: str
    admin_email: str = ""
    admin_token: str = ""
    passwords: Passwords = field(default_factory=Passwords)
    _connection: asyncpg.Connection[asyncpg.Record] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def create_admin(self) -> None:
        """Put the first admin into the database, as `carbondesk` does, and sign in."""
        self.admin_email = f"admin-{secrets.token_hex(4)}@desk.test"
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(
                "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
                " VALUES ($1, $2, 'Admin', 'ADMIN', $3, now(), now())",
                uuid4(),
                self.admin_email,
                await self.passwords.hash(PASSWORD),
            )
        finally:
            await connection.close()
        self.admin_token = await self.login(self.admin_email)

    async def ask(self, document: str, token: str | None = None, **variables: Any) -> Answered:
        """Run one operation through `gql`; token "" asks as nobody, None as the admin."""
        headers = (
            {"Authorization": f"Bearer {token}"} if (token := self.admin_token if token is None else token) else {}
        )
        transport = AIOHTTPTransport(self.url, headers=headers, timeout=30)
        try:
            async with Client(transport=transport, execute_timeout=30) as session:
                result = await session.execute(
                    GraphQLRequest(document, variable_values=variables), get_execution_result=True
                )
        except TransportQueryError as error:
            return Answered(error.data, list(error.errors or []), dict(error.extensions or {}))
        return Answered(result.data, [], dict(result.extensions or {}))

    async def post(
        self, document: str, variables: Mapping[str, Any] | None = None, token: str | None = None, **headers: str
    ) -> httpx.Response:
        """Run one operation as bare HTTP, for what `gql` does not show; token as in `ask`."""
        if token := self.admin_token if token is None else token:
            headers["Authorization"] = f"Bearer {token}"
        async with httpx.AsyncClient(timeout=30) as client:
            asked = json.dumps({"query": document, "variables": variables})  # ASCII: it carries lone surrogates too
            return await client.post(self.url, content=asked, headers={"Content-Type": "application/json", **headers})

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a statement as the owner of the database, on a connection that is not the application's."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.database_url)
            return await self._connection.fetch(statement, *arguments)

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def state(self) -> dict[str, str]:
        """Digest each table that an action may change."""
        columns = ", ".join(
            f"(SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t WHERE {condition}) AS {table}"
            for table, condition in STATE.items()
        )
        return dict((await self.sql(f"SELECT {columns}"))[0])

    async def ticket(self, ticket_id: str, token: str | None = None) -> dict[str, Any]:
        """Return a ticket as an admin sees it."""
        ticket: dict[str, Any] = (await self.ask(TICKET, token, id=ticket_id))["ticket"]
        return ticket

    async def tickets_since(self, count: int) -> list[asyncpg.Record]:
        """Return the tickets beyond the first `count`, by the order of their writing."""
        return await self.sql(
            "SELECT t.*, p.request_payload, p.response_data FROM ticket_logs t"
            ' JOIN ticket_payloads p USING (year, number) ORDER BY t."timestamp", t.number OFFSET $1',
            count,
        )

    async def ticket_count(self) -> int:
        count: int = (await self.sql("SELECT count(*) FROM ticket_logs"))[0]["count"]
        return count

    async def refused(self, code: str, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """Make one attempt that must be refused in its payload; assert its FAILED ticket and that nothing moved.

        Shape: the one error, and the `ticket`.
        """
        before, count = await self.state(), await self.ticket_count()
        answered = await self.ask(document, token, **variables)
        assert answered.errors == [] and answered.data is not None, answered.errors
        (payload,) = answered.data.values()
        (error,) = payload["errors"]
        assert error["code"] == code, error
        entities = [value for name, value in payload.items() if name not in ("ticketId", "errors")]
        assert not any(entities), entities
        assert await self.state() == before
        (row,) = await self.tickets_since(count)
        assert (row["ticket_id"], row["status"], row["error_code"]) == (payload["ticketId"], "FAILED", code)
        assert row["error_message"] == error["message"]
        refusal: dict[str, Any] = {**error, "ticket": row}
        return refusal

    async def login(self, email: str, password: str = PASSWORD) -> str:
        """Sign in; return the bearer token."""
        answered = await self.ask(
            "mutation($input: LoginInput!) { login(input: $input) { accessToken errors { code } } }",
            "",
            input={"email": email, "password": password},
        )
        assert answered["login"]["errors"] == []
        token: str = answered["login"]["accessToken"]
        return token

    @contextlib.asynccontextmanager
    async def watching(self, token: str | None = None) -> AsyncIterator[Any]:
        """Open a graphql-transport-ws session of `gql`; token as in `ask`."""
        token = self.admin_token if token is None else token
        transport = WebsocketsTransport(
            self.socket_url, init_payload={"Authorization": f"Bearer {token}"} if token else {}
        )
        async with Client(transport=transport) as session:
            yield session

    async def maker(self, name: str | None = None, **balances: str) -> dict[str, Any]:
        """Create a market maker with these balances; return it."""
        name = name or f"MM-{secrets.token_hex(4)}"
        answered = await self.ask(
            "mutation($input: CreateMarketMakerInput!) { createMarketMaker(input: $input) {"
            " ticketId errors { code message } marketMaker { id name user { id email } } } }",
            input={
                "name": name,
                "email": f"{name.lower()}-{secrets.token_hex(3)}@internal.test",
                "initialBalances": [{"asset": asset, "amount": amount} for asset, amount in balances.items()],
            },
        )
        payload = answered["createMarketMaker"]
        assert payload["errors"] == []
        maker: dict[str, Any] = {**payload["marketMaker"], "ticketId": payload["ticketId"]}
        return maker

    async def sell(self, maker_id: str, price: str, quantity: str, certificate: str = "CEA") -> dict[str, Any]:
        """Place an order of a market maker; return the payload."""
        asked = {"marketMakerId": maker_id, "certificateType": certificate, "price": price, "quantity": quantity}
        payload: dict[str, Any] = (await self.ask(PLACE_MARKET_ORDER, input=asked))["placeMarketOrder"]
        return payload

    async def order(
        self, trader: Trader, side: str, price: str, quantity: str, certificate: str = "CEA"
    ) -> dict[str, Any]:
        """Place an order of a trader; return the payload."""
        asked = {"side": side, "certificateType": certificate, "price": price, "quantity": quantity}
        payload: dict[str, Any] = (await self.ask(PLACE_ORDER, trader.token, input=asked))["placeOrder"]
        return payload

    async def balance(self, holder_id: str, asset: str) -> tuple[str, str]:
        """Return (available, locked) of a user, as the API words them."""
        answered = await self.ask(
            "query($id: ID!) { user(id: $id) { balances { asset available locked } } }", id=holder_id
        )
        found = {one["asset"]: (one["available"], one["locked"]) for one in answered["user"]["balances"]}
        balance: tuple[str, str] = found[asset]
        return balance

    async def clear(self, certificate: str = "CEA") -> None:
        """Cancel every open order of a certificate, so that a test meets its own orders only."""
        rows = await self.sql(
            "SELECT o.id, o.market_maker_id, u.email FROM orders o JOIN users u ON u.id = o.user_id"
            " WHERE o.certificate_type = $1 AND o.status IN ('OPEN', 'PARTIALLY_FILLED')",
            certificate,
        )
        for row in rows:
            if row["market_maker_id"]:
                payload = (await self.ask(CANCEL_MARKET_ORDER, id=str(row["id"])))["cancelMarketOrder"]
            else:
                token = await self.login(row["email"])
                payload = (await self.ask(CANCEL_ORDER, token, id=str(row["id"])))["cancelOrder"]
            assert payload["errors"] == []

    async def trader(self, *, kyc: bool = True, **balances: str) -> Trader:
        """Create a trader who is signed in, with KYC approved and these balances deposited."""
        email = f"trader-{secrets.token_hex(4)}@desk.test"
        answered = await self.ask(
            "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } user { id } } }",
            input={"email": email, "name": "Trader", "role": "TRADER", "password": PASSWORD},
        )
        user_id: str = answered["createUser"]["user"]["id"]
        if kyc:
            approved = await self.ask("mutation($id: ID!) { approveKyc(userId: $id) { errors { code } } }", id=user_id)
            assert approved["approveKyc"]["errors"] == []
        for asset, amount in balances.items():
            await self.transact({"userId": user_id}, asset, "DEPOSIT", amount)
        return Trader(user_id, email, await self.login(email))

    async def transact(self, holder: Mapping[str, str], asset: str, kind: str, amount: str) -> dict[str, Any]:
        """Deposit or withdraw; return the payload."""
        answered = await self.ask(
            "mutation($input: CreateTransactionInput!) { createTransaction(input: $input) {"
            " ticketId errors { code message details } balance { available locked } } }",
            input={**holder, "asset": asset, "transactionType": kind, "amount": amount},
        )
        payload: dict[str, Any] = answered["createTransaction"]
        return payload


@dataclass(frozen=True)
class Trader:
    """A signed-in trader."""

    id: str
    email: str
    token: str


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    """Serve the application in this event loop, over a real socket."""
    assert settings.database_url is not None
    # With its protocol: asyncio sends at once (TCP_NODELAY) on sockets that name it only, others wait 40 ms an answer.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(settings),
                log_level="warning",
                lifespan="on",
                ws=Protocol,
                access_log=False,
                proxy_headers=False,
            )
        )
        task = asyncio.create_task(server.serve([listener]), name="api under test")
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while not server.started:
                    assert not task.done(), "the API did not start"
                    await asyncio.sleep(0.02)
            api = Api(f"http://127.0.0.1:{port}/graphql", settings.database_url)
            async with contextlib.aclosing(api):
                yield api
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, START_SECONDS_MAX)


@dataclass(frozen=True)
class Served:
    """A process that serves the API, and where."""

    url: str
    child: Child


@contextlib.asynccontextmanager
async def serving_apart(settings: Settings, title: str = "an API", prefix: Sequence[str] = ()) -> AsyncIterator[Served]:
    """Serve the application as a process of its own, as `carbondesk` starts it; it ends with us, however we end.

    prefix: words that its command line begins with, of a program that becomes ours.
    """
    with supervisor.listen("127.0.0.1", 0) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        child = Child(
            title, ["serve", "--supervised", str(listener.fileno())], environment(settings), listener.fileno()
        )
        child.command[:0] = prefix
        child.start()
        try:
            await asyncio.to_thread(supervisor.wait_ready, child, base)
            yield Served(f"{base}/graphql", child)
        finally:
            await asyncio.to_thread(child.stop)


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables under which a program works with these settings."""
    return {
        **os.environ,
        "CARBONDESK_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "SESSION_SOCKETS_MAX": str(settings.session_sockets_max),
        "ADDRESS_SOCKETS_MAX": str(settings.address_sockets_max),
        "LOG_LEVEL": settings.log_level,
        "READERS": str(settings.readers),
        "DRAIN_S": str(settings.drain_s),
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otlp_endpoint or "",
    }
