"""The ticket hook: every attempt at a mutation leaves one root ticket, whatever becomes of it.

A mutation is declared once, with its payload, policy, action, story and the input fields that may be recorded. The
hook stands around each root mutation field: it denies, opens the unit of work or hands the command to the desk, and
words the answer. What never reaches its field (arguments that do not coerce) is recorded after the operation.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import strawberry
import structlog
from graphql import GraphQLResolveInfo
from strawberry.extensions import SchemaExtension

from api.context import Context
from api.documents import root_fields
from api.errors import Code, RequestError, root_of, uncoerced
from api.metrics import REPLAYED, SUCCESS, attempted
from api.payloads import MutationPayload
from api.policy import Policy, refusal
from api.scalars import escaped
from api.throttle import GuessRefused
from db import idempotency, ids
from db.batch import Command
from db.outcomes import reader
from db.transaction import Write
from db.unit import Answer, Fault, Refusal
from domain.errors import DomainError, InvalidInput
from domain.market import Cancel, CancelledOutcome, Place, PlacedOutcome
from domain.tickets import REDACTED, ActionType, Attempt, Story

log = structlog.get_logger(__name__)

Tell = Callable[[Mapping[str, Any], Any], Story]
SECRET_LENGTH_MIN = 8
EXPOSED = (
    "A field that is kept holds your password, access token or cookie. Nothing was done and it was not recorded, but "
    "change it where others may have seen it."
)
WRONG_FORM = "An argument of the request has the wrong form."
ARGUMENTS = frozenset(
    {"input", "id", "userId", "sessionId", "marketMakerId", "certificateType", "price", "reason", "registryReference"}
)
# What a field returns for the desk, and what the desk makes of it.
COMMANDS: Mapping[type[Any], type[Any]] = {Place: PlacedOutcome, Cancel: CancelledOutcome}
T = TypeVar("T")
Call = Callable[[Write | None], Any]  # runs a field with the open transaction that it may write in
Work = Callable[[Write], Awaitable[T]]  # what a field returns that prepares its work without holding a transaction


@dataclass(frozen=True, slots=True)
class Secrets:
    """Texts of a request that nothing may keep: what proves its session, and passwords in it."""

    texts: tuple[str, ...]

    @classmethod
    def of(cls, *texts: str) -> Secrets:
        """Leave out what is too short to be one: it would be found in anything."""
        return cls(tuple(text for text in texts if len(text) >= SECRET_LENGTH_MIN))

    def are_in(self, value: Any) -> bool:
        """Tell whether a JSON value holds one of them."""
        return any(text in leaf for leaf in leaves(value) for text in self.texts)

    def redacted(self, value: Any) -> Any:
        """Return a JSON value without the texts that hold one of them."""
        if isinstance(value, Mapping):
            return {name: self.redacted(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.redacted(item) for item in value]
        return REDACTED if self.are_in(value) else value

    def begin_in(self, message: str) -> bool:
        """Tell whether a message quotes the beginning of one of them: it may have been cut or escaped."""
        return any(text[:SECRET_LENGTH_MIN] in message for text in self.texts)


def leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str | int | float):
        yield str(value)


@dataclass(frozen=True, slots=True)
class Declared:
    """A mutation as it was declared. records: names of input fields that a ticket may hold; all others are redacted."""

    name: str
    payload: type[MutationPayload]
    policy: Policy
    action: ActionType
    tell: Tell
    records: frozenset[str]
    is_desk: bool
    is_prepared: bool
    outcome_of: Callable[[Any], Any]

    def recorded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as a ticket holds them."""
        return {
            name: self._input(value) if name == "input" else self._recorded(value) if name in ARGUMENTS else REDACTED
            for name, value in arguments.items()
            if value is not None
        }

    def _input(self, value: Any) -> Any:
        """Return an input object, or a list of them; what stands in its place may be anything, a password too."""
        if isinstance(value, list):
            return [self._input(item) for item in value]
        return self._recorded(value) if isinstance(value, Mapping) else REDACTED

    def _recorded(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                name: self._recorded(item) if name in self.records else REDACTED
                for name, item in value.items()
                if item is not None
            }
        if isinstance(value, list):
            return [self._recorded(item) for item in value]
        return escaped(value)

    def unrecorded(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        """Yield the texts that `recorded` leaves out: passwords, and whatever stands where one may stand."""
        for name, value in arguments.items():
            if name == "input":
                for item in value if isinstance(value, list) else [value]:
                    yield from self._unrecorded(item) if isinstance(item, Mapping) else leaves(item)
            elif name not in ARGUMENTS:
                yield from leaves(value)

    def _unrecorded(self, value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            for name, item in value.items():
                yield from self._unrecorded(item) if name in self.records else leaves(item)
        elif isinstance(value, list):
            for item in value:
                yield from self._unrecorded(item)


DECLARED: dict[str, Declared] = {}
_FIELDS: list[Any] = []


def mutation(
    payload: type[MutationPayload], policy: Policy, action: ActionType, tell: Tell, records: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a mutation; its docstring becomes the description.

    The function returns a domain outcome, or a command for the desk; the hook makes the payload of it.
    """

    def declare(resolver: Callable[..., Any]) -> Callable[..., Any]:
        returned = get_type_hints(resolver)["return"]
        head, *tail = resolver.__name__.split("_")
        name = head + "".join(part.capitalize() for part in tail)
        is_prepared = get_origin(returned) is Callable
        if is_prepared:
            (returned,) = get_args(get_args(returned)[1])
        DECLARED[name] = Declared(
            name=name,
            payload=payload,
            policy=policy,
            action=action,
            tell=tell,
            records=frozenset(records.split()),
            is_desk=returned in COMMANDS,
            is_prepared=is_prepared,
            outcome_of=reader(COMMANDS.get(returned, returned)),
        )
        nullable: Any = payload | None
        _FIELDS.append(
            strawberry.field(resolver=resolver, graphql_type=nullable, description=inspect.getdoc(resolver), name=name)
        )
        return resolver

    return declare


def mutations() -> list[Any]:
    """Return the declared fields, in the order of their declaration."""
    return list(_FIELDS)


class Tickets(SchemaExtension):
    """The hook; registered as a class, last of all extensions."""

    @property
    def context(self) -> Context:
        context: Context = self.execution_context.context
        return context

    def resolve(
        self, _next: Callable[..., Any], root: Any, info: GraphQLResolveInfo[Any], *args: str, **kwargs: Any
    ) -> Any:
        """Stand around root mutation fields; a plain function, since it is called for every field of every answer."""
        if info.path.prev is None and info.parent_type is info.schema.mutation_type:
            return self._attempt(_next, info, kwargs)
        return _next(root, info, *args, **kwargs)

    async def _attempt(self, _next: Callable[..., Any], info: GraphQLResolveInfo[Any], kwargs: dict[str, Any]) -> Any:
        """Run one attempt to its end, also when the client who asked is gone.

        Raises: RequestError (UNAUTHENTICATED, FORBIDDEN), Fault.
        """
        context, alias = self.context, str(info.path.key)
        declared = DECLARED[info.field_name]
        denied = refusal(declared.policy, context.caller)
        if denied and context.caller is None:
            raise denied
        raw = next(
            (
                one.arguments
                for one in root_fields(
                    self.execution_context.graphql_document,  # type: ignore[arg-type]  # it was executed
                    self.execution_context._provided_operation_name,
                    self.execution_context.variables,
                )
                if one.alias == alias
            ),
            {},
        )
        attempt, holds_secret = self._attempt_of(declared, raw)
        units = context.services.units
        if denied:
            story = declared.tell(attempt.request, None)
            ticket_id = await units.shielded(units.record(attempt, story, Code.FORBIDDEN, denied.message))
            context.tickets[alias] = ticket_id
            attempted(declared.name, Code.FORBIDDEN, ticket_id, attempt.user_id)
            raise RequestError(denied.message, Code.FORBIDDEN, ticketId=ticket_id)

        def call(write: Write | None) -> Any:
            return _next(write, info, **kwargs)

        try:
            if declared.is_desk:
                answer = await self._at_desk(declared, attempt, call, holds_secret=holds_secret)
            else:
                answer = await units.shielded(self._run(declared, attempt, call, holds_secret=holds_secret))
        except Fault as fault:
            if fault.ticket_id:
                context.tickets[alias] = fault.ticket_id
            attempted(declared.name, Code.INTERNAL, fault.ticket_id, attempt.user_id)
            raise
        context.tickets[alias] = answer.ticket_id
        outcome = REPLAYED if answer.is_replay else answer.refusal.code if answer.refusal else SUCCESS
        attempted(declared.name, outcome, answer.ticket_id, attempt.user_id)
        if answer.is_replay:
            context.replayed.append(alias)
        if answer.refusal:
            context.new_token = context.afterwards = None
            return declared.payload.refused(answer.ticket_id, answer.refusal)
        context.committed()
        return declared.payload.of(answer.ticket_id, answer.outcome)

    def _attempt_of(self, declared: Declared, arguments: Mapping[str, Any]) -> tuple[Attempt, bool]:
        """Return the attempt as it is recorded, and whether a secret stood in a field that is kept."""
        context = self.context
        request = declared.recorded(arguments)
        secrets = Secrets.of(*context.secrets, *declared.unrecorded(arguments))
        if holds_secret := secrets.are_in(request):
            request = secrets.redacted(request)
        given = request.get("input")
        key = given.get("idempotencyKey") if isinstance(given, Mapping) else None
        attempt = Attempt(
            attempt_id=ids.new(),
            field=declared.name,
            action_type=declared.action,
            request=request,
            started_at_ns=time.monotonic_ns(),
            user_id=context.caller.user.id if context.caller else None,
            session_id=context.caller.session.id if context.caller else None,
            ip_address=context.ip_address,
            user_agent=context.user_agent,
            idempotency_key=key if isinstance(key, str) and key != REDACTED and context.caller else None,
            tags=context.tags,
        )
        return attempt, holds_secret

    async def _at_desk(self, declared: Declared, attempt: Attempt, call: Call, *, holds_secret: bool) -> Answer[Any]:
        """Leave a command to the desk, which carries it out whoever goes."""
        services = self.context.services
        try:
            self._check(declared, attempt, holds_secret=holds_secret)
            command: Command = call(None)
        except Exception as error:
            return await services.units.shielded(self._unbegun(declared, attempt, error))
        return await services.desk.submit(attempt, command)

    async def _run(self, declared: Declared, attempt: Attempt, call: Call, *, holds_secret: bool) -> Answer[Any]:
        """Run a field in a unit of work."""
        try:
            self._check(declared, attempt, holds_secret=holds_secret)
            prepared: Work[Any] | None = await call(None) if declared.is_prepared else None
        except Exception as error:
            return await self._unbegun(declared, attempt, error)
        return await self.context.services.units.run(attempt, prepared or call, declared.tell, declared.outcome_of)

    @staticmethod
    def _check(declared: Declared, attempt: Attempt, *, holds_secret: bool) -> None:
        """Refuse what may not begin.

        Raises: InvalidInput.
        """
        if holds_secret and declared.policy is not Policy.ANYONE:  # a login keeps nothing but its redacted ticket
            raise InvalidInput(EXPOSED)
        if attempt.idempotency_key is not None:
            idempotency.check(attempt.idempotency_key)

    async def _unbegun(self, declared: Declared, attempt: Attempt, error: Exception) -> Answer[Any]:
        """Record what ended before any work began.

        Raises: Fault.
        """
        if isinstance(error, Fault):
            raise error
        units, story = self.context.services.units, declared.tell(attempt.request, None)
        refused = error.refusal if isinstance(error, GuessRefused) else error
        if isinstance(error, GuessRefused) and error.ticket_id:
            return Answer(error.ticket_id, refusal=Refusal.of(error.refusal))
        if isinstance(refused, DomainError):
            ticket_id = await units.record(attempt, story, refused.code, refused.message)
            if isinstance(error, GuessRefused) and error.told:
                error.told(ticket_id)
            return Answer(ticket_id, refusal=Refusal.of(refused))
        raise Fault(await units.record(attempt, story, Code.INTERNAL, "Internal error.")) from error

    async def _record_uncoerced(self) -> None:
        """Write the FAILED tickets of root fields whose arguments did not coerce, so that no resolver saw them."""
        operation, context = self.execution_context, self.context
        document = operation.graphql_document
        if document is None:
            return
        errors = operation.pre_execution_errors or []  # strawberry puts those of the execution here too
        if not errors:
            return
        unreached = uncoerced(errors)
        fresh: list[str] = []
        at_fields = {
            str(error.path[0])
            for error in errors
            if error.path and len(error.path) == 1 and not isinstance(root_of(error), Fault)
        }
        for one in root_fields(document, operation._provided_operation_name, operation.variables):
            declared = DECLARED.get(one.name)
            if declared is None or one.alias in context.tickets or not (unreached or one.alias in at_fields):
                continue
            if context.caller is None and declared.policy is not Policy.ANYONE:
                continue
            attempt, _ = self._attempt_of(declared, one.arguments)
            story = Story(declared.action, f"{declared.name} not run: an argument of the request has the wrong form")
            ticket_id = await context.services.units.shielded(
                context.services.units.record(attempt, story, Code.BAD_REQUEST, WRONG_FORM)
            )
            context.tickets[one.alias] = ticket_id
            attempted(declared.name, Code.BAD_REQUEST, ticket_id, attempt.user_id)
            fresh.append(ticket_id)
        if len(fresh) == 1:  # of several, `extensions.tickets` says which is which
            for error in errors:
                error.extensions = {"code": Code.BAD_REQUEST.value, **(error.extensions or {}), "ticketId": fresh[0]}

    def _hide_secrets(self) -> None:
        """Word anew what quotes a secret of the request: graphql-core shows the values that it refuses."""
        operation = self.execution_context
        errors = operation.pre_execution_errors or []
        if not errors:
            return
        texts = list(self.context.secrets)
        if operation.graphql_document is not None:
            for one in root_fields(operation.graphql_document, operation._provided_operation_name, operation.variables):
                if declared := DECLARED.get(one.name):
                    texts += declared.unrecorded(one.arguments)
        secrets = Secrets.of(*texts)
        for error in errors:
            if secrets.begin_in(error.message):
                error.message = WRONG_FORM

    async def get_results(self) -> dict[str, Any]:
        """Name the tickets of the operation in `extensions`, once it is over."""
        await self._record_uncoerced()
        self._hide_secrets()
        results: dict[str, Any] = {}
        if self.context.tickets:
            results["tickets"] = self.context.tickets
        if self.context.replayed:
            results["replayed"] = True
        return results
