"""PostGraphile 5 as a peer: brought by npm into a temporary folder when a bench runs, with the node that it needs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.parts import npm
from bench.parts.ground import Ground, free_port, wait_ready

PACKAGE = "postgraphile@5.1.5"
SERVER = """
import { createServer } from "node:http";
import { grafserv } from "postgraphile/grafserv/node";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const peer = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"] })],
  grafserv: { graphqlPath: "/graphql", graphiql: false, graphqlOverGET: true },
});
const server = createServer();
await peer.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
"""


@contextlib.contextmanager
def installed() -> Iterator[Path]:
    """Install it; yield the folder."""
    with npm.installed(PACKAGE) as home:
        home.joinpath("server.mjs").write_text(SERVER, encoding="utf-8")
        yield home


@contextlib.contextmanager
def serving(ground: Ground, home: Path) -> Iterator[int]:
    """Serve the bench's database; yield the port."""
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": ground.database_url, "PORT": str(port), "NODE_ENV": "production",
                   "GRAPHILE_ENV": "production"}  # fmt: skip
    with home.joinpath("log").open("wb") as log:
        process = subprocess.Popen([npm.node_of(home), "server.mjs"], cwd=home, env=environment, stdout=log, stderr=log)
        try:
            wait_ready(process, f"http://127.0.0.1:{port}/graphql?query=%7B__typename%7D")
            yield port
        finally:
            process.terminate()
            process.wait(30)
