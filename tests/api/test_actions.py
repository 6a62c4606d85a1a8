"""Every action type of the contract is something that somebody can really do; who may not is denied, on record."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from graphql import GraphQLInputObjectType, GraphQLList, GraphQLNonNull, GraphQLType

from api import schema
from api.policy import ROLES, Policy
from api.tickets import DECLARED
from domain.people import UserRole
from domain.tickets import ActionType
from tests.world import CANCEL_MARKET_ORDER, CANCEL_ORDER, PASSWORD, Api, Trader

# Made by operations of other parts of the system, which have their own tests.
ELSEWHERE = {
    ActionType.DATA_EXPORTED: "exports of tickets and queries",
    ActionType.DATA_ARCHIVED: "retention of payloads",
    ActionType.DATA_RESTORED: "restoring a backup",
}
PDF = base64.b64encode(b"%PDF-1.7\n").decode()
PAPER = {"kind": "PASSPORT", "fileName": "p.pdf", "contentType": "application/pdf", "contentBase64": PDF}


@dataclass
class Day:
    """A working day at the desk."""

    api: Api

    async def do(self, document: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """Carry out one mutation; return its payload."""
        answered = await self.api.ask(document, token, **variables)
        assert answered.errors == [] and answered.data is not None, answered.errors
        (payload,) = answered.data.values()
        assert payload["errors"] == []
        done: dict[str, Any] = payload
        return done

    async def by_id(self, field: str, of: str, more: str = "", token: str | None = None) -> dict[str, Any]:
        """Carry out one mutation that names one thing."""
        argument = "userId" if field.endswith("Kyc") else "id"
        return await self.do(
            f"mutation($id: ID!) {{ {field}({argument}: $id{more}) {{ ticketId errors {{ code }} }} }}", token, id=of
        )

    async def trade(self, seller: Trader | None = None) -> str:
        """Let a market maker, or a trader, sell one certificate; return the trade's id."""
        await self.api.clear()
        buyer = await self.api.trader(EUR="100")
        if seller:
            await self.api.order(seller, "SELL", "20.00", "1")
        else:
            await self.api.sell((await self.api.maker(CEA="1"))["id"], "20.00", "1")
        bought = await self.api.order(buyer, "BUY", "20.00", "1")
        trade_id: str = bought["trades"][0]["id"]
        return trade_id

    async def deposit(self) -> str:
        payload = await self.do(
            "mutation($i: RequestDepositInput!) { requestDeposit(input: $i) { errors { code } deposit { id } } }",
            (await self.api.trader()).token,
            i={"amount": "5", "reference": "R"},
        )
        deposit_id: str = payload["deposit"]["id"]
        return deposit_id

    async def upload(self, trader: Trader) -> str:
        document = (
            "mutation($i: UploadKycDocumentInput!) { uploadKycDocument(input: $i) { errors { code } document { id } } }"
        )
        document_id: str = (await self.do(document, trader.token, i=PAPER))["document"]["id"]
        return document_id

    async def download(self) -> None:
        document_id = await self.upload(await self.api.trader(kyc=False))
        async with httpx.AsyncClient() as client:
            response = await client.get(
                f"{self.api.url.removesuffix('/graphql')}/kyc/{document_id}",
                headers={"Authorization": f"Bearer {self.api.admin_token}"},
            )
        assert response.status_code == 200

    async def fail_to_sign_in(self) -> None:
        asked = {"email": self.api.admin_email, "password": "wrong horse battery"}
        await self.api.ask("mutation($i: LoginInput!) { login(input: $i) { errors { code } } }", "", i=asked)

    async def change_maker(self) -> None:
        maker = await self.api.maker()
        await self.by_id("updateMarketMaker", maker["id"], ', input: { name: "MM-New" }')
        await self.by_id("deleteMarketMaker", maker["id"])

    async def place_and_cancel(self) -> None:
        maker, trader = await self.api.maker(CEA="1"), await self.api.trader(EUR="10")
        sold = await self.api.sell(maker["id"], "99.00", "1")
        bought = await self.api.order(trader, "BUY", "1.00", "1")
        for document, token, payload in ((CANCEL_MARKET_ORDER, None, sold), (CANCEL_ORDER, trader.token, bought)):
            assert (await self.api.ask(document, token, id=payload["order"]["id"])).errors == []

    async def change_user(self) -> None:
        trader = await self.api.trader()
        await self.by_id("updateUser", trader.id, ', input: { name: "New" }')
        await self.by_id("deleteUser", trader.id)

    async def reject_kyc(self) -> None:
        trader = await self.api.trader(kyc=False)
        await self.upload(trader)
        await self.by_id("rejectKyc", trader.id, ', reason: "Blurred"')

    async def sign_out(self) -> None:
        await self.do("mutation { logout { errors { code } } }", (await self.api.trader()).token)

    async def end_sessions(self) -> None:
        await self.do("mutation { revokeSessions { errors { code } } }", (await self.api.trader()).token)

    async def withdraw(self) -> None:
        trader = await self.api.trader(EUR="5")
        assert (await self.api.transact({"userId": trader.id}, "EUR", "WITHDRAWAL", "5"))["errors"] == []

    async def settle(self) -> None:
        await self.by_id("settleTrade", await self.trade(), ', registryReference: "R"')

    async def rule(self) -> None:
        for field in (
            'updateCertificate(certificateType: EUA, input: { description: "New" })',
            'updatePrice(certificateType: EUA, price: "70")',
            "updateSettings(input: { publicMarketData: true })",
        ):
            await self.do(f"mutation {{ {field} {{ errors {{ code }} }} }}")


async def _between_traders(day: Day) -> None:
    await day.trade(await day.api.trader(CEA="1"))


async def _decide(day: Day, field: str, more: str = "") -> None:
    await day.by_id(field, await day.deposit(), more)


Deed = Callable[[Day], Awaitable[Any]]
DEEDS: list[tuple[Deed, set[str]]] = [
    (Day.change_maker, {"MM_CREATED", "MM_UPDATED", "MM_DELETED"}),
    (Day.withdraw, {"ASSET_DEPOSIT", "ASSET_WITHDRAWAL", "USER_CREATED", "KYC_APPROVED", "USER_LOGIN"}),
    (Day.place_and_cancel, {"MM_ORDER_PLACED", "MM_ORDER_CANCELLED", "ORDER_PLACED", "ORDER_CANCELLED"}),
    (Day.settle, {"MM_TRADE_EXECUTED", "ORDER_FILLED", "TRADE_SETTLED"}),
    (_between_traders, {"TRADE_EXECUTED"}),
    (Day.sign_out, {"USER_LOGOUT"}),
    (Day.fail_to_sign_in, {"USER_LOGIN_FAILED"}),
    (Day.change_user, {"USER_UPDATED", "USER_DELETED"}),
    (Day.reject_kyc, {"KYC_UPLOADED", "KYC_REJECTED"}),
    (Day.download, {"KYC_DOWNLOADED"}),
    (lambda day: _decide(day, "approveDeposit"), {"DEPOSIT_REQUESTED", "DEPOSIT_APPROVED"}),
    (lambda day: _decide(day, "rejectDeposit", ', reason: "No"'), {"DEPOSIT_REJECTED"}),
    (Day.end_sessions, {"ENTITY_MODIFIED"}),
    (Day.rule, {"CERTIFICATE_MODIFIED", "PRICE_UPDATED", "SETTINGS_CHANGED"}),
]


def test_every_action_type_is_somebody_s_deed() -> None:
    listed = [action for _, actions in DEEDS for action in actions]
    assert len(listed) == len(set(listed))
    assert set(listed) | set(ELSEWHERE) == set(ActionType)
    assert not set(listed) & set(ELSEWHERE)


@pytest.mark.parametrize(("deed", "actions"), DEEDS, ids=[min(actions) for _, actions in DEEDS])
async def test_a_deed_leaves_the_tickets_of_its_actions(api: Api, deed: Deed, actions: set[str]) -> None:
    count = await api.ticket_count()
    await deed(Day(api))
    rows = await api.tickets_since(count)
    for action in actions:
        status = "FAILED" if action == "USER_LOGIN_FAILED" else "SUCCESS"
        assert (action, status) in {(row["action_type"], row["status"]) for row in rows}
    assert {row["status"] for row in rows if row["action_type"] != "USER_LOGIN_FAILED"} <= {"SUCCESS"}


# -------------------------------------------------------------------------------------------------------------- denials

# A value of each kind of argument, so that a call coerces and nothing but the policy can refuse it.
VALUES = {"ID": f'"{uuid4()}"', "String": '"text"', "Decimal": '"1"', "Boolean": "true", "CertificateType": "CEA",
          "Asset": "EUR", "OrderSide": "BUY", "TransactionType": "DEPOSIT", "UserRole": "TRADER"}  # fmt: skip


def literal(kind: GraphQLType) -> str:
    """Write a value that fits a type, required fields only."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return f"[{literal(kind.of_type)}]"
    if isinstance(kind, GraphQLInputObjectType):
        required = [
            f"{name}: {literal(field.type)}"
            for name, field in kind.fields.items()
            if isinstance(field.type, GraphQLNonNull) and not field.default_value
        ]
        return f"{{ {', '.join(required)} }}"
    return VALUES[str(kind)]


def call(name: str) -> str:
    """Write a call of a mutation."""
    mutation_type = schema.build()._schema.mutation_type
    assert mutation_type is not None
    arguments = [
        f"{key}: {literal(one.type)}"
        for key, one in mutation_type.fields[name].args.items()
        if isinstance(one.type, GraphQLNonNull)
    ]
    given = f"({', '.join(arguments)})" if arguments else ""
    return f"mutation {{ {name}{given} {{ ticketId }} }}"


@pytest.fixture(scope="module")
async def tokens(api: Api) -> dict[UserRole, str]:
    """Sign somebody of each role in."""
    email = f"analyst-{uuid4()}@desk.test"
    await api.ask(
        "mutation($input: CreateUserInput!) { createUser(input: $input) { errors { code } } }",
        input={"email": email, "name": "A", "role": "ANALYST", "password": PASSWORD},
    )
    trader = await api.trader()
    return {UserRole.ADMIN: api.admin_token, UserRole.ANALYST: await api.login(email), UserRole.TRADER: trader.token}


@pytest.mark.parametrize("name", DECLARED)
async def test_a_mutation_is_denied_to_every_role_that_it_is_not_for(
    api: Api, tokens: dict[UserRole, str], name: str
) -> None:
    declared = DECLARED[name]
    if declared.policy is Policy.ANYONE:
        return
    document = call(name)
    before, count = await api.state(), await api.ticket_count()
    answered = await api.ask(document, "")
    assert [error["extensions"]["code"] for error in answered.errors] == ["UNAUTHENTICATED"]
    assert await api.ticket_count() == count
    for role, token in tokens.items():
        if declared.policy is Policy.SIGNED_IN or role in ROLES[declared.policy]:
            continue
        count = await api.ticket_count()
        answered = await api.ask(document, token)
        (error,) = answered.errors
        (row,) = await api.tickets_since(count)
        assert (row["action_type"], row["status"], row["error_code"]) == (declared.action, "FAILED", "FORBIDDEN")
        assert error["extensions"] == {"code": "FORBIDDEN", "ticketId": row["ticket_id"]}, (name, role)
    assert await api.state() == before
