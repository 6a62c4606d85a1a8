"""The logins that a first start makes and a person reads: `logins.json` in the home, for its owner alone."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from db.place import write_private

LOGINS: Final = "logins.json"


@dataclass(frozen=True, slots=True)
class Login:
    """Hold what one demo person signs in with."""

    email: str
    password: str = field(repr=False)
    role: str
    name: str


def read(home: Path) -> list[Login]:
    """Give the logins of a home; none where its first start has not been here."""
    try:
        return [Login(**login) for login in json.loads((home / LOGINS).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def write(home: Path, logins: list[Login]) -> None:
    """Write the logins of a home, mode 0600."""
    write_private(home / LOGINS, json.dumps([dataclasses.asdict(login) for login in logins], indent=2) + "\n")
