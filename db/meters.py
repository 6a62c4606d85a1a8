"""What the write path counts, as Prometheus reads it. One registry for the process; `api.metrics` shows it.

Law: a count goes up after the commit, so that it never tells of what did not happen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram

from domain.tickets import Draft, TicketStatus

BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # a commit is some milliseconds
REGISTRY = CollectorRegistry()

COMMIT_S = Histogram(
    "carbondesk_commit_seconds",
    "Time that PostgreSQL took for COMMIT, by pool: `desk` for batches of orders, `write` for everything else.",
    ["pool"],
    buckets=BUCKETS_S,
    registry=REGISTRY,
)
BATCH_S = Histogram(
    "carbondesk_batch_seconds",
    "Time of one batch of the desk, from the market lock to after the commit.",
    buckets=BUCKETS_S,
    registry=REGISTRY,
)
BATCH_COMMANDS = Histogram(
    "carbondesk_batch_commands",
    "Orders and cancels that one batch of the desk carried out.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    registry=REGISTRY,
)
TRADES = Counter("carbondesk_trades", "Trades made by this process.", registry=REGISTRY)
TICKETS = Counter("carbondesk_tickets", "Tickets written by this process.", ["status"], registry=REGISTRY)
SPOOLED = Counter(
    "carbondesk_spooled_attempts",
    "Attempts kept on disk since no database answered; each becomes a FAILED ticket later.",
    registry=REGISTRY,
)
_FAILED, _SUCCEEDED = TICKETS.labels(TicketStatus.FAILED), TICKETS.labels(TicketStatus.SUCCESS)
AUDIT_S = Histogram(
    "carbondesk_audit_seconds",
    "Time that auditing added to one transaction: tickets worded, digests computed, rows handed to PostgreSQL.",
    buckets=BUCKETS_S,
    registry=REGISTRY,
)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Measure what ends well; a wait that failed says nothing about speed."""
    begun_at = time.perf_counter()
    yield
    histogram.observe(time.perf_counter() - begun_at)


def count_tickets(drafts: Sequence[Draft]) -> None:
    """Count tickets that are committed."""
    failed = sum(draft.error_code is not None for draft in drafts)
    _FAILED.inc(failed)
    _SUCCEEDED.inc(len(drafts) - failed)
