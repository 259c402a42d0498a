"""What a running node says of itself: its health with reasons, the nodes and regions it knows, its figures.

Plain values, made from the executor's node and sockets at the moment of asking; the web serves them.
"""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import p2pworld
from p2pworld.crypto.link import LINK_VERSIONS
from p2pworld.geometry import to_5179
from p2pworld.world.citymap import FORMAT as MAP_FORMAT
from shard_node import declared
from shard_node.execute import now
from shard_node.storage.sqlite import FORMAT as JOURNAL_FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.geometry import Cell
    from p2pworld.messages import Load
    from shard_node.civic.desk import CivicDesk
    from shard_node.execute import Executor
    from shard_node.services.index import ServiceIndex
    from shard_node.stages import Histogram
    from shard_node.surroundings import Surroundings

__all__ = ["Status"]

STALE_MAP_S: Final = 5.0  # the map is read four times a second


class Status:
    """Looks at one executor, at what surrounds it, and at the civic logs that the node may hold."""

    def __init__(
        self,
        executor: Executor,
        surroundings: Surroundings,
        name: str,
        desk: CivicDesk | None = None,
        index: ServiceIndex | None = None,
    ) -> None:
        self._executor, self._surroundings, self._name, self._desk = executor, surroundings, name, desk
        self._index = index
        self._places: tuple[float, str, bytes] = (
            -math.inf,
            "",
            b"",
        )  # until when (Unix ms) it is so, tag, body

    def health(self) -> dict[str, object]:
        """`ok`, the `reasons` why not (a code each), and the node's own status."""
        failing = self._executor.writes_failing
        reasons = [
            f"{reason}_{failing}" if reason == "writes_fail" else reason
            for reason, holds in self.reasons().items()
            if holds
        ]
        status = self._executor.node.status(now())
        return {"ok": not reasons, "reasons": reasons, "name": self._name, **status, "civic": self._logs()}

    def reasons(self) -> dict[str, bool]:
        """Everything that would make this node unhealthy, and whether it does now."""
        node = self._executor.node
        read_ago_s = _ownership(node.status(now())).get("read_ago_s")
        registered = node.who.number != 0
        return {
            "not_registered": not registered,
            "lapsed": registered and node.lapsed,
            "map_stale": not isinstance(read_ago_s, float) or read_ago_s > STALE_MAP_S,
            "writes_fail": bool(self._executor.writes_failing),
            "civic_fails": any(one["failing"] for one in self._logs()),
            "civic_read_only": any(one["alarm"] for one in self._logs()),
        }

    def _logs(self) -> list[dict[str, object]]:
        return self._desk.status() if self._desk else []

    def nodes(self) -> dict[str, object]:
        """Every member of the city map, whether it is linked with this node, and what it bears, where that is known.

        `people` counts who stands in which of its regions, those where nobody does left out.
        """
        node, at = self._executor.node, now()
        city, linked = node.city_map, set(self._executor.links.peers())
        return {
            "map_version": city.version,
            "nodes": [
                {
                    "node": member.node.hex(),
                    "name": node.name_of(member.who),
                    "incarnation": member.incarnation,
                    "play_url": member.play_url,
                    "link_url": member.link_url,
                    "web_url": member.web_url,
                    "cells": len(city.cells_of(member.who)),
                    "standby_cells": len(city.standby_cells(member.who)),
                    "self": member.who == node.who,
                    "linked": member.who in linked,
                    "draining": member.draining,
                    "load": _load(node.load_of(member.who)),
                    "people": _people(node.people_of(member.who, at)),
                }
                for member in city.members.values()
            ],
        }

    def regions(self) -> dict[str, object]:
        """Every region of the city map, in curve order; `people` only where its holder is this node or told it of them.

        `wish` is what is to become of it, with the node that gets it as `to`; `cut` is whether it is a part of a larger
        one that will come together again.
        """
        node = self._executor.node
        city, at = node.city_map, now()
        people = {member.who: node.people_of(member.who, at) for member in city.members.values()}
        return {
            "map_version": city.version,
            "crs": "EPSG:5179",
            "regions": [
                {
                    "cell": str(cell),
                    "bounds": _bounds(cell),
                    "holder": holding.holder.node.hex() if holding.holder else None,
                    "incarnation": holding.holder.number if holding.holder else None,
                    "epoch": holding.epoch,
                    "standbys": [standby.node.hex() for standby in holding.standbys],
                    "people": _people_in(cell, people.get(holding.holder) if holding.holder else None),
                    "wish": holding.wish.kind.value if holding.wish else None,
                    "to": holding.wish.to.hex() or None if holding.wish else None,
                    "pinned": holding.pinned,
                    "cut": holding.cut_from is not None,
                }
                for cell, holding in ((cell, city.cells[cell]) for cell in city.leaves)
            ],
        }

    def places(self) -> tuple[str, bytes]:
        """The places and programmes this node enforces, as JSON, and the tag of this version of it."""
        wall_ms = now().wall_ms
        if wall_ms >= self._places[0]:
            self._places = declared.document(self._executor.node.config.places, wall_ms)
        return self._places[1:]

    def build(self) -> dict[str, str]:
        """What runs here, and the versions of what it speaks and keeps."""
        lowest, highest = LINK_VERSIONS
        return {
            "name": self._name,
            "node": self._executor.node.who.node.hex()[:16],
            "version": p2pworld.__version__,
            "python": platform.python_version(),
            "link": f"{lowest}-{highest}",
            "map": str(MAP_FORMAT),
            "journal": str(JOURNAL_FORMAT),
        }

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """(part, what, how often) of everything that is counted here."""
        executor = self._executor
        for part, counts in (
            ("node", executor.node.all_counters()),
            ("play", executor.play.counters),
            ("links", executor.links.counters),
            ("executor", executor.counters),
            ("surroundings", self._surroundings.counters),
            ("civic", self._desk.counters if self._desk else Counter[str]()),
            ("index", self._index.counters if self._index else Counter[str]()),
        ):
            for what, count in sorted(counts.items()):
                yield part, what, count

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU so far, by stage."""
        return self._executor.stages.spent_s()

    def histograms(self) -> Iterator[tuple[str, Mapping[str, str], Histogram]]:
        """(name, labels, how long it took) of everything that is waited for."""
        executor = self._executor
        yield "play_late_seconds", {}, executor.play.late
        yield "tick_late_seconds", {}, executor.tick_late
        yield "commit_seconds", {}, executor.commits_took
        for request, took in executor.store_took.items():
            yield "store_seconds", {"request": request}, took
        if self._desk:
            yield from self._desk.figures.histograms()

    def streams(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """(stream, figures that go up and down) of the civic logs that this node may hold."""
        return self._desk.figures.gauges() if self._desk else iter(())

    def labelled_counters(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """(name, labels, how often) of what is counted with labels of its own."""
        return self._desk.figures.counters() if self._desk else iter(())

    def gauges(self) -> dict[str, float]:
        """Figures that go up and down, by the names of `shard_node.web.metrics`."""
        executor, node = self._executor, self._executor.node
        status = node.status(now())
        ownership, objects = _ownership(status), status["objects"]
        assert isinstance(objects, Mapping)
        city = node.city_map
        held = city.cells_of(node.who)
        plain = {
            name: float(value) for name, value in status.items() if isinstance(value, bool | int | float)
        }
        return (
            plain
            | {
                "healthy": float(not any(self.reasons().values())),
                "store_failures_in_a_row": float(ownership["store_failures_in_a_row"]),
                "map_read_ago_s": _seconds(ownership["read_ago_s"]),
                "members": float(len(city.members)),
                "cells": float(len(city.cells)),
                "cells_unheld": float(len(city.unheld())),
                "cells_alone": float(sum(not city.cells[cell].standbys for cell in held)),
                "links": float(len(executor.links.peers())),
                "links_wanted": float(len(node.peers())),
                "clients_max": float(node.config.clients_max),
                "play_open": float(executor.play.open),
                "play_lingering": float(executor.play.lingering),
                "objects": float(objects["objects"]),
                "acts_pending": float(objects["acts_pending"]),
                "writes_waiting": float(executor.writes_waiting),
                "writes_failing": float(bool(executor.writes_failing)),
                "tick_busy_s": executor.tick_busy_s,
            }
            | self._surroundings.gauges(now().wall_ms)
        )


def _ownership(status: Mapping[str, object]) -> Mapping[str, Any]:
    ownership = status["ownership"]
    assert isinstance(ownership, Mapping)
    return ownership


def _seconds(value: float | None) -> float:
    return math.inf if value is None else value


def _load(load: Load | None) -> dict[str, object] | None:
    """What a node bears, as JSON; nothing where nothing is known of it."""
    if load is None:
        return None
    return {
        "busy": load.busy / 1000,
        "clients": load.clients,
        "clients_max": load.clients_max,
        "tick_ms": load.tick_ms,
        "shed_level": load.shed,
    }


def _people(people: Mapping[Cell, int] | None) -> dict[str, int] | None:
    return None if people is None else {str(cell): count for cell, count in people.items()}


def _people_in(cell: Cell, people: Mapping[Cell, int] | None) -> int | None:
    return None if people is None else people.get(cell, 0)


def _bounds(cell: Cell) -> dict[str, float]:
    west, south, east, north = cell.bounds_cm()
    (west_m, south_m), (east_m, north_m) = to_5179(west, south), to_5179(east, north)
    return {"west": west_m, "south": south_m, "east": east_m, "north": north_m}
