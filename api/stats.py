"""Statistics of tickets as the schema shows them: a part that is not selected is not counted."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

import db.stats
from api.context import Info
from api.enums import ActionType, TimeBucket
from api.errors import Code, RequestError
from api.figures import described
from api.objects import User
from api.pages import in_time
from api.selections import names_below
from db.stats import DURATIONS_MAX, USERS_MAX, Part
from db.tickets import TicketFilter
from domain.errors import DomainError

# What each field of TicketStats needs to be counted.
NEEDS = {
    "totalActions": Part.TOTALS,
    "successCount": Part.TOTALS,
    "failedCount": Part.TOTALS,
    "successRate": Part.TOTALS,
    "byActionType": Part.TOTALS,
    "byErrorCode": Part.TOTALS,
    "byUser": Part.USERS,
    "actionsOverTime": Part.TIME,
    "durationP95Ms": Part.DURATION,
}


@strawberry.type(description="How many tickets an action has.")
class ActionCount:
    action_type: ActionType = described("The action.")
    count: int = described("Tickets, failed ones included.")
    failed_count: int = described("Failed ones.")


@strawberry.type(description="How many tickets a user has.")
class UserCount:
    user_id: strawberry.Private[UUID | None]
    count: int = described("Tickets, failed ones included.")
    failed_count: int = described("Failed ones.")

    @strawberry.field(description="Who acted; null for what nobody who was signed in did.")
    async def user(self, info: Info) -> User | None:
        record = await info.context.loaders.users.load(self.user_id) if self.user_id else None
        return User.of(record) if record else None


@strawberry.type(description="How often something failed for one reason.")
class ErrorCodeCount:
    error_code: str = described("The reason.")
    count: int = described("Tickets that failed so.")
    last_at: datetime = described("When the last of them was written.")


@strawberry.type(description="How many tickets a bar of time has. Half-open: `from` is in it, `to` is not.")
class TimeCount:
    start: datetime = described("Where it begins.", name="from")
    end: datetime = described("Where it ends.", name="to")
    success_count: int = described("Done.")
    failed_count: int = described("Failed.")


@strawberry.type(description="Figures over the tickets of a filter, all of one instant.")
class TicketStats:
    duration_p95_ms: float | None = described(
        f"95th percentile of durationMs over the newest {DURATIONS_MAX:,} root tickets of the filter; null without any."
    )
    total_actions: int = described("Tickets, children included.")
    success_count: int = described("Done.")
    failed_count: int = described("Failed.")
    success_rate: float = described("successCount / totalActions, from 0 to 1; 0 when there are no tickets.")
    by_action_type: list[ActionCount] = described("By action, most first.")
    by_user: list[UserCount] = described(f"By user, most first, at most {USERS_MAX}.")
    by_error_code: list[ErrorCodeCount] = described("By reason of failure, most first.")
    actions_over_time: list[TimeCount] = described(
        "Bars over the window of the filter, those without tickets too; where it is open, from the first ticket until "
        "now."
    )

    @classmethod
    async def load(cls, info: Info, wanted: TicketFilter, bucket: TimeBucket | None, time_zone: str) -> TicketStats:
        """Count what is selected.

        Raises: RequestError (BAD_REQUEST: filter, bucket, time zone; TOO_COMPLEX: not counted in time).
        """
        try:
            async with in_time():
                found = await db.stats.stats(info.context.reader, wanted, bucket, time_zone, parts_of(info))
        except DomainError as error:
            raise RequestError(error.message, Code.BAD_REQUEST, field=error.field) from error
        p95 = found.duration_ms_p95
        return cls(
            duration_p95_ms=None if p95 is None else float(p95),
            total_actions=found.total,
            success_count=found.succeeded,
            failed_count=found.failed,
            success_rate=found.succeeded / found.total if found.total else 0.0,
            by_action_type=[ActionCount(action_type=one.of, count=one.count, failed_count=one.failed)
                            for one in found.actions],
            by_user=[UserCount(user_id=one.of, count=one.count, failed_count=one.failed) for one in found.users],
            by_error_code=[ErrorCodeCount(error_code=one.of, count=one.count, last_at=one.last_at)
                           for one in found.codes if one.last_at is not None],
            actions_over_time=[TimeCount(start=one.start, end=one.end, success_count=one.succeeded,
                                         failed_count=one.failed) for one in found.times],
        )  # fmt: skip


def parts_of(info: Info) -> set[Part]:
    """Return what the selection of a statistics field needs."""
    return {NEEDS[name] for name in names_below(info) if name in NEEDS}
