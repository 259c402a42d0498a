"""What a node hears of its attestors: keys that were taken back count here too, and nobody else's word does."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from p2pworld.crypto.keys import Signer
from p2pworld.services.people import sign_withdrawn
from shard_node.config import Table
from shard_node.errors import ConfigError
from shard_node.http_client import Answer
from shard_node.services import attestors as module
from shard_node.services.attestors import LOOK_S, AttestorFollower
from shard_node.services.host import Offered
from shard_node.services.settings import ServicesConfig, parse_services

ATTESTOR, OTHER = (Signer.from_seed(bytes([i]) * 32) for i in (1, 2))
URL = "https://attestor.example"
LOST = bytes(31) + b"\x07"


class Served:
    """What is answered there."""

    def __init__(self) -> None:
        self.body = sign_withdrawn(ATTESTOR, 100, frozenset({LOST})).to_bytes()
        self.status = 200
        self.fails: Exception | None = None
        self.asked: list[str] = []

    async def fetch(self, url: str, tls: object, *, bytes_max: int) -> Answer:
        self.asked.append(url)
        if self.fails:
            raise self.fails
        assert len(self.body) <= bytes_max
        return Answer(self.status, {}, self.body)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    served = Served()
    monkeypatch.setattr(module, "fetch", served.fetch)
    return served


def offered(*urls: str) -> Offered:
    keys = {ATTESTOR.public: URL} if urls else {}
    return Offered(ServicesConfig(attestors=frozenset({ATTESTOR.public}), attestor_urls=keys))


async def test_what_an_attestor_takes_back_counts_within_a_minute(
    served: Served, autojump_clock: trio.testing.MockClock
) -> None:
    node = offered(URL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(AttestorFollower(node).run)
        await trio.sleep(1)
        assert node.attestors.withdrawn == {LOST}
        assert node.attestors.keys == {ATTESTOR.public}
        served.body = sign_withdrawn(ATTESTOR, 101, frozenset()).to_bytes()
        await trio.sleep(LOOK_S)
        assert node.attestors.withdrawn == frozenset()
        nursery.cancel_scope.cancel()
    assert served.asked == [f"{URL}/withdrawn"] * 2


async def test_what_is_not_its_word_or_an_older_one_changes_nothing(
    served: Served, autojump_clock: trio.testing.MockClock
) -> None:
    node = offered(URL)
    bad: list[tuple[str, Any]] = [
        ("body", sign_withdrawn(OTHER, 200, frozenset()).to_bytes()),
        ("body", b"garbage"),
        ("body", sign_withdrawn(ATTESTOR, 99, frozenset()).to_bytes()),
        ("status", 503),
        ("fails", OSError("gone")),
        ("fails", trio.TooSlowError()),
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(AttestorFollower(node).run)
        await trio.sleep(1)
        for name, value in bad:
            before = getattr(served, name)
            setattr(served, name, value)
            await trio.sleep(LOOK_S)
            assert node.attestors.withdrawn == {LOST}, value
            setattr(served, name, before)
        nursery.cancel_scope.cancel()


async def test_without_an_address_nobody_is_asked(served: Served) -> None:
    await AttestorFollower(offered()).run()
    assert served.asked == []


def test_an_attestor_is_a_key_and_perhaps_an_address(tmp_path: Any) -> None:
    def read(*texts: str) -> ServicesConfig:
        return parse_services(Table("services", {"attestors": list(texts)}, tmp_path))

    config = read(ATTESTOR.public.hex(), f"{OTHER.public.hex()} {URL}")
    assert config.attestors == {ATTESTOR.public, OTHER.public}
    assert config.attestor_urls == {OTHER.public: URL}
    for wrong in (f"{OTHER.public.hex()} ftp://x", f"{OTHER.public.hex()} {URL}/", f"xx {URL}", URL):
        with pytest.raises(ConfigError, match=r"services\.attestors"):
            read(wrong)
