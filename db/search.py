"""Searching tickets by words: what a text asks for, where words stand, and the words of payloads.

The words of a ticket (id, summary, error, tags) are written with it. Those of its payload are not: they are folded
into `ticket_payload_search` behind the write path, up to a recorded transaction, and a search reads the payloads beyond
it as they are. A payload that is erased takes its words along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, bindparam, cast, exists, false, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.sql.base import ColumnCollection, ReadOnlyColumnCollection

from db import tables
from domain import errors
from domain.people import uuid_or_none
from domain.tickets import parse_ticket_id

WORDS_MAX = 32  # of one search
WORD_LENGTH_MAX = 500  # no summary is longer, so nothing holds a longer word; PostgreSQL refuses one of 2,047 bytes
CUT_AT = 255  # characters of a word of a payload
_WORD = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_TICKET = re.compile(r"TKT-(\d{4})-(\d+)", re.ASCII | re.IGNORECASE)
_PART = re.compile(r"[^\W_]+")

Columns: TypeAlias = ReadOnlyColumnCollection[str, Any] | ColumnCollection[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """What a text asks for: one query for the words of tickets, one for those of payloads, and the id that it is.

    A query is None when nothing can match it, or when the id says it better.
    """

    tickets: str | None
    payloads: str | None
    ticket_id: str | None
    uuid: UUID | None


def parsed(text: str) -> Search | None:
    """Read a search: words, each the beginning of one, "phrases" and -words that must be absent; None when it is blank.

    Raises: InvalidInput (more than WORDS_MAX words).
    """
    text = text.strip()
    if not text:
        return None
    terms = [(bool(minus), phrase, word) for minus, phrase, word in _WORD.findall(text)]
    if len(terms) > WORDS_MAX:
        raise errors.InvalidInput(f"A search has at most {WORDS_MAX} words.", field="filter", found=len(terms))
    number = parse_ticket_id(text.upper())
    return Search(
        tickets=None if number else _query([(is_absent, _words(phrase, word)) for is_absent, phrase, word in terms]),
        payloads=_query([(is_absent, _parts(phrase, word)) for is_absent, phrase, word in terms]),
        ticket_id=text.upper() if number else None,
        uuid=uuid_or_none(text),
    )


def _query(terms: Sequence[tuple[bool, str | None]]) -> str | None:
    """Join terms; one of signs alone is left out, one that nothing can hold (None) matches nothing."""
    if any(query is None and not is_absent for is_absent, query in terms):
        return None
    return " & ".join(f"!({query})" if is_absent else f"({query})" for is_absent, query in terms if query) or None


def _words(phrase: str, word: str) -> str | None:
    """Write a term for words as PostgreSQL cuts them: a number may have been read with the dash before it."""
    if len(phrase or word) > WORD_LENGTH_MAX:
        return None
    if not _PART.search(phrase or word):
        return ""
    if phrase:
        return _quoted(phrase)
    if numbered := _TICKET.fullmatch(word):  # as PostgreSQL cuts it; only the last part is a beginning
        return f"'tkt' <-> '-{numbered[1]}' <-> '-{numbered[2]}':*"
    if word.isascii() and word.isdigit():
        return f"{_quoted(word)}:* | {_quoted(f'-{word}')}:*"
    return f"{_quoted(word)}:*"


def _parts(phrase: str, word: str) -> str | None:
    """Write a term for words as payloads are cut, at everything that is neither letter nor digit, without places."""
    if len(phrase or word) > WORD_LENGTH_MAX:
        return None
    parts = _PART.findall((phrase or word).lower())
    if not parts:
        return ""
    return " & ".join(_quoted(part[:CUT_AT]) for part in parts) + ("" if phrase else ":*")


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def in_ticket(wanted: Search, at: Columns) -> ColumnElement[bool]:
    """Return the condition that the words of a ticket match."""
    if wanted.tickets is None:
        return false()
    asked = func.to_tsquery(literal_column("'simple'::regconfig"), bindparam(None, wanted.tickets, Text))
    matches: ColumnElement[bool] = at.search.bool_op("@@")(asked)
    return matches


def is_named(wanted: Search, at: Columns) -> ColumnElement[bool]:
    """Return the condition that a ticket is, or is about, or is by, what the whole text names."""
    named: list[ColumnElement[bool]] = []
    if wanted.ticket_id:
        named.append(at.ticket_id == wanted.ticket_id)
    if wanted.uuid:
        named.append(at.entity_id == str(wanted.uuid))
        named += [at[name] == wanted.uuid for name in ("user_id", "market_maker_id", "session_id")]
    return or_(false(), *named)


payloads, words = tables.ticket_payloads.c, tables.ticket_payload_search.c
FRESH_WORDS: ColumnElement[Any] = func.ticket_payload_words(
    payloads.request_payload, payloads.response_data, payloads.before_state, payloads.after_state, type_=TSVECTOR
)


def in_words(wanted: Search, at: Columns) -> ColumnElement[bool]:
    """Return the condition that folded words of a payload match."""
    return at.search.bool_op("@@")(cast(wanted.payloads, TSQUERY)) if wanted.payloads else false()


def in_payload(wanted: Search, at: Columns) -> ColumnElement[bool]:
    """Return the condition that the words of a ticket's payload match, whether they are folded already or not."""
    if wanted.payloads is None:
        return false()
    both = tables.ticket_payloads.outerjoin(
        tables.ticket_payload_search, and_(words.year == payloads.year, words.number == payloads.number)
    )
    return exists(
        select(literal_column("1"))
        .select_from(both)
        .where(
            payloads.year == at.year,
            payloads.number == at.number,
            func.coalesce(words.search, FRESH_WORDS).bool_op("@@")(cast(wanted.payloads, TSQUERY)),
        )
        .correlate_except(tables.ticket_payloads, tables.ticket_payload_search)
    )


# Folding: the words of the payloads of the transactions from $1 up to, not including, $2.
FOLD = """
INSERT INTO ticket_payload_search (year, number, search)
SELECT p.year, p.number, ticket_payload_words(p.request_payload, p.response_data, p.before_state, p.after_state)
FROM ticket_logs t JOIN ticket_payloads p USING (year, number)
WHERE t.txid >= $1::text::xid8 AND t.txid < $2::text::xid8
ON CONFLICT (year, number) DO NOTHING
"""
