"""Whole nodes side by side: what is filed at one crosses the wire to the holder at another, and its answer back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from p2pworld.civic.relay import (
    AnswerAsker,
    Answered,
    AskerFiled,
    Held,
    HolderAnswered,
    HoldersFail,
    HoldStreams,
    ToHolder,
)
from p2pworld.drive import TellHolders
from p2pworld.geometry import Cell
from p2pworld.limits import CIVIC_ANSWER_S
from p2pworld.messages import ClientOpened, ClientsFiled, File, Filed
from p2pworld.world.citymap import Holding
from tests.civic.log_world import STREAM, submission
from tests.world.cores import TICK_MS, Cores, House, Player

if TYPE_CHECKING:
    from p2pworld.messages import PlayMessage

WALL_MS = 1_767_225_600_000


class Kiosk(Player):
    """A socket that files and says nothing else."""

    def __init__(self, city: Cores, house: House) -> None:
        self.city, self.house = city, house
        self.heard: list[PlayMessage] = []
        self.conn = next(house.conns)
        house.sockets[self.conn] = self
        house.node.step(ClientOpened(self.conn, "here"), city.clock(house))

    def hear(self, house: House, conn: int, message: PlayMessage) -> None:
        self.heard.append(message)

    def file(self, *files: File) -> list[Filed]:
        """File these together; what was answered until now."""
        told = ClientsFiled(tuple((self.conn, file) for file in files))
        self.house.node.step(told, self.city.clock(self.house))
        self.city.settle()
        return self.of(Filed)


class Filing(Cores):
    """Nodes whose holders answer what they are given with a receipt, unless they are told to be silent."""

    def __init__(self, **options: Any) -> None:
        self.steps: dict[int, list[object]] = {}
        self.silent = False
        super().__init__([[Cell.from_quadkey("0")], [Cell.from_quadkey("1")]], 0, WALL_MS, **options)

    def hold(self, house: House | None) -> None:
        """A new map."""
        version = self.city.version + 1
        holding = Holding(house.who if house else None, version)
        self.city = replace(self.city, version=version, streams={STREAM: holding})
        self.tick(5)

    def _execute(self, house: House, effect: object) -> None:
        if not isinstance(effect, TellHolders):
            super()._execute(house, effect)
            return
        self.steps.setdefault(house.number, []).extend(effect.steps)
        answers = tuple(
            (step.request, Answered(b"receipt %d" % step.submission.filing.minute))
            for step in effect.steps
            if isinstance(step, ToHolder) and not self.silent
        )
        if answers:
            self.later.append(lambda: house.node.step(HolderAnswered(answers), self.clock(house)))


def test_what_is_filed_at_one_node_reaches_the_holder_at_another_and_its_receipt_comes_back() -> None:
    city = Filing()
    here, there = city.houses
    city.hold(there)
    assert city.steps[1] == [HoldStreams((Held(STREAM, city.city.version),))]
    kiosk = Kiosk(city, here)
    data = submission(0).to_bytes()
    receipt = b"receipt %d" % submission(0).filing.minute
    assert kiosk.file(File(1, data), File(2, data)) == [Filed(1, receipt), Filed(2, receipt)]
    assert Kiosk(city, there).file(File(1, data)) == [Filed(1, receipt)]
    here.node.step(AskerFiled(5, data), city.clock(here))
    city.settle()
    assert city.steps[0][-1] == AnswerAsker(5, Answered(receipt))
    counters = here.node.all_counters()
    assert (counters["filed"], counters["filed-passed-on"], counters["filed-receipts"]) == (3, 3, 3)


def test_a_holder_that_is_cut_off_or_silent_leaves_nobody_waiting() -> None:
    city = Filing()
    here, there = city.houses
    city.hold(there)
    city.silent = True
    kiosk = Kiosk(city, here)
    assert not kiosk.file(File(1, submission(0).to_bytes()))
    city.link(cut={there.number: True})
    assert [filed.reason for filed in kiosk.of(Filed)] == ["civic-unknown"]
    assert [filed.reason for filed in kiosk.file(File(2, submission(0).to_bytes()))][1:] == ["civic-down"]
    city.link()
    kiosk.file(File(3, submission(0).to_bytes()))
    city.tick(round(CIVIC_ANSWER_S * 1000 / TICK_MS) + 1)
    assert [(filed.n, filed.reason) for filed in kiosk.of(Filed)][2:] == [(3, "civic-unknown")]


def test_the_stream_goes_with_the_map_and_with_the_life_of_the_node() -> None:
    city = Filing()
    here, there = city.houses
    city.hold(here)
    held = HoldStreams((Held(STREAM, city.city.version),))
    city.hold(there)
    assert city.steps[0] == [held, HoldStreams(())]
    assert here.node.status(city.now)["filing"] == {"held": [], "open": 0}
    assert there.node.status(city.now)["filing"] == {"held": [STREAM], "open": 0}


def test_what_fails_here_is_wished_away() -> None:
    city = Filing()
    here = city.houses[0]
    city.hold(here)
    here.node.step(HoldersFail(frozenset({STREAM})), city.clock(here))
    city.tick(2)
    assert here.node.parts.ownership._proposals.wants.yields == {STREAM}
