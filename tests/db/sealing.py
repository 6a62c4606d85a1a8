"""A sealer for tests: the real one, on a key and files of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from db.keys import Signer
from db.seal import CONNECTIONS_MAX, Round, Sealer
from db.unit import Pool
from db.witness import Witness


@dataclass
class Sealing:
    """A sealer, its connections, its key and what it writes outside."""

    sealer: Sealer
    pool: Pool
    signer: Signer
    witness: Witness

    async def seal(self) -> Round:
        return await self.sealer.seal_all()


@contextlib.asynccontextmanager
async def sealing(url: str, home: Path) -> AsyncIterator[Sealing]:
    """Open a sealer on a database, as `carbondesk seal` does."""
    role = f"{urlsplit(url).path.lstrip('/')}_sealer"
    pool = await Pool.open(url, role=role, size_max=CONNECTIONS_MAX, name="seal")
    try:
        signer, witness = Signer.of_home(home / "secrets"), Witness(home / "checkpoints")
        yield Sealing(Sealer(pool, signer, witness), pool, signer, witness)
    finally:
        await pool.close()
