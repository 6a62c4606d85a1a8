"""The ledger in the database: balances are locked, moved and written together with their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Numeric, Select, func, select

from db import filters, ids, tables
from db.filters import Filter, at_least, at_most, before, equal, one_of, present
from db.lists import Listing
from db.projections import HOLDINGS
from db.read import Key, Reader, Window
from db.tables import Row
from db.transaction import Transaction, Write
from domain import errors, ledger, money, people
from domain.ledger import Account, Balance, Change, Move, TransactionOutcome, TransactionReason, TransactionType
from domain.money import Asset
from domain.tickets import Draft

AccountKey: TypeAlias = tuple[UUID, Asset]
Entry: TypeAlias = tuple[Any, ...]  # the values of a `ledger.Transaction`, in its order


@dataclass(frozen=True, slots=True)
class Posting:
    """A move and what its row says beside the figures."""

    move: Move
    draft: Draft
    order_id: UUID | None = None
    trade_id: UUID | None = None
    notes: str | None = None
    created_by: UUID | None = None

    @property
    def key(self) -> AccountKey:
        return self.move.holder_id, self.move.asset


async def lock(
    transaction: Transaction, wanted: Iterable[tuple[UUID, UUID | None, Asset]]
) -> dict[AccountKey, Account]:
    """Lock accounts (holder, market maker, asset); one that does not exist yet is created at 0.

    Locks: balances by (holder, asset). Outside the market lock, lock one account only: that keeps any two units from
    waiting for each other.
    """
    ordered = sorted(set(wanted), key=lambda one: (one[0].bytes, one[2]))
    if not ordered:
        return {}
    holders, makers, assets = (list(values) for values in zip(*ordered, strict=True))
    select = (
        "SELECT b.holder_id, b.market_maker_id, b.asset, b.available, b.locked, b.seq FROM balances b"
        " JOIN unnest($1::uuid[], $2::text[]) AS k(holder_id, asset) ON b.holder_id = k.holder_id AND b.asset = k.asset"
        " ORDER BY b.holder_id, b.asset FOR NO KEY UPDATE OF b"
    )
    rows = await transaction.connection.fetch(select, holders, assets)
    if len(rows) < len(ordered):
        await transaction.connection.execute(
            "INSERT INTO balances (holder_id, market_maker_id, asset, available, locked, seq)"
            " SELECT holder_id, market_maker_id, asset, 0, 0, 0 FROM unnest($1::uuid[], $2::uuid[], $3::text[])"
            " AS k(holder_id, market_maker_id, asset) ORDER BY holder_id, asset ON CONFLICT DO NOTHING",
            holders,
            makers,
            assets,
        )
        rows = await transaction.connection.fetch(select, holders, assets)
    return {(row["holder_id"], Asset(row["asset"])): _account(row) for row in rows}


def _account(row: Row) -> Account:
    asset = Asset(row["asset"])
    available = money.units(row["available"], money.DECIMALS[asset])
    locked = money.units(row["locked"], money.DECIMALS[asset])
    assert available is not None and locked is not None, "the table's scale checks"
    return Account(row["holder_id"], row["market_maker_id"], asset, available, locked, row["seq"])


async def post(
    transaction: Transaction, accounts: Mapping[AccountKey, Account], postings: Sequence[Posting]
) -> list[Entry]:
    """Move locked accounts and write a row for each move, in order; return the rows.

    Raises: InsufficientBalance, InvalidAmount.
    """
    if not postings:
        return []
    running = dict(accounts)
    entries: list[Entry] = []
    for posting in postings:
        account = running[posting.key] = ledger.apply(running[posting.key], posting.move)
        entries.append(_entry(transaction.now, posting, account))
    await transaction.insert(tables.asset_transactions, entries)
    transaction.tell("balances", {})
    moved = [account for key, account in running.items() if account is not accounts[key]]
    await transaction.write(
        "UPDATE balances b SET available = m.available, locked = m.locked, seq = m.seq"
        " FROM unnest($1::uuid[], $2::text[], $3::numeric[], $4::numeric[], $5::bigint[])"
        " AS m(holder_id, asset, available, locked, seq) WHERE b.holder_id = m.holder_id AND b.asset = m.asset",
        [account.holder_id for account in moved],
        [account.asset for account in moved],
        [money.decimal(account.asset, account.available) for account in moved],
        [money.decimal(account.asset, account.locked) for account in moved],
        [account.seq for account in moved],
    )
    return entries


def _entry(now: datetime, posting: Posting, account: Account) -> Entry:
    """Return the row of a move in the order of `tables.asset_transactions`, which is that of `ledger.Transaction`."""
    move, asset = posting.move, posting.move.asset
    available_delta, locked_delta = move.deltas
    return (
        ids.new(),
        move.holder_id,
        move.market_maker_id,
        asset,
        ledger.TYPE_OF_REASON[move.reason],
        move.reason,
        money.decimal(asset, move.signed_amount),
        money.decimal(asset, available_delta),
        money.decimal(asset, locked_delta),
        money.decimal(asset, account.available),
        money.decimal(asset, account.locked),
        account.seq,
        posting.notes,
        posting.order_id,
        posting.trade_id,
        posting.created_by,
        now,
        posting.draft.ticket_id,
    )


async def change(write: Write, request: Change) -> TransactionOutcome:
    """Deposit or withdraw by hand.

    Raises: InvalidInput, InvalidAmount, MarketMakerNotFound, UserNotFound, InsufficientBalance.
    Locks: the account.
    """
    if (request.market_maker_id is None) == (request.user_id is None):
        raise errors.InvalidInput("Name either a market maker or a user.", field="marketMakerId")
    notes = people.optional_text(request.notes, field="notes", length_max=people.TEXT_LENGTH_MAX, label="The note")
    ledger.amount_of(request)  # before looking for the holder: what is wrong with the request comes first
    holder_id, maker_id = await _holder(write, request)
    write.maker_id = maker_id
    accounts = await lock(write, [(holder_id, maker_id, request.asset)])
    move = ledger.change(accounts[holder_id, request.asset], request)
    posting = Posting(move, write.root, notes=notes, created_by=write.attempt.user_id)
    (values,) = await post(write, accounts, [posting])
    entry = ledger.Transaction(*values)
    return TransactionOutcome(entry, balance_after(entry))


async def _holder(write: Write, request: Change) -> tuple[UUID, UUID | None]:
    """Return (holder, market maker) of who was named."""
    if request.market_maker_id is not None:
        maker = await write.connection.fetchrow(
            "SELECT id, user_id FROM market_maker_clients WHERE id = $1", people.uuid_or_none(request.market_maker_id)
        )
        if maker is None:
            raise errors.MarketMakerNotFound(
                "There is no such market maker.", field="marketMakerId", id=request.market_maker_id
            )
        return maker["user_id"], maker["id"]
    user = await write.connection.fetchrow(
        "SELECT u.id, m.id AS maker_id FROM users u LEFT JOIN market_maker_clients m ON m.user_id = u.id"
        " WHERE u.id = $1",
        people.uuid_or_none(request.user_id),
    )
    if user is None:
        raise errors.UserNotFound("There is no such user.", field="userId", id=request.user_id)
    return user["id"], user["maker_id"]


def balance_after(entry: ledger.Transaction) -> Balance:
    """Return the balance that a ledger row left."""
    return Balance(
        entry.holder_id, entry.market_maker_id, entry.asset, entry.balance_after, entry.locked_after, entry.seq
    )


def deposit_move(holder_id: UUID, market_maker_id: UUID | None, asset: Asset, amount: int) -> Move:
    """Return the move of a deposit in smallest units."""
    return Move(holder_id, market_maker_id, asset, TransactionReason.DEPOSIT, amount)


def entry_of(row: Row) -> ledger.Transaction:
    """Read a stored ledger row."""
    asset = Asset(row["asset"])
    return ledger.Transaction(
        id=row["id"],
        holder_id=row["holder_id"],
        market_maker_id=row["market_maker_id"],
        asset=asset,
        transaction_type=TransactionType(row["transaction_type"]),
        reason=TransactionReason(row["reason"]),
        amount=money.of_asset(asset, row["amount"]),
        available_delta=money.of_asset(asset, row["available_delta"]),
        locked_delta=money.of_asset(asset, row["locked_delta"]),
        balance_after=money.of_asset(asset, row["balance_after"]),
        locked_after=money.of_asset(asset, row["locked_after"]),
        seq=row["seq"],
        notes=row["notes"],
        order_id=row["order_id"],
        trade_id=row["trade_id"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        ticket_id=row["ticket_id"],
    )


def balance_of(row: Row) -> Balance:
    """Read a stored balance."""
    asset = Asset(row["asset"])
    return Balance(
        holder_id=row["holder_id"],
        market_maker_id=row["market_maker_id"],
        asset=asset,
        available=money.of_asset(asset, row["available"]),
        locked=money.of_asset(asset, row["locked"]),
        seq=row["seq"],
    )


# ------------------------------------------------------------------------------------------------------------- reading

entries, held = tables.asset_transactions.c, tables.balances.c


class TransactionsBy(Enum):
    """The order of a list of ledger rows."""

    NEWEST = "NEWEST"
    OLDEST = "OLDEST"
    LARGEST = "LARGEST"
    SMALLEST = "SMALLEST"


@dataclass(frozen=True, slots=True)
class TransactionFilter(Filter):
    """Which ledger rows; every condition given must hold. Windows are half-open [from, to).

    amount_min, amount_max: of the figure without its sign.
    """

    ids: Sequence[UUID] | None = None
    holder_id: UUID | None = None
    holder_ids: Sequence[UUID] | None = None
    market_maker_id: UUID | None = None
    has_market_maker: bool | None = None
    asset: Asset | None = None
    assets: Sequence[Asset] | None = None
    transaction_types: Sequence[TransactionType] | None = None
    reasons: Sequence[TransactionReason] | None = None
    order_id: UUID | None = None
    trade_id: UUID | None = None
    ticket_id: str | None = None
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None


SIZE: ColumnElement[Any] = func.abs(entries.amount, type_=Numeric)
TRANSACTION_TERMS = {
    "ids": one_of(entries.id),
    "holder_id": equal(entries.holder_id),
    "holder_ids": one_of(entries.holder_id),
    "market_maker_id": equal(entries.market_maker_id),
    "has_market_maker": present(entries.market_maker_id),
    "asset": equal(entries.asset),
    "assets": one_of(entries.asset),
    "transaction_types": one_of(entries.transaction_type),
    "reasons": one_of(entries.reason),
    "order_id": equal(entries.order_id),
    "trade_id": equal(entries.trade_id),
    "ticket_id": equal(entries.ticket_id),
    "amount_min": at_least(SIZE, "size"),
    "amount_max": at_most(SIZE, "size"),
    "date_from": at_least(entries.created_at),
    "date_to": before(entries.created_at),
}


def transactions_where(wanted: TransactionFilter) -> Select[Any]:
    """Return the statement of a list of ledger rows.

    Raises: InvalidInput.
    """
    return select(tables.asset_transactions).where(filters.where(wanted, TRANSACTION_TERMS))


_WRITTEN = (entries.created_at, entries.seq, entries.id)
TRANSACTIONS: Listing[TransactionFilter, ledger.Transaction] = Listing(
    transactions_where,
    {
        TransactionsBy.NEWEST: Key(_WRITTEN, is_descending=True),
        TransactionsBy.OLDEST: Key(_WRITTEN, is_descending=False),
        TransactionsBy.LARGEST: Key((SIZE, *_WRITTEN), is_descending=True),
        TransactionsBy.SMALLEST: Key((SIZE, *_WRITTEN), is_descending=False),
    },
    entry_of,
)
TRANSACTIONS_OF_HOLDER, TRANSACTIONS_OF_ORDER = (entries.holder_id,), (entries.order_id,)


# Assets in the order of Asset; one never touched is 0.
BALANCES: Listing[bool, Balance] = Listing(
    lambda _all: select(HOLDINGS), {None: Key((HOLDINGS.c.asset,), is_descending=False)}, balance_of
)
BALANCES_OF_HOLDER = (HOLDINGS.c.holder_id,)
assert list(Asset) == sorted(Asset)


async def balances_of(reader: Reader, holder_ids: Iterable[UUID]) -> dict[UUID, list[Balance]]:
    """Return every balance of these holders."""
    pages = await BALANCES.pages(reader, BALANCES_OF_HOLDER, list(holder_ids), True, Window(len(Asset)))
    return {holder_id: [balance for _, balance in page.items] for holder_id, page in pages.items()}


# Through the makers and not along their orders: balances of traders are many more.
_SEQS = """
SELECT b.holder_id, b.asset, b.seq FROM balances b
WHERE b.holder_id IN (SELECT unnest(CAST(:holders AS uuid[]))
                      UNION SELECT user_id FROM market_maker_clients WHERE :with_makers)
"""


async def seqs(reader: Reader, holder_ids: Iterable[UUID], *, with_makers: bool) -> dict[AccountKey, int]:
    """Return the number of the last ledger row of each account of these holders and, if asked, of all market makers."""
    rows = await reader.sql(_SEQS, holders=list(holder_ids), with_makers=with_makers)
    return {(row["holder_id"], Asset(row["asset"])): row["seq"] for row in rows}


# A commit may write several rows of one account; only the last of them was ever to be seen. Rows of one account are in
# the order of their commits, their times may not be (a deposit looks at the clock before it waits): hence the maximum.
_COMMITTED = """
SELECT holder_id, market_maker_id, asset, balance_after AS available, locked_after AS locked, seq FROM (
    SELECT t.*, l.txid, lead(l.txid) OVER account AS next_txid, max(t.created_at) OVER account AS at
    FROM unnest(CAST(:holders AS uuid[]), CAST(:assets AS text[]), CAST(:seqs AS bigint[])) AS k(holder_id, asset, seq)
    JOIN asset_transactions t ON t.holder_id = k.holder_id AND t.asset = k.asset AND t.seq > k.seq
    JOIN ticket_logs l ON l.ticket_id = t.ticket_id
    WINDOW account AS (PARTITION BY t.holder_id, t.asset ORDER BY t.seq)) AS moved
WHERE txid IS DISTINCT FROM next_txid ORDER BY at, holder_id, asset, seq LIMIT :most
"""


async def balances_after(reader: Reader, places: Mapping[AccountKey, int], limit: int) -> list[Balance]:
    """Return each balance that was committed in these accounts after a row number, in the order of commits."""
    holders, assets = zip(*places, strict=True)
    rows = await reader.sql(
        _COMMITTED, holders=list(holders), assets=list(assets), seqs=list(places.values()), most=limit
    )
    return [balance_of(row) for row in rows]
