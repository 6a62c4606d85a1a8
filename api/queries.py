"""What can be asked. A policy stands on every field; what a TRADER may see of a list is narrowed to his own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import strawberry

import api.aggregates
import db.candles
import db.certificates
import db.finding
import db.idempotency
import db.ledger
import db.makers
import db.orders
import db.past
import db.people
import db.proofs
import db.sessions
from api.aggregates import (
    HAVING,
    RANK,
    Bucket,
    GroupBy,
    Groups,
    Having,
    OrderAggregates,
    Rank,
    TicketAggregates,
    TradeAggregates,
    TransactionAggregates,
    Zone,
    aggregated,
    checked_parties,
)
from api.books import picture_of, read_picture
from api.certificates import Certificate, Settings
from api.context import Info
from api.deposits import Deposit, DepositConnection
from api.enums import (
    CertificateType,
    DepositsBy,
    MarketMakersBy,
    OrderGroup,
    OrderMeasure,
    OrdersBy,
    TicketGroup,
    TicketMeasure,
    TicketOrder,
    TimeBucket,
    TradeGroup,
    TradeMeasure,
    TradesBy,
    TransactionGroup,
    TransactionMeasure,
    TransactionsBy,
    UserRole,
    UsersBy,
)
from api.errors import Code, RequestError
from api.figures import Balance, Candle, OrderBook, TicketProof
from api.filters import (
    DepositFilter,
    MarketMakerFilter,
    OrderFilter,
    TicketFilter,
    TradeFilter,
    TransactionFilter,
    UserFilter,
)
from api.ledger import AssetTransaction, TransactionConnection
from api.objects import MarketMaker, OrderBy, Ticket, User
from api.operations import Operations
from api.orders import Order, Trade, orders_asked, own_trades_asked, trades_asked
from api.pages import FILTER, ORDER, After, Before, Connection, First, Last, page_of
from api.past import AsOf, AsOfTicket, answering, balances_of, moment_of
from api.payloads import AttemptOutcome
from api.people import Session
from api.policy import Allow, Policy
from api.scalars import BigInt
from api.stats import TicketStats
from api.tickets import DECLARED
from db import filters
from db.stats import BUCKETS_MAX
from domain.people import uuid_or_none
from domain.tickets import TicketStatus

DEPTH = 20
DEPTH_MAX = 1_000  # levels a side; deeper books are for orderBookChanges

Id = Annotated[strawberry.ID, strawberry.argument(description="UUID; a malformed one names nothing.")]
Depth = Annotated[int, strawberry.argument(description=f"Levels a side, 1 to {DEPTH_MAX}.")]
Which = Annotated[CertificateType, strawberry.argument(description="Whose book.")]


def query(policy: Policy, description: str) -> Any:
    """Return a root field that asks its policy first."""
    return strawberry.field(description=description, extensions=[Allow(policy)])


def checked_depth(depth: int) -> int:
    """Return how many levels a side are wanted.

    Raises: RequestError (BAD_REQUEST).
    """
    if not 1 <= depth <= DEPTH_MAX:
        raise RequestError(f"depth must be from 1 to {DEPTH_MAX}.", Code.BAD_REQUEST, field="depth")
    return depth


def transactions_asked(info: Info, filter: TransactionFilter | None) -> db.ledger.TransactionFilter | None:
    """Return which ledger rows are asked for, a TRADER's own only; None when nothing can be."""
    wanted, own = (filter or TransactionFilter()).inner(), info.context.user.id
    return filters.narrowed(wanted, holder_id=own) if info.context.has_role(UserRole.TRADER) else wanted


@strawberry.type(description="Everything that can be read.")
class Query:
    @query(Policy.ANYONE, "Who is asking; null when nobody is signed in.")
    def me(self, info: Info) -> User | None:
        return User.of(info.context.caller.user) if info.context.caller else None

    @query(Policy.READER, "Market makers by name.")
    async def market_makers(
        self,
        info: Info,
        filter: Annotated[MarketMakerFilter | None, FILTER] = None,
        order_by: Annotated[MarketMakersBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[MarketMaker]:
        wanted = (filter or MarketMakerFilter()).inner(sees_emails=info.context.has_role(UserRole.ADMIN))
        listing = db.makers.MAKERS
        return await page_of(info, listing, wanted, MarketMaker.of, order_by, first, after, last, before)

    @query(Policy.READER, "One market maker; null when there is none.")
    async def market_maker(self, info: Info, id: Id) -> MarketMaker | None:
        maker_id = uuid_or_none(id)
        record = await info.context.loaders.makers.load(maker_id) if maker_id else None
        return MarketMaker.of(record) if record else None

    @query(Policy.PUBLIC, "The certificates that are traded. Public market data.")
    async def certificates(self, info: Info) -> list[Certificate]:
        return [Certificate.of(record) for record in await db.orders.certificates(info.context.reader)]

    @query(
        Policy.PUBLIC,
        "The whole book of a certificate as committed: the newest, or as it was at a moment. Public market data.",
    )
    async def order_book(
        self,
        info: Info,
        certificate_type: Which,
        depth: Depth = DEPTH,
        as_of_sequence: Annotated[
            BigInt | None, strawberry.argument(description="As it was at this sequence, from 0.")
        ] = None,
        as_of_ticket: AsOfTicket = None,
        as_of: AsOf = None,
    ) -> OrderBook:
        wanted, reader = checked_depth(depth), info.context.reader
        moment = await moment_of(info, sequence=as_of_sequence, ticket_id=as_of_ticket, at=as_of, field="asOfTicket")
        if moment is None:
            return OrderBook.of(await read_picture(reader, certificate_type), wanted)
        async with answering():
            return OrderBook.of(picture_of(await db.past.book(reader, certificate_type, moment)), wanted)

    @query(
        Policy.PUBLIC,
        "Open, high, low, close and volume of a certificate in the whole buckets that the window touches, up to now. A "
        "bucket without a trade carries the last price before it and no volume; before the first trade there is none. "
        f"At most {BUCKETS_MAX:,} buckets. Public market data.",
    )
    async def candles(
        self,
        info: Info,
        certificate_type: Annotated[CertificateType, strawberry.argument(description="Of which certificate.")],
        bucket: Annotated[TimeBucket, strawberry.argument(description="How long one is.")],
        start: Annotated[datetime, strawberry.argument(name="from", description="Where the window begins.")],
        stop: Annotated[datetime, strawberry.argument(name="to", description="Where it ends, not included.")],
        time_zone: Zone = "UTC",
    ) -> list[Candle]:
        async with answering():
            found = await db.candles.candles(
                info.context.reader, certificate_type, bucket, start, stop, time_zone or "UTC"
            )
        return [Candle.of(one) for one in found]

    @query(
        Policy.OWNER,
        "Every balance of a holder at a moment of the past, by his ledger rows; empty when there is no such user, or "
        "when it is somebody else's. One of ticketId and at.",
    )
    async def balances_as_of(
        self, info: Info, user_id: Id, ticket_id: AsOfTicket = None, at: AsOf = None
    ) -> list[Balance]:
        holder_id = uuid_or_none(user_id)
        moment = await moment_of(info, ticket_id=ticket_id, at=at, field="ticketId")
        if moment is None:
            raise RequestError("Name a moment: ticketId or at.", Code.BAD_REQUEST, field="at")
        if holder_id is None or not info.context.may_see(holder_id):
            return []
        return [Balance.of(one) for one in await balances_of(info, holder_id, moment)]

    @query(
        Policy.PUBLIC, "Trades, newest first. Public market data; parties are shown to ADMIN, ANALYST and themselves."
    )
    async def trades(
        self,
        info: Info,
        filter: Annotated[TradeFilter | None, FILTER] = None,
        order_by: Annotated[TradesBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Trade]:
        wanted = trades_asked(info, filter)
        return await page_of(info, db.orders.TRADES, wanted, Trade.of, order_by, first, after, last, before)

    @query(Policy.OWNER, "Orders, newest first; a TRADER sees his own.")
    async def orders(
        self,
        info: Info,
        filter: Annotated[OrderFilter | None, FILTER] = None,
        order_by: Annotated[OrdersBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Order]:
        wanted = orders_asked(info, filter)
        return await page_of(info, db.orders.ORDERS, wanted, Order.of, order_by, first, after, last, before)

    @query(Policy.OWNER, "One order; null when there is none, or when it is somebody else's.")
    async def order(self, info: Info, id: Id) -> Order | None:
        order_id = uuid_or_none(id)
        record = await info.context.loaders.orders.load(order_id) if order_id else None
        return Order.of(record) if record and info.context.may_see(record.user_id) else None

    @query(Policy.READER, "Tickets, newest first when not asked otherwise.")
    async def tickets(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        order_by: OrderBy = TicketOrder.NEWEST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Ticket]:
        wanted = (filter or TicketFilter()).inner(sees_payloads=info.context.has_role(UserRole.ADMIN))
        return await page_of(info, db.finding.TICKETS, wanted, Ticket.of, order_by, first, after, last, before)

    @query(Policy.READER, "One ticket; null when there is none.")
    async def ticket(
        self, info: Info, ticket_id: Annotated[strawberry.ID, strawberry.argument(description="TKT-YYYY-NNNNNN.")]
    ) -> Ticket | None:
        record = await info.context.loaders.tickets.load(ticket_id)
        return Ticket.of(record) if record else None

    @query(Policy.READER, "What proves that a ticket stands in the signed tree; null until it is sealed.")
    async def ticket_proof(
        self, info: Info, ticket_id: Annotated[strawberry.ID, strawberry.argument(description="TKT-YYYY-NNNNNN.")]
    ) -> TicketProof | None:
        found = await db.proofs.inclusion(info.context.reader, ticket_id)
        return TicketProof.of(found) if found else None

    @query(
        Policy.READER,
        "Figures over the tickets of a filter, all of one instant and exact to the ticket. Filters of time, action, "
        "outcome, user, market maker and error code are answered from counts, others by counting, within 5 s.",
    )
    async def ticket_stats(
        self,
        info: Info,
        filter: Annotated[TicketFilter | None, FILTER] = None,
        bucket: Annotated[
            TimeBucket | None,
            strawberry.argument(description="Length of the bars over time; when not given, one that suits the window."),
        ] = None,
        time_zone: Annotated[
            str | None, strawberry.argument(description="Whose days, weeks and months, such as Europe/Berlin.")
        ] = "UTC",
    ) -> TicketStats:
        wanted = (filter or TicketFilter()).inner(sees_payloads=info.context.has_role(UserRole.ADMIN))
        return await TicketStats.load(info, wanted, bucket, time_zone or "UTC")

    @query(
        Policy.SIGNED_IN,
        "What became of one's own attempt with an idempotency key; null when none with it has come to an end, so that "
        "it can be made again with the same key.",
    )
    async def attempt(
        self,
        info: Info,
        idempotency_key: Annotated[str, strawberry.argument(description="The key that was sent.")],
        mutation: Annotated[str, strawberry.argument(description="The field it was sent to, such as placeOrder.")],
    ) -> AttemptOutcome | None:
        declared = DECLARED.get(mutation)
        kept = await db.idempotency.look_up(info.context.reader, info.context.user.id, mutation, idempotency_key)
        if declared is None or kept is None:
            return None
        is_done = kept.status == TicketStatus.SUCCESS
        return AttemptOutcome.of(kept, declared.outcome_of(kept.outcome) if is_done else None)

    @query(Policy.ADMIN, "Users, newest first.")
    async def users(
        self,
        info: Info,
        filter: Annotated[UserFilter | None, FILTER] = None,
        order_by: Annotated[UsersBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[User]:
        wanted = (filter or UserFilter()).inner()
        return await page_of(info, db.people.USERS, wanted, User.of, order_by, first, after, last, before)

    @query(Policy.OWNER, "One user; a TRADER or ANALYST sees himself, others are null.")
    async def user(self, info: Info, id: Id) -> User | None:
        user_id = uuid_or_none(id)
        if user_id is None or (user_id != info.context.user.id and not info.context.has_role(UserRole.ADMIN)):
            return None
        record = await info.context.loaders.users.load(user_id)
        return User.of(record) if record else None

    @strawberry.field(
        description="Announced deposits, newest first; others than ADMIN see their own.",
        graphql_type=DepositConnection,
        extensions=[Allow(Policy.OWNER)],
    )
    async def deposits(
        self,
        info: Info,
        filter: Annotated[DepositFilter | None, FILTER] = None,
        order_by: Annotated[DepositsBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        asked = (filter or DepositFilter()).inner()
        is_admin = info.context.has_role(UserRole.ADMIN)
        wanted = asked if is_admin else filters.narrowed(asked, user_id=info.context.user.id)
        return await page_of(
            info, db.people.DEPOSITS, wanted, Deposit.of, order_by, first, after, last, before, kind=DepositConnection
        )

    @strawberry.field(
        description="Ledger rows, newest first; a TRADER sees his own.",
        graphql_type=TransactionConnection,
        extensions=[Allow(Policy.OWNER)],
    )
    async def transactions(
        self,
        info: Info,
        filter: Annotated[TransactionFilter | None, FILTER] = None,
        order_by: Annotated[TransactionsBy | None, ORDER] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        return await page_of(
            info, db.ledger.TRANSACTIONS, transactions_asked(info, filter), AssetTransaction.of, order_by, first,
            after, last, before, kind=TransactionConnection,
        )  # fmt: skip

    @query(Policy.SIGNED_IN, "The open sessions of the caller, newest first; for ADMIN of anybody; of others: none.")
    async def sessions(
        self,
        info: Info,
        user_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Whose; one's own when not given.")
        ] = None,
    ) -> list[Session]:
        caller = info.context.caller
        assert caller is not None
        wanted = caller.user.id if user_id is None else uuid_or_none(user_id)
        if wanted is None or (wanted != caller.user.id and not info.context.has_role(UserRole.ADMIN)):
            return []
        found = await db.sessions.sessions_of(info.context.reader, wanted)
        return [Session.of(one, is_current=one.id == caller.session.id) for one in found]

    @query(Policy.ADMIN, "How the process that answers is, and its servers: what is open, what waits, what lags.")
    async def operations(self, info: Info) -> Operations:
        return await Operations.look(info.context.services)

    @query(Policy.SIGNED_IN, "What holds for the whole market.")
    async def settings(self, info: Info) -> Settings:
        return Settings.of(await db.certificates.settings(info.context.reader))

    @query(
        Policy.READER,
        "Tickets in groups, all of one instant and exact. Counts come from counts that are kept; other figures, and "
        "other filters, read the tickets, within 5 s.",
    )
    async def aggregate_tickets(
        self,
        info: Info,
        group_by: Annotated[list[TicketGroup], GroupBy],
        filter: Annotated[TicketFilter | None, FILTER] = None,
        bucket: Bucket = None,
        time_zone: Zone = "UTC",
        having: Annotated[list[Having[TicketMeasure]] | None, HAVING] = None,
        order_by: Annotated[Rank[TicketMeasure] | None, RANK] = None,
        first: Groups = None,
    ) -> TicketAggregates:
        wanted = (filter or TicketFilter()).inner(sees_payloads=info.context.has_role(UserRole.ADMIN))
        return await aggregated(
            info, api.aggregates.TICKETS, wanted, group_by, bucket, time_zone, having, order_by, first
        )

    @query(
        Policy.OWNER,
        "Trades in groups; a TRADER's own, and not by party.",
    )
    async def aggregate_trades(
        self,
        info: Info,
        group_by: Annotated[list[TradeGroup], GroupBy],
        filter: Annotated[TradeFilter | None, FILTER] = None,
        bucket: Bucket = None,
        time_zone: Zone = "UTC",
        having: Annotated[list[Having[TradeMeasure]] | None, HAVING] = None,
        order_by: Annotated[Rank[TradeMeasure] | None, RANK] = None,
        first: Groups = None,
    ) -> TradeAggregates:
        checked_parties(info, group_by)
        wanted = own_trades_asked(info, filter)
        return await aggregated(
            info, api.aggregates.TRADES, wanted, group_by, bucket, time_zone, having, order_by, first
        )

    @query(
        Policy.OWNER,
        "Orders in groups; a TRADER's own.",
    )
    async def aggregate_orders(
        self,
        info: Info,
        group_by: Annotated[list[OrderGroup], GroupBy],
        filter: Annotated[OrderFilter | None, FILTER] = None,
        bucket: Bucket = None,
        time_zone: Zone = "UTC",
        having: Annotated[list[Having[OrderMeasure]] | None, HAVING] = None,
        order_by: Annotated[Rank[OrderMeasure] | None, RANK] = None,
        first: Groups = None,
    ) -> OrderAggregates:
        wanted = orders_asked(info, filter)
        return await aggregated(
            info,
            api.aggregates.ORDERS,
            wanted,
            group_by,
            bucket,
            time_zone,
            having,
            order_by,
            first,
        )

    @query(
        Policy.OWNER,
        "Ledger rows in groups; a TRADER's own.",
    )
    async def aggregate_transactions(
        self,
        info: Info,
        group_by: Annotated[list[TransactionGroup], GroupBy],
        filter: Annotated[TransactionFilter | None, FILTER] = None,
        bucket: Bucket = None,
        time_zone: Zone = "UTC",
        having: Annotated[list[Having[TransactionMeasure]] | None, HAVING] = None,
        order_by: Annotated[Rank[TransactionMeasure] | None, RANK] = None,
        first: Groups = None,
    ) -> TransactionAggregates:
        wanted = transactions_asked(info, filter)
        return await aggregated(
            info,
            api.aggregates.TRANSACTIONS,
            wanted,
            group_by,
            bucket,
            time_zone,
            having,
            order_by,
            first,
        )
