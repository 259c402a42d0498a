"""What the command says when it cannot do what it is asked, and its line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from client.bots import WRONG_USE, bots, live_line
from client.gauges import Gauges
from client.swarm import Swarm
from client.walk import places_around


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--url"),
        (["--url", "wss://city.example/play"], "ws://"),
        (["--url", "http://city.example/play"], "ws://"),
        (["--url", "ws://city.example/play", "--around", "Atlantis"], "Atlantis"),
        (["--url", "ws://city.example/play", "--radius", "1"], "nobody can walk"),
        (["--url", "ws://city.example/play", "--count", "0"], "--count"),
        (["--url", "ws://city.example/play", "--seconds", "0"], "--seconds"),
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


def test_the_same_seed_makes_the_same_people_and_another_makes_others() -> None:
    def people(seed: int) -> list[tuple[int, int, int]]:
        swarm = Swarm(["ws://city.example/play"], 20, seed, places_around())
        swarm.close()
        return [(bot.session.id, bot.walker.east_cm, bot.walker.north_cm) for bot in swarm.bots]

    assert people(1) == people(1)
    assert set(people(1)).isdisjoint(people(2))


def test_bots_are_programs_and_never_count_as_people() -> None:
    swarm = Swarm(["ws://city.example/play"], 3, 1, places_around())
    swarm.close()
    assert {bot.session.profile.kind for bot in swarm.bots} == {"program"}
