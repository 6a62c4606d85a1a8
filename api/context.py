"""What an operation may use: the services of the process, who asks, and loaders of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from uuid import UUID

from starlette.responses import Response
from strawberry.dataloader import DataLoader
from strawberry.types import Info as StrawberryInfo

import db.kyc
import db.ledger
import db.makers
import db.orders
import db.people
import db.proofs
import db.tickets
from api.auth import Passwords, clear_cookie, set_cookie
from api.errors import RequestError
from api.fanout import Audience
from api.turns import Turns
from db.desk import Desk
from db.people import Callers
from db.read import Reader
from db.unit import Figures, Pool, Units
from domain.kyc import KycDocument
from domain.ledger import Balance
from domain.makers import Maker, MakerStats
from domain.market import Order, Trade
from domain.money import CertificateType
from domain.people import Caller, User, UserRole
from domain.tickets import Payload

if TYPE_CHECKING:
    from api.books import Books
    from api.fanout import Seat, Source
    from api.feeds import Holdings, Journal
    from api.presence import Presence
    from api.throttle import Throttle
    from api.trail import Trail

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
E = TypeVar("E")
LOADER_BATCH_MAX = 500  # ids in one statement; a page has 100 rows


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process has once that answers queries, open from start to stop."""

    reader: Reader
    analysts: Reader
    callers: Callers
    turns: Turns


@dataclass(frozen=True, slots=True)
class Services(Reading):
    """What one process has once that also trades."""

    pool: Pool
    exporter: Reader
    units: Units
    desk: Desk
    books: Books
    trail: Trail
    journal: Journal
    holdings: Holdings
    passwords: Passwords
    presence: Presence
    throttle: Throttle
    figures: Callable[[], list[Figures]]  # of the pools


def loader(load: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    """Return a loader that answers None for what is not there."""

    async def load_all(keys: list[K]) -> list[V | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load_all, max_batch_size=LOADER_BATCH_MAX)


class Loaders:
    """One operation's loaders: any number of the same lookups become one statement."""

    def __init__(self, reader: Reader) -> None:
        self._each: dict[Hashable, DataLoader[Any, Any]] = {}
        self.users: DataLoader[UUID, User | None] = loader(lambda ids: db.people.users_by_id(reader, ids))
        self.makers: DataLoader[UUID, Maker | None] = loader(lambda ids: db.makers.makers_by_id(reader, ids))
        self.stats: DataLoader[UUID, MakerStats | None] = loader(lambda ids: db.makers.stats(reader, ids))
        self.balances: DataLoader[UUID, list[Balance] | None] = loader(lambda ids: db.ledger.balances_of(reader, ids))
        self.orders: DataLoader[UUID, Order | None] = loader(lambda ids: db.orders.orders_by_id(reader, ids))
        self.trades: DataLoader[UUID, Trade | None] = loader(lambda ids: db.orders.trades_by_id(reader, ids))
        self.last_trades: DataLoader[CertificateType, Trade | None] = loader(
            lambda _types: db.orders.last_trades(reader)
        )
        self.tickets: DataLoader[str, db.tickets.TicketRecord | None] = loader(
            lambda ids: db.tickets.tickets_by_id(reader, ids)
        )
        self.kyc_documents: DataLoader[UUID, list[KycDocument] | None] = loader(
            lambda ids: db.kyc.documents_of(reader, ids)
        )
        self.payloads: DataLoader[str, Payload | None] = loader(lambda ids: db.tickets.payloads_by_id(reader, ids))
        self.seals: DataLoader[str, datetime | None] = loader(lambda ids: db.proofs.sealed_at(reader, ids))

    def each(
        self, asked: Hashable, load: Callable[[list[Any]], Awaitable[Mapping[Any, V]]]
    ) -> DataLoader[Any, V | None]:
        """Return the loader of what is asked of many objects in the same words; `load` is that of the first."""
        if asked not in self._each:
            self._each[asked] = loader(load)
        return self._each[asked]


@dataclass(slots=True)
class Context:
    """One operation. `response` takes cookies; a stream has none."""

    reading: Reading
    caller: Caller | None
    ip_address: str | None
    user_agent: str | None
    is_secure: bool = False
    takes_cookie: bool = True  # not over plain http from elsewhere: a session in clear text is anybody's
    is_of_one_instant: bool = False  # its reader is a snapshot of its own: nothing of it is for anybody else
    is_production: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what proves the session: no argument may hold it
    response: Response | None = None
    replaces: Caller | None = None  # whose session a login in this browser takes the place of
    seat: Seat | None = None  # of a subscription whose execution others may share
    noted: dict[str, Any] | None = None  # how root fields were answered from plans (`api.repeats`)
    plans: dict[Any, Any] | None = None  # of the document's lists (`api.plans`), kept as long as the document
    is_heavy: bool = False  # it has waited for its turn, and reads by one statement at a time
    has_readers: bool = False  # what belongs to a reader process is sent on to one
    tags: tuple[str, ...] = ()  # on every ticket of the operation
    tickets: dict[str, str] = field(default_factory=dict)  # alias of a mutation → its root ticket
    replayed: list[str] = field(default_factory=list)  # aliases answered from an idempotency key
    new_token: str | None = None  # of the login in this operation; never stored, never recorded
    afterwards: Callable[[Response], None] | None = None  # cookies to set once the attempt has committed
    _loaders: Loaders | None = field(init=False, default=None)

    @property
    def services(self) -> Services:
        """What trades.

        Raises: RequestError (BAD_REQUEST) in a process that only reads.
        """
        if not isinstance(self.reading, Services):
            raise RequestError("This is told by the process that trades: ask for it in a small document of its own.")
        return self.reading

    @property
    def loaders(self) -> Loaders:
        """Made when first used: a mutation seldom looks anything up."""
        if self._loaders is None:
            self._loaders = Loaders(self.reader)
        return self._loaders

    def hand_over(self, token: str, expires_at: datetime) -> None:
        """Give a new session to the client once its login has committed."""
        is_secure = self.is_secure
        self.new_token = token
        if self.takes_cookie:
            self.afterwards = lambda response: set_cookie(response, token, expires_at, is_secure=is_secure)

    def take_back(self) -> None:
        """Take the session from the client once its logout has committed."""
        is_secure = self.is_secure
        self.afterwards = lambda response: clear_cookie(response, is_secure=is_secure)

    def committed(self) -> None:
        """Carry out what had to wait for the commit."""
        if self.afterwards and self.response is not None:
            self.afterwards(self.response)
        self.afterwards = None

    def forget(self) -> None:
        """Look everything up anew from here on: each event of a stream is an operation of its own."""
        self._loaders = None

    def watch(self, source: Source[E]) -> AsyncGenerator[E, None]:
        """Yield the events of a source: for all who watch the same with the same rights, or for this one alone."""
        return self.seat.take(source, self._rights(source.audience)) if self.seat else source.alone()

    def _rights(self, audience: Audience) -> Hashable:
        """Name what decides what is shown: those with equal names see the same."""
        if audience is Audience.EVERYBODY:
            return audience
        if self.caller is None:
            return None
        if audience is Audience.ROLE and self.has_role(UserRole.ADMIN):
            return UserRole.ADMIN
        return self.caller.user.role, self.caller.user.id

    @property
    def hides_schema(self) -> bool:
        """Tell whether the caller may not read the schema, nor have it guessed for him."""
        return self.is_production and self.caller is None

    @property
    def reader(self) -> Reader:
        """Where the caller reads: an analyst where he can keep nobody waiting."""
        reader = self.reading.analysts if self.has_role(UserRole.ANALYST) else self.reading.reader
        return reader.in_turn if self.is_heavy else reader

    @property
    def user(self) -> User:
        """The caller's user; a policy has made sure that there is one."""
        assert self.caller is not None
        return self.caller.user

    def has_role(self, *roles: UserRole) -> bool:
        return self.caller is not None and self.caller.user.role in roles

    def may_see(self, *holders: UUID | None) -> bool:
        """Tell whether parties may be shown: to ADMIN and ANALYST always, to others when they are one of them."""
        return self.has_role(UserRole.ADMIN, UserRole.ANALYST) or (
            self.caller is not None and self.caller.user.id in holders
        )


Info: TypeAlias = StrawberryInfo[Context, Any]
