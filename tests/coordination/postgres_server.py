"""A real PostgreSQL for tests; where there is none they are skipped, saying what to install."""

from __future__ import annotations

from typing import Any

import pytest

from simulations import postgres_server
from simulations.postgres_server import PASSWORD, NoPostgres

__all__ = ["PASSWORD", "PostgresServer", "Standby"]


class PostgresServer(postgres_server.PostgresServer):
    """The same, or a skipped test."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            postgres_server.programs()
        except NoPostgres as error:
            pytest.skip(f"{error} to have this test run")
        super().__init__(*arguments, **options)


class Standby(PostgresServer, postgres_server.Standby):
    """The same."""
