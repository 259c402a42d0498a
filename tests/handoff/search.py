"""The search itself: every state within a budget, what must never happen, and states of no return."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tests.handoff.model import Scenario, is_at_rest, is_in, start, steps, take
from tests.handoff.values import FAULT, PLAIN, TIMER, CutOff, Label, Machine, Violation


@dataclass(slots=True)
class Finding:
    """What a search saw: how much, and the shortest way to what is wrong, if anything is."""

    states: int = 0
    steps: int = 0
    cut_off: int = 0
    complete: bool = True
    wrong: str = ""
    way: list[Label] = field(default_factory=list)


def explore(scenario: Scenario, machine: Machine, states_max: int = 10_000_000) -> Finding:
    """Visit every state; stop at the first thing that must never happen, else look for states of no return."""
    first = start(scenario)
    index = {first: 0}
    queue = deque([first])
    parents = array("i", [-1])
    ways: list[Label] = [()]
    edges = {kind: (array("i"), array("i")) for kind in (TIMER, PLAIN)}
    ins, rests = bytearray([is_in(first)]), bytearray([is_at_rest(first)])
    found = Finding()
    at = -1
    while queue:
        state = queue.popleft()
        at += 1
        for label, kind in steps(state):
            try:
                after = take(state, label, machine)
            except CutOff:
                found.cut_off += 1
                continue
            except (AssertionError, Violation) as wrong:
                found.wrong, found.states = str(wrong) or "A machine is asked what it cannot do.", len(index)
                found.way = [*_way(at, parents, ways), label]
                return found
            found.steps += 1
            to = index.get(after)
            if to is None:
                if len(index) >= states_max:
                    found.complete = False
                    continue
                to = index[after] = len(index)
                parents.append(at)
                ways.append(label)
                ins.append(is_in(after))
                rests.append(is_at_rest(after))
                queue.append(after)
            if kind is not FAULT:
                edges[kind][0].append(at)
                edges[kind][1].append(to)
    found.states = len(index)
    if found.complete:
        asked: list[tuple[bytearray, tuple[int, ...], str]] = [
            (ins, (TIMER, PLAIN), "From here no fault-free steps bring the person back into the city."),
            (rests, (TIMER, PLAIN), "From here no fault-free steps lead to rest."),
        ]
        if scenario.gentle:
            asked.append((rests, (PLAIN,), "Nothing was lost, and yet rest cannot come without a timer."))
        for goals, kinds, why in asked:
            lost = _no_return(goals, [edges[kind] for kind in kinds])
            if lost is not None:
                found.wrong, found.way = why, _way(lost, parents, ways)
                break
    return found


def _way(at: int, parents: array[int], ways: list[Label]) -> list[Label]:
    """The steps that first led to a state."""
    way: list[Label] = []
    while at > 0:
        way.append(ways[at])
        at = parents[at]
    return way[::-1]


def _no_return(goals: bytearray, edges: list[tuple[array[int], array[int]]]) -> int | None:
    """The first state from which no goal can be reached along these edges."""
    none = [np.zeros(0, np.int32)]
    sources = np.concatenate(none + [np.frombuffer(e[0], np.int32) for e in edges if e[0]])
    targets = np.concatenate(none + [np.frombuffer(e[1], np.int32) for e in edges if e[0]])
    order = np.argsort(targets, kind="stable")
    sources = sources[order]
    begins = np.searchsorted(targets[order], np.arange(len(goals) + 1))
    reached = np.frombuffer(bytes(goals), np.uint8).astype(bool)
    front = np.flatnonzero(reached)
    while len(front):
        counts = begins[front + 1] - begins[front]
        picks = np.repeat(begins[front] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        before = np.unique(sources[picks + np.arange(counts.sum())])
        front = before[~reached[before]]
        reached[front] = True
    missing = np.flatnonzero(~reached)
    return int(missing[0]) if len(missing) else None
