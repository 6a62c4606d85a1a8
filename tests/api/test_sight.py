"""What an operator sees: readiness, metrics and who may read them, log lines with tickets."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from api import metrics
from api.settings import Settings
from db import seal
from db.keys import Signer
from db.unit import Pool
from db.witness import Witness
from tests.world import Api, serving, serving_apart

TOKEN = "a token for the collector"


def base(api: Api) -> str:
    return api.url.removesuffix("/graphql")


async def get(api: Api, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(base(api) + path, headers=headers)


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def samples(api: Api) -> Samples:
    text = (await get(api, "/metrics")).text
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def moved(before: Samples, after: Samples, name: str, **labels: str) -> float:
    key = (name, tuple(sorted(labels.items())))
    return after.get(key, 0.0) - before.get(key, 0.0)


async def test_metrics_count_orders_batches_commits_and_tickets(api: Api) -> None:
    buyer, seller = await api.trader(EUR="1000"), await api.trader(CEA="10")
    before = await samples(api)
    assert (await api.order(seller, "SELL", "25.00", "10"))["errors"] == []
    assert (await api.order(buyer, "BUY", "25.00", "4"))["errors"] == []
    (refused,) = (await api.order(buyer, "BUY", "25.00", "1000"))["errors"]
    assert refused["code"] == "INSUFFICIENT_BALANCE"
    after = await samples(api)
    assert moved(before, after, "carbondesk_attempts_total", field="placeOrder", outcome="SUCCESS") == 2
    assert moved(before, after, "carbondesk_attempts_total", field="placeOrder", outcome="INSUFFICIENT_BALANCE") == 1
    assert moved(before, after, "carbondesk_trades_total") == 1
    assert moved(before, after, "carbondesk_tickets_total", status="SUCCESS") == 4  # two orders, a trade, an order full
    assert moved(before, after, "carbondesk_tickets_total", status="FAILED") == 1
    assert moved(before, after, "carbondesk_batch_commands_sum") == 3
    assert moved(before, after, "carbondesk_batch_seconds_count") == 3
    assert moved(before, after, "carbondesk_commit_seconds_count", pool="desk") >= 3
    assert moved(before, after, "carbondesk_audit_seconds_count") == 3
    assert moved(before, after, "carbondesk_requests_total", route="graphql", status="200") == 3
    assert moved(before, after, "carbondesk_requests_total", route="metrics", status="200") == 1
    assert after["carbondesk_desk_queue_commands", ()] == 0
    assert after["carbondesk_pool_max_connections", (("pool", "write"),)] == 12
    assert after["carbondesk_stream_lag_seconds", (("certificate", "CEA"),)] < 10
    assert abs(after["carbondesk_database_clock_ahead_seconds", ()]) < 10
    assert after["carbondesk_redis_connected", ()] == after["carbondesk_database_up", ()] == 1
    assert after["carbondesk_process_resident_memory_bytes", ()] > 0


async def test_every_metric_is_described_and_named_by_the_rules(api: Api) -> None:
    text = (await get(api, "/metrics")).text
    families = list(text_string_to_metric_families(text))
    assert len(families) > 25
    for family in families:
        assert re.fullmatch(r"carbondesk_[a-z_]+", family.name) and family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name


async def test_who_may_read_metrics(api: Api, settings: Settings) -> None:
    assert (await get(api, "/metrics")).status_code == 200
    refused = await get(api, "/metrics", **{"X-Forwarded-For": "203.0.113.9"})
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    async with serving(settings.model_copy(update={"metrics_token": TOKEN})) as guarded:
        for headers in ({}, {"Authorization": "Bearer no token"}, {"Authorization": TOKEN}):
            assert (await get(guarded, "/metrics", **headers)).status_code == 403
        read = await get(guarded, "/metrics", **{"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "203.0.113.9"})
        assert read.status_code == 200 and TOKEN not in read.text


@pytest.mark.parametrize(
    ("peer", "is_allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("127.8.8.8", True),
        ("10.0.0.7", False),
        ("testclient", False),
        (None, False),
    ],
)
def test_without_a_token_only_this_machine_reads_metrics(peer: str | None, is_allowed: bool) -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [], "client": (peer, 1) if peer else None}
    assert metrics.may_read(Request(scope), None) is is_allowed


async def test_readiness_says_what_stands_and_what_lags(api: Api, settings: Settings, tmp_path: Path) -> None:
    found = (await get(api, "/readyz")).json()
    assert {name: found[name] for name in ("status", "database", "schema", "redis", "sealing", "clock")} == {
        "status": "ready", "database": "ok", "schema": "current", "redis": "ok", "sealing": "ok", "clock": "ok"
    }  # fmt: skip
    assert set(found["streamLagSeconds"]) == {"CEA", "EUA"} and found["deskQueue"] == 0
    pool = await Pool.open(
        api.database_url, role=f"{api.database_url.rpartition('/')[2]}_sealer", size_max=2, name="seal"
    )
    try:
        sealer = seal.Sealer(pool, Signer.of_home(tmp_path / "secrets"), Witness(tmp_path / "checkpoints"))
        assert (await sealer.seal_all()).size > 0
    finally:
        await pool.close()
    assert (await get(api, "/readyz")).json()["sealLagSeconds"] <= 1
    assert (await samples(api))["carbondesk_sealed_leaves", ()] > 0


async def test_admins_see_the_same_through_graphql_and_nobody_else(api: Api) -> None:
    document = """{ operations { schemaState isRedisConnected sealingAlarm sealLagSeconds sealedLeaves sockets deskQueue
      streams { certificateType lagSeconds behindEvents } pools { name openConnections usedConnections maxConnections }
    } }"""
    found = (await api.ask(document))["operations"]
    said = (await get(api, "/readyz")).json()
    assert (found["schemaState"], found["isRedisConnected"], found["sealingAlarm"]) == (said["schema"], True, None)
    assert (found["sockets"], found["deskQueue"]) == (said["sockets"], said["deskQueue"])
    assert found["sealedLeaves"] == (await samples(api))["carbondesk_sealed_leaves", ()]
    assert [one["certificateType"] for one in found["streams"]] == ["CEA", "EUA"]
    assert all(one["lagSeconds"] < 10 and one["behindEvents"] == 0 for one in found["streams"])
    pools = {one["name"]: one for one in found["pools"]}
    assert set(pools) >= {"write", "desk", "callers", "read", "export"}
    assert all(one["usedConnections"] <= one["openConnections"] <= one["maxConnections"] for one in pools.values())
    trader = await api.trader()
    (denied,) = (await api.ask(document, trader.token)).errors
    assert denied["extensions"]["code"] == "FORBIDDEN"


async def test_a_process_before_an_old_schema_is_not_ready_and_one_before_a_newer_is(api: Api) -> None:
    ((newest,),) = await api.sql("SELECT version_num FROM alembic_version")
    try:
        await api.sql("UPDATE alembic_version SET version_num = '0001'")
        behind = await get(api, "/readyz")
        assert (behind.status_code, behind.json()["schema"], behind.json()["help"]) == (
            503, "behind", "run `carbondesk migrate`"
        )  # fmt: skip
        await api.sql("UPDATE alembic_version SET version_num = '9999'")
        ahead = await get(api, "/readyz")
        assert (ahead.status_code, ahead.json()["schema"]) == (200, "ahead")
    finally:
        await api.sql("UPDATE alembic_version SET version_num = $1", newest)
    assert (await get(api, "/readyz")).status_code == 200


async def test_without_a_database_nothing_is_ready_and_metrics_say_so(api: Api, settings: Settings) -> None:
    async with serving(settings) as lonely:
        name = api.database_url.rpartition("/")[2]
        # On `postgres` of the same server, as nobody may connect to this one now.
        admin: asyncpg.Connection[Any] = await asyncpg.connect(api.database_url.removesuffix(name) + "postgres")
        try:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
                " AND usename = current_user", name
            )  # fmt: skip
            async with asyncio.timeout(10):
                while (await get(lonely, "/readyz")).status_code != 503:  # noqa: ASYNC110 - over HTTP
                    await asyncio.sleep(0.1)
            assert (await get(lonely, "/readyz")).json()["database"] == "unreachable"
            assert (await samples(lonely))["carbondesk_database_up", ()] == 0
            assert (await get(lonely, "/healthz")).status_code == 200
        finally:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await admin.close()
        async with asyncio.timeout(10):
            while (await get(lonely, "/readyz")).status_code != 200:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.1)
    await api.aclose()
    api._connection = None


async def test_the_log_names_the_ticket_of_each_attempt_when_asked_to(
    settings: Settings, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    trader = await api.trader(EUR="100")
    capfd.readouterr()
    async with serving_apart(settings.model_copy(update={"log_level": "info"})) as served:
        apart = Api(served.url, api.database_url)
        order = await apart.order(trader, "BUY", "1.00", "10")
        refused = await apart.order(trader, "BUY", "1.00", "1000")
    said = capfd.readouterr().err
    attempts = [one for line in said.splitlines() if (one := json.loads(line))["event"] == "attempt"]
    assert [(one["field"], one["outcome"], one["ticket_id"]) for one in attempts] == [
        ("placeOrder", "SUCCESS", order["ticketId"]),
        ("placeOrder", "INSUFFICIENT_BALANCE", refused["ticketId"]),
    ]
    assert {one["user_id"] for one in attempts} == {trader.id}
    assert trader.token not in said
