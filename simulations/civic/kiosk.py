"""Filing at the nodes of a simulated city: one play socket for each try, on which FILE is said without a HELLO.

A node may be hostile: it passes nothing on that is filed through it, and says nothing. Whoever filed waits for a while,
and goes elsewhere.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.errors import Refusal
from p2pworld.messages import File, Filed
from p2pworld.wire.codec import decode_play, encode_play
from simulations.network import PlaySocket

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from simulations.civic.keeper import Told
    from simulations.machine import Machine, Process
    from simulations.network import Network

__all__ = ["Kiosks"]

_FRAME_KINDS: Final = 0x40  # below it are packed frames
_FIRST: Final = 1


class City(Protocol):
    """The run that they stand in."""

    network: Network
    machines: list[Machine]


class Kiosks:
    """Where people file: any node of the city, chosen anew for each try."""

    def __init__(self, city: City) -> None:
        self.swallowing: set[int] = set()  # machines that pass nothing on
        self._city = city

    def send(self, data: bytes, dice: random.Random, told: Told) -> Callable[[], None]:
        """See `civic.people.Counters.send`."""
        machines = self._city.machines
        machine = machines[dice.randrange(len(machines))]
        if machine.process is None or machine.number in self.swallowing:
            return _nothing
        try_ = _Try(self._city.network, machine.process, data, told)
        return try_.leave


class _Try:
    """One socket, one FILE, and what is said of it."""

    def __init__(self, network: Network, process: Process, data: bytes, told: Told) -> None:
        self._network, self._process, self._told = network, process, told
        self._socket = PlaySocket(self, _FIRST, process)
        said = encode_play(File(_FIRST, data))
        network.to_node(self._socket, partial(self._at_node, process.accept))
        network.to_node(
            self._socket, partial(self._at_node, lambda socket: process.heard_client(socket, said))
        )

    def socket_said(self, socket: PlaySocket, data: bytes) -> None:
        """Something came on the socket."""
        message = decode_play(data) if data[0] >= _FRAME_KINDS else None
        if isinstance(message, Filed) and message.n == _FIRST:
            answer = message.receipt or Refusal(message.reason, message.sentence)
            self._told(answer, message.more)

    def socket_closed(self, socket: PlaySocket) -> None:
        """The node has closed it, or is no more."""

    def leave(self) -> None:
        """Nobody waits any more."""
        if self._socket.client_open:
            gone = partial(self._at_node, self._process.lost_client)
            self._network.close_from_client(self._socket, gone)

    def _at_node(self, do: Callable[[PlaySocket], None]) -> None:
        process, socket = self._process, self._socket
        if process.alive:
            process.do(lambda: do(socket))


def _nothing() -> None:
    pass
