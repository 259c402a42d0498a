"""What the tests of civic logs share: one PostgreSQL for all of them, since starting one is what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.coordination.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that runs; each test makes a database of its own in it."""
    with PostgresServer() as server:
        yield server
