"""Reading only what is shown: the columns that were asked for, each written by the database as it is sent.

A noun says how its fields are written, and which other nouns hang on it one to one; a projection is what one list shows
of its rows. Whoever reads a list with a `Window` that carries one gets rows of these columns instead of records.
`tests/api/test_fast_path.py` holds every expression here against what the records say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Double,
    FromClause,
    LargeBinary,
    Numeric,
    Select,
    Text,
    Uuid,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
    true,
)

from db import tables
from domain import market, money

Expression: TypeAlias = ColumnElement[Any]
At: TypeAlias = Any  # the columns of a table, or of an alias of it, by name

INSTANT: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")  # connections for reading keep UTC


def _holdings() -> FromClause:
    assets = (
        func.unnest(literal_column("ARRAY['CEA', 'EUA', 'EUR']", ARRAY(Text))).table_valued("asset").render_derived()
    )
    asset = assets.c.asset
    people, makers, held = tables.users.c, tables.market_maker_clients.c, tables.balances.c
    none = literal_column("0", Numeric)
    return (
        select(
            people.id.label("holder_id"),
            makers.id.label("market_maker_id"),
            cast(asset, Text).label("asset"),
            func.coalesce(held.available, none).label("available"),
            func.coalesce(held.locked, none).label("locked"),
            func.coalesce(held.seq, literal_column("0", BigInteger)).label("seq"),
        )
        .select_from(tables.users)
        .join(tables.market_maker_clients, makers.user_id == people.id, isouter=True)
        .join(assets, true())
        .join(tables.balances, and_(held.holder_id == people.id, held.asset == asset), isouter=True)
        .subquery("holdings")
    )


HOLDINGS = _holdings()  # every balance of everybody, also one that was never touched
assert list(money.Asset) == ["CEA", "EUA", "EUR"]


@dataclass(frozen=True, slots=True)
class Value:
    """What one field is made of: columns, and what makes one of several (none: it is the one column)."""

    of: tuple[Expression, ...]
    made: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Another noun that hangs on a row by one column: on the row named so by `to`."""

    column: str
    noun: str
    to: str = "id"


@dataclass(frozen=True)
class Noun:
    """What can be read of a table. fields: those not written here are columns, by their own name and type.

    beside: a table that has at most one row for each of this one, by which column, under the same name in lists.
    """

    table: FromClause
    written: Callable[[At, At], Mapping[str, Expression | Value]] = lambda _at, _beside: {}
    links: Mapping[str, Link] = field(default_factory=dict)
    beside: tuple[FromClause, str] | None = None


def sent(column: Expression) -> Expression:
    """Return a column as it is sent, by its type."""
    match column.type:
        case Uuid():
            return cast(column, Text)
        case DateTime():
            return func.to_char(column, INSTANT)
        case LargeBinary():
            return func.encode(column, literal_column("'hex'"))
    return column


def figure(column: Expression, decimals: int) -> Expression:
    """Return a figure with exactly so many decimals; exact by the table's check on its scale."""
    return cast(func.round(column, literal_column(str(decimals))), Text)


def eur(column: Expression) -> Expression:
    return figure(column, money.PRICE_DECIMALS)


def whole(column: Expression) -> Expression:
    return figure(column, 0)


def of_asset(asset: Expression, column: Expression) -> Expression:
    """Return a figure with the decimals of its asset."""
    return case((asset == literal_column("'EUR'"), eur(column)), else_=whole(column))


def _average(notional: Decimal | None, quantity: Decimal | None) -> str | None:
    if notional is None or quantity is None:
        return None  # there is no such order
    found = market.average_price(money.eur(notional), money.whole(quantity))
    return None if found is None else format(found, "f")


NOUNS: Mapping[str, Noun] = {
    "Balance": Noun(
        HOLDINGS,
        lambda at, _: {
            "available": of_asset(at.asset, at.available),
            "locked": of_asset(at.asset, at.locked),
            "total": of_asset(at.asset, at.available + at.locked),
        },
    ),
    "User": Noun(tables.users),
    "MarketMaker": Noun(
        tables.market_maker_clients,
        links={"user": Link("user_id", "User"), "created_by": Link("created_by", "User")},
    ),
    "Order": Noun(
        tables.orders,
        lambda at, _: {
            "price": eur(at.price),
            "quantity": whole(at.quantity),
            "filled_quantity": whole(at.filled_quantity),
            "remaining_quantity": whole(at.quantity - at.filled_quantity),
            "average_price": Value((at.filled_notional, at.filled_quantity), _average),
        },
        {
            "user": Link("user_id", "User"),
            "market_maker": Link("market_maker_id", "MarketMaker"),
            "ticket": Link("ticket_id", "Ticket", "ticket_id"),
        },
    ),
    "Trade": Noun(
        tables.cash_market_trades,
        lambda at, settled: {
            "price": eur(at.price),
            "quantity": whole(at.quantity),
            "notional": eur(at.price * at.quantity),
            "status": case(
                (settled.settled_at.is_(None), literal_column("'EXECUTED'")), else_=literal_column("'SETTLED'")
            ),
            "settled_at": sent(settled.settled_at),
            "registry_reference": settled.registry_reference,
        },
        {
            "buyer": Link("buyer_id", "User"),
            "seller": Link("seller_id", "User"),
            "market_maker": Link("market_maker_id", "MarketMaker"),
            "buy_order": Link("buy_order_id", "Order"),
            "sell_order": Link("sell_order_id", "Order"),
            "ticket": Link("ticket_id", "Ticket", "ticket_id"),
        },
        (tables.trade_settlements, "trade_id"),
    ),
    "AssetTransaction": Noun(
        tables.asset_transactions,
        lambda at, _: {
            name: of_asset(at.asset, at[name])
            for name in ("amount", "available_delta", "locked_delta", "balance_after", "locked_after")
        },
        {
            "holder": Link("holder_id", "User"),
            "market_maker": Link("market_maker_id", "MarketMaker"),
            "order": Link("order_id", "Order"),
            "trade": Link("trade_id", "Trade"),
            "created_by": Link("created_by", "User"),
            "ticket": Link("ticket_id", "Ticket", "ticket_id"),
        },
    ),
    "Deposit": Noun(
        tables.deposits,
        lambda at, _: {"amount": eur(at.amount)},
        {"user": Link("user_id", "User"), "decided_by": Link("decided_by", "User")},
    ),
    "Ticket": Noun(
        tables.ticket_logs,
        lambda at, _: {"id": at.ticket_id, "duration_ms": cast(at.duration_ms, Double)},
        {"user": Link("user_id", "User"), "market_maker": Link("market_maker_id", "MarketMaker")},
    ),
}


class Place:
    """A noun where it stands in a statement: as the list itself, or joined to it, there or not."""

    def __init__(self, projection: Projection, noun: Noun, at: At, beside: At) -> None:
        self._projection = projection
        self._noun = noun
        self._at = at
        self._written = noun.written(at, beside)
        self._links: dict[str, Place] = {}
        self._shown: dict[str, tuple[tuple[int, ...], Callable[..., Any] | None]] = {}
        self.is_there: int | None = None

    def shown(self, name: str) -> tuple[tuple[int, ...], Callable[..., Any] | None] | None:
        """Return which columns of the projection a field is made of, and how; None when it is none of the table's."""
        if name not in self._shown:
            value = self._written.get(name)
            if value is None:
                if name not in self._at:
                    return None
                value = sent(self._at[name])
            if not isinstance(value, Value):
                value = Value((value,))
            self._shown[name] = (tuple(self._projection.add(one) for one in value.of), value.made)
        return self._shown[name]

    def raw(self, name: str) -> int:
        """Return which column of the projection holds a column as it is stored."""
        return self._projection.add(self._at[name])

    def linked(self, name: str) -> Place | None:
        """Return the place of what hangs on it; None when nothing does under this name."""
        link = self._noun.links.get(name)
        if link is None:
            return None
        if name not in self._links:
            self._links[name] = self._projection.join(self._at[link.column], link)
        return self._links[name]


class Projection:
    """What a list shows of its rows."""

    def __init__(self, noun: str) -> None:
        root = NOUNS[noun]
        self.columns: list[Expression] = []
        self._joins: list[tuple[FromClause, ColumnElement[bool]]] = []
        # A list of trades has their settlements joined already.
        self.root = Place(self, root, root.table.c, root.beside[0].c if root.beside else None)

    def add(self, column: Expression) -> int:
        """Ask for a column; return its number."""
        self.columns.append(column.label(f"c{len(self.columns)}"))
        return len(self.columns) - 1

    def join(self, column: Expression, link: Link) -> Place:
        """Ask for what hangs on a column."""
        noun = NOUNS[link.noun]
        other = noun.table.alias(f"t{len(self._joins)}")
        self._joins.append((other, other.c[link.to] == column))
        beside = None
        if noun.beside:
            table, by = noun.beside
            beside = table.alias(f"t{len(self._joins)}")
            self._joins.append((beside, beside.c[by] == other.c.id))
        place = Place(self, noun, other.c, beside.c if beside is not None else None)
        place.is_there = self.add(other.c[link.to].is_not(None))
        return place

    def of(self, statement: Select[Any]) -> Select[Any]:
        """Return a statement of a list with these columns instead of its own."""
        shown: Select[Any] = statement.with_only_columns(*self.columns, maintain_column_froms=True)
        for other, condition in self._joins:
            shown = shown.join(other, condition, isouter=True)
        return shown
