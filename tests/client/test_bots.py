"""What the command says when it cannot do what it is asked, and its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from client.bots import WRONG_USE, bots, live_line, read_badge, what_is_on
from client.gauges import Gauges
from client.lives import populate
from client.lives.ground import Ground
from client.swarm import Swarm
from client.walk import places_around
from p2pworld.errors import LocalError
from p2pworld.world.places import NO_PLACES
from shard_node.cli import main


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--url"),
        (["--url", "wss://city.example/play"], "ws://"),
        (["--url", "http://city.example/play"], "ws://"),
        (["--url", "ws://city.example/play", "--around", "Atlantis"], "Atlantis"),
        (["--url", "ws://city.example/play", "--radius", "1"], "nobody can walk"),
        (["--url", "ws://city.example/play", "--count", "0"], "--count"),
        (["--url", "ws://city.example/play", "--declared", "/nowhere"], "is no folder"),
        (["--url", "ws://city.example/play", "--seconds", "0"], "--seconds"),
        (["--url", "ws://city.example/play", "--official", "/no/key", "/no/grant"], "papers cannot be read"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(arguments: list[str], word: str) -> None:
    result = CliRunner().invoke(bots, arguments)
    assert result.exit_code == WRONG_USE
    assert word in result.output


def test_the_line_names_people_handoffs_and_the_gap() -> None:
    line = live_line(Gauges([1, 2, 3], 0.0).figures(1.0) | {"playing": 2})
    assert "2/3 people" in line
    assert "0 handoffs" in line
    assert "gap p99 0 ms" in line


def test_what_is_on_is_said_in_words_and_nothing_where_nothing_is() -> None:
    assert what_is_on({}) == ""
    life = {"drumming": 8, "riding": 3, "lanterns": 2, "said": 0, "start": 1}
    assert what_is_on({"life": life}) == "drums play, 3 on the bus, 2 lanterns hung, 1 rehearsals of the bell"


def swarm_of(seed: int, count: int = 20) -> Swarm:
    lives = populate(count, seed, Ground(NO_PLACES, places_around()))
    made = Swarm(["ws://city.example/play"], lives, seed)
    made.close()
    return made


def test_the_same_seed_makes_the_same_people_and_another_makes_others() -> None:
    def people(seed: int) -> list[tuple[int, int, int]]:
        return [(bot.session.id, bot.life.east_cm, bot.life.north_cm) for bot in swarm_of(seed).bots]

    assert people(1) == people(1)
    assert set(people(1)).isdisjoint(people(2))


def test_the_official_of_the_120_counter_has_the_key_and_shows_the_grants_of_its_files(
    tmp_path: Path,
) -> None:
    def p2pworld(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["keys", *arguments])
        assert done.exit_code == 0, done.output
        return done.output.strip()

    root, key, grant = (str(tmp_path / name) for name in ("root.key", "kim.key", "kim.grant"))
    p2pworld("root", root)
    public = p2pworld("person", key)
    p2pworld("grant", grant, "--key", root, "--subject", public, "--role", "official")
    badge = read_badge(Path(key), Path(grant))
    lives = populate(60, 1, Ground(NO_PLACES, places_around()), official=badge)
    swarm = Swarm(["ws://city.example/play"], lives, 1)
    swarm.close()
    (official,) = [bot for bot in swarm.bots if bot.life.badge is not None]
    assert official.life.profile.name == "120 다산콜"
    assert official.session.signer.public.hex() == public
    assert official.session._grants == badge.grants
    assert [grant.role for grant in badge.grants] == ["official"]
    with pytest.raises(LocalError, match="no key file"):
        read_badge(Path(grant), Path(grant))


def test_bots_are_programs_and_know_who_they_are() -> None:
    swarm = swarm_of(1, 60)
    assert {bot.session.profile.kind for bot in swarm.bots} == {"program"}
    assert all(bot.life.id == bot.session.id for bot in swarm.bots)
    assert swarm.life() == {
        "drumming": 0,
        "riding": 0,
        "lanterns": 0,
        "said": 0,
        "beats": 0,
        "ring": 0,
        "start": 0,
    }
