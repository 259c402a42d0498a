"""No handoff, however it goes wrong, makes two owners or loses a person; and no guard of the tables can be spared.

The searches here take seconds. P2PWORLD_NIGHTLY=1 searches larger budgets (millions of states) and takes out every act
and rule as well.
"""

from __future__ import annotations

import os

import pytest

from tests.handoff.model import Scenario
from tests.handoff.mutants import TABLES, Mutant, acts, guards, rules
from tests.handoff.search import explore
from tests.handoff.story import tell
from tests.handoff.values import Budget, Machine

NIGHTLY = bool(os.environ.get("P2PWORLD_NIGHTLY"))

# `gentle`: nothing is lost in it, so rest must need no timer
SCENARIOS = {
    "a walk": Scenario(Budget(cross=1), gentle=True),
    "three walks": Scenario(Budget(cross=3), gentle=True),
    "a message is lost": Scenario(Budget(cross=2, lose=1)),
    "a message is doubled": Scenario(Budget(cross=1, copy=1)),
    "a message is doubled, two walks": Scenario(Budget(cross=2, copy=1)),
    "messages overtake": Scenario(Budget(cross=2, overtake=1), gentle=True),
    "doubled and overtaken": Scenario(Budget(cross=2, copy=1, overtake=1)),
    "a cell moves": Scenario(Budget(cross=1, move=1), gentle=True),
    "a cell moves, two walks": Scenario(Budget(cross=2, move=1), gentle=True),
    "a cell moves, a message is doubled": Scenario(Budget(cross=1, move=1, copy=1)),
    "too short a wait": Scenario(Budget(cross=1, haste=1)),
    "too short a wait, two walks": Scenario(Budget(cross=2, haste=1)),
    "two waits too short": Scenario(Budget(cross=1, haste=2)),
    "a crash": Scenario(Budget(cross=1, crash=1)),
    "a crash, two walks": Scenario(Budget(cross=2, crash=1)),
    "a restart": Scenario(Budget(cross=1, crash=1, restart=1)),
    "a lapse": Scenario(Budget(lapse=1)),
    "a lapse and a walk": Scenario(Budget(cross=1, lapse=1)),
    "a socket breaks": Scenario(Budget(cross=1, cut=1)),
    "a second device": Scenario(Budget(gesture=1), devices=2, gentle=True),
    "a second device and a walk": Scenario(Budget(cross=1, gesture=1), devices=2, gentle=True),
    "a slow second device": Scenario(Budget(gesture=1), devices=2, slow=True, gentle=True),
    "a slow second device, too short a wait": Scenario(Budget(gesture=1, haste=1), devices=2, slow=True),
    "a slow second device, a lapse": Scenario(Budget(gesture=1, lapse=1), devices=2, slow=True),
}
LARGE = {
    "a slow second device, too short a wait",
    "a slow second device, a lapse",
}  # searched for mutants, and whole at night

NIGHTLY_SCENARIOS = {
    "doubled, overtaken, a cell moves": Scenario(Budget(cross=2, move=1, copy=1, overtake=1)),
    "too short waits while a cell moves": Scenario(Budget(cross=1, move=1, haste=2)),
    "a lapse, too short a wait": Scenario(Budget(cross=1, lapse=1, haste=1)),
    "a lapse, a doubled message": Scenario(Budget(cross=1, lapse=1, copy=1)),
    "a lapse, a crash": Scenario(Budget(cross=1, lapse=1, crash=1)),
    "a crash, a restart, a doubled message": Scenario(Budget(cross=1, crash=1, restart=1, copy=1)),
    "a socket breaks, a lapse": Scenario(Budget(cross=1, cut=1, lapse=1)),
    "a socket breaks, too short a wait": Scenario(Budget(cross=1, cut=1, haste=1)),
    "two gestures": Scenario(Budget(gesture=2), devices=2, gentle=True),
    "a second device, a walk, too short a wait": Scenario(
        Budget(cross=1, gesture=1, haste=1), devices=2, slow=True
    ),
    "a second device, a walk, a moved cell": Scenario(
        Budget(cross=1, gesture=1, move=1), devices=2, gentle=True
    ),
    "a second device, a broken socket": Scenario(Budget(gesture=1, cut=1), devices=2),
}
NIGHTLY_STATES = 4_000_000


@pytest.mark.parametrize("name", [name for name in SCENARIOS if NIGHTLY or name not in LARGE])
def test_nothing_forbidden_happens_and_rest_is_never_out_of_reach(name: str) -> None:
    finding = explore(SCENARIOS[name], Machine(TABLES))
    assert not finding.wrong, tell(SCENARIOS[name], TABLES, finding)
    assert finding.complete


@pytest.mark.skipif(not NIGHTLY, reason="millions of states: P2PWORLD_NIGHTLY=1")
@pytest.mark.parametrize("name", NIGHTLY_SCENARIOS)
def test_nothing_forbidden_happens_in_larger_budgets(name: str) -> None:
    finding = explore(NIGHTLY_SCENARIOS[name], Machine(TABLES), NIGHTLY_STATES)
    assert not finding.wrong, tell(NIGHTLY_SCENARIOS[name], TABLES, finding)
