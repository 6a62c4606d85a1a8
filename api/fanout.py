"""Run a subscription once for all who ask the same: one execution and one encoding of each event for all sockets.

Who asks the same: the same document, operation name, variables and rights. Everybody's subscription is parsed, checked
and begun by the schema as any other; only when its resolver says what it wants to watch (`Context.watch`) does it turn
out whether somebody watches that already. If so, this execution ends, and its socket is one more at the other's.

Nothing is queued for a socket. Each watch is a place in a source, a few bytes. A socket that takes everything is at the
same place as all others and gets the bytes that were made for them; one that was slow is at a place of its own and gets
what leads from there to now, merged, made for its place alone. Sources of which every event counts (`Events`) keep what
somebody has not taken yet, within bounds; who is behind these is ended and told so.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping
from contextlib import aclosing
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
from graphql import DocumentNode, FieldNode, GraphQLError, VariableNode, parse
from graphql import OperationType as Operation
from strawberry.schema import Schema
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from api.documents import operation_of, root_fields
from api.errors import Code, RequestError, is_request_error, presented, wrapped
from api.limits import DOCUMENT_CHARACTERS_MAX, PARSE_OPTIONS, REMEMBERED
from api.wire import Asked, encoded

PAYLOADS_MAX: Final = 8  # encoded events that one run remembers for those who are at a place of their own
LOG_MAX: Final = 10_000  # events that a watch may lag behind where every event counts
LOG_BYTES_MAX: Final = 16 * 1024 * 1024  # of them, per run
AHEAD_MAX: Final = 64  # events that a run goes ahead of its quickest watch
OPEN_S_MAX: Final = 10.0  # until a resolver says what it watches: it may look something up before

E = TypeVar("E")
P = TypeVar("P")
SUBSCRIPTIONS: Final = frozenset({OperationType.SUBSCRIPTION})


class Audience(Enum):
    """Who sees the same in a stream."""

    EVERYBODY = "EVERYBODY"  # market data: all who may watch at all
    ROLE = "ROLE"  # nobody's own: each ADMIN sees what every ADMIN does; others see what is theirs
    ONESELF = "ONESELF"


class Source(ABC, Generic[E]):
    """What is watched."""

    def __init__(self, key: Hashable, audience: Audience, own_variables: frozenset[str] = frozenset()) -> None:
        """Name what is watched; own_variables: those that only say where a watch begins."""
        self.key = key
        self.audience = audience
        self.own_variables = own_variables

    @abstractmethod
    def alone(self) -> AsyncGenerator[E, None]:
        """Yield every event, for one watcher outside any fan-out."""


class Events(Source[E]):
    """Events of which each counts, from now on."""

    def __init__(self, key: Hashable, audience: Audience, opened: Callable[[], AsyncGenerator[E, None]]) -> None:
        super().__init__(key, audience)
        self._opened = opened

    def alone(self) -> AsyncGenerator[E, None]:
        return self._opened()


class State(Source[E], Generic[E, P]):
    """Something that has a newest state: what there is to tell depends on how far somebody has been told only."""

    @abstractmethod
    async def start(self) -> tuple[P, tuple[E, P] | None]:
        """Return the place where this watch begins, and, where that leads on by no ordinary step, its first step."""

    @abstractmethod
    def here(self) -> P:
        """Return the newest place."""

    @abstractmethod
    def next(self, place: P) -> tuple[E, P] | None:
        """Return what comes after a place and the place after that; None when nothing does. The same object for all."""

    @abstractmethod
    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever there may be a next step; return what ends that."""

    async def alone(self) -> AsyncGenerator[E, None]:
        moved = asyncio.Event()
        leave = self.listen(moved.set)
        try:
            place, step = await self.start()
            while True:
                if step := step or self.next(place):
                    event, place = step
                    step = None
                    yield event
                else:
                    moved.clear()
                    await moved.wait()
        finally:
            leave()


def variables_of(node: FieldNode, *arguments: str) -> frozenset[str]:
    """Return the variables that stand for these arguments of a field."""
    return frozenset(
        argument.value.name.value
        for argument in node.arguments or ()
        if argument.name.value in arguments and isinstance(argument.value, VariableNode)
    )


class Peer(Protocol):
    """The socket of a watch, as far as a run needs to know it."""

    is_writable: bool
    """Whether the peer takes more now."""

    write: Callable[[bytes], None]
    """Writes a message without waiting."""

    def ended(self, watch: Watch, errors: list[GraphQLError]) -> None:
        """Say that a stream is over, with the errors that ended it, if any did."""


class Watch:
    """One subscription of one socket: how far it was told."""

    __slots__ = ("head", "is_over", "operation_id", "peer", "place", "run", "step")

    def __init__(self, peer: Peer, operation_id: str, run: Run, place: Any, step: tuple[Any, Any] | None) -> None:
        self.peer = peer
        self.operation_id = operation_id
        self.head = b'{"id":' + encoded(operation_id) + b',"type":"next","payload":'
        self.run = run
        self.place = place
        self.step = step  # where `place` leads on by no ordinary step
        self.is_over = False

    @property
    def is_private(self) -> bool:
        """Tell whether it shows what not everybody may see."""
        return self.run.source.audience is not Audience.EVERYBODY

    def write(self, payload: bytes) -> None:
        """Send an event."""
        self.peer.write(self.head + payload + b"}")
        self.run.fanout.sent += 1

    def pump(self) -> None:
        """Send what the peer takes now; called when something is new, and when the peer takes more again."""
        if not self.is_over and self.peer.is_writable:
            self.run.serve(self)

    def leave(self) -> None:
        """Stop watching; whoever calls tells the peer."""
        if not self.is_over:
            self.is_over = True
            self.run.leave(self)


class Run(ABC):
    """One execution and all who watch it. It is driven by its resolver asking for the next event."""

    def __init__(self, fanout: Fanout, key: Hashable, source: Source[Any]) -> None:
        self.fanout = fanout
        self.key = key
        self.source = source
        self.watches: dict[Watch, None] = {}
        self.wake = asyncio.Event()
        self.is_closed = False

    @abstractmethod
    def events(self) -> AsyncGenerator[Any, None]:
        """Yield the events that are to be executed."""

    @abstractmethod
    def executed(self, payload: bytes) -> None:
        """Take what the event yielded last came to."""

    @abstractmethod
    def serve(self, watch: Watch) -> None:
        """Send a watch whose peer takes more what is there for it."""

    def add(self, watch: Watch) -> None:
        """Let one more watch."""
        self.watches[watch] = None
        watch.pump()

    def leave(self, watch: Watch) -> None:
        """Take a watch out; the last one ends the run."""
        self.watches.pop(watch, None)
        if not self.watches:
            self.fanout.close(self)
        self.wake.set()

    def over(self, errors: list[GraphQLError]) -> None:
        """End all watches, as the execution has ended."""
        for watch in tuple(self.watches):
            watch.is_over = True
            watch.peer.ended(watch, errors)
        self.watches.clear()


class StateRun(Run):
    """Tell all who are where the run is; make something of their own for those who are not."""

    source: State[Any, Any]

    def __init__(self, fanout: Fanout, key: Hashable, source: State[Any, Any]) -> None:
        super().__init__(fanout, key, source)
        self.place: Any = source.here()
        self._before: Any = None  # where the newest step of all started from, and what it came to
        self._newest: bytes = b""
        self._wanted: dict[Watch, None] = {}  # at places of their own, oldest first
        self._is_turn_of_all = True
        self._executing: tuple[Any, Any, Watch | None] | None = None  # event, place after it, for whom (None: all)
        self._payloads: OrderedDict[int, tuple[Any, bytes]] = OrderedDict()  # by id of the event, which is kept too

    async def events(self) -> AsyncGenerator[Any, None]:
        leave = self.source.listen(self.wake.set)
        try:
            while True:
                executing = self._next()
                if executing is None:
                    self.wake.clear()
                    await self.wake.wait()
                    continue
                self._executing = executing
                yield executing[0]
        finally:
            leave()

    def _next(self) -> tuple[Any, Any, Watch | None] | None:
        """Choose by turns between a step of all and one of a watch alone; serve what needs no execution on the way."""
        while True:
            step = self.source.next(self.place) if self._is_turn_of_all or not self._wanted else None
            self._is_turn_of_all = not self._is_turn_of_all
            watch = None
            if step is None:
                if not self._wanted:
                    return None
                watch = next(iter(self._wanted))
                del self._wanted[watch]
                step = None if watch.is_over else watch.step or self.source.next(watch.place)
                if step is None:
                    continue
            event, place = step
            known = self._payloads.get(id(event))
            if known is None:
                return event, place, watch
            self._payloads.move_to_end(id(event))
            self._told(place, watch, known[1])

    def executed(self, payload: bytes) -> None:
        assert self._executing is not None
        event, place, watch = self._executing
        self._executing = None
        self._payloads[id(event)] = event, payload
        if len(self._payloads) > PAYLOADS_MAX:
            self._payloads.popitem(last=False)
        self._told(place, watch, payload)

    def _told(self, place: Any, watch: Watch | None, payload: bytes) -> None:
        if watch is None:
            self._before, self._newest, self.place = self.place, payload, place
            for each in tuple(self.watches):
                each.pump()
        elif not watch.is_over and watch.peer.is_writable:
            watch.write(payload)
            watch.place, watch.step = place, None
            watch.pump()

    def serve(self, watch: Watch) -> None:
        if watch.step is None:
            if watch.place == self.place:
                return
            if watch.place == self._before:
                watch.write(self._newest)
                watch.place = self.place
                return
        self._wanted[watch] = None
        self.wake.set()

    def leave(self, watch: Watch) -> None:
        self._wanted.pop(watch, None)
        super().leave(watch)


class EventRun(Run):
    """Keep each event until everybody has taken it; end who is too far behind."""

    source: Events[Any]

    def __init__(self, fanout: Fanout, key: Hashable, source: Events[Any]) -> None:
        super().__init__(fanout, key, source)
        self._log: deque[bytes] = deque()
        self._bytes = 0
        self._floor = 0  # the number of the first event kept

    @property
    def head(self) -> int:
        """The number of the next event."""
        return self._floor + len(self._log)

    def add(self, watch: Watch) -> None:
        watch.place = self.head
        super().add(watch)

    async def events(self) -> AsyncGenerator[Any, None]:
        async with aclosing(self.source.alone()) as events:
            async for event in events:
                yield event
                # The quickest sets the pace, as a single watcher would; what is lost to the others is bounded below.
                while self.watches and max(watch.place for watch in self.watches) < self.head - AHEAD_MAX:
                    self.wake.clear()
                    await self.wake.wait()
                await asyncio.sleep(0)  # a source that always has the next event would keep the loop from the sockets

    def executed(self, payload: bytes) -> None:
        self._log.append(payload)
        self._bytes += len(payload)
        for watch in tuple(self.watches):
            watch.pump()
        kept_from = min((watch.place for watch in self.watches), default=self.head)
        while self._log and (self._floor < kept_from or len(self._log) > LOG_MAX or self._bytes > LOG_BYTES_MAX):
            self._bytes -= len(self._log.popleft())
            self._floor += 1
        if kept_from < self._floor:
            self._end_those_behind()

    def _end_those_behind(self) -> None:
        lagged = RequestError(
            f"You did not keep up: {LOG_MAX} changes waited. Subscribe again, then query what you missed.",
            Code.RATE_LIMITED,
            reason="LAGGED",
        )
        for watch in [watch for watch in self.watches if watch.place < self._floor]:
            watch.leave()
            watch.peer.ended(watch, [lagged])

    def serve(self, watch: Watch) -> None:
        while watch.place < self.head and watch.peer.is_writable:
            payload = self._log[watch.place - self._floor]
            watch.place += 1
            watch.write(payload)
        self.wake.set()


class Seat:
    """Where an execution meets the fan-out: its context holds one, its resolver takes its events from it."""

    def __init__(self) -> None:
        self.taken: asyncio.Future[tuple[Source[Any], Hashable]] = asyncio.get_running_loop().create_future()
        self.run: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

    async def take(self, source: Source[E], rights: Hashable) -> AsyncGenerator[E, None]:
        """Say what is to be watched with what rights; yield the events of the run that this becomes."""
        self.taken.set_result((source, rights))
        run = await self.run
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event


class Fanout:
    """All runs of a process."""

    def __init__(self, schema: Schema, shared: frozenset[str] = frozenset()) -> None:
        """Take the schema and the names of the subscriptions that may be shared."""
        self.schema = schema
        self.shared = shared
        self.runs: dict[Hashable, Run] = {}
        self.sent = 0  # events to sockets
        self.executions = 0
        self._tasks: dict[Run, asyncio.Task[list[GraphQLError]]] = {}

    @property
    def watches(self) -> int:
        """Count the subscriptions that are open."""
        return sum(len(run.watches) for run in self.runs.values())

    def is_shared(self, asked: Asked) -> bool:
        """Tell whether an operation is one whose execution may be shared; what is wrong with it is found by others."""
        if Operation.SUBSCRIPTION.value not in asked.query or len(asked.query) > DOCUMENT_CHARACTERS_MAX:
            return False
        if not any(name in asked.query for name in self.shared):
            return False
        try:
            document = self._known(asked.query) or parse(asked.query, **PARSE_OPTIONS)
        except (GraphQLError, RecursionError):
            return False
        operation = operation_of(document, asked.operation_name)
        if operation is None or operation.operation is not Operation.SUBSCRIPTION:
            return False
        fields = root_fields(document, asked.operation_name, asked.variables)
        # A stream that begins at a place of its own in what others have passed already is nobody else's.
        return len(fields) == 1 and fields[0].name in self.shared and fields[0].arguments.get("after") is None

    async def open(
        self, peer: Peer, operation_id: str, asked: Asked, context_of: Callable[[Seat], Awaitable[Any]]
    ) -> Watch | list[GraphQLError]:
        """Begin a subscription; join those who watch the same already. Return the errors if it was refused.

        Raises: whatever stands in the way before the schema is asked.
        """
        seat = Seat()
        context = await context_of(seat)
        task = asyncio.create_task(self._execute(seat, asked, context), name="subscription")
        run: Run | None = None
        try:
            first: set[asyncio.Future[Any]] = {seat.taken, task}
            await asyncio.wait(first, timeout=OPEN_S_MAX, return_when=asyncio.FIRST_COMPLETED)
            if not seat.taken.done():
                if not task.done():
                    raise TimeoutError("a subscription did not say what it watches")
                return task.result()
            source, rights = seat.taken.result()
            place, step = await source.start() if isinstance(source, State) else (0, None)
            # From here on nothing is awaited: a run that was found cannot end before it is joined.
            key = source.key, asked.query, asked.operation_name, _shown(asked.variables, source.own_variables), rights
            found = self.runs.get(key)
            if found is None:
                run = found = self._led(key, source, task)
            watch = Watch(peer, operation_id, found, place, step)
            found.add(watch)
            if run:
                seat.run.set_result(run)
            return watch
        finally:
            if run is None:
                task.cancel()

    def close(self, run: Run) -> None:
        """End a run that nobody watches."""
        if not run.is_closed:
            run.is_closed = True
            del self.runs[run.key]
            self._tasks.pop(run).cancel()

    async def stop(self) -> None:
        """End all runs and whoever watches them."""
        tasks = dict(self._tasks)
        for run in tasks:
            run.over([])
            self.close(run)
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _known(self, text: str) -> DocumentNode | None:
        found = (memory.find(self.schema._schema, text) for memory in REMEMBERED.values())
        return next((known.document for known in found if known), None)

    def _led(self, key: Hashable, source: Source[Any], task: asyncio.Task[list[GraphQLError]]) -> Run:
        """Make a run of an execution that is the first of its kind."""
        run: Run
        if isinstance(source, State):
            run = StateRun(self, key, source)
        else:
            assert isinstance(source, Events)
            run = EventRun(self, key, source)
        self.runs[key] = run
        self._tasks[run] = task

        def executed(task: asyncio.Task[list[GraphQLError]]) -> None:
            if not run.is_closed:
                error = None if task.cancelled() else task.exception()
                run.over([wrapped(error)] if isinstance(error, Exception) else [] if error else task.result())
                self.close(run)

        task.add_done_callback(executed)
        return run

    async def _execute(self, seat: Seat, asked: Asked, context: object) -> list[GraphQLError]:
        """Run an execution to its end; return the errors that ended it, if any did."""
        stream = await self.schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            operation_extensions=asked.extensions,
            allowed_operation_types=SUBSCRIPTIONS,
        )
        async with aclosing(stream):
            async for result in stream:
                assert isinstance(result, ExecutionResult)  # incremental delivery is off
                # Refused before it said what it watches, or the generator itself failed.
                if not seat.run.done() or is_request_error(result.data, result.errors):
                    return list(result.errors or ())
                self.executions += 1
                seat.run.result().executed(payload_of(result))
        return []


def payload_of(result: ExecutionResult) -> bytes:
    """Encode what one event came to."""
    payload: dict[str, Any] = {"data": result.data}
    if result.errors:
        payload["errors"] = presented(result.errors)
    if result.extensions:
        payload["extensions"] = result.extensions
    return encoded(payload)


def _shown(variables: Mapping[str, Any] | None, own: frozenset[str]) -> bytes | str:
    """Write down the variables on which the events depend; equal texts mean equal variables."""
    shown = {name: value for name, value in (variables or {}).items() if name not in own}
    try:
        return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, half a surrogate pair
        return repr(sorted(shown.items()))
