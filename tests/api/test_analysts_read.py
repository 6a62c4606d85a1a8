"""Analysts read on connections of their own, and from a replica if there is one; these cannot write."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from api.app import services
from api.context import Context
from api.schema import build
from api.settings import Settings
from db.embedded import Servers
from domain.people import Caller, KycStatus, Session, User, UserRole
from tests.conftest import drop_database, fresh_database, urls_of

NAMES = "{ marketMakers { nodes { name } } }"


def caller(role: UserRole) -> Caller:
    """Return somebody who is signed in; nobody looks him up here."""
    user = User(uuid4(), "x@desk.test", "X", role, True, KycStatus.NONE, datetime.now(UTC))
    return Caller(user, Session(uuid4(), user.id, user.created_at, user.created_at, user.created_at, None, None))


async def add_maker(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    user = uuid4()
    await connection.execute(
        "INSERT INTO users (id, email, name, role, kyc_status, created_at, updated_at)"
        " VALUES ($1::uuid, $1::uuid || '@desk.test', 'M', 'MARKET_MAKER', 'NONE', now(), now())",
        user,
    )
    await connection.execute(
        "INSERT INTO market_maker_clients (id, user_id, name, created_at, updated_at)"
        " VALUES (gen_random_uuid(), $1, $2, now(), now())",
        user,
        name,
    )
    await connection.close()


async def test_an_analyst_reads_the_replica_and_others_the_database(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with fresh_database(servers) as url:
        copy = f"{url.rpartition('/')[2]}_copy"
        owner = await asyncpg.connect(servers.urls.database_url)
        await owner.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{url.rpartition("/")[2]}"')
        replica = urls_of(copy, servers.urls.database_url)
        await add_maker(url, "MM-Here")
        await add_maker(replica, "MM-Replica")
        settings = Settings(
            CARBONDESK_HOME=tmp_path_factory.mktemp("home"),
            database_url=url,
            database_replica_url=replica,
            redis_url=servers.urls.redis_url,
        )
        async with services(settings) as ours:
            schema = build()
            seen = {}
            for role in (UserRole.ADMIN, UserRole.ANALYST):
                result = await schema.execute(NAMES, context_value=Context(ours, caller(role), None, None))
                assert result.errors is None
                assert result.data is not None
                seen[role] = [node["name"] for node in result.data["marketMakers"]["nodes"]]
            assert seen == {UserRole.ADMIN: ["MM-Here"], UserRole.ANALYST: ["MM-Replica"]}
            for reader, name in ((ours.reader, "carbondesk-read"), (ours.analysts, "carbondesk-analysts")):
                ((found,),) = await reader.sql("SELECT current_setting('application_name')")
                assert found == name
                with pytest.raises(DBAPIError, match="read-only"):
                    await reader.sql("DELETE FROM balances")
        await drop_database(owner, copy)
        await owner.close()


async def test_a_reader_asks_again_when_the_server_had_closed_its_connection(
    database: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(
        CARBONDESK_HOME=tmp_path_factory.mktemp("home"), database_url=database, redis_url=servers.urls.redis_url
    )
    async with services(settings) as ours:
        ((before,),) = await ours.analysts.sql("SELECT pg_backend_pid()")
        owner = await asyncpg.connect(database)
        await owner.execute("SELECT pg_terminate_backend($1)", before)
        await owner.close()
        ((after,),) = await ours.analysts.sql("SELECT pg_backend_pid()")
        assert after != before
