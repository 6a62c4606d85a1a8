"""What every test shares: real servers, started once."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from db import embedded
from db.embedded import Servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser last: Playwright keeps an event loop running, beside which no other test can run one."""
    items.sort(key=lambda item: "playwright" in getattr(item, "fixturenames", ()))


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a place for embedded servers that their user can reach; pytest's own folders are closed to others."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)  # as root the servers run as another user
        path = Path(folder, "home")
        yield path
        embedded.erase(path)  # also ends what a test killed the owner of


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start one real PostgreSQL and one real Redis for the whole run; only the flush to disk is left out."""
    with TemporaryDirectory(prefix="carbondesk-test-") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder, "home")
        with embedded.start(path, print, durable=False) as running:
            yield running
        embedded.erase(path)
