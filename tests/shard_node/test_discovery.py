"""Hints on the local network: what they may say, that liars are bounded and believed in nothing, and real multicast."""

from __future__ import annotations

import ipaddress
import random
import socket
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import const
from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing

from p2pworld.crypto.keys import NodeKeys
from p2pworld.limits import HINT_ADDRESSES_MAX, HINT_ROOTS_MAX, HINTS_MAX
from shard_node import lan
from shard_node.cli import main
from shard_node.discovery import SERVICE, Announcement, Hint, Hints, read_hint, root_name
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT, OTHER_ROOT, NODE, SECOND = (NodeKeys.from_seed(bytes((i,)) * 32).public for i in range(1, 5))
GROUP = ("224.0.0.251", 5353)
HERE = "127.0.0.1"
WAIT_S = PATIENCE_S


def announced(node: bytes = NODE, root: bytes = ROOT, port: int = 7801, host: str = HERE) -> Announcement:
    return Announcement.of([root], node, f"tls://{host}:{port}", f"http://{host}:{port + 1}")


def text_of(told: Announcement) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in told.text.items()}


def hear(hints: Hints, told: Announcement, *addresses: str) -> None:
    hints.heard(told.instance, text_of(told), addresses or (told.host,), told.port)


# ---- values


def test_what_a_node_announces_is_read_as_it_was_meant() -> None:
    told = announced(host="10.0.0.7")
    assert read_hint(told.instance, text_of(told), ["10.0.0.7", "fd00::7"], told.port) == Hint(
        NODE,
        frozenset({root_name(ROOT)}),
        ("tls://10.0.0.7:7801", "tls://[fd00::7]:7801"),
        ("http://10.0.0.7:7802", "http://[fd00::7]:7802"),
    )


@pytest.mark.parametrize(
    "change",
    [
        {b"v": b"2"}, {b"v": None}, {b"node": b"zz" * 32}, {b"node": SECOND.hex().encode()}, {b"node": b""},
        {b"root": b""}, {b"root": b"x" * 16}, {b"root": b",".join([b"0" * 16] * (HINT_ROOTS_MAX + 1))},
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_announcement_is_no_hint(change: dict[bytes, bytes | None]) -> None:
    told = announced()
    assert read_hint(told.instance, text_of(told) | change, [HERE], told.port) is None


def test_a_name_that_is_not_the_nodes_and_a_port_that_is_none_are_no_hint() -> None:
    told = announced()
    for instance in ("x" * 5_000, announced(SECOND).instance, "", f"{NODE.hex()[:16]}.{SERVICE}\n"):
        assert read_hint(instance, text_of(told), [HERE], told.port) is None
    for port in (0, -1, 65_536):
        assert read_hint(told.instance, text_of(told), [HERE], port) is None
    no_page = read_hint(told.instance, text_of(told) | {b"web": b"99999"}, [HERE], told.port)
    assert no_page is not None
    assert no_page.web_urls == ()


@given(st.lists(st.ip_addresses().map(str) | st.text(max_size=20), max_size=20))
def test_a_hint_leads_to_few_doors_and_all_of_local_networks(addresses: list[str]) -> None:
    told = announced()
    hint = read_hint(told.instance, text_of(told), addresses, told.port)
    urls = () if hint is None else hint.link_urls
    assert len(urls) <= HINT_ADDRESSES_MAX
    for url in urls:
        found = ipaddress.ip_address(url.removeprefix("tls://").rpartition(":")[0].strip("[]"))
        assert found.is_private
        assert not found.is_multicast


@given(
    st.binary(max_size=300),
    st.text(max_size=80),
    st.dictionaries(st.binary(max_size=9), st.none() | st.binary(max_size=300)),
)
def test_any_text_is_read_or_left(junk: bytes, name: str, text: dict[bytes, bytes | None]) -> None:
    hints = Hints([ROOT])
    hints.heard(name, text | {b"node": junk, b"root": junk}, [HERE], 1)
    hints.keep([name])
    assert hints.all() == ()


def test_only_hints_of_ones_own_city_are_kept_and_a_thousand_liars_fill_no_memory() -> None:
    hints = Hints([ROOT])
    hear(hints, announced(root=OTHER_ROOT))
    assert (hints.all(), hints.counters["another_city"]) == ((), 1)
    for number in range(1_000):
        hear(hints, announced(number.to_bytes(32, "big")))
    assert len(hints.all()) <= HINTS_MAX
    hear(hints, announced())
    assert len(hints.all()) == HINTS_MAX
    assert hints.link_urls(NODE) == (f"tls://{HERE}:7801",)
    assert hints.link_urls(SECOND) == ()
    hear(hints, announced(port=9_001))  # it has moved
    assert hints.link_urls(NODE) == (f"tls://{HERE}:9001",)
    hints.keep([announced(SECOND).instance])
    assert hints.link_urls(NODE) == ()


# ---- on this machine's loopback


def multicast_works() -> bool:
    """Whether this machine hears on its loopback what it says there to a group."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, speaker() as mouth:
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ear.bind((GROUP[0], 0))
            member = socket.inet_aton(GROUP[0]) + socket.inet_aton(HERE)
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            ear.settimeout(2.0)
            mouth.sendto(b"?", ear.getsockname())
            return ear.recv(1) == b"?"
    except OSError:
        return False


def speaker() -> socket.socket:
    mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
    mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    return mouth


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    if not multicast_works():
        pytest.skip(
            "NOT TESTED: this machine has no multicast on its loopback, so no announcement was ever heard"
        )
    monkeypatch.setattr(lan, "LAN_LOOK_S", 0.2)
    with speaker() as mouth:
        yield mouth


async def gathered(hints: Hints, holds: Callable[[], bool]) -> None:
    with trio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110  (the library's thread hears it)
            await trio.sleep(0.05)


async def test_two_nodes_find_each_other_and_hear_when_one_ends(loopback: socket.socket) -> None:
    one, other = Hints([ROOT]), Hints([ROOT])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lan.run, one, announced())
        ending = trio.CancelScope()

        async def second() -> None:
            with ending:
                await lan.run(other, announced(SECOND, port=7_811))

        nursery.start_soon(second)
        await gathered(one, lambda: bool(one.link_urls(SECOND) and other.link_urls(NODE)))
        assert one.link_urls(SECOND) == (f"tls://{HERE}:7811",)
        said = await trio.to_thread.run_sync(command, "--seconds", "2", "--interface", HERE)
        assert NODE.hex()[:16] in said
        assert SECOND.hex()[:16] in said
        assert root_name(ROOT) in said
        ending.cancel()
        await gathered(one, lambda: not one.link_urls(SECOND))
        nursery.cancel_scope.cancel()


def command(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["nodes", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def lie(instance: str, text: bytes, port: int, host: str) -> list[bytes]:
    """The datagrams of one announcement that says whatever it likes."""
    out = DNSOutgoing(0x8400)
    server = instance[:40] + ".local."
    for record in (
        DNSPointer(SERVICE, const._TYPE_PTR, const._CLASS_IN, 4_500, instance),
        DNSService(instance, const._TYPE_SRV, const._CLASS_IN, 120, 0, 0, port, server),
        DNSText(instance, const._TYPE_TXT, const._CLASS_IN, 4_500, text),
        DNSAddress(server, const._TYPE_A, const._CLASS_IN, 120, socket.inet_aton(host)),
    ):
        out.add_answer_at_time(record, 0)
    return [bytes(packet) for packet in out.packets()]


def as_txt(pairs: dict[bytes, bytes | None]) -> bytes:
    parts = [key + b"=" + (value or b"") for key, value in pairs.items()]
    return b"".join(bytes((min(len(part), 255),)) + part[:255] for part in parts)


async def test_liars_on_the_network_do_no_harm_and_the_honest_one_is_still_found(
    loopback: socket.socket,
) -> None:
    rng = random.Random(1)
    members = {NODE, SECOND}
    hints = Hints([ROOT], members.__contains__)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lan.run, hints, announced())
        await gathered(hints, lambda: bool(hints.link_urls(NODE)))  # itself
        for number in range(1_000):
            node = rng.randbytes(32)
            told = announced(node, rng.choice((ROOT, OTHER_ROOT)), port=rng.randrange(1, 60_000))
            text, instance = as_txt(text_of(told)), told.instance
            match number % 5:
                case 0:
                    text = rng.randbytes(rng.randrange(1, 900))
                case 1:
                    instance = "x" * rng.randrange(1, 60) + "." + SERVICE
                case 2:
                    loopback.sendto(rng.randbytes(rng.randrange(1, 1_400)), GROUP)
                    continue
            for packet in lie(instance, text, told.port, rng.choice(("8.8.8.8", "10.1.2.3"))):
                loopback.sendto(packet, GROUP)
            if number % 50 == 0:
                await trio.sleep(0.01)
        late, anybody = Hints([ROOT], members.__contains__), Hints()
        nursery.start_soon(lan.run, late, announced(SECOND, port=7_811))
        await gathered(late, lambda: bool(late.link_urls(NODE)))
        await gathered(hints, lambda: bool(hints.link_urls(SECOND)))
        await lan.look(anybody, 1.0, [HERE])
        assert len(late.all()) == len(hints.all()) == 2
        for heard in (hints, late, anybody):
            assert len(heard.all()) <= HINTS_MAX
            assert all(
                url.startswith(("tls://10.", f"tls://{HERE}")) for one in heard.all() for url in one.link_urls
            )
        nursery.cancel_scope.cancel()


def test_nodes_says_in_one_sentence_that_there_are_none() -> None:
    done = CliRunner().invoke(main, ["nodes", "--seconds", "0"])
    assert done.exit_code == 2
    assert done.output.startswith("p2pworld: no node was found")
