"""Candles: what trades of a certificate came to in each bucket of time, those without a trade too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from db import stats
from db.read import Reader, Snapshot
from db.stats import SECONDS, TimeBucket
from domain import errors, money
from domain.money import CertificateType

VWAP_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Candle:
    """One bucket [start, stop). Units: EUR, volume certificates. vwap: None without a trade."""

    start: datetime
    stop: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal
    trades: int
    vwap: Decimal | None


# Which trade came first and last is told by the numbers of the book, never by clocks.
_TRADED = """
WITH traded AS (
    SELECT {bar} AS bar, min(sequence) AS first, max(sequence) AS last, max(price) AS high, min(price) AS low,
           sum(quantity) AS volume, sum(price * quantity) AS notional, count(*) AS trades
    FROM cash_market_trades
    WHERE certificate_type = :certificate_type AND executed_at >= :start AND executed_at < :stop
    GROUP BY 1
)
SELECT traded.*,
    (SELECT t.price FROM cash_market_trades t WHERE t.certificate_type = :certificate_type
     AND t.sequence = traded.first ORDER BY t.position LIMIT 1) AS open,
    (SELECT t.price FROM cash_market_trades t WHERE t.certificate_type = :certificate_type
     AND t.sequence = traded.last ORDER BY t.position DESC LIMIT 1) AS close
FROM traded
"""
_BEFORE = """
SELECT price FROM cash_market_trades WHERE certificate_type = :certificate_type AND executed_at < :start
ORDER BY executed_at DESC, sequence DESC, position DESC LIMIT 1
"""


async def candles(
    reader: Reader,
    certificate_type: CertificateType,
    bucket: TimeBucket,
    start: datetime,
    end: datetime,
    time_zone: str = "UTC",
) -> list[Candle]:
    """Return the candles of the whole buckets that a window [start, end) touches, up to now.

    A bucket without a trade carries the last price on and has no volume; before the first trade there is none.

    Raises: InvalidInput (an empty window, time zone, more than BUCKETS_MAX buckets).
    """
    if start >= end:
        raise errors.InvalidInput("The window is empty: from must be before to.", field="from")
    stats.check_zone(time_zone)
    async with reader.snapshot() as snapshot:
        (clock,) = await snapshot.sql("SELECT now() AS now")
        end = min(end, clock["now"] + timedelta(microseconds=1))
        bars = await stats.bars_of(snapshot, start, end, bucket, time_zone) if start < end else []
        if not bars:
            return []
        named = {"certificate_type": certificate_type.value, "start": bars[0][0]}
        seconds = SECONDS.get(bucket)
        if seconds:
            bar, more = f"floor(extract(epoch FROM executed_at - CAST(:start AS timestamptz)) / {seconds})::integer", {}
        else:
            local = f"date_trunc('{bucket.value.lower()}', timezone(CAST(:zone AS text), executed_at))"
            bar, more = f"timezone(CAST(:zone AS text), {local})", {"zone": time_zone}
        statement = _TRADED.replace("{bar}", bar)
        traded = {row["bar"]: row for row in await snapshot.sql(statement, stop=bars[-1][1], **named, **more)}
        last = await _price_before(snapshot, named)
    found: list[Candle] = []
    for index, (begin, stop) in enumerate(bars):
        row = traded.get(index if seconds else begin)
        if row is not None:
            last = money.eur(row["close"])
            found.append(
                Candle(
                    begin,
                    stop,
                    money.eur(row["open"]),
                    money.eur(row["high"]),
                    money.eur(row["low"]),
                    last,
                    money.whole(row["volume"]),
                    money.eur(row["notional"]),
                    row["trades"],
                    (row["notional"] / row["volume"]).quantize(VWAP_STEP, ROUND_HALF_UP),
                )
            )
        elif last is not None:
            found.append(Candle(begin, stop, last, last, last, last, Decimal(0), money.eur(Decimal(0)), 0, None))
    return found


async def _price_before(snapshot: Snapshot, named: Mapping[str, object]) -> Decimal | None:
    rows = await snapshot.sql(_BEFORE, **named)
    return money.eur(rows[0]["price"]) if rows else None
