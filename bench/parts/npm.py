"""Programs that npm brings into a temporary folder when a bench runs, beside the node that they need."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

NODE = "node@22"
INSTALL_S = 300


@contextlib.contextmanager
def installed(*packages: str) -> Iterator[Path]:
    """Install packages; yield the folder, in which `node_of` is the node.

    Raises: subprocess.CalledProcessError (no npm, or no registry within reach).
    """
    with TemporaryDirectory(prefix="carbondesk-npm-") as folder:
        home = Path(folder)
        home.joinpath("package.json").write_text(json.dumps({"private": True, "type": "module"}), encoding="utf-8")
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", NODE, *packages]
        subprocess.run(command, cwd=home, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL)
        yield home


def node_of(home: Path) -> str:
    """Return the path of the node in a folder."""
    return str(home / "node_modules" / "node" / "bin" / "node")
