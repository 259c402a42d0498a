"""Who may take part in a real city of four node processes: next keys, keys taken back, and what becomes of ground.

One city serves the whole file; its first test gives a node its next key, its last leaves it with three nodes.
"""

from __future__ import annotations

import re
import signal
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trio
from click.testing import CliRunner

from p2pworld.crypto.keys import NodeKeys
from p2pworld.crypto.link import LinkAccepted, LinkRefused, decode_link, encode_link, sign_link
from p2pworld.grants import ISSUER, grant_to_text, grants_from_text, sign_grant, succeed
from p2pworld.limits import LEASE_TTL_S, REVOKED_TURN_S
from p2pworld.membership import DEAD_AFTER_TTL
from shard_node.cli import main
from simulations.processes import City
from tests.hostile.test_link_node import BadNode
from tests.nodes import PLACES, answered, health, serving, standing_by, until
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import AT_MOST_S, cells_of, person
from tests.shard_node.test_discovery import multicast_works

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from p2pworld.grants import Grant
    from simulations.processes import NodeProcess

HOUR_MS = 3_600_000
CUT_OFF_S = PATIENCE_S


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder: Path = tmp_path_factory.mktemp("members")
    with City(folder, 4, PLACES, 256) as started:
        (folder / "root.pem").write_text(started.root.to_pem())
        seeds = ", ".join(f'"{node.web_url}"' for node in started.nodes[:2])
        for node in started.nodes[:2]:
            with node.config.open("a", encoding="utf-8") as file:
                file.write(f"\n[discovery]\nseeds = [{seeds}]\nzeroconf = true\n")
        started.start()
        trio.run(serving, started)
        yield started
        assert started.end() == [], "a node had to be killed"


def p2pworld(*arguments: object, code: int = 0) -> str:
    """What the command line says."""
    done = CliRunner().invoke(main, [str(part) for part in arguments])
    assert done.exit_code == code, done.output
    return done.output


async def told(*arguments: object, code: int = 0) -> str:
    """The same, asked from within a test that runs an event loop."""
    return await trio.to_thread.run_sync(partial(p2pworld, *arguments, code=code))


def set_in(config: Path, **values: Path) -> None:
    """Other values for some keys that are text."""
    lines = config.read_text("utf-8").splitlines()
    for key, value in values.items():
        lines = [f'{key} = "{value}"' if line.startswith(f"{key} = ") else line for line in lines]
    config.write_text("\n".join(lines) + "\n", "utf-8")


def link_address(node: NodeProcess) -> tuple[str, int]:
    parts = urlsplit("tls://" + node.config.read_text("utf-8").partition('link = "')[2].partition('"')[0])
    return parts.hostname or "", parts.port or 0


async def at_the_door(node: NodeProcess, keys: NodeKeys, grants: tuple[Grant, ...]) -> str:
    """What becomes of one who dials a node with these grants: `accepted`, or the code of the refusal."""
    bad = BadNode(keys)
    try:
        challenge = await bad.dial(link_address(node))
        await bad.say(encode_link(sign_link(keys, 1, challenge, bad.certificate, grants)))
        verdict = decode_link(await bad.receive())
    finally:
        if hasattr(bad, "stream"):
            await trio.aclose_forcefully(bad.stream)
    assert isinstance(verdict, LinkAccepted | LinkRefused)
    return verdict.code if isinstance(verdict, LinkRefused) else "accepted"


def exit_code(node: NodeProcess) -> int:
    assert node.process is not None
    return node.process.wait(AT_MOST_S)


async def test_a_node_gets_its_next_key_loses_no_lantern_and_the_key_before_is_refused(city: City) -> None:
    node, witness = city.nodes[1], city.nodes[0]
    with trio.fail_after(3 * AT_MOST_S):
        await standing_by(city)
        cells = (await trio.to_thread.run_sync(cells_of, node, witness))[:2]
        hung = []
        for number, cell in enumerate(cells, 700):
            async with person(city, number, cell, node=1) as client:
                await client.enter()
                done = await client.act("hang", f"wish {number}")
                assert done.durable == "standby"
                hung.append((cell, done.id))
        before, old_grants = node.keys, grants_from_text((city.folder / "node-2.grant").read_text())
        fresh = city.folder / "next.key"
        old_config = city.folder / "old.toml"
        old_config.write_text(node.config.read_text("utf-8"), "utf-8")
        said = await told("keys", "rotate", fresh, "--config", node.config)
        node.keys = NodeKeys.from_text(fresh.read_text())
        assert node.keys.public.hex() in said
        assert await at_the_door(witness, before, old_grants) == "accepted"  # nothing has changed yet
        node.signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(exit_code, node) == 0
        set_in(node.config, key_file=fresh, grant_file=fresh.with_name("next.key.grant"))
        looked = await told("doctor", "--config", node.config)
        assert "may take part" in looked
        assert "announce themselves on the local network" in looked
        node.start()
        await serving(city)
        for number, (cell, lantern) in enumerate(hung, 710):
            async with person(city, number, cell) as visitor:
                await visitor.enter()
                await visitor.until(lambda lantern=lantern, visitor=visitor: visitor.view.find(lantern))  # type: ignore[misc]
        for other in city.nodes:
            assert await at_the_door(other, before, old_grants) == "grant-succeeded"
        # the key before cannot even start a node: the store knows
        set_in(old_config, data_dir=city.folder / "elsewhere")
        sentence = await told("doctor", "--config", old_config, code=1)
        assert "next one, which is to be used instead" in sentence


async def test_nodes_are_found_by_a_seed_and_by_the_local_network(city: City) -> None:
    members = await told("nodes", "--config", city.nodes[0].config, "--seconds", "0")
    for node in city.nodes:
        assert f"member  {node.keys.public.hex()[:16]}" in members
    if not multicast_works():
        pytest.skip(
            "NOT TESTED: this machine has no multicast on its loopback, so no node heard of another there"
        )

    async def both_heard() -> bool:
        listening = ("--seconds", "1", "--interface", "127.0.0.1")
        said = await told("nodes", "--config", city.nodes[0].config, *listening)
        return all(f"hint    {node.keys.public.hex()[:16]}" in said for node in city.nodes[:2])

    await answered(both_heard, AT_MOST_S, "two nodes announcing themselves")


async def test_all_that_a_revoked_delegate_gave_is_void_and_a_forged_word_changes_nothing(city: City) -> None:
    now_ms = time.time_ns() // 1_000_000
    desk, guest, thief = (NodeKeys.from_seed(bytes([i]) * 32) for i in (1, 2, 3))
    span = (("cells:*",), now_ms - HOUR_MS, now_ms + HOUR_MS)
    to_desk = sign_grant(city.root, desk.public, ISSUER, *span)
    grants = (to_desk, sign_grant(desk, guest.public, "shard", *span))
    folder = city.folder
    (folder / "thief.pem").write_text(thief.to_pem())
    await told(
        "keys", "revoke", folder / "forged", "--key", folder / "thief.pem", "--subject", desk.public.hex()
    )
    refused = await told("keys", "publish", folder / "forged", "--config", city.nodes[3].config, code=2)
    assert "no grant was shown" in refused
    refused = await told("keys", "publish", folder / "forged", "--node", city.nodes[0].web_url, code=2)
    assert "no grant was shown" in refused
    with trio.fail_after(AT_MOST_S):
        for node in city.nodes:
            assert await at_the_door(node, guest, grants) == "accepted"
        options = (
            "--key",
            folder / "root.pem",
            "--subject",
            desk.public.hex(),
            "--reason",
            "the desk is closed",
        )
        await told("keys", "revoke", folder / "desk", *options)
        assert "the desk is closed" in await told("keys", "show", folder / "desk")
        # by one node alone, to all the others
        await told("keys", "publish", folder / "desk", "--node", city.nodes[2].web_url)
        for node in city.nodes:

            async def refused_there(node: NodeProcess = node) -> bool:
                return await at_the_door(node, guest, grants) == "grant-revoked"

            await answered(refused_there, CUT_OFF_S, "the guest refused everywhere")
    assert city.counted("notice-refused-grant-missing") == 1


async def test_a_revoked_node_is_cut_off_says_why_and_its_ground_is_taken_over(city: City) -> None:
    gone, away, witness = city.nodes[3], city.nodes[2], city.nodes[0]
    folder, key = city.folder, city.nodes[3].keys.public.hex()
    grants = grants_from_text((folder / "node-4.grant").read_text())
    with trio.fail_after(4 * AT_MOST_S):
        await standing_by(city)
        options = (
            "--key",
            folder / "root.pem",
            "--grant",
            folder / "node-4.grant",
            "--reason",
            "its disk was stolen",
        )
        await told("keys", "revoke", folder / "gone", *options)
        away.kill()  # it hears of nothing until it comes back
        await told("keys", "publish", folder / "gone", "--config", away.config)
        published_s = trio.current_time()
        living = city.nodes[:2]

        def linked(node: NodeProcess) -> bool:
            nodes = node.ask_json("/api/v1/nodes").get("nodes", ())
            return any(one["node"] == key and one["linked"] for one in nodes)

        async def cut_off() -> bool:
            links = [await trio.to_thread.run_sync(linked, node) for node in living]
            doors = [await at_the_door(node, gone.keys, grants) for node in living]
            return not any(links) and doors == ["grant-revoked"] * 2

        await answered(cut_off, CUT_OFF_S, "the revoked node cut off everywhere")

        def taken_over() -> bool:
            regions = witness.ask_json("/api/v1/regions").get("regions", ())
            return bool(regions) and all(region["holder"] not in (key, None) for region in regions)

        in_vain_s = REVOKED_TURN_S + DEAD_AFTER_TTL * LEASE_TTL_S
        await until(taken_over, in_vain_s + AT_MOST_S, "its ground with others")
        assert trio.current_time() - published_s < AT_MOST_S
        assert await trio.to_thread.run_sync(exit_code, gone) == 2
        assert "was revoked: its disk was stolen" in gone.log_tail(3)
        # started again, it does not even register
        gone.start()
        assert await trio.to_thread.run_sync(exit_code, gone) == 2
        assert "was revoked: its disk was stolen" in gone.log_tail(1)
        assert "was revoked" in await told("doctor", "--config", gone.config, code=1)
        away.start()

        async def knows() -> bool:
            with suppress(OSError, trio.BrokenResourceError):
                return await at_the_door(away, gone.keys, grants) == "grant-revoked"
            return False

        await answered(knows, AT_MOST_S, "the node that was away refusing it too")
        notices = [(await health(node))["taken_back"]["notices"] for node in (away, witness)]
        assert notices[0] == notices[1]


def test_what_is_wrong_is_said_in_one_sentence(city: City, tmp_path: Path) -> None:
    root, config, node = city.folder / "root.pem", city.nodes[0].config, city.nodes[0]
    out, other = tmp_path / "out", city.folder / "node-1.grant"
    wrong: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("give --subject, or --grant FILE", ("revoke", out, "--key", root)),
        ("64 hex digits", ("revoke", out, "--key", root, "--subject", "abc")),
        ("cannot be read", ("revoke", out, "--key", tmp_path / "none", "--subject", "00" * 32)),
        ("holds no grants", ("revoke", out, "--key", root, "--grant", root)),
        ("not to --subject", ("revoke", out, "--key", root, "--grant", other, "--subject", "00" * 32)),
        ("nothing was taken back", ("revoke", out, "--key", root, "--subject", "00" * 32, "--reason", "x" * 301)),
        ("takes nothing back", ("publish", root, "--config", config)),
        ("is there already", ("rotate", root, "--config", config)),
    )  # fmt: skip
    for sentence, arguments in wrong:
        said = p2pworld("keys", *arguments, code=2)
        assert sentence in said
        assert said.startswith("p2pworld: ")
        assert said.count("\n") == 1
    soon_key, soon_grant, soon = tmp_path / "soon.key", tmp_path / "soon.grant", tmp_path / "soon.toml"
    public = p2pworld("keys", "node", soon_key).strip()
    p2pworld("keys", "grant", soon_grant, "--key", root, "--subject", public, "--days", "12")
    soon.write_text(city.nodes[3].config.read_text("utf-8"), "utf-8")
    set_in(soon, key_file=soon_key, grant_file=soon_grant)
    looked = p2pworld("doctor", "--config", soon, code=0)
    assert re.search(r"soon +grant +node.grant_file ends in 12 days", looked), looked
    p2pworld("keys", "revoke", out, "--key", root, "--subject", "00" * 32)
    publishing: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("nobody to tell", ("publish", out)),
        ("no web address", ("publish", out, "--node", "ftp://x")),
        ("does not answer", ("publish", out, "--node", "http://127.0.0.1:1")),
    )
    for sentence, arguments in publishing:
        assert sentence in p2pworld("keys", *arguments, code=2)
    chain = grants_from_text((city.folder / "next.key.grant").read_text())
    full = tmp_path / "full.grant"
    keys = [NodeKeys.from_seed(bytes([i]) * 32) for i in range(20, 23)]
    signer = NodeKeys.from_text((city.folder / "next.key").read_text())
    for following in keys[:2]:
        chain, signer = succeed(signer, chain, following.public, time.time_ns() // 1_000_000), following
    full.write_text("".join(grant_to_text(one) + "\n" for one in chain))
    (tmp_path / "last.key").write_text(signer.to_pem())
    own = tmp_path / "own.toml"
    own.write_text(node.config.read_text("utf-8").replace('path = "city', f'path = "{city.folder}/city'))
    set_in(own, key_file=tmp_path / "last.key", grant_file=full)
    assert "at most 4 grants" in p2pworld("keys", "rotate", tmp_path / "more", "--config", own, code=2)
