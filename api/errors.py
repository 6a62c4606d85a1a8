"""Word what a caller is told when an operation, or a part of it, failed: nothing leaves the door by another way.

    GraphQLError
    ├── LimitError        TOO_COMPLEX   the document is larger than the limits allow
    ├── CoercionError     BAD_REQUEST   a known field, but an argument does not fit its type
    ├── WordedError       any code      what a reader process said
    └── RequestError      any code      raised by the door itself, before or instead of an operation

Every error has `extensions.code`. What has none is either a fault of the request, which graphql-core
found and words well, or a fault of ours: that one is logged with its traceback and masked.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import strawberry
import structlog
from graphql import GraphQLError, GraphQLSyntaxError, SourceLocation
from sqlalchemy.exc import TimeoutError as NoConnectionError
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext
from strawberry.types.graphql import OperationType

log = structlog.get_logger(__name__)

REFERENCE_BYTES: Final = 5  # ten hex digits: short enough to read out, unique in any log file
MESSAGE_CHARACTERS_MAX: Final = 500  # graphql-core quotes what it refuses; nobody reads more
RETRY_AFTER_S: Final = 2
ERRORS_MAX: Final = 20  # of one answer; the first ones say what is wrong


class Code(StrEnum):
    """Tell clients what kind of error they got: `extensions.code`."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    BAD_REQUEST = "BAD_REQUEST"
    TOO_COMPLEX = "TOO_COMPLEX"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL = "INTERNAL"


# How graphql-core words what `api.limits` asked it to bound while it reads.
ABORTED: Final = re.compile(r"Syntax Error: (?:Document|Source) contains (more than (\d+) [a-z ]+)\. Parsing aborted\.")

SUGGESTION: Final = re.compile(r" Did you mean .*\?$", re.DOTALL)

CODES: Final = frozenset(Code)


class RequestError(GraphQLError):
    """Refuse a request or an operation with a code; `status` is for HTTP where the code does not say enough."""

    def __init__(
        self, message: str, code: Code = Code.BAD_REQUEST, status: int | None = None, **extensions: object
    ) -> None:
        super().__init__(message, extensions={"code": code.value, **extensions})
        self.status = status


class LimitError(GraphQLError):
    """Refuse a document that is larger than a limit, with the figure and the limit."""

    def __init__(self, message: str, limit: int, found: int | None = None) -> None:
        figures = {"limit": limit} if found is None else {"limit": limit, "found": found}
        super().__init__(message, extensions={"code": Code.TOO_COMPLEX.value, **figures})


class HandedOver(GraphQLError):
    """End an operation that another process is asked to answer: no client sees this."""

    def __init__(self) -> None:
        super().__init__("handed over")


class WordedError(GraphQLError):
    """Say what another process has answered, in its words."""

    def __init__(self, worded: Mapping[str, Any]) -> None:
        super().__init__(worded["message"], extensions=worded["extensions"])
        if places := worded.get("locations"):
            self.locations = [SourceLocation(place["line"], place["column"]) for place in places]


class CoercionError(GraphQLError):
    """Refuse an argument that does not fit its type, although the operation names only what exists."""

    @classmethod
    def of(cls, error: GraphQLError) -> "CoercionError":
        """Restate what a validation rule found."""
        return cls(error.message, nodes=error.nodes, extensions={"code": Code.BAD_REQUEST.value})


class Schema(strawberry.Schema):
    """A schema that leaves its errors to `presented`; strawberry would log those of callers too, query included."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Take the names that graphql-core suggests from those who may not read the schema: they could guess it so."""
        if execution_context and getattr(execution_context.context, "hides_schema", False):
            for error in errors:
                error.message = SUGGESTION.sub("", error.message)


def uncoerced(errors: Iterable[GraphQLError] | None) -> bool:
    """Tell whether arguments or variables that did not coerce are what stopped an operation.

    Variables are coerced by graphql-core after validation, which wraps each cause; structural errors never
    come together with these, as `api.documents` checks structure first.
    """
    return any(
        isinstance(error, CoercionError) or (error.path is None and isinstance(error.original_error, GraphQLError))
        for error in errors or ()
    )


def is_request_error(data: object, errors: Sequence[GraphQLError] | None) -> bool:
    """Tell whether an operation ended before any field was executed, so that the answer has no data at all."""
    return data is None and bool(errors) and all(error.path is None for error in errors or ())


def is_handed_over(errors: Sequence[GraphQLError] | None) -> bool:
    """Tell whether another process is to answer an operation."""
    return any(isinstance(error, HandedOver) for error in errors or ())


def presented(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Word errors for the caller; log and mask those that are ours."""
    return [presented_error(error) for error in errors[:ERRORS_MAX]]


def presented_error(error: GraphQLError) -> dict[str, Any]:
    """Word one error for the caller, with its code, place and path."""
    extensions = dict(error.extensions or {})
    message = error.message
    if extensions.get("code") not in CODES:
        if refusal := own_fault_of_request(error) or want_of_room(error):
            message, extensions = refusal.message, dict(refusal.extensions or {})
        else:
            message, extensions = masked(error)
    elif extensions["code"] == Code.INTERNAL:
        log.error("fault", path=error.path, ticket_id=extensions.get("ticketId"), exc_info=root_of(error))
    answer: dict[str, Any] = {"message": cut(message)}
    if error.locations:
        answer["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        answer["path"] = error.path
    answer["extensions"] = extensions
    return answer


def own_fault_of_request(error: GraphQLError) -> GraphQLError | None:
    """Restate an error that the request itself caused; none when it is a fault of ours."""
    original = root_of(error)
    if isinstance(original, CannotGetOperationTypeError):
        if original.operation_name is None:
            return RequestError("The document holds no operation.")
        return RequestError(f'The document holds no operation named "{original.operation_name}".')
    if isinstance(original, InvalidOperationTypeError):
        return RequestError(operation_type_refusal(original.operation_type))
    if not isinstance(original, GraphQLError):
        return None
    if aborted := ABORTED.fullmatch(original.message):
        return LimitError(f"The document is too large: {aborted[1]}.", int(aborted[2]))
    # Pathless: syntax, validation, variables. With a path: graphql-core names the argument it could not
    # coerce; a result it could not serialise, or a resolver that raised without a code, has no node.
    if error.path is None or original.nodes or isinstance(original, GraphQLSyntaxError | StrawberryInputCoercionError):
        return RequestError(error.message)
    return None


def want_of_room(error: GraphQLError) -> GraphQLError | None:
    """Restate that nothing could be read for now; none when it is something else."""
    if not isinstance(root_of(error), NoConnectionError):
        return None
    message = "All connections for reading are taken. Try again in a moment, or ask for less at once."
    return RequestError(message, Code.RATE_LIMITED, retryAfter=RETRY_AFTER_S)


def operation_type_refusal(operation_type: OperationType) -> str:
    """Say where an operation of this type is accepted instead."""
    match operation_type:
        case OperationType.MUTATION:
            return "Mutations are accepted by POST only, neither by GET nor over a web socket."
        case OperationType.SUBSCRIPTION:
            return "Subscriptions are served over a web socket with the subprotocol graphql-transport-ws only."
        case OperationType.QUERY:
            return "Queries are not accepted here."


def masked(error: GraphQLError) -> tuple[str, dict[str, Any]]:
    """Log a fault with its traceback and hand out a reference to it instead of its words.

    An exception may carry `ticket_id`, the ticket that recorded the failed attempt.
    """
    original = root_of(error)
    reference = secrets.token_hex(REFERENCE_BYTES)
    ticket_id = getattr(original, "ticket_id", None) or (error.extensions or {}).get("ticketId")
    log.error("fault", reference=reference, path=error.path, ticket_id=ticket_id, exc_info=original)
    extensions: dict[str, Any] = {"code": Code.INTERNAL.value, "reference": reference}
    if ticket_id is not None:
        extensions["ticketId"] = ticket_id
    message = f"Internal error. It was logged under the reference {reference}; please report it if it persists."
    return message, extensions


def root_of(error: Exception) -> Exception:
    """Unwrap what graphql-core located in a document."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def wrapped(error: Exception) -> GraphQLError:
    """Treat any exception as a GraphQL error, so that it can be presented."""
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def cut(message: str) -> str:
    """Shorten a message that quotes something huge."""
    return message if len(message) <= MESSAGE_CHARACTERS_MAX else message[: MESSAGE_CHARACTERS_MAX - 1] + "…"
