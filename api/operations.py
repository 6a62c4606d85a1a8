"""The types of the schema about the process that answers: what /readyz and /metrics say, for the people at the desk."""

from __future__ import annotations

import strawberry

import db.migrate
import db.seal
from api.context import Services
from api.enums import CertificateType
from api.figures import described
from api.scalars import BigInt


@strawberry.type(description="How far the stream of one book is.")
class StreamState:
    certificate_type: CertificateType = described("Whose book.")
    lag_seconds: float = described("Age of the book that watchers are shown.")
    behind_events: int = described("Events of the database that watchers were not told yet.")


@strawberry.type(description="Connections to the database of one kind.")
class PoolState:
    name: str = described("What they are for: write, desk, numbers, spare, callers, read, analysts or export.")
    open_connections: int = described("Connections that are open.")
    used_connections: int = described("Connections in use.")
    max_connections: int = described("The most there may be.")


@strawberry.type(
    description="The state of the process that answered, of which there may be several, and of its servers."
)
class Operations:
    schema_state: str = described("The database's schema: current, or ahead of this program.")
    is_redis_connected: bool = described("Whether notices of other processes arrive; trading goes on without.")
    sealing_alarm: str | None = described("What stopped the sealer; null: nothing.")
    seal_lag_seconds: int | None = described("Age of the oldest ticket that is not sealed; null before the first seal.")
    sealed_leaves: BigInt = described("Tickets and voids in the signed tree.")
    sockets: int = described("Web sockets that are open at this process.")
    desk_queue: int = described("Orders and cancels that wait for its desk.")
    streams: list[StreamState] = described("Its books, those that were read at least once.")
    pools: list[PoolState] = described("Its connections to the database.")

    @classmethod
    async def look(cls, services: Services) -> Operations:
        """Look at everything once."""
        sealed = await db.seal.state(services.pool)
        ages, behind = services.books.ages(), services.books.behind()
        return cls(
            schema_state=await db.migrate.standing(services.pool),
            is_redis_connected=services.books.hears_others,
            sealing_alarm=sealed["alarm"],
            seal_lag_seconds=sealed["lag_s"],
            sealed_leaves=BigInt(sealed["size"]),
            sockets=services.presence.sockets,
            desk_queue=services.desk.waiting,
            streams=[
                StreamState(certificate_type=CertificateType(name), lag_seconds=age, behind_events=behind[name])
                for name, age in sorted(ages.items())
            ],
            pools=[
                PoolState(
                    name=one.name,
                    open_connections=one.open,
                    used_connections=one.used,
                    max_connections=one.size_max,
                )
                for one in services.figures()
            ],
        )
