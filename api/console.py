"""What the program `carbondesk` says to people: steps and answers, and complaints in one line."""

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
complaints = Console(stderr=True, highlight=False, soft_wrap=True)


class RefusedError(Exception):
    """Say in one sentence why a command does not do what was asked, and what to do."""
