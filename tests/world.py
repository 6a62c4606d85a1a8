"""The market as tests meet it: the real application on a free port, asked by the `gql` client."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import uvicorn
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from api.app import create_app
from api.auth import Passwords
from api.settings import Settings

PASSWORD = "correct horse battery"
START_SECONDS_MAX = 20


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
        headers = {"Authorization": f"Bearer {token}"} if (token := self.admin_token if token is None else token) else {}
        transport = AIOHTTPTransport(self.url, headers=headers, timeout=30)
        try:
            async with Client(transport=transport, execute_timeout=30) as session:
                result = await session.execute(
                    GraphQLRequest(document, variable_values=variables), get_execution_result=True
                )
        except TransportQueryError as error:
            return Answered(error.data, list(error.errors or []), dict(error.extensions or {}))
        return Answered(result.data, [], dict(result.extensions or {}))

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

    async def trader(self, *, kyc: bool = True, **balances: str) -> Trader:
        """Create a trader who is signed in, with KYC approved and these balances deposited."""
        email = f"trader-{secrets.token_hex(4)}@desk.test"
        answered = await self.ask(
            "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } user { id } } }",
            input={"email": email, "name": "Trader", "role": "TRADER", "password": PASSWORD},
        )
        user_id: str = answered["createUser"]["user"]["id"]
        if kyc:
            approved = await self.ask(
                "mutation($id: ID!) { approveKyc(userId: $id) { errors { code } } }", id=user_id
            )
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
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(settings), log_level="warning", lifespan="on", ws="websockets-sansio", access_log=False
            )
        )
        task = asyncio.create_task(server.serve([listener]), name="api under test")
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while not server.started:
                    assert not task.done(), "the API did not start"
                    await asyncio.sleep(0.02)
            yield Api(f"http://127.0.0.1:{port}/graphql", settings.database_url)
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, START_SECONDS_MAX)
