"""Filing at the nodes of a simulated city: one play socket for each try, on which FILE is said without a HELLO.

A node may be hostile: it passes nothing on that is filed through it, and says nothing, or gives another receipt than
the one it was given. Whoever filed waits for a while, or finds it out, and goes elsewhere.
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
        self.hostile: dict[int, str] = {}  # machines, and what they do: "swallows" or "alters"
        self._altered: set[bytes] = set()
        self._city = city

    def altered(self, receipt: bytes) -> bool:
        """Whether a hostile node has made this."""
        return receipt in self._altered

    def _as_given(self, machine: int, receipt: bytes) -> bytes:
        """A receipt as that machine's node gives it to whoever filed there."""
        if not receipt or self.hostile.get(machine) != "alters":
            return receipt
        index = receipt.index(b"index ") + len(b"index ")
        false = (
            receipt[:index] + (b"1" if receipt[index : index + 1] != b"1" else b"2") + receipt[index + 1 :]
        )
        self._altered.add(false)
        return false

    def send(self, data: bytes, dice: random.Random, told: Told) -> Callable[[], None]:
        """See `civic.people.Counters.send`."""
        machines = self._city.machines
        machine = machines[dice.randrange(len(machines))]
        if machine.process is None or self.hostile.get(machine.number) == "swallows":
            return _nothing
        as_given = partial(self._as_given, machine.number)
        return _Try(self._city.network, machine.process, data, told, as_given).leave


class _Try:
    """One socket, one FILE, and what is said of it."""

    def __init__(
        self,
        network: Network,
        process: Process,
        data: bytes,
        told: Told,
        as_given: Callable[[bytes], bytes],
    ) -> None:
        self._network, self._process, self._told, self._as_given = network, process, told, as_given
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
            answer = self._as_given(message.receipt) or Refusal(message.reason, message.sentence)
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
