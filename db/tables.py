"""The tables as the readers and the bulk writers see them; constraints, rights and triggers stand in migrations/.

Column order is the order in which rows are written and in which a ticket's digest covers them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, partial
from typing import Any, Protocol, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.types import TypeEngine, UserDefinedType

from domain.tickets import instant

metadata = MetaData()


class Row(Protocol):
    """A row of either driver, read by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


DEFAULTED = {"defaulted": True}  # filled by the database, never written by us


class Xid8(UserDefinedType[int]):
    """A transaction id that never wraps."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


INSTANT = DateTime(timezone=True)
TEXTS = ARRAY(Text)

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text),
    Column("name", Text),
    Column("role", Text),
    Column("password_hash", Text),
    Column("is_active", Boolean),
    Column("kyc_status", Text),
    Column("created_at", INSTANT),
    Column("updated_at", INSTANT),
    Column("can_sign_in", Boolean, info=DEFAULTED),
    Column("kyc_reason", Text, info=DEFAULTED),
)

user_sessions = Table(
    "user_sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("token_sha256", LargeBinary),
    Column("created_at", INSTANT),
    Column("last_seen_at", INSTANT),
    Column("expires_at", INSTANT),
    Column("ip_address", Text),
    Column("user_agent", Text),
    Column("revoked_at", INSTANT, info=DEFAULTED),
    Column("can_sign_in", Boolean, info=DEFAULTED),
)

market_maker_clients = Table(
    "market_maker_clients",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("name", Text),
    Column("description", Text),
    Column("is_active", Boolean),
    Column("created_at", INSTANT),
    Column("updated_at", INSTANT),
    Column("created_by", Uuid),
)

ticket_logs = Table(
    "ticket_logs",
    metadata,
    Column("year", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("ticket_id", Text),
    Column("timestamp", INSTANT),
    Column("action_type", Text),
    Column("status", Text),
    Column("summary", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("user_id", Uuid),
    Column("market_maker_id", Uuid),
    Column("entity_type", Text),
    Column("entity_id", Text),
    Column("ip_address", Text),
    Column("user_agent", Text),
    Column("session_id", Uuid),
    Column("duration_ms", Numeric),
    Column("related_ticket_ids", TEXTS),
    Column("tags", TEXTS),
    Column("attempt_id", Uuid),
    Column("digest", LargeBinary),
    Column("payload_hmac", LargeBinary),
    Column("txid", Xid8, info=DEFAULTED),
    Column("search", TSVECTOR, info=DEFAULTED),
)

ticket_payloads = Table(
    "ticket_payloads",
    metadata,
    Column("year", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("salt", LargeBinary),
    Column("request_payload", JSONB),
    Column("response_data", JSONB),
    Column("before_state", JSONB),
    Column("after_state", JSONB),
)

ticket_payload_search = Table(
    "ticket_payload_search",
    metadata,
    Column("year", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("search", TSVECTOR),
)

ticket_folds = Table(
    "ticket_folds",
    metadata,
    Column("name", Text, primary_key=True),
    Column("txid", Xid8),
)

ticket_counts = Table(
    "ticket_counts",
    metadata,
    Column("detail", Text),
    Column("grain", Text),
    Column("starts_at", INSTANT),
    Column("status", Text),
    Column("action_type", Text),
    Column("error_code", Text),
    Column("user_id", Uuid),
    Column("market_maker_id", Uuid),
    Column("tickets", BigInteger),
    Column("last_at", INSTANT),
)

ticket_leases = Table(
    "ticket_leases",
    metadata,
    Column("id", BigInteger, primary_key=True, info=DEFAULTED),
    Column("year", Integer),
    Column("lo", BigInteger),
    Column("hi", BigInteger),
    Column("is_shared", Boolean),
    Column("leased_at", INSTANT, info=DEFAULTED),
    Column("closed_at", INSTANT, info=DEFAULTED),
)

ticket_voids = Table(
    "ticket_voids",
    metadata,
    Column("year", Integer, primary_key=True),
    Column("lo", BigInteger, primary_key=True),
    Column("hi", BigInteger),
    Column("lease_id", BigInteger),
    Column("reason", Text),
    Column("created_at", INSTANT, info=DEFAULTED),
    Column("txid", Xid8, info=DEFAULTED),
)

audit_leaves = Table(
    "audit_leaves",
    metadata,
    Column("leaf_index", BigInteger, primary_key=True),
    Column("kind", Text),
    Column("year", Integer),
    Column("number", BigInteger),
    Column("leaf_hash", LargeBinary),
)

audit_nodes = Table(
    "audit_nodes",
    metadata,
    Column("level", Integer, primary_key=True),
    Column("node_index", BigInteger, primary_key=True),
    Column("hash", LargeBinary),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary),
    Column("note", Text),
    Column("previous_note_sha256", LargeBinary),
    Column("created_at", INSTANT, info=DEFAULTED),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("is_only", Boolean, primary_key=True, info=DEFAULTED),
    Column("size", BigInteger, info=DEFAULTED),
    Column("frontier", LargeBinary, info=DEFAULTED),
    Column("sealed_below", Xid8, info=DEFAULTED),
    Column("key", Text, info=DEFAULTED),
    Column("alarm", Text, info=DEFAULTED),
)

payload_archives = Table(
    "payload_archives",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tree_size", BigInteger),
    Column("before", INSTANT),
    Column("payloads", BigInteger),
    Column("manifest_sha256", LargeBinary),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

rewrites = Table(
    "rewrites",
    metadata,
    Column("txid", Xid8, primary_key=True, info=DEFAULTED),
    Column("revision", Text),
    Column("rewritten_at", INSTANT, info=DEFAULTED),
)

certificates = Table(
    "certificates",
    metadata,
    Column("certificate_type", Text, primary_key=True),
    Column("name", Text),
    Column("description", Text),
    Column("tick_size", Numeric),
    Column("lot_size", Numeric),
    Column("reference_price", Numeric),
    Column("is_halted", Boolean),
)

settings = Table(
    "settings",
    metadata,
    Column("is_only", Boolean, primary_key=True),
    Column("price_band_percent", Numeric),
    Column("public_market_data", Boolean),
)

books = Table(
    "books",
    metadata,
    Column("certificate_type", Text, primary_key=True),
    Column("sequence", BigInteger),
    Column("priority", BigInteger),
    Column("last_price", Numeric),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("market_maker_id", Uuid),
    Column("certificate_type", Text),
    Column("side", Text),
    Column("order_type", Text),
    Column("time_in_force", Text),
    Column("price", Numeric),
    Column("quantity", Numeric),
    Column("priority", BigInteger),
    Column("created_at", INSTANT),
    Column("ticket_id", Text),
    Column("filled_quantity", Numeric, info={"mutable": True}),
    Column("filled_notional", Numeric, info={"mutable": True}),
    Column("status", Text, info={"mutable": True}),
    Column("cancel_reason", Text, info={"mutable": True}),
    Column("updated_at", INSTANT, info={"mutable": True}),
    Column("ticket_status", Text, info=DEFAULTED),
)

cash_market_trades = Table(
    "cash_market_trades",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("certificate_type", Text),
    Column("sequence", BigInteger),
    Column("position", Integer),
    Column("price", Numeric),
    Column("quantity", Numeric),
    Column("buy_order_id", Uuid),
    Column("sell_order_id", Uuid),
    Column("buyer_id", Uuid),
    Column("seller_id", Uuid),
    Column("market_maker_id", Uuid),
    Column("taker_side", Text),
    Column("executed_at", INSTANT),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

trade_settlements = Table(
    "trade_settlements",
    metadata,
    Column("trade_id", Uuid, primary_key=True),
    Column("registry_reference", Text),
    Column("settled_at", INSTANT),
    Column("settled_by", Uuid),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

book_events = Table(
    "book_events",
    metadata,
    Column("certificate_type", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("kind", Text),
    Column("order_id", Uuid),
    Column("price", Numeric),
    Column("quantity", Numeric),
    Column("rested", Numeric),
    Column("priority", BigInteger),
    Column("level_changes", JSONB),
    Column("created_at", INSTANT),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

balances = Table(
    "balances",
    metadata,
    Column("holder_id", Uuid, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("market_maker_id", Uuid),
    Column("available", Numeric),
    Column("locked", Numeric),
    Column("seq", BigInteger),
)

asset_transactions = Table(
    "asset_transactions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("holder_id", Uuid),
    Column("market_maker_id", Uuid),
    Column("asset", Text),
    Column("transaction_type", Text),
    Column("reason", Text),
    Column("amount", Numeric),
    Column("available_delta", Numeric),
    Column("locked_delta", Numeric),
    Column("balance_after", Numeric),
    Column("locked_after", Numeric),
    Column("seq", BigInteger),
    Column("notes", Text),
    Column("order_id", Uuid),
    Column("trade_id", Uuid),
    Column("created_by", Uuid),
    Column("created_at", INSTANT),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

deposits = Table(
    "deposits",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("amount", Numeric),
    Column("reference", Text),
    Column("status", Text),
    Column("reason", Text),
    Column("created_at", INSTANT),
    Column("decided_at", INSTANT),
    Column("decided_by", Uuid),
    Column("ticket_id", Text),
    Column("ticket_status", Text, info=DEFAULTED),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("actor_id", Uuid, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("input_hash", LargeBinary),
    Column("ticket_id", Text),
    Column("status", Text),
    Column("outcome", JSONB),
    Column("created_at", INSTANT),
)

kyc_documents = Table(
    "kyc_documents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("kind", Text),
    Column("file_name", Text),
    Column("content_type", Text),
    Column("size_bytes", Integer),
    Column("sha256", Text),
    Column("uploaded_at", INSTANT),
    Column("ticket_id", Text),
    Column("content", LargeBinary, info={"mutable": True}),  # the digest covers its hash instead
    Column("ticket_status", Text, info=DEFAULTED),
)

# What a digest covers: rows of these name the ticket that made them and never change (an order: its immutable columns).
EFFECTS = (
    orders,
    cash_market_trades,
    trade_settlements,
    book_events,
    asset_transactions,
    payload_archives,
    kyc_documents,
)

_ARRAY_TYPES: dict[type[TypeEngine[Any]], str] = {
    Uuid: "uuid",
    Text: "text",
    Boolean: "boolean",
    Integer: "integer",
    BigInteger: "bigint",
    Numeric: "numeric",
    DateTime: "timestamptz",
    LargeBinary: "bytea",
    ARRAY: "text",  # an array of arrays would be flattened by unnest: each goes as its literal
    JSONB: "text",
}
_TEXTS: dict[type[TypeEngine[Any]], Callable[[Any], str]] = {
    Uuid: str,
    Boolean: str,
    Integer: str,
    BigInteger: str,
    Numeric: "{:f}".format,
    DateTime: instant,
    LargeBinary: lambda value: f"\\x{value.hex()}",
}
_QUOTED = (Text, LargeBinary, ARRAY, JSONB)
_PARAMETER = re.compile(r"\$(\d+)")
STATEMENTS_REMEMBERED_MAX = 64  # the mixes of one batch: with or without trades, cancels, keys
_CASTS: dict[type[TypeEngine[Any]], str] = {ARRAY: "::text[]", JSONB: "::jsonb"}


@cache
def written(table: Table) -> tuple[Column[Any], ...]:
    """Return the columns that we write, in order."""
    return tuple(column for column in table.columns if not column.info.get("defaulted"))


@cache
def sealed(table: Table) -> tuple[int, ...]:
    """Return the positions among the written columns that never change afterwards."""
    return tuple(index for index, column in enumerate(written(table)) if not column.info.get("mutable"))


@cache
def insert_sql(table: Table) -> str:
    """Return one INSERT for any number of rows: an array a column, unnested."""
    columns = written(table)
    names = ", ".join(f'"{column.name}"' for column in columns)
    arrays = ", ".join(f"${index}::text::{_array_type(column)}[]" for index, column in enumerate(columns, start=1))
    values = ", ".join(f'r."{column.name}"{_CASTS.get(type(column.type), "")}' for column in columns)
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM unnest({arrays}) AS r({names})"  # noqa: S608 - names of our own tables


@lru_cache(maxsize=STATEMENTS_REMEMBERED_MAX)
def together_sql(statements: tuple[str, ...]) -> str:
    """Return one statement that does what several do, their parameters in a row."""
    parts = []
    before = 0
    for index, sql in enumerate(statements):
        numbers = [int(number) for number in _PARAMETER.findall(sql)]
        parts.append(f"w{index} AS ({_PARAMETER.sub(partial(_shifted, before), sql)})")
        before += max(numbers)
    return f"WITH {', '.join(parts)} SELECT"


def _shifted(by: int, parameter: re.Match[str]) -> str:
    return f"${int(parameter[1]) + by}"


def _array_type(column: Column[Any]) -> str:
    return _ARRAY_TYPES[type(column.type)]


def _same(value: str) -> str:
    return value


@cache
def _writers(table: Table) -> tuple[tuple[Callable[[Any], str], bool], ...]:
    """Return how each written column becomes text, and whether that text is quoted in an array."""
    return tuple((_TEXTS.get(type(column.type), _same), type(column.type) in _QUOTED) for column in written(table))


def columns_of(table: Table, rows: Sequence[Sequence[Any]]) -> list[list[str | None]]:
    """Write rows as texts, a list a column."""
    return [
        [None if value is None else text(value) for value in values]
        for (text, _), values in zip(_writers(table), zip(*rows, strict=True), strict=True)
    ]


def arrays_of(table: Table, columns: Iterable[Sequence[str | None]]) -> list[str]:
    """Write columns as the array literals that `insert_sql` takes: the driver encodes arrays value by value, slowly."""
    return [
        text_array(values) if is_quoted else f"{{{','.join(['NULL' if value is None else value for value in values])}}}"
        for (_, is_quoted), values in zip(_writers(table), columns, strict=True)
    ]


def text_array(values: Sequence[str | None]) -> str:
    """Write the literal of an array of any texts."""
    if None not in values:
        whole = '","'.join(cast("Sequence[str]", values))
        if "\\" not in whole and whole.count('"') == 2 * len(values) - 2:  # nothing to be escaped
            return f'{{"{whole}"}}' if values else "{}"
    quoted = [
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values
    ]
    return f"{{{','.join(quoted)}}}"
