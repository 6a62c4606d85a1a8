"""Questions asked again: what a dashboard polls is answered from its plans, without executing it anew.

While a query is executed for the first time, each of its lists that is answered from a plan leaves behind how that was
done (`note`). When all its root fields did, and nothing went wrong, the next time the same caller sends the same
document with the same variables they are done again, each with a new look at the database. Who asks was looked up for
this request as for any other; his role and his id are part of what is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from api.context import Context, Info
from api.errors import Schema
from api.limits import REMEMBERED

VARIABLES_CHARACTERS_MAX: Final = 2_000
KEPT_MAX: Final = 32  # of one document: callers, times what they ask with

Root = Callable[[Info], Awaitable[Any]]  # answers a root field once more, for the info of a new request


@dataclass(frozen=True, slots=True)
class Repeat:
    """How the root fields of a query are answered, and what else the answer says."""

    roots: Mapping[str, tuple[Info, Root]]
    extensions: dict[str, Any]

    async def answer(self, context: Context) -> ExecutionResult | None:
        """Answer once more; None when anything goes wrong, which execution has to say in its own words."""
        try:
            async with context.reading.turns.taken(self.extensions["cost"]["requested"]) as context.is_heavy:
                built = await asyncio.gather(*(again(_of(info, context)) for info, again in self.roots.values()))
        except Exception:
            return None
        data = {name: one.value for name, one in zip(self.roots, built, strict=True)}
        return ExecutionResult(data=data, errors=None, extensions=dict(self.extensions))


def _of(info: Info, context: Context) -> Info:
    raw = cast("Any", info._raw_info)._replace(context=context)
    return type(info)(_raw_info=raw, _field=info._field)


def note(info: Info, again: Root) -> None:
    """Leave behind how a root field of a query was answered from its plan."""
    raw = info._raw_info
    if info.context.noted is not None and raw.path.prev is None and raw.parent_type is raw.schema.query_type:
        info.context.noted[str(raw.path.key)] = (info, again)


class RepeatingSchema(Schema):
    """A schema that answers from plans what it has answered from plans before."""

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Execute an operation, or answer it again."""
        kept, question = self._asked(query, variable_values, context_value, operation_name)
        context = cast("Context", context_value)
        if kept is not None and question in kept:
            repeated: ExecutionResult | None = await kept[question].answer(context)
            if repeated is not None:
                return repeated
        if question is not None:
            context.noted = {}
        result = await super().execute(
            query, variable_values, context, root_value, operation_name, allowed_operation_types, operation_extensions
        )
        if question is not None and context.plans is not None:
            _keep(context.plans, question, context, result)
        return result

    def _asked(
        self, query: str | None, variables: Mapping[str, Any] | None, context: Any, operation_name: str | None
    ) -> tuple[dict[Any, Any] | None, Any]:
        """Return what is kept of a document, and the question; none for what is never repeated."""
        if not isinstance(context, Context) or context.caller is None or query is None or context.is_of_one_instant:
            return None, None
        written = repr(variables)
        if len(written) > VARIABLES_CHARACTERS_MAX:
            return None, None
        known = REMEMBERED[True].documents.get((self._schema, query))
        user = context.caller.user
        return known.plans if known else None, ("again", operation_name, written, user.role, user.id)


def _keep(kept: dict[Any, Any], question: Any, context: Context, result: ExecutionResult) -> None:
    noted, context.noted = context.noted, None
    data = result.data
    if not noted or result.errors or not isinstance(data, dict) or set(noted) != set(data):
        return
    if set(result.extensions or {}) != {"cost"}:
        return
    questions = [key for key in kept if isinstance(key, tuple) and key[0] == "again"]
    if len(questions) >= KEPT_MAX:
        kept.pop(questions[0], None)
    kept[question] = Repeat({name: noted[name] for name in data}, dict(result.extensions or {}))
