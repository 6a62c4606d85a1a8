"""The schema: types, limits and the ticket hook put together."""

from strawberry.schema.config import StrawberryConfig

from api.errors import Schema
from api.limits import EXTENSIONS
from api.mutations import Mutation
from api.queries import Query
from api.scalars import SCALARS
from api.subscriptions import Subscription
from api.tickets import Tickets


def build() -> Schema:
    """Return the schema; the ticket hook stands last, closest to the resolvers."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[*EXTENSIONS, Tickets],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """Return the schema as text, for schema.graphql."""
    return f"{build().as_str()}\n"
