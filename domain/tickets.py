"""Tickets. Law: one attempt, one root ticket; written once, in the transaction of what it tells, never changed.

A ticket is who, what, when, with which outcome. Its bulky payloads stand beside it so that they can be erased later
while the ticket, its digest and every reference to it stay.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]  # the stubs leave it out
from typing import Any, NamedTuple
from uuid import UUID

NUMBER_DIGITS_MIN = 6  # TKT-2026-001234, growing past 999,999
TEXT_LENGTH_MAX = 2_000  # one string of a recorded request; what is longer is cut and says so
DEPTH_MAX = 8  # deeper structure is replaced by a marker; no input of the schema is deeper than 4
ITEMS_MAX = 100  # entries of one recorded list or object
FIGURE_DIGITS_MAX = 40  # twice what any figure of the market has; a decimal beyond is written with its exponent
SUMMARY_LENGTH_MAX = 500
REDACTED = "[redacted]"
TEXTS_REMEMBERED_MAX = 1_024  # ids and instants of one batch, which names each of them many times
DIGEST_VERSION = "1"


class TicketStatus(StrEnum):
    """Whether the attempt did what it asked for."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class EntityType(StrEnum):
    """The kind of thing an action was about."""

    USER = "USER"
    SESSION = "SESSION"
    MARKET_MAKER = "MARKET_MAKER"
    ORDER = "ORDER"
    TRADE = "TRADE"
    ASSET_TRANSACTION = "ASSET_TRANSACTION"
    DEPOSIT = "DEPOSIT"
    KYC_DOCUMENT = "KYC_DOCUMENT"
    CERTIFICATE = "CERTIFICATE"
    SETTINGS = "SETTINGS"


class ActionType(StrEnum):
    """What was attempted."""

    MM_CREATED = "MM_CREATED"
    MM_UPDATED = "MM_UPDATED"
    MM_DELETED = "MM_DELETED"
    ASSET_DEPOSIT = "ASSET_DEPOSIT"
    ASSET_WITHDRAWAL = "ASSET_WITHDRAWAL"
    MM_ORDER_PLACED = "MM_ORDER_PLACED"
    MM_ORDER_CANCELLED = "MM_ORDER_CANCELLED"
    MM_TRADE_EXECUTED = "MM_TRADE_EXECUTED"
    USER_LOGIN = "USER_LOGIN"
    USER_LOGOUT = "USER_LOGOUT"
    USER_LOGIN_FAILED = "USER_LOGIN_FAILED"
    USER_CREATED = "USER_CREATED"
    USER_UPDATED = "USER_UPDATED"
    USER_DELETED = "USER_DELETED"
    KYC_UPLOADED = "KYC_UPLOADED"
    KYC_APPROVED = "KYC_APPROVED"
    KYC_REJECTED = "KYC_REJECTED"
    KYC_DOWNLOADED = "KYC_DOWNLOADED"
    DEPOSIT_REQUESTED = "DEPOSIT_REQUESTED"
    DEPOSIT_APPROVED = "DEPOSIT_APPROVED"
    DEPOSIT_REJECTED = "DEPOSIT_REJECTED"
    ORDER_PLACED = "ORDER_PLACED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    ORDER_FILLED = "ORDER_FILLED"
    TRADE_EXECUTED = "TRADE_EXECUTED"
    TRADE_SETTLED = "TRADE_SETTLED"
    ENTITY_MODIFIED = "ENTITY_MODIFIED"
    CERTIFICATE_MODIFIED = "CERTIFICATE_MODIFIED"
    SETTINGS_CHANGED = "SETTINGS_CHANGED"
    PRICE_UPDATED = "PRICE_UPDATED"
    DATA_EXPORTED = "DATA_EXPORTED"
    DATA_ARCHIVED = "DATA_ARCHIVED"
    DATA_RESTORED = "DATA_RESTORED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one mutation field: who, from where, with what. Its request is redacted already."""

    attempt_id: UUID
    field: str
    action_type: ActionType  # what it is called when it fails
    request: Mapping[str, Any]
    started_at_ns: int  # monotonic
    user_id: UUID | None = None
    session_id: UUID | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    idempotency_key: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def input_hash(self) -> bytes:
        """Identify the input, to tell a repeated key from a reused one."""
        return hashlib.sha256(canonical(self.request).encode()).digest()


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """What left the market in a file."""

    format: str
    rows: int


@dataclass(frozen=True, slots=True)
class Story:
    """What a ticket says of its deed. before and after hold only what the action may touch."""

    action_type: ActionType
    summary: str
    entity_type: EntityType | None = None
    entity_id: str | None = None
    market_maker_id: UUID | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    user_id: UUID | None = None  # who acted, where the attempt itself could not know: a login
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """One row of the audit trail. Units: duration_ms milliseconds until just before COMMIT."""

    year: int
    number: int
    timestamp: datetime
    action_type: ActionType
    status: TicketStatus
    summary: str
    error_code: str | None
    error_message: str | None
    user_id: UUID | None
    market_maker_id: UUID | None
    entity_type: EntityType | None
    entity_id: str | None
    ip_address: str | None
    user_agent: str | None
    session_id: UUID | None
    duration_ms: Decimal | None
    related_ticket_ids: tuple[str, ...]
    tags: tuple[str, ...]
    attempt_id: UUID | None

    @property
    def ticket_id(self) -> str:
        return ticket_id(self.year, self.number)


@dataclass(frozen=True)
class Payload:
    """The bulky part of a ticket. salt keeps an erased payload from being guessed from its HMAC."""

    salt: bytes
    request: Any = None
    response: Any = None
    before: Any = None
    after: Any = None

    @cached_property
    def texts(self) -> tuple[str | None, ...]:
        """Its parts in their canonical form, in order: stored as they are sealed."""
        parts = (self.request, self.response, self.before, self.after)
        return tuple(None if part is None else canonical(part) for part in parts)


class Written(NamedTuple):
    """A payload in its canonical form, on its way into the database."""

    salt: bytes
    texts: tuple[str | None, ...]


@dataclass(slots=True, eq=False)
class Draft:
    """A ticket on its way: everything but its number, which is drawn when the whole batch is decided.

    related: tickets that this one points back to, by id or as drafts of the same batch.
    """

    attempt: Attempt
    story: Story
    response: Any = None
    error_code: str | None = None
    error_message: str | None = None
    is_root: bool = True
    related: tuple[Draft | str, ...] = ()
    number: tuple[int, int] | None = None

    @property
    def status(self) -> TicketStatus:
        return TicketStatus.FAILED if self.error_code else TicketStatus.SUCCESS

    @property
    def ticket_id(self) -> str:
        assert self.number is not None, "the number of this ticket is not drawn yet"
        return ticket_id(*self.number)

    @property
    def related_ticket_ids(self) -> tuple[str, ...]:
        related = (other if isinstance(other, str) else other.ticket_id for other in self.related)
        return tuple(dict.fromkeys(related))


def write_up(draft: Draft, now: datetime, now_ns: int) -> Ticket:
    """Return the finished ticket. Units: now_ns monotonic nanoseconds, as the attempt's start."""
    assert draft.number is not None
    attempt, story = draft.attempt, draft.story
    return Ticket(
        year=draft.number[0],
        number=draft.number[1],
        timestamp=now,
        action_type=story.action_type,
        status=draft.status,
        summary=_clean(story.summary)[:SUMMARY_LENGTH_MAX],
        error_code=draft.error_code,
        error_message=_cleaned(draft.error_message),
        user_id=story.user_id or attempt.user_id,
        market_maker_id=story.market_maker_id,
        entity_type=story.entity_type,
        entity_id=_cleaned(story.entity_id),
        ip_address=_cleaned(attempt.ip_address),
        user_agent=_cleaned(attempt.user_agent),
        session_id=story.session_id or attempt.session_id,
        duration_ms=Decimal((now_ns - attempt.started_at_ns) // 1_000).scaleb(-3) if draft.is_root else None,
        related_ticket_ids=draft.related_ticket_ids,
        tags=tuple(dict.fromkeys((*story.tags, *attempt.tags))),
        attempt_id=attempt.attempt_id if draft.is_root else None,
    )


# ------------------------------------------------------------------------------------------------------------- numbers

_TICKET_ID = re.compile(r"TKT-(\d{4})-(\d{6,18})", re.ASCII)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def ticket_id(year: int, number: int) -> str:
    """Write a ticket's id: TKT-2026-001234."""
    return f"TKT-{year}-{number:0{NUMBER_DIGITS_MIN}d}"


def parse_ticket_id(text: str) -> tuple[int, int] | None:
    """Read (year, number); None when it is not the id of any ticket."""
    match = _TICKET_ID.fullmatch(text)
    if not match or ticket_id(int(match[1]), int(match[2])) != text:
        return None
    return int(match[1]), int(match[2])


# -------------------------------------------------------------------------------------------- canonical form and digest


def plain(value: Any, depth: int = 0, items_max: int | None = ITEMS_MAX) -> Any:
    """Return JSON that any database keeps: no floats, no NUL, no lone surrogates, bounded depth, length and size.

    items_max: None for what we made ourselves and read back whole, such as the response of an attempt.
    """
    kind = type(value)
    if kind is str:
        return _clean(value)
    if value is None or kind is bool:
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _huge(value)
    if isinstance(value, str):
        return _clean(str(value))
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, UUID):
        return str(value)
    if kind is dict or isinstance(value, Mapping):
        if depth >= DEPTH_MAX:
            return "[too deep]"
        return {_clean(str(key)): plain(item, depth + 1, items_max) for key, item in list(value.items())[:items_max]}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        if depth >= DEPTH_MAX:
            return "[too deep]"
        return [plain(item, depth + 1, items_max) for item in list(value)[:items_max]]
    return _clean(str(value))


def _decimal(value: Decimal) -> str:
    return f"{value:f}" if abs(value.adjusted()) < FIGURE_DIGITS_MAX else str(value)


def _huge(value: int) -> str:
    # Python refuses to write integers of more than 4,300 digits.
    return str(value) if value.bit_length() < 4 * FIGURE_DIGITS_MAX else f"[an integer of {value.bit_length()} bits]"


def _clean(text: str) -> str:
    if len(text) > TEXT_LENGTH_MAX:
        text = f"{text[:TEXT_LENGTH_MAX]}… [{len(text)} characters]"
    if text.isascii() and "\x00" not in text:
        return text
    text = text.replace("\x00", "\\u0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="backslashreplace").decode()
    return text


def _cleaned(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def canonical(value: Any) -> str:
    """Write plain JSON in one way only: sorted keys, no spaces (RFC 8785 for values without floats)."""
    return "".join(_encode(value, 0))


def written(value: Any, items_max: int | None = ITEMS_MAX) -> str | None:
    """Return `canonical(plain(value, …))`; None for None.

    What we made ourselves seldom holds anything that `plain` would change. That shows in its text and saves the walk.
    """
    if value is None:
        return None
    text = canonical(value)
    if len(text) <= TEXT_LENGTH_MAX and text.isascii() and "\\u0000" not in text:
        return text
    return canonical(plain(value, items_max=items_max))


def _figure(value: Any) -> Any:
    """Write what JSON has no form for, as `plain` does."""
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return instant(value)
    return dict(value) if isinstance(value, Mapping) else plain(value)


# The encoder behind json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False), made
# once: the standard library makes a new one for each text.
_encode = c_make_encoder(None, _figure, encode_basestring, None, ":", ",", True, False, False)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def instant(value: datetime) -> str:
    """Write an instant as UTC with microseconds and Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def effect_line(table: str, values: Iterable[Any]) -> str:
    """Write one insert-only row that names a ticket, all its written columns in order."""
    return text_line(table, map(_text, values))


def text_line(table: str, texts: Iterable[str | None]) -> str:
    """The same, of columns that are texts already."""
    return canonical([table, *texts])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    kind = type(value)
    if kind is Decimal:
        return f"{value:f}"
    return instant(value) if kind is datetime else str(value)


def digest(ticket: Ticket, payload_hmac: bytes, effects: list[str]) -> bytes:
    """Return SHA-256 over every column of a ticket, its payload through a salted HMAC, and every row it caused.

    The payload enters as an HMAC so that a lawfully erased payload leaves the ticket verifiable.
    """
    return digest_of(content(ticket, payload_hmac, effects))


def digest_of(content: Mapping[str, Any]) -> bytes:
    """Return SHA-256 of a ticket's canonical form."""
    return hashlib.sha256(canonical(content).encode()).digest()


def content(ticket: Ticket, payload_hmac: bytes, effects: list[str]) -> dict[str, Any]:
    """Return the canonical form of a ticket: what its digest covers, every value a string."""
    return {
        "version": DIGEST_VERSION,
        "ticket_id": ticket.ticket_id,
        "timestamp": instant(ticket.timestamp),
        "action_type": ticket.action_type,
        "status": ticket.status,
        "summary": ticket.summary,
        "error_code": ticket.error_code,
        "error_message": ticket.error_message,
        "user_id": _text(ticket.user_id),
        "market_maker_id": _text(ticket.market_maker_id),
        "entity_type": ticket.entity_type,
        "entity_id": ticket.entity_id,
        "ip_address": ticket.ip_address,
        "user_agent": ticket.user_agent,
        "session_id": _text(ticket.session_id),
        "duration_ms": _text(ticket.duration_ms),
        "related_ticket_ids": ticket.related_ticket_ids,
        "tags": ticket.tags,
        "attempt_id": _text(ticket.attempt_id),
        "payload": payload_hmac.hex(),
        "effects": effects_hash(effects),
    }


def effects_hash(effects: Iterable[str]) -> str:
    """Bind the rows that name a ticket."""
    return hashlib.sha256("\n".join(sorted(effects)).encode()).hexdigest()


def hmac_of(payload: Payload | Written) -> bytes:
    """Bind a payload without revealing it."""
    content = f"[{','.join(text or 'null' for text in payload.texts)}]"
    return hmac.digest(payload.salt, content.encode(), "sha256")


# ------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One figure that an action moved."""

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any) -> list[FieldChange]:
    """Return the leaves in which two states differ, by dotted path."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        FieldChange(path, old.get(path), new.get(path))
        for path in [*old, *(path for path in new if path not in old)]
        if old.get(path) != new.get(path)
    ]


def _leaves(state: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(state, Mapping):
        for key, value in state.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif state is not None:
        yield path, state
