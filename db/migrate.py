"""Bring a database to the newest schema."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

import asyncpg
import structlog
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from db.unit import Pool

CURRENT, BEHIND, AHEAD = "current", "behind", "ahead"  # the database, as this program sees it
LOCK_KEY = 0x6361726264  # "carbd": one migration at a time, whoever starts it
LOCK_WAIT_MS = 500  # whoever waits for a whole table keeps everybody waiting who comes for it later
TRIES_MAX = 120
PAUSE_S = 0.5  # between two tries writers catch up
LOCK_NOT_AVAILABLE = "55P03"
HERE = Path(__file__).parent / "migrations"
VERSIONS = [HERE / "versions"]
log = structlog.get_logger(__name__)


async def upgrade(database_url: str) -> list[str]:
    """Apply what is missing, as the owner login, beside processes that go on writing; return the revisions applied.

    All in one transaction, which gives way to whoever holds a table for longer and begins again; about a minute long.

    Locks: an advisory lock for the whole run, so several starting processes migrate once; the market.
    """
    engine = create_async_engine(sqlalchemy_url(database_url), poolclass=NullPool)
    try:
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                async with engine.begin() as connection:
                    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (LOCK_KEY,))
                    await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                    if (await connection.exec_driver_sql("SELECT to_regclass('books')")).scalar_one() is not None:
                        # Where trading stands still no writer has locked what is altered next.
                        await connection.exec_driver_sql("LOCK TABLE books IN EXCLUSIVE MODE")
                    return await connection.run_sync(_upgrade)
            except (DBAPIError, asyncpg.LockNotAvailableError) as error:
                if not tries_left or getattr(getattr(error, "orig", error), "sqlstate", "") != LOCK_NOT_AVAILABLE:
                    raise
                log.info("migration_gives_way", tries_left=tries_left)
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")
    finally:
        await engine.dispose()


def sqlalchemy_url(database_url: str) -> str:
    """Name the driver in a plain postgresql:// URL."""
    return database_url.replace("postgresql://", "postgresql+asyncpg://", 1)


async def standing(pool: Pool) -> str:
    """Tell whether the schema of the database is the one of this program, an older one or one it does not know.

    One that it does not know is newer: the database is migrated first, then the processes are replaced one by one.
    """
    row = await pool.fetchrow("SELECT version_num FROM alembic_version")
    newest, *older = _known()
    if row is None or row["version_num"] in older:
        return BEHIND
    return CURRENT if row["version_num"] == newest else AHEAD


@cache
def _known() -> list[str]:
    """List the revisions that this program has, the newest first."""
    return [revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, VERSIONS)))
    return config


def _upgrade(connection: Connection) -> list[str]:
    config = _config()
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    before = MigrationContext.configure(connection).get_current_revision()
    if before == script.get_current_head():
        _let_app_see(connection)
        return []
    command.upgrade(config, "head")
    _let_app_see(connection)
    applied = [revision.revision for revision in script.iterate_revisions("head", before or "base")]
    return list(reversed(applied))


def _let_app_see(connection: Connection) -> None:
    """Let the API read how far its database is: /readyz says so. Alembic's table is there before any migration."""
    database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    connection.exec_driver_sql(f'GRANT SELECT ON alembic_version TO "{database}_app"')


def run_sql(migration: str) -> None:
    """Run the .sql file beside a migration's own file, its group roles named after this database."""
    sql = Path(migration).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind()
    database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    dbapi_connection.run_async(lambda raw: raw.execute(sql.replace("{database}", database)))
