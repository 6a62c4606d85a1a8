"""The schema: types, limits and the ticket hook put together."""

from functools import cache

from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter

from api import cost, rights
from api.cost import Priced
from api.errors import Schema
from api.limits import EXTENSIONS
from api.mutations import Mutation
from api.plans import Executor
from api.queries import Query
from api.repeats import RepeatingSchema
from api.scalars import SCALARS
from api.subscriptions import Subscription
from api.tickets import Tickets


class Names(NameConverter):
    """Names of the schema; strawberry would put each argument of each call into camelCase anew."""

    apply_naming_config = cache(NameConverter.apply_naming_config)  # as many as the schema has


def config() -> StrawberryConfig:
    """Return how this schema differs from strawberry's own ways."""
    return StrawberryConfig(name_converter=Names(), scalar_map=SCALARS)


def build(*, is_fast: bool = True) -> Schema:
    """Return the schema; the ticket hook stands last, closest to the resolvers.

    is_fast: whether lists are answered from plans; if not, stock execution answers all, for comparison.

    Raises: TypeError when nobody has said who sees a field, or how long a list can be.
    """
    kind = RepeatingSchema if is_fast else Schema
    schema = kind(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[*EXTENSIONS, Priced, Tickets],
        execution_context_class=Executor if is_fast else None,
        config=config(),
    )
    rights.require_declared(schema._schema)
    cost.require_declared(schema._schema)
    return schema


def sdl() -> str:
    """Return the schema as text, for schema.graphql."""
    return f"{build().as_str()}\n"
