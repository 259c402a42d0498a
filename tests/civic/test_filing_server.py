"""A log in PostgreSQL, and two nodes that can hold it: when one is killed or ends, the other goes on with it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from client.walk import places_around
from simulations.processes import City
from tests.civic.citizens import Citizens, check_log, key_of, wait_held
from tests.coordination.postgres_server import PASSWORD
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import NodeProcess
    from tests.coordination.postgres_server import PostgresServer

STREAM = "city"


def holder_of(nodes: list[NodeProcess], asked: NodeProcess) -> int:
    """Which of these holds the stream, as `asked` knows the map."""
    (told,) = asked.ask_json("/civic/streams")["streams"]
    return [node.keys.public.hex() for node in nodes].index(told["holder"])


def test_another_node_goes_on_with_the_log_of_one_that_is_killed_or_ends(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.execute("CREATE DATABASE filing")
    (tmp_path / "password").write_text(PASSWORD)
    dsn = f"host=127.0.0.1 port={postgres.port} dbname=filing"
    store = f'{{ dsn = "{dsn}", user = "postgres", password_file = "password" }}'
    with City(tmp_path, 3, places_around(), 512, ttl_s=2.0) as city:
        able = city.nodes[:2]
        city.keep_logs([STREAM], able, store)
        city.start()
        wait_ready(city)
        first = holder_of(able, city.nodes[2])
        epoch = wait_held(able[first])
        citizens = Citizens(city.nodes, STREAM, key_of(able[first]))
        killed, ended = able[first], able[1 - first]

        citizens.run(5, 6, lambda count: killed.kill() if count == 12 else None)
        second = wait_held(ended, than=epoch)
        killed.start()
        wait_ready(city)
        citizens.run(5, 6, lambda count: ended.signal(signal.SIGTERM) if count == 8 else None)
        last = wait_held(killed, than=second)
        citizens.run(1, 1)  # everybody else may have filed before it was handed on
        for submission, receipt in citizens.filed[::7]:
            assert citizens.file(submission, 2).index == receipt.index
        epochs = check_log(tmp_path / f"{killed.name}-log" / STREAM, citizens, tmp_path)
        assert epochs == {epoch, second, last}
        assert ended.process is not None
        assert ended.process.wait(PATIENCE_S) == 0
        assert city.end() == [], "a node had to be killed"
