"""What a first start puts into the market, and the traders who keep it moving afterwards."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api import demo, flow
from api.logins import Login
from api.settings import Settings
from db.embedded import Servers, Urls
from tests.conftest import fresh_database
from tests.world import Api, serving

LEVELS_MIN = 20  # what the issue promises of each side
FLOW_SECONDS_MAX = 20  # one or two where nothing else runs
EFFECTS = ("orders", "cash_market_trades", "book_events", "asset_transactions", "deposits")
BOOK = "query($type: CertificateType!) { orderBook(certificateType: $type, depth: 100) {" \
    " bids { price quantity } asks { price quantity } } }"  # fmt: skip


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
async def logins(settings: Settings, servers: Servers, said: list[str]) -> list[Login]:
    """Play the demo into this file's database."""
    assert settings.database_url is not None
    return await demo.seed(settings, Urls(settings.database_url, servers.urls.redis_url), said.append)


@pytest.fixture(scope="module")
async def market(settings: Settings, logins: list[Login]) -> AsyncIterator[Api]:
    """Serve the demo; the admin of it is signed in."""
    async with serving(settings) as running:
        admin = next(login for login in logins if login.role == "ADMIN")
        running.admin_token = await running.login(admin.email, admin.password)
        yield running


async def rows(url: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def test_everybody_of_the_demo_can_sign_in_with_the_role_that_is_written_down(
    market: Api, logins: list[Login]
) -> None:
    assert Counter(login.role for login in logins) == {"ADMIN": 1, "ANALYST": 1, "TRADER": 6}
    assert len({login.password for login in logins}) == len(logins)
    for login in logins:
        token = await market.login(login.email, login.password)
        answered = await market.ask("{ me { email name role kycStatus } }", token)
        kyc = "APPROVED" if login.role == "TRADER" else "NONE"
        assert answered["me"] == {"email": login.email, "name": login.name, "role": login.role, "kycStatus": kyc}


async def test_three_makers_stand_in_the_market(market: Api) -> None:
    answered = await market.ask("{ marketMakers { nodes { name isActive stats { openOrders } } } }")
    makers = answered["marketMakers"]["nodes"]
    assert [maker["name"] for maker in makers] == ["MM-Alpha", "MM-Beta", "MM-Gamma"]
    assert all(maker["isActive"] and maker["stats"]["openOrders"] for maker in makers)


@pytest.mark.parametrize("certificate", ["CEA", "EUA"])
async def test_each_book_is_deep_on_both_sides_and_not_crossed(market: Api, certificate: str) -> None:
    book = (await market.ask(BOOK, "", type=certificate))["orderBook"]
    assert len(book["bids"]) >= LEVELS_MIN
    assert len(book["asks"]) >= LEVELS_MIN
    assert Decimal(book["bids"][0]["price"]) < Decimal(book["asks"][0]["price"])
    near = flow.STARTING_PRICES[certificate]
    assert all(abs(flow.cents_of(level["price"]) - near) < near / 10 for level in book["bids"] + book["asks"])


async def test_everything_in_the_demo_has_the_ticket_of_who_did_it(market: Api) -> None:
    for table in EFFECTS:
        loose = await rows(
            market.database_url,
            f"SELECT e.ticket_id FROM {table} e LEFT JOIN ticket_logs t ON t.ticket_id = e.ticket_id"
            " AND t.status = 'SUCCESS' AND 'demo' = ANY(t.tags) AND t.user_id IS NOT NULL WHERE t.number IS NULL",
        )
        assert loose == [], table
    first = await rows(
        market.database_url,
        "SELECT action_type, status, user_id, tags FROM ticket_logs WHERE NOT 'demo' = ANY(tags) AND number <= 8",
    )
    assert [tuple(row) for row in first] == [("USER_CREATED", "SUCCESS", None, ["user", "cli"])]


async def test_the_log_shows_refusals_of_several_kinds_and_no_fault(market: Api) -> None:
    failed = await rows(market.database_url, "SELECT error_code FROM ticket_logs WHERE status = 'FAILED'")
    codes = Counter(row["error_code"] for row in failed)
    assert {"INSUFFICIENT_BALANCE", "INVALID_PRICE", "INVALID_CREDENTIALS", "SIDE_NOT_ALLOWED", "FORBIDDEN"} <= set(
        codes
    )
    assert "INTERNAL" not in codes


async def test_no_password_of_the_demo_is_stored_anywhere(market: Api, logins: list[Login]) -> None:
    for table in ("users", "ticket_logs", "ticket_payloads", "user_sessions"):
        texts = [str(tuple(row)) for row in await rows(market.database_url, f"SELECT * FROM {table}")]
        assert not [login.email for login in logins for text in texts if login.password in text], table


async def conservation(url: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Return, for each asset, what is held and what came in from outside."""
    found = await rows(
        url,
        "SELECT asset, (SELECT sum(available + locked) FROM balances b WHERE b.asset = a.asset) AS held,"
        " sum(amount) FILTER (WHERE transaction_type IN ('DEPOSIT', 'WITHDRAWAL')) AS entered"
        " FROM asset_transactions a GROUP BY asset",
    )
    return {row["asset"]: (row["held"], row["entered"]) for row in found}


async def test_no_asset_is_made_or_lost(market: Api) -> None:
    figures = await conservation(market.database_url)
    assert set(figures) == {"CEA", "EUA", "EUR"}
    for held, entered in figures.values():
        assert held == entered > 0


async def test_progress_is_told_with_figures(logins: list[Login], said: list[str]) -> None:
    assert len(said) >= 4
    assert all(any(character.isdigit() for character in line) for line in said)


async def counts(url: str) -> tuple[int, int]:
    (row,) = await rows(
        url, "SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM cash_market_trades) AS trades"
    )
    return row["orders"], row["trades"]


async def test_simulated_traders_move_the_market_within_bounds(market: Api, logins: list[Login]) -> None:
    orders, trades = await counts(market.database_url)
    task = asyncio.create_task(flow.trade(market.url.removesuffix("/graphql"), logins, pause_s=0.2))
    more_orders, more_trades, signed_in = orders, trades, 0
    acting = sum(login.role in {"ADMIN", "TRADER"} for login in logins)
    async with asyncio.timeout(FLOW_SECONDS_MAX):
        # Everybody is in before it ends: who is still signing in when told to end cannot sign out.
        while more_orders == orders or more_trades == trades or signed_in < acting:
            assert not task.done()
            await asyncio.sleep(0.2)
            more_orders, more_trades = await counts(market.database_url)
            (sessions,) = await rows(
                market.database_url, "SELECT count(*) FROM user_sessions WHERE user_agent = 'carbondesk flow'"
            )
            signed_in = sessions["count"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (open_orders,) = await rows(
        market.database_url,
        "SELECT max(n) FROM (SELECT count(*) AS n FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')"
        " AND market_maker_id IS NULL GROUP BY user_id) AS holders",
    )
    assert open_orders["max"] <= flow.OPEN_ORDERS_MAX
    for certificate in ("CEA", "EUA"):
        book = (await market.ask(BOOK, "", type=certificate))["orderBook"]
        assert Decimal(book["bids"][0]["price"]) < Decimal(book["asks"][0]["price"])
    for held, entered in (await conservation(market.database_url)).values():
        assert held == entered
    left = await rows(
        market.database_url,
        "SELECT user_id FROM user_sessions WHERE user_agent = 'carbondesk flow' AND revoked_at IS NULL",
    )
    assert left == []  # everybody signed out


async def test_simulated_traders_wait_for_an_api_that_is_away_and_end_when_told(logins: list[Login]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        task = asyncio.create_task(flow.trade(f"http://127.0.0.1:{closed.getsockname()[1]}", logins, pause_s=0.02))
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 2)


def test_the_command_flow_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api", "flow"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"CARBONDESK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"there are no demo traders in {tmp_path}: start the market first" in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_empty_market_has_one_admin_and_no_orders(servers: Servers) -> None:
    said: list[str] = []
    async with fresh_database(servers) as url:
        settings = Settings(database_url=url, redis_url=servers.urls.redis_url)
        login = await demo.admin_only(settings, Urls(url, servers.urls.redis_url), said.append)
        assert await counts(url) == (0, 0)
        (user,) = await rows(url, "SELECT email, role FROM users")
        assert (user["email"], user["role"]) == (login.email, login.role) == ("admin@carbondesk.local", "ADMIN")
        (ticket,) = await rows(url, "SELECT action_type, user_id, tags FROM ticket_logs")
        assert tuple(ticket) == ("USER_CREATED", None, ["user", "cli"])
        async with serving(settings) as running:
            token = await running.login(login.email, login.password)
            assert (await running.ask("{ me { role } }", token))["me"] == {"role": "ADMIN"}
