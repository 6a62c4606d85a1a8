"""The clock of the database across the end of a year, set back, and set far ahead, while clients trade.

Only the servers' clocks are moved, by libfaketime: whatever is stored has its time from the database.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import db.place
import db.servers
from db.embedded import Servers
from tests.faults.harm import servers_to_harm
from tests.faults.history import READY_AGAIN_S, clients_of, trading
from tests.faults.market import Market, asked, heads

SEED = 20_261_212
CLIENTS = 8
BEFORE_S, AROUND_S = 60, 3.0
YEAR = datetime.now(UTC).year
MIDNIGHT = datetime(YEAR + 1, 1, 1, tzinfo=UTC)
FAKETIME = Path(__file__).parents[2] / "scripts" / "faketime"


class Clock:
    """The servers' clock; it goes on from whatever it is set to."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def set(self, now: datetime) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{(now - datetime.now(UTC)).total_seconds():+.3f}", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self.file)


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with TemporaryDirectory(prefix="carbondesk-clock-") as folder:
        Path(folder).chmod(0o711)
        made = Clock(Path(folder, "offset"))
        made.set(MIDNIGHT - timedelta(seconds=BEFORE_S))
        yield made


@pytest.fixture(scope="module")
def servers(clock: Clock) -> Iterator[Servers]:
    found = subprocess.run([FAKETIME], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip())
    faked = {
        "LD_PRELOAD": found.stdout.strip(),
        "FAKETIME_TIMESTAMP_FILE": str(clock.file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db.servers, "ENVIRONMENT", db.place.ENVIRONMENT | faked)
        with servers_to_harm() as running:
            yield running


async def test_numbers_are_of_the_year_they_were_drawn_in_whichever_way_the_clock_goes(
    market: Market, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with trading(market, await clients_of(market, SEED, CLIENTS, pause_s=0.005)) as at_work:
        for now in (MIDNIGHT - timedelta(seconds=AROUND_S), MIDNIGHT - timedelta(hours=1), MIDNIGHT):
            clock.set(now)
            await asyncio.sleep(2 * AROUND_S if now.hour == 23 and now.minute == 59 else 1.0)
            await at_work.answers_again(time.monotonic(), READY_AGAIN_S)
    said = await at_work.check()
    assert not any(entry.unanswered for entry in at_work.entries), "the end of a year is no fault"
    years = await market.api.sql(
        "SELECT year, count(*) AS tickets, min(number) AS first,"
        " bool_and(year = extract(year FROM \"timestamp\" AT TIME ZONE 'UTC')) AS is_right"
        " FROM ticket_logs GROUP BY year ORDER BY year"
    )
    assert [row["year"] for row in years] == [YEAR, YEAR + 1]
    assert all(row["is_right"] and row["tickets"] > CLIENTS for row in years)
    assert years[1]["first"] == 1
    with capsys.disabled():
        told = " and ".join(f"{row['tickets']:,} tickets of {row['year']}" for row in years)
        print(f"\n[end of the year, and an hour back and forth: {told}; {said}]", end=" ")  # noqa: T201


async def test_a_clock_that_jumped_raises_the_alarm(market: Market, clock: Clock) -> None:
    url = market.served[0].url.removesuffix("/graphql")
    for days in (400, -366):
        clock.set(datetime.now(UTC) + timedelta(days=days))
        async with market.session.get(f"{url}/readyz") as response:
            said = await response.json()
        apart = re.fullmatch(r"apart: the database's is ([+-]\d+) s ahead", said["clock"])
        assert response.status == 200 and apart and round(int(apart[1]) / 86_400) == days, said
        async with market.session.get(f"{url}/metrics") as response:
            text = await response.text()
        (ahead_s,) = re.findall(r"^carbondesk_database_clock_ahead_seconds (\S+)$", text, re.MULTILINE)
        assert round(float(ahead_s) / 86_400) == days
    clock.set(datetime.now(UTC))
    async with market.session.get(f"{url}/readyz") as response:
        assert (await response.json())["clock"] == "ok"
    clock.set(MIDNIGHT)


async def test_sessions_end_by_the_clock_of_the_database(market: Market, clock: Clock) -> None:
    clock.set(MIDNIGHT)
    document, url = asked("{ me { id } }", {}), market.served[0].url
    for days, expected in ((0, None), (400, "UNAUTHENTICATED")):
        clock.set(MIDNIGHT + timedelta(days=days))
        async with market.session.post(url, data=document, headers=heads(market.api.admin_token)) as response:
            body = await response.json()
        codes = [error["extensions"]["code"] for error in body.get("errors", [])]
        signed_in = bool(body.get("data") and body["data"]["me"])
        assert signed_in is (expected is None), body
        assert codes in ([], [expected])
    clock.set(MIDNIGHT)
