"""How much random tests and races do: TEST_SIZE=ci (the default), full (what the issues ask for) or release (hours)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, settings

SIZE_NAMES = ("ci", "full", "release")
SIZE = os.environ.get("TEST_SIZE", "ci")
assert SIZE in SIZE_NAMES, f"TEST_SIZE is one of {', '.join(SIZE_NAMES)}"
# For one test. A state machine that fails is shrunk for up to five minutes before it is printed: no less than that.
SECONDS_MAX = {"ci": 600, "full": 1_200, "release": 7_200}[SIZE]


@dataclass(frozen=True)
class Size:
    """Runs of a state machine, and steps of each run."""

    runs: int
    steps: int

    @property
    def settings(self) -> settings:
        """Return the settings of hypothesis; failing runs are printed as code that repeats them."""
        return settings(
            max_examples=self.runs,
            stateful_step_count=self.steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )


PAPER = {"ci": Size(150, 60), "full": Size(300, 100), "release": Size(3_000, 200)}[SIZE]
DATABASE = {"ci": Size(6, 40), "full": Size(40, 60), "release": Size(400, 120)}[SIZE]
STREAM_COMMANDS = {"ci": 20_000, "full": 100_000, "release": 500_000}[SIZE]


@dataclass(frozen=True)
class Race:
    """Clients at once, orders of each, and how often a reader sums up all balances meanwhile."""

    clients: int
    orders: int
    reads: int


@dataclass(frozen=True)
class Crowd:
    """Commands while a crowd watches, watchers of each stream, and events while some of 200 watchers do not read."""

    commands: int
    watchers: int
    stalled_events: int
    frozen_s: float  # how long Redis stands still


CROWD = {
    "ci": Crowd(1_000, 10, 2_000, 4.0),
    "full": Crowd(10_000, 50, 20_000, 30.0),
    "release": Crowd(50_000, 50, 100_000, 60.0),
}[SIZE]


@dataclass(frozen=True)
class Kills:
    """How often an API process and PostgreSQL are killed while clients trade."""

    api: int
    postgres: int


KILLS = {"ci": Kills(3, 3), "full": Kills(10, 8), "release": Kills(200, 50)}[SIZE]
# How long a network is cut both ways, and one way or the other: less and more than the longest wait of a process.
CUTS_S = {"ci": ((12.0,), (2.0,)), "full": ((1.0, 12.0), (1.0, 12.0)), "release": ((1.0, 12.0, 60.0),) * 2}[SIZE]
POPULATED = {"ci": 2_000, "full": 20_000, "release": 200_000}[SIZE]  # orders in a database that is migrated
EXHAUSTED_S = {"ci": 3.0, "full": 60.0, "release": 600.0}[SIZE]  # how long PostgreSQL gives no more connections
SOAK_S = {"ci": 16.0, "full": 120.0, "release": 1_800.0}[SIZE]
PROCESSES = {"ci": 2, "full": 2, "release": 4}[SIZE]  # that serve one market
RACE = {"ci": Race(32, 200, 500), "full": Race(32, 200, 500), "release": Race(64, 2_000, 20_000)}[SIZE]
RIVAL_ROUNDS = {"ci": 50, "full": 50, "release": 1_000}[SIZE]  # of 32 requests for one balance
KEYS = {"ci": 200, "full": 200, "release": 5_000}[SIZE]  # each sent 20 times
DISCONNECTS = {"ci": 200, "full": 200, "release": 5_000}[SIZE]
FUZZ_EXAMPLES = {"ci": 12, "full": 60, "release": 400}[SIZE]  # documents of schemathesis for each root field
QUESTIONS = {"ci": 2_000, "full": 5_000, "release": 50_000}[SIZE]  # asked of the fast path and of stock execution
