"""The logs that one simulated process holds: what its node asks of them (`civic.relay.CivicStep`), and what they say.

A log is held from the moment the node has read a map that gives it the stream, by one keeper an epoch, and let go as
soon as a map gives it to another. What the keepers answer are events of the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.civic.log import MOVED
from p2pworld.civic.relay import Answered, HolderAnswered, HoldStreams, ToHolder
from p2pworld.errors import Refusal
from simulations.civic.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.civic.relay import Held
    from p2pworld.civic.transaction import Submission
    from simulations.civic.archive import Archive
    from simulations.civic.keeper import Around, Host

__all__ = ["Holders"]


class Holders:
    """All keepers of one process."""

    def __init__(
        self, archive: Archive, host: Host, around: Around, tell: Callable[[HolderAnswered], None]
    ) -> None:
        self.keepers: dict[str, Keeper] = {}
        self._archive, self._host, self._around, self._tell = archive, host, around, tell

    def take(self, step: object) -> None:
        """One of the things that a node wants of its holders."""
        match step:
            case HoldStreams(streams):
                self._hold({held.stream: held for held in streams})
            case ToHolder(request, held, submission):
                self._file(request, held, submission)
            case _:
                raise AssertionError(f"a simulated node asks for {step}")

    def _hold(self, wanted: dict[str, Held]) -> None:
        for stream, keeper in [*self.keepers.items()]:
            held = wanted.get(stream)
            if held is None or held.epoch != keeper.epoch:
                del self.keepers[stream]
                keeper.stop()
        for stream, held in wanted.items():
            if stream not in self.keepers and stream in self._archive.logs:
                places = self._archive.places(self._host.number, stream)
                log = self._archive.logs[stream]
                keeper = self.keepers[stream] = Keeper(log, held.epoch, places, self._host, self._around)
                keeper.begin()

    def _file(self, request: int, held: Held, submission: Submission) -> None:
        def told(answer: bytes | Refusal, more: bool) -> None:
            if isinstance(answer, Refusal):
                self._tell(HolderAnswered(((request, Answered(refusal=answer)),)))
            else:
                self._tell(HolderAnswered(((request, Answered(answer, more=more)),)))

        keeper = self.keepers.get(held.stream)
        if keeper is None or keeper.epoch != held.epoch:
            told(MOVED, False)
        else:
            keeper.file(submission, told)
