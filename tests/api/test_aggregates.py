"""Aggregates: equal to what a plain loop over the rows computes, by role, and bounded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests import history
from tests.history import History
from tests.world import Api

FOURTH = Decimal("0.0001")
QUANTITY = "quantitySum quantityAvg quantityMin quantityMax"
NOTIONAL = "notionalSum notionalAvg notionalMin notionalMax"
TRADE = f"from to hourOfDay weekday certificateType takerSide status marketMakerId buyerId sellerId count {QUANTITY}"
TRADE += f" {NOTIONAL} priceAvg priceMin priceMax vwap"
ASKED = "filter: $f, groupBy: $g, bucket: $b, timeZone: $z, having: $h, orderBy: $o, first: $n"


def document(noun: str, fields: str) -> str:
    return (
        f"query($f: {noun}Filter, $g: [{noun}Group!]!, $b: TimeBucket, $z: String, $h: [{noun}MeasureHaving!],"
        f" $o: {noun}MeasureRank, $n: Int) {{ aggregate{noun}s({ASKED}) {{ hasMore groups {{ {fields} }} }} }}"
    )


TRADES = document("Trade", TRADE)


@pytest.fixture(scope="module")
async def past(api: Api) -> History:
    return await history.write(api, 900)


# ----------------------------------------------------------------------------------------------------- a plain model

GROUPS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "CERTIFICATE_TYPE": ("certificateType", lambda row: row["certificate_type"]),
    "TAKER_SIDE": ("takerSide", lambda row: row["taker_side"]),
    "STATUS": ("status", lambda row: row["status"]),
    "MARKET_MAKER": ("marketMakerId", lambda row: row["market_maker_id"] and str(row["market_maker_id"])),
    "BUYER": ("buyerId", lambda row: str(row["buyer_id"])),
    "SELLER": ("sellerId", lambda row: str(row["seller_id"])),
}


def local(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone))


def bucket_of(at: datetime, bucket: str, zone: str) -> tuple[str, str]:
    """Return where the bucket of an instant begins and ends, as the API words it."""
    there = local(at, zone).replace(second=0, microsecond=0)
    if bucket in ("MINUTE", "HOUR"):
        start = at.replace(second=0, microsecond=0)
        start -= timedelta(minutes=there.minute if bucket == "HOUR" else 0)  # hours of the zone begin as it says
        return worded(start), worded(start + timedelta(hours=1) if bucket == "HOUR" else start + timedelta(minutes=1))
    day = there.replace(hour=0, minute=0, tzinfo=None)
    if bucket == "WEEK":
        day -= timedelta(days=day.weekday())
    if bucket == "MONTH":
        day = day.replace(day=1)
    end = {"DAY": day + timedelta(days=1), "WEEK": day + timedelta(days=7)}.get(bucket)
    end = end or (day + timedelta(days=32)).replace(day=1)
    return worded(day.replace(tzinfo=ZoneInfo(zone))), worded(end.replace(tzinfo=ZoneInfo(zone)))


def worded(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def average(total: Decimal, count: Decimal | int) -> str:
    return str((total / count).quantize(FOURTH, ROUND_HALF_UP))


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    quantities, prices = [row["quantity"] for row in rows], [row["price"] for row in rows]
    worth = [row["quantity"] * row["price"] for row in rows]
    cents = Decimal("0.01")
    return {
        "count": len(rows),
        "quantitySum": str(sum(quantities)),
        "quantityAvg": average(sum(quantities, Decimal()), len(rows)),
        "quantityMin": str(min(quantities)),
        "quantityMax": str(max(quantities)),
        "notionalSum": str(sum(worth, Decimal()).quantize(cents)),
        "notionalAvg": average(sum(worth, Decimal()), len(rows)),
        "notionalMin": str(min(worth).quantize(cents)),
        "notionalMax": str(max(worth).quantize(cents)),
        "priceAvg": average(sum(prices, Decimal()), len(rows)),
        "priceMin": str(min(prices).quantize(cents)),
        "priceMax": str(max(prices).quantize(cents)),
        "vwap": average(sum(worth, Decimal()), sum(quantities)),
    }


def model(rows: Iterable[dict[str, Any]], groups: list[str], bucket: str | None, zone: str) -> list[dict[str, Any]]:
    """Group trades as somebody would by hand."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        at = row["executed_at"]
        key: list[Any] = [bucket_of(at, bucket, zone) if bucket else (None, None)]
        for group in groups:
            if group == "HOUR_OF_DAY":
                key.append(local(at, zone).hour)
            elif group == "WEEKDAY":
                key.append(local(at, zone).isoweekday())
            else:
                key.append(GROUPS[group][1](row))
        found.setdefault(tuple(key), []).append(row)
    nothing = dict.fromkeys(("hourOfDay", "weekday", *(name for name, _ in GROUPS.values())))
    names = {"HOUR_OF_DAY": "hourOfDay", "WEEKDAY": "weekday", **{group: name for group, (name, _) in GROUPS.items()}}
    return [
        {
            **nothing,
            "from": key[0][0],
            "to": key[0][1],
            **dict(zip((names[group] for group in groups), key[1:], strict=True)),
            **figures(rows),
        }
        for key, rows in found.items()
    ]


def sorted_groups(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(groups, key=lambda one: [str(value) for value in one.values()])


def same(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    order = sorted(got[0]) if got else []
    left, right = ([{name: one[name] for name in order} for one in groups] for groups in (got, wanted))
    assert sorted_groups(left) == sorted_groups(right)


# -------------------------------------------------------------------------------------------------------------- trades


async def test_trades_are_grouped_as_a_loop_over_them_would(api: Api, past: History) -> None:
    rng = random.Random(11)
    dimensions = [*GROUPS, "HOUR_OF_DAY", "WEEKDAY"]
    for zone in ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"):
        for bucket in (None, "MINUTE", "HOUR", "DAY", "WEEK", "MONTH"):
            groups = rng.sample(dimensions, rng.randrange(4))
            answered = (await api.ask(TRADES, g=groups, b=bucket, z=zone, n=1_000))["aggregateTrades"]
            expected = model(past.trades, groups, bucket, zone)
            if answered["hasMore"]:
                assert len(answered["groups"]) == 1_000 < len(expected)
                continue
            same(answered["groups"], expected)


async def test_a_filter_means_what_it_means_in_the_list(api: Api, past: History) -> None:
    wanted = {
        "or": [{"certificateType": "CEA", "notionalMin": "5000"}, {"status": "SETTLED"}],
        "not": {"quantityMax": "20"},
        "dateTo": "2026-04-01T00:00:00Z",
    }
    rows = [
        row
        for row in past.trades
        if ((row["certificate_type"] == "CEA" and row["price"] * row["quantity"] >= 5000) or row["status"] == "SETTLED")
        and row["quantity"] > 20
        and row["executed_at"] < datetime(2026, 4, 1, tzinfo=UTC)
    ]
    answered = (await api.ask(TRADES, f=wanted, g=["CERTIFICATE_TYPE"]))["aggregateTrades"]
    same(answered["groups"], model(rows, ["CERTIFICATE_TYPE"], None, "UTC"))
    listed = await api.ask("query($f: TradeFilter) { trades(filter: $f, first: 1) { totalCount } }", f=wanted)
    assert listed["trades"]["totalCount"] == len(rows) == sum(one["count"] for one in answered["groups"])


async def test_groups_can_be_bounded_ranked_and_cut(api: Api, past: History) -> None:
    asked: dict[str, Any] = {"g": ["BUYER", "CERTIFICATE_TYPE"], "b": "DAY", "z": "UTC"}
    everything = model(past.trades, asked["g"], "DAY", "UTC")
    having = [{"measure": "COUNT", "min": 20}, {"measure": "VWAP", "min": "40", "max": "56.5"}]
    kept = [one for one in everything if one["count"] >= 20 and 40 <= Decimal(one["vwap"]) <= Decimal("56.5")]
    assert 3 < len(kept) < len(everything)
    rank = {"measure": "NOTIONAL_SUM", "direction": "DESC"}
    answered = (await api.ask(TRADES, **asked, h=having, o=rank, n=3))["aggregateTrades"]
    kept.sort(key=lambda one: -Decimal(one["notionalSum"]))
    assert [one["notionalSum"] for one in answered["groups"]] == [one["notionalSum"] for one in kept[:3]]
    assert answered["hasMore"] is True
    smallest = (await api.ask(TRADES, **asked, h=having, o={"measure": "VWAP", "direction": "ASC"}))["aggregateTrades"]
    assert [one["vwap"] for one in smallest["groups"]] == sorted((one["vwap"] for one in kept), key=Decimal)
    assert smallest["hasMore"] is False


async def test_without_a_rank_groups_come_in_time_then_by_group(api: Api, past: History) -> None:
    groups = (await api.ask(TRADES, g=["CERTIFICATE_TYPE"], b="DAY", z="UTC"))["aggregateTrades"]["groups"]
    keys = [(one["from"], one["certificateType"]) for one in groups]
    assert keys == sorted(keys)
    assert len(keys) == 14


async def test_one_group_of_everything_is_there_without_rows_too(api: Api) -> None:
    fields = "count quantitySum notionalSum vwap priceMax"
    asked = await api.ask(document("Trade", fields), f={"ids": []}, g=[])
    assert asked["aggregateTrades"] == {
        "hasMore": False,
        "groups": [{"count": 0, "quantitySum": "0", "notionalSum": "0", "vwap": None, "priceMax": None}],
    }


async def test_a_group_leads_to_who_it_is_about(api: Api, past: History) -> None:
    fields = "count marketMakerId marketMaker { id name } sellerId seller { id }"
    groups = (await api.ask(document("Trade", fields), g=["MARKET_MAKER", "SELLER"]))["aggregateTrades"]["groups"]
    assert len(groups) == 6
    for one in groups:
        assert (one["marketMaker"] or {}).get("id") == one["marketMakerId"]
        assert one["seller"] == {"id": one["sellerId"]}


# ------------------------------------------------------------------------------------------------------- other nouns


async def test_orders_are_grouped(api: Api, past: History) -> None:
    fields = (
        "certificateType status cancelReason count quantitySum filledQuantitySum fillRate notionalSum priceAvg vwap"
    )
    groups = ["CERTIFICATE_TYPE", "STATUS", "CANCEL_REASON"]
    answered = (await api.ask(document("Order", fields), g=groups))["aggregateOrders"]["groups"]
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in past.orders:
        found.setdefault((row["certificate_type"], row["status"], row["cancel_reason"]), []).append(row)
    expected = []
    for key, rows in found.items():
        total, filled = sum(row["quantity"] for row in rows), sum(row["filled_quantity"] for row in rows)
        worth = sum((row["filled_notional"] for row in rows), Decimal())
        prices = [row["price"] for row in rows if row["price"] is not None]
        expected.append({
            **dict(zip(("certificateType", "status", "cancelReason"), key, strict=True)),
            "count": len(rows), "quantitySum": str(total), "filledQuantitySum": str(filled),
            "fillRate": average(filled, total), "notionalSum": str(worth.quantize(Decimal("0.01"))),
            "priceAvg": average(sum(prices, Decimal()), len(prices)), "vwap": average(worth, filled),
        })  # fmt: skip
    same(answered, expected)


async def test_ledger_rows_are_grouped_and_amounts_of_several_assets_are_not_added(api: Api, past: History) -> None:
    fields = "asset transactionType holderId count amountSum amountMin amountMax availableDeltaSum lockedDeltaSum"
    wanted = {"dateTo": worded(history.END)}
    asked: dict[str, Any] = {"f": wanted, "g": ["ASSET", "TRANSACTION_TYPE", "HOLDER"]}
    answered = (await api.ask(document("Transaction", fields), **asked))["aggregateTransactions"]["groups"]
    found: dict[Any, list[Decimal]] = {}
    for row in past.entries:
        found.setdefault((row["asset"], row["transaction_type"], str(row["holder_id"])), []).append(row["amount"])
    expected = []
    for (asset, kind, holder), amounts in found.items():
        scale = Decimal("0.01") if asset == "EUR" else Decimal(1)
        total = str(sum(amounts, Decimal()).quantize(scale))
        expected.append({
            "asset": asset, "transactionType": kind, "holderId": holder, "count": len(amounts), "amountSum": total,
            "amountMin": str(min(amounts).quantize(scale)), "amountMax": str(max(amounts).quantize(scale)),
            "availableDeltaSum": total, "lockedDeltaSum": "0.00" if asset == "EUR" else "0",
        })  # fmt: skip
    same(answered, expected)
    mixed = await api.ask(document("Transaction", "count amountSum"), g=["REASON"])
    assert [error["extensions"]["code"] for error in mixed.errors] == ["BAD_REQUEST"]
    assert "group by ASSET" in mixed.errors[0]["message"]
    counted = await api.ask(document("Transaction", "count"), g=["REASON"])
    assert counted["aggregateTransactions"]["groups"]
    one = await api.ask(document("Transaction", "amountSum"), f={"assets": ["EUR"], **wanted}, g=[])
    euros = sum((row["amount"] for row in past.entries if row["asset"] == "EUR"), Decimal())
    assert one["aggregateTransactions"]["groups"] == [{"amountSum": str(euros.quantize(Decimal("0.01")))}]


TICKET = "from actionType status errorCode userId hourOfDay count failedCount failureRate"


async def test_tickets_are_grouped_the_same_from_counts_and_from_rows(api: Api, past: History) -> None:
    for _ in range(3):
        await api.ask('mutation { cancelMarketOrder(id: "x") { ticketId } }')
    groups = ["ACTION_TYPE", "STATUS", "ERROR_CODE", "USER", "HOUR_OF_DAY"][:4]
    for bucket, zone in ((None, "UTC"), ("DAY", "UTC"), ("HOUR", "Asia/Kathmandu"), ("MINUTE", "UTC")):
        for asked in (groups, ["HOUR_OF_DAY", "ACTION_TYPE"]):
            counted = await api.ask(document("Ticket", TICKET), g=asked, b=bucket, z=zone)
            # The filter holds for every ticket, but no count knows its column.
            by_rows = await api.ask(
                document("Ticket", TICKET), f={"not": {"ipAddress": "nowhere"}}, g=asked, b=bucket, z=zone
            )
            same(counted["aggregateTickets"]["groups"], by_rows["aggregateTickets"]["groups"])
    (failed,) = (
        await api.ask(document("Ticket", TICKET), f={"status": "FAILED"}, g=["ACTION_TYPE"])
    )["aggregateTickets"]["groups"]  # fmt: skip
    assert (failed["actionType"], failed["count"], failed["failureRate"]) == ("MM_ORDER_CANCELLED", 3, "1.0000")


async def test_durations_of_tickets_are_exact(api: Api, past: History) -> None:
    fields = "actionType count durationMsSum durationMsAvg durationMsMin durationMsMax durationMsP50 durationMsP95"
    groups = (await api.ask(document("Ticket", fields), g=["ACTION_TYPE"]))["aggregateTickets"]["groups"]
    rows = await api.sql("SELECT action_type, duration_ms FROM ticket_logs WHERE duration_ms IS NOT NULL")
    for group in groups:
        took = sorted(row["duration_ms"] for row in rows if row["action_type"] == group["actionType"])
        assert Decimal(group["durationMsSum"]) == sum(took)
        assert group["durationMsAvg"] == average(sum(took, Decimal()), len(took))
        assert (Decimal(group["durationMsMin"]), Decimal(group["durationMsMax"])) == (took[0], took[-1])
        ranks = [-(-len(took) * percent // 100) - 1 for percent in (50, 95)]
        assert [Decimal(group["durationMsP50"]), Decimal(group["durationMsP95"])] == [took[rank] for rank in ranks]


# ----------------------------------------------------------------------------------------------------- who, how much


async def test_a_trader_gets_his_own_and_never_the_parties(api: Api, past: History) -> None:
    own = past.traders[1]
    mine = [row for row in past.trades if own.id in (str(row["buyer_id"]), str(row["seller_id"]))]
    answered = (await api.ask(TRADES, own.token, g=["CERTIFICATE_TYPE"]))["aggregateTrades"]["groups"]
    same(answered, model(mine, ["CERTIFICATE_TYPE"], None, "UTC"))
    for group in ("BUYER", "SELLER", "MARKET_MAKER"):
        refused = await api.ask(TRADES, own.token, g=[group])
        assert [error["extensions"]["code"] for error in refused.errors] == ["FORBIDDEN"]
    for wanted in ({"userId": past.traders[0].id}, {"not": {"marketMakerId": str(past.makers[0][0])}}):
        other = await api.ask(document("Trade", "count"), own.token, f=wanted, g=[])
        assert other["aggregateTrades"]["groups"] == []
    orders = await api.ask(document("Order", "userId count"), own.token, g=["USER"])
    assert [one["userId"] for one in orders["aggregateOrders"]["groups"]] == [own.id]
    entries = await api.ask(document("Transaction", "holderId"), own.token, g=["HOLDER"])
    assert entries["aggregateTransactions"]["groups"] == []
    of_others = await api.ask(document("Order", "count"), own.token, f={"userId": past.traders[0].id}, g=[])
    assert of_others["aggregateOrders"]["groups"] == []


async def test_what_cannot_be_answered_is_refused_with_what_to_do(api: Api, past: History) -> None:
    for asked, field in (
        ({"g": ["BUYER", "SELLER", "STATUS", "WEEKDAY", "TAKER_SIDE"]}, "groupBy"),
        ({"g": [], "n": 0}, "first"),
        ({"g": [], "n": 1_001}, "first"),
        ({"g": [], "h": [{"measure": "COUNT", "min": 1}] * 9}, "having"),
        ({"g": [], "b": "DAY", "z": "Middle/Earth"}, "timeZone"),
        ({"g": ["WEEKDAY"], "z": "Middle/Earth"}, "timeZone"),
        ({"g": [], "b": "DAY", "z": "x" * 100}, "timeZone"),
        ({"g": [], "f": {"not": {"not": {"not": {"not": {}}}}}}, "filter"),
    ):
        refused = await api.ask(TRADES, **asked)
        (error,) = refused.errors
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_REQUEST", field), asked
