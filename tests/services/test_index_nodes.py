"""Two nodes as processes: what is filed at either, and done with it, shows at both; also with its index lost."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from client.walk import places_around
from p2pworld.civic.transaction import Field, Filing, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.services.case_log import CaseAct, act_fields
from p2pworld.services.workflow import Action
from shard_node.services.folder import read
from shard_node.services.index import INDEX_NAME
from simulations.processes import City
from tests.civic.citizens import by_http, wait_held
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulations.processes import NodeProcess

COMPLAINT = read().services["complaint-suggestion"]
PERSON = Signer.from_seed(bytes([8]) * 32)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with City(tmp_path_factory.mktemp("city"), 2, places_around(), 512, ttl_s=3.0) as started:
        started.keep_logs(["city"], started.nodes[:1])
        started.start()
        wait_ready(started)
        wait_held(started.nodes[0])
        yield started


def minute() -> int:
    return int(time.time()) // 60


def complaint(city: City) -> tuple[Submission, Signer]:
    """A complaint nobody has filed before, and its key."""
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    private = {"title": "가로등", "body": "가로등이 꺼져 있어요."}
    made = file_transaction(
        COMPLAINT.transaction_type, "city", minute(), {}, private, PERSON, [city.office_key], secrets
    )
    return made, Signer.from_seed(secrets.seed)


def case_at(node: NodeProcess, key: bytes) -> dict[str, Any]:
    """The case of this key, empty if the node does not show it yet."""
    found = node.ask_json(f"/api/v1/cases?key={key.hex()}").get("cases", [])
    return found[0] if found else {}


def wait_everywhere(city: City, key: bytes, state: str) -> None:
    """Waits until each node shows the case of this key in this state."""

    def shows() -> bool:
        return all(case_at(node, key).get("state") == state for node in city.nodes)

    wait_until(shows, PATIENCE_S, lambda: f"{[case_at(node, key) for node in city.nodes]}, not {state}")


def test_what_is_filed_and_done_shows_at_every_node(city: City) -> None:
    holder, other = city.nodes
    submission, signer = complaint(city)
    assert by_http(other, submission.to_bytes()).receipt
    wait_everywhere(city, signer.public, "received")
    told = case_at(other, signer.public)
    assert told == case_at(holder, signer.public)
    assert (told["state"], told["seen"]) == ("received", 0)
    key = Signer.from_seed(os.urandom(32))
    said = act_fields(CaseAct("city", told["entry"], 0, Action.WITHDRAW.value, 0, key.public), signer)
    filing = Filing("case-act", "city", key.public, minute(), tuple(Field(*each) for each in said.items()))
    assert by_http(holder, Submission(filing, key.sign(filing.statement())).to_bytes()).receipt
    wait_everywhere(city, signer.public, "withdrawn")


def test_a_node_that_has_lost_its_index_reads_all_logs_again(city: City) -> None:
    other = city.nodes[1]
    submission, signer = complaint(city)
    assert by_http(other, submission.to_bytes()).receipt
    wait_until(lambda: bool(case_at(other, signer.public)), 10, lambda: "no case")
    other.kill()
    index = city.folder / other.name / INDEX_NAME
    index.unlink()
    other.start()
    wait_until(lambda: bool(case_at(other, signer.public)), 20, lambda: "no case again")
    assert index.exists()
