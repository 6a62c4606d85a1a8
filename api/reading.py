"""The command of a reader process: it answers what the process that started it sends on (`api.readers`).

It opens connections that read, and the look at sessions. It has no desk, no numbers, no events and no chores.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

NICE: Final = 15  # whoever trades goes first; yet who asks has a thirtieth of a core for which both wait
AUTOGROUP: Final = Path("/proc/self/autogroup")
SECRET_LINE_MAX: Final = 256


def reader(listener: Annotated[int, typer.Argument(help="Descriptor of the socket to listen on.")]) -> None:
    """Answer queries for the process that started this, until it ends."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        # Where Linux shares its time among sessions first, nice counts within one only, and this is one of its own.
        AUTOGROUP.write_text(str(NICE))
    secret = os.read(sys.stdin.fileno(), SECRET_LINE_MAX).strip()
    from api import supervisor

    supervisor.end_with_parent()
    import socket

    from api import app, logs, readers, serving
    from api.settings import load

    settings = load()
    logs.configure(settings.log_level)
    guard = app.create_reader(settings, secret)
    serving.serve(guard, socket.socket(fileno=listener), drain_s=0, keep_alive_s=readers.KEEP_ALIVE_S)
