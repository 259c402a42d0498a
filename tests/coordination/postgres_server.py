"""A real PostgreSQL for tests; where there is none they are skipped, saying what to install."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from simulations import postgres_server
from simulations.postgres_server import PASSWORD, NoPostgres

__all__ = ["PASSWORD", "PostgresServer", "Standby"]

POLL_S = 0.02
_PROBE_WAITS = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'probe'"


class PostgresServer(postgres_server.PostgresServer):
    """The same, or a skipped test."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            postgres_server.programs()
        except NoPostgres as error:
            pytest.skip(f"{error} to have this test run")
        super().__init__(*arguments, **options)

    def miss_a_standby(self) -> None:
        """Has each commit wait for a standby that is not there; returns once the server has read the setting."""
        self.set("synchronous_standby_names", "nobody")
        probe = threading.Thread(target=self._commit_until_it_waits)
        probe.start()
        while not self.execute(f"SELECT pg_terminate_backend(pid) {_PROBE_WAITS}"):
            assert probe.is_alive(), "a commit failed that was to wait"
            time.sleep(POLL_S)
        probe.join()

    def _commit_until_it_waits(self) -> None:
        info = make_conninfo(**self.conninfo(application_name="probe", options="-c synchronous_commit=on"))
        with psycopg.connect(info, autocommit=True) as db, suppress(psycopg.OperationalError):
            while True:
                db.execute("SELECT pg_logical_emit_message(true, 'probe', '')")


class Standby(PostgresServer, postgres_server.Standby):
    """The same."""
