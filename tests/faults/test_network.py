"""Packets between an API process and its servers vanish, one way or both: waits end, and what was said is so.

The process lives in a network namespace of its own behind a router that can be told to drop; its listening socket is
ours, so clients reach it all the time. Another process, beside the servers, is not cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

import db.servers
from api.settings import Settings
from db.embedded import Servers
from tests.faults.harm import ready_again, servers_to_harm
from tests.faults.history import clients_of, trading
from tests.faults.market import Market, market_of
from tests.sizes import CUTS_S

SEED = 20_261_211
CLIENTS = 8
READY_AGAIN_S = 5.0


@dataclass(frozen=True)
class Network:
    """Two links with a router between: `here` is our address, `there` that of the namespace."""

    name: str
    here: str
    there: str

    def cut(self, *, to_servers: bool, to_api: bool) -> None:
        """Let the router drop what goes this way, or that, without a word."""
        for address in [self.here] * to_servers + [self.there] * to_api:
            ip("-n", f"{self.name}-router", "route", "add", "blackhole", f"{address}/32")

    def heal(self) -> None:
        for address in (self.here, self.there):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("-n", f"{self.name}-router", "route", "del", "blackhole", f"{address}/32")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Make the namespaces; they go with everything in them."""
    number = random.randrange(1, 250)  # two runs on one machine should not meet
    name, links = f"cd{os.getpid()}", f"10.{number}.{random.randrange(250)}"
    built = Network(name, f"{links}.1", f"{links}.6")
    router, api = f"{name}-router", f"{name}-api"
    try:
        for namespace in (router, api):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", "left", "netns", router)
        ip("-n", router, "link", "add", "right", "type", "veth", "peer", "name", "eth", "netns", api)
        ip("addr", "add", f"{links}.1/30", "dev", f"{name}a")
        ip("-n", router, "addr", "add", f"{links}.2/30", "dev", "left")
        ip("-n", router, "addr", "add", f"{links}.5/30", "dev", "right")
        ip("-n", api, "addr", "add", f"{links}.6/30", "dev", "eth")
        ip("link", "set", f"{name}a", "up")
        for namespace, link in ((router, "left"), (router, "right"), (api, "eth")):
            ip("-n", namespace, "link", "set", link, "up")
        ip("route", "add", f"{links}.4/30", "via", f"{links}.2")
        ip("-n", api, "route", "add", "default", "via", f"{links}.5")
        ip("netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        yield built
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"a network can only be cut where one can be made, which takes root and iproute2: {why.strip()}")
    finally:
        for namespace in (api, router):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{name}a"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def servers(network: Network) -> Iterator[Servers]:
    """Let the servers listen on the link too."""
    with pytest.MonkeyPatch.context() as patch:
        both = f"127.0.0.1,{network.here}"
        patch.setattr(db.servers, "POSTGRES_OPTIONS", db.servers.POSTGRES_OPTIONS | {"listen_addresses": both})
        patch.setattr(db.servers, "REDIS_OPTIONS", db.servers.REDIS_OPTIONS | {"bind": both.replace(",", " ")})
        with servers_to_harm() as running:
            with (running.folder("postgres") / "pg_hba.conf").open("a", encoding="ascii") as rules:
                rules.writelines(f"\nhost all all {a}/32 scram-sha-256\n" for a in (network.here, network.there))
            os.kill(running.pid("postgres"), signal.SIGHUP)
            yield running


@pytest.fixture(scope="module")
async def market(settings: Settings, network: Network) -> AsyncIterator[Market]:
    """Serve by a process behind the router, and by one that is not."""

    def moved(url: str | None) -> str:
        assert url
        return url.replace(f"@127.0.0.1:{urlsplit(url).port}", f"@{network.here}:{urlsplit(url).port}")

    far = settings.model_copy(
        update={"database_url": moved(settings.database_url), "redis_url": moved(settings.redis_url)}
    )
    behind = ("ip", "netns", "exec", f"{network.name}-api")
    async with market_of(far, 1, prefix=behind) as there, market_of(settings, 1) as here:
        here.served.insert(0, *there.served)
        yield here


BOTH_S, ONE_WAY_S = CUTS_S
CUTS = [
    *((seconds, "both ways", True, True) for seconds in BOTH_S),
    *((seconds, "to the servers", True, False) for seconds in ONE_WAY_S),
    *((seconds, "to the API", False, True) for seconds in ONE_WAY_S),
]


async def test_a_cut_network_costs_time_and_nothing_else(
    market: Market, network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    async with trading(market, await clients_of(market, SEED, CLIENTS, pause_s=0.01)) as at_work:
        for seconds, way, to_servers, to_api in CUTS:
            await at_work.answers_again(time.monotonic())
            network.cut(to_servers=to_servers, to_api=to_api)
            await asyncio.sleep(seconds)
            network.heal()
            healed = time.monotonic()
            ready, answered = await ready_again(market, healed), await at_work.answers_again(healed)
            said.append(f"{seconds:g} s {way}: ready in {ready:.1f} s, answered in {answered:.1f} s")
    with capsys.disabled():
        print(f"\n[network cut {'; '.join(said)}: {await at_work.check()}]", end=" ")  # noqa: T201
