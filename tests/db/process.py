"""The write path of one API process, without its door: pools, numbers, units and desk, and the people to use them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import redis.asyncio

from db import ledger, makers, people, tickets
from db.desk import Desk
from db.kyc import approve
from db.numbers import Numbers
from db.outcomes import reader
from db.transaction import Notice, Write
from db.unit import Answer, Pool, Units
from domain import stories
from domain.book import OrderSide
from domain.kyc import KycOutcome
from domain.ledger import Change, TransactionOutcome, TransactionType
from domain.makers import MakerOutcome, new_maker
from domain.market import Cancel, CancelledOutcome, OrderType, Place, PlacedOutcome, TimeInForce
from domain.money import Asset, CertificateType
from domain.people import NewUser, UserOutcome, UserRole
from domain.tickets import ActionType, Attempt, Story

CEA = CertificateType.CEA


@dataclass
class Process:
    """What one process holds open. notices: what it told the world; kept: attempts that no database took."""

    pool: Pool
    desk_pool: Pool
    numbers: Numbers
    units: Units
    desk: Desk
    notices: list[Notice] = field(default_factory=list)
    kept: list[Attempt] = field(default_factory=list)
    admin_id: UUID | None = None

    def attempt(
        self, name: str, request: dict[str, Any], user_id: UUID | None = None, key: str | None = None
    ) -> Attempt:
        return Attempt(
            attempt_id=uuid4(),
            field=name,
            action_type=ActionType.ENTITY_MODIFIED,
            request=request,
            started_at_ns=time.monotonic_ns(),
            user_id=user_id or self.admin_id,
            ip_address="127.0.0.1",
            user_agent="tests",
            idempotency_key=key,
        )

    async def run(
        self,
        name: str,
        request: dict[str, Any],
        work: Callable[[Write], Awaitable[Any]],
        tell: Callable[[Any, Any], Story],
        outcome_type: type[Any],
        key: str | None = None,
    ) -> Answer[Any]:
        """Run a unit of work as the admin."""
        return await self.units.run(self.attempt(name, request, key=key), work, tell, reader(outcome_type))

    async def create_admin(self) -> UUID:
        """Put the first admin into the database."""
        admin_id = uuid4()
        await self.pool.fetch(
            "INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)"
            " VALUES ($1, $2, 'Admin', 'ADMIN', 'x', now(), now())",
            admin_id,
            f"{admin_id}@desk.test",
        )
        self.admin_id = admin_id
        return admin_id

    async def trader(self, eur: str = "0", cea: str = "0", *, kyc: bool = True) -> UUID:
        """Make a trader with these balances."""
        new = NewUser(f"{uuid4()}@desk.test", "Trader", UserRole.TRADER, "not used here")
        made = await self.run(
            "createUser", {}, lambda write: people.create(write, new, "hash"), stories.of_created_user, UserOutcome
        )
        assert made.outcome is not None
        user_id: UUID = made.outcome.user.id
        if kyc:
            await self.run(
                "approveKyc",
                {"userId": str(user_id)},
                lambda write: approve(write, str(user_id)),
                stories.of_approved_kyc,
                KycOutcome,
            )
        for asset, amount in ((Asset.EUR, eur), (Asset.CEA, cea)):
            if Decimal(amount):
                assert (await self.transact(user_id, asset, amount)).outcome
        return user_id

    async def maker(self, cea: str = "0", name: str | None = None) -> MakerOutcome:
        """Make a market maker with these certificates."""
        name = name or f"MM-{uuid4()}"
        balances = [(Asset.CEA, Decimal(cea))] if Decimal(cea) else []
        new = new_maker(name, f"{uuid4()}@desk.test", None, balances)
        made = await self.run(
            "createMarketMaker", {}, lambda write: makers.create(write, new), stories.of_created_maker, MakerOutcome
        )
        assert made.outcome is not None
        outcome: MakerOutcome = made.outcome
        return outcome

    async def delete_maker(self, maker_id: UUID) -> Answer[MakerOutcome]:
        """Deactivate a market maker."""
        return await self.run(
            "deleteMarketMaker",
            {"id": str(maker_id)},
            lambda write: makers.delete(write, str(maker_id)),
            stories.of_deleted_maker,
            MakerOutcome,
        )

    async def transact(
        self, user_id: UUID, asset: Asset, amount: str, kind: str = "DEPOSIT", key: str | None = None
    ) -> Answer[TransactionOutcome]:
        """Deposit or withdraw."""
        change = Change(None, str(user_id), asset, TransactionType(kind), Decimal(amount), None)
        request = {"input": {"userId": str(user_id), "asset": asset, "transactionType": kind, "amount": amount}}
        return await self.run(
            "createTransaction",
            request,
            lambda write: ledger.change(write, change),
            stories.of_transaction,
            TransactionOutcome,
            key,
        )

    async def place(
        self,
        holder: UUID | MakerOutcome,
        side: str,
        quantity: str,
        price: str | None,
        key: str | None = None,
        certificate_type: CertificateType = CEA,
        force: TimeInForce = TimeInForce.GTC,
    ) -> Answer[PlacedOutcome]:
        """Place an order as a trader, or for a market maker as the admin; price None: at market."""
        return await self.desk.submit(*self.order(holder, side, quantity, price, key, certificate_type, force))

    def order(
        self,
        holder: UUID | MakerOutcome,
        side: str,
        quantity: str,
        price: str | None,
        key: str | None = None,
        certificate_type: CertificateType = CEA,
        force: TimeInForce = TimeInForce.GTC,
    ) -> tuple[Attempt, Place]:
        """Return the attempt and the command of a new order."""
        is_maker = isinstance(holder, MakerOutcome)
        maker_id = str(holder.maker.id) if isinstance(holder, MakerOutcome) else None
        order_type = OrderType.MARKET if price is None else OrderType.LIMIT
        asked = {"side": side, "quantity": quantity, "price": price, "certificateType": certificate_type.value}
        asked |= {"orderType": order_type.value, "timeInForce": force.value}
        if maker_id:
            asked["marketMakerId"] = maker_id
        command = Place(
            holder_id=holder if isinstance(holder, UUID) else None,
            market_maker_id=maker_id,
            certificate_type=certificate_type,
            side=OrderSide(side),
            order_type=order_type,
            time_in_force=force,
            price=None if price is None else Decimal(price),
            quantity=Decimal(quantity),
        )
        name, actor = ("placeMarketOrder", None) if is_maker else ("placeOrder", command.holder_id)
        return self.attempt(name, {"input": asked}, actor, key), command

    async def cancel(self, order_id: UUID, holder_id: UUID | None, key: str | None = None) -> Answer[CancelledOutcome]:
        """Cancel an order as its trader; holder None: as the admin."""
        name = "cancelOrder" if holder_id else "cancelMarketOrder"
        attempt = self.attempt(name, {"id": str(order_id)}, holder_id, key)
        return await self.desk.submit(attempt, Cancel(str(order_id), holder_id))

    async def count(self, table: str) -> int:
        rows = await self.pool.fetch(f"SELECT count(*) AS n FROM {table}")
        found: int = rows[0]["n"]
        return found

    async def tickets_of(self, attempt_ids: Sequence[UUID]) -> list[Any]:
        return await self.pool.fetch("SELECT * FROM ticket_logs WHERE attempt_id = ANY($1::uuid[])", list(attempt_ids))


@contextlib.asynccontextmanager
async def process(
    url: str, redis_url: str | None = None, *, size_max: int = 8, admin_id: UUID | None = None
) -> AsyncIterator[Process]:
    """Open a process on a database; with no Redis it lives on leases of its own."""
    role = f"{urlsplit(url).path.lstrip('/')}_app"
    async with contextlib.AsyncExitStack() as stack:
        pool = await Pool.open(url, role=role, size_max=size_max, name="write")
        stack.push_async_callback(pool.close)
        desk_pool = await Pool.open(url, role=role, size_max=2, name="desk")
        stack.push_async_callback(desk_pool.close)
        client = redis.asyncio.from_url(redis_url) if redis_url else None
        if client:
            stack.push_async_callback(client.aclose)
        numbers = Numbers(desk_pool, client, f"{role}:")
        stack.push_async_callback(numbers.stop)
        notices: list[Notice] = []
        kept: list[Attempt] = []

        async def keep(attempt: Attempt, story: Story) -> None:
            kept.append(attempt)

        units = Units(pool, numbers, tickets.store, notices.extend, keep)
        desk = Desk(desk_pool, units)
        await desk.start()
        stack.push_async_callback(desk.stop)
        opened = Process(pool, desk_pool, numbers, units, desk, notices, kept, admin_id)
        if admin_id is None:
            await opened.create_admin()
        yield opened
