"""Hosts with one cable each, and the switch between them: `Lan` makes them, pulls, delays and heals.

The process that makes a Lan is a host itself, the *desk*, whose own cable is never named and so never pulled: from it
nodes are asked how they are. Children of a host are started with its `enter` before anything else is done in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from simulations.fabric.namespaces import enter, new_network, tun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["DESK", "Host", "Lan"]

DESK: Final = "10.77.255.1"
_HOSTS_MAX: Final = 250


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its name, its address, and what puts a new child into its network."""

    name: str
    address: str
    enter: Callable[[], None]


class Lan:
    """Hosts of these names, each linked with each other and with the desk; as a context it closes itself.

    Raises:
        OSError: this machine does not allow it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        assert len(set(names)) == len(names) <= _HOSTS_MAX
        self.hosts: dict[str, Host] = {}
        self._networks: list[int] = []
        ends: dict[str, int] = {}
        try:
            ends[DESK] = tun(DESK)
            for number, name in enumerate(names, 1):
                address = f"10.77.0.{number}"
                with new_network() as network:
                    self._networks.append(network)
                    ends[address] = tun(address)
                self.hosts[name] = Host(name, address, partial(enter, network))
            self._switch = subprocess.Popen(
                [
                    *(sys.executable, "-m", "simulations.fabric.switch"),
                    *(f"{address}={fd}" for address, fd in ends.items()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=tuple(ends.values()),
            )
        finally:
            for fd in ends.values():
                os.close(fd)
        self._answer()

    def pull(self, *names: str) -> None:
        """Pulls the cables of these hosts: nothing goes in or out but to and from the desk."""
        for name in names:
            self.cut([name], self._others(name))
            self.cut(self._others(name), [name])

    def plug(self, *names: str) -> None:
        """Heals every direction from and to these hosts."""
        for name in names:
            self.lay([name], self._others(name))
            self.lay(self._others(name), [name])

    def cut(self, sources: Iterable[str], destinations: Iterable[str]) -> None:
        """Nothing that these send arrives there any more; the other direction is left as it is."""
        self.lay(sources, destinations, cut=True)

    def lay(
        self,
        sources: Iterable[str],
        destinations: Iterable[str],
        *,
        cut: bool = False,
        delay_ms: float = 0.0,
    ) -> None:
        """Lays cables of this kind in this direction; without a kind, whole ones."""
        there = list(destinations)
        for source in sources:
            for destination in there:
                if source != destination:
                    order = {"from": self.hosts[source].address, "to": self.hosts[destination].address}
                    self._order(order | {"cut": cut, "delay_ms": delay_ms})

    def close(self) -> None:
        """Ends the switch; the networks go with the last process in them."""
        self._switch.communicate()
        for network in self._networks:
            os.close(network)
        self._networks.clear()

    def _others(self, name: str) -> list[str]:
        return [other for other in self.hosts if other != name]

    def _order(self, order: dict[str, object]) -> None:
        assert self._switch.stdin is not None
        self._switch.stdin.write(json.dumps(order).encode() + b"\n")
        self._switch.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._switch.stdout is not None
        if not self._switch.stdout.readline():
            raise OSError("the switch of this network has ended")

    def __enter__(self) -> Lan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
