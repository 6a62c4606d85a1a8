"""What the program `carbondesk` says to people: steps and answers, and complaints in one line."""

import getpass
import time

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
complaints = Console(stderr=True, highlight=False, soft_wrap=True)


class RefusedError(Exception):
    """Say in one sentence why a command does not do what was asked, and what to do."""


class Progress:
    """Say each step with the time since the start."""

    def __init__(self) -> None:
        """Start the clock."""
        self._started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started_at

    def say(self, text: str) -> None:
        """Print one step."""
        console.print(f"[dim]{self.seconds:6.1f} s[/dim]  ", end="")
        console.print(text, markup=False)


def who() -> str:
    """Name the user of this machine who typed a command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "unnamed"
