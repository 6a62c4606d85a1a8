"""Candles: what a loop over the trades gives, with buckets that carry the last price on where nobody traded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests import history
from tests.history import END, START, History
from tests.world import Api

CANDLES = """query($c: CertificateType!, $b: TimeBucket!, $from: DateTime!, $to: DateTime!, $z: String) {
  candles(certificateType: $c, bucket: $b, from: $from, to: $to, timeZone: $z) {
    from to open high low close volume notional trades vwap } }"""


@pytest.fixture(scope="module")
async def past(api: Api) -> History:
    return await history.write(api, 150, seed=9)


def worded(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bars(start: datetime, end: datetime, bucket: str, zone: str) -> list[tuple[datetime, datetime]]:
    """Return the whole buckets that a window touches, by the calendar of a zone."""
    there = ZoneInfo(zone)
    if bucket in ("MINUTE", "HOUR"):
        length = timedelta(hours=1) if bucket == "HOUR" else timedelta(minutes=1)
        local = start.astimezone(there)
        at = start.replace(second=0, microsecond=0)
        at -= timedelta(minutes=local.minute if bucket == "HOUR" else 0)
        next_of: Callable[[datetime], datetime] = lambda one: one + length  # noqa: E731
    else:
        day = start.astimezone(there).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        day -= timedelta(days=day.weekday() if bucket == "WEEK" else 0)
        at = (day.replace(day=1) if bucket == "MONTH" else day).replace(tzinfo=there).astimezone(UTC)

        def next_of(one: datetime) -> datetime:
            there_day = one.astimezone(there).replace(tzinfo=None)
            if bucket == "MONTH":
                following = (there_day + timedelta(days=32)).replace(day=1)
            else:
                following = there_day + timedelta(days=7 if bucket == "WEEK" else 1)
            return following.replace(tzinfo=there).astimezone(UTC)

    found = []
    while at < end:
        found.append((at, next_of(at)))
        at = next_of(at)
    return found


def model(
    trades: list[dict[str, Any]], start: datetime, end: datetime, bucket: str, zone: str = "UTC"
) -> list[dict[str, Any]]:
    cent, found = Decimal("0.01"), []
    for begin, stop in bars(start, end, bucket, zone):
        mine = [one for one in trades if begin <= one["executed_at"] < stop]
        before = [one for one in trades if one["executed_at"] < begin]
        if not mine and not before:
            continue
        prices = [one["price"] for one in mine] or [before[-1]["price"]]
        volume = sum((one["quantity"] for one in mine), Decimal())
        worth = sum((one["quantity"] * one["price"] for one in mine), Decimal())
        names = ("open", "high", "low", "close")
        figures = zip(names, (prices[0], max(prices), min(prices), prices[-1]), strict=True)
        found.append({
            "from": worded(begin), "to": worded(stop), **{name: str(price.quantize(cent)) for name, price in figures},
            "volume": str(volume), "notional": str(worth.quantize(cent)), "trades": len(mine),
            "vwap": str((worth / volume).quantize(Decimal("0.0001"), ROUND_HALF_UP)) if mine else None,
        })  # fmt: skip
    return found


async def candles(api: Api, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.ask(CANDLES, "", **asked))["candles"]
    return found


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
@pytest.mark.parametrize("bucket", ["HOUR", "DAY", "WEEK", "MONTH"])
async def test_candles_are_what_a_loop_over_the_trades_gives(api: Api, past: History, bucket: str, zone: str) -> None:
    for certificate in ("CEA", "EUA"):
        trades = [one for one in past.trades if one["certificate_type"] == certificate]
        start, end = START - timedelta(days=1), END + timedelta(hours=5, minutes=7)
        got = await candles(api, c=certificate, b=bucket, **{"from": worded(start), "to": worded(end)}, z=zone)
        assert got == model(trades, start, end, bucket, zone)
        assert bucket != "HOUR" or any(one["trades"] == 0 for one in got)


async def test_minutes_without_a_trade_carry_the_last_price_on(api: Api, past: History) -> None:
    trades = [one for one in past.trades if one["certificate_type"] == "EUA"]
    start = trades[40]["executed_at"] + timedelta(seconds=17)
    end = start + timedelta(hours=9)
    got = await candles(api, c="EUA", b="MINUTE", **{"from": worded(start), "to": worded(end)})
    assert got == model(trades, start, end, "MINUTE")
    assert len(got) == 541
    quiet = [one for one in got if one["trades"] == 0]
    assert quiet
    assert all(one["open"] == one["close"] and one["volume"] == "0" and one["vwap"] is None for one in quiet)


async def test_nothing_is_told_before_the_first_trade_nor_of_the_future(api: Api, past: History) -> None:
    window = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    assert await candles(api, c="CEA", b="DAY", **window) == []
    later = {"from": "2099-01-01T00:00:00Z", "to": "2099-02-01T00:00:00Z"}
    assert await candles(api, c="CEA", b="DAY", **later) == []
    (now,) = await api.sql("SELECT now() AS now")
    got = await candles(api, c="CEA", b="MONTH", **{"from": worded(START), "to": "2099-01-01T00:00:00Z"})
    assert datetime.fromisoformat(got[-1]["from"]) <= now["now"] < datetime.fromisoformat(got[-1]["to"])


async def test_what_cannot_be_drawn_is_refused_with_what_to_do(api: Api) -> None:
    for asked, named in (
        ({"b": "MINUTE", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "bucket"),
        ({"b": "DAY", "from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "from"),
        ({"b": "DAY", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z", "z": "Middle/Earth"}, "timeZone"),
        ({"b": "HOUR", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "z": ""}, None),
    ):
        answered = await api.ask(CANDLES, "", c="CEA", **asked)
        if named is None:  # no zone is UTC
            assert answered.errors == []
            continue
        (error,) = answered.errors
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_REQUEST", named)
