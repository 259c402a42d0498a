"""Carries out what goes wrong with civic logs alone: their holders, stores, records and witnesses.

A crash waits for its point: so many points of its log's append path are let pass, then the process dies (or sleeps)
before the next effect, inside the next step, or when that is done and nobody has been told. What befalls whole
machines and the coordination store is `simulations.ordeal`'s, or the hall's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulations.civic.archive import Archive
    from simulations.civic.keeper import Keeper
    from simulations.events import Agenda
    from simulations.faults import Fault

__all__ = ["CivicOrdeal"]

_INSIDE_S: Final = 0.012  # a step on a good day takes so long at most


class Carrier(Protocol):
    """Who carries a run's faults out."""

    @property
    def active(self) -> bool: ...

    def note(self, kind: str, line: str) -> None: ...

    def mended_after(self, fault: Fault, mend: Callable[[], None]) -> None: ...

    def end_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None: ...

    def stop_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None: ...


class CivicOrdeal:
    """What the logs of one run have to stand."""

    def __init__(self, archive: Archive, agenda: Agenda, carrier: Carrier) -> None:
        self._archive, self._agenda, self._carrier = archive, agenda, carrier
        self._streams = [stream.name for stream in archive.options.streams]
        self._armed: dict[
            str, list[tuple[Fault, int]]
        ] = {}  # by stream: crashes to come, after so many points
        self.points = 0  # of append paths that were passed
        doing: dict[str, Callable[[Fault], None]] = {
            "civic-crash": self._arm,
            "civic-pause": self._arm,
            "civic-late": self._late,
            "civic-answer-lost": self._answer_lost,
            "civic-restored": self._restored,
            "record-lost": self._record_lost,
            "postgres-out": self._postgres_out,
            "postgres-cut": self._postgres_cut,
            "postgres-standby": self._standby_away,
            "postgres-primary": self._promoted,
            "witness-down": self._witness_down,
            "witness-answer-lost": self._witness_answer_lost,
        }
        self.doing: Mapping[str, Callable[[Fault], None]] = (
            doing if self._streams else dict.fromkeys(doing, _nothing)
        )

    def quiet(self) -> None:
        """Nothing new goes wrong from here on."""
        self._armed.clear()
        self._archive.postgres.late_s.clear()
        self._archive.postgres.answers_to_lose = 0
        self._archive.records.answers_to_lose = 0
        self._archive.witnesses.answers_to_lose = 0

    def point(self, keeper: Keeper, where: str, what: str) -> None:
        """A holder has come to a point of its append path."""
        self.points += 1
        armed = self._armed.get(keeper.log.stream)
        if not armed:
            return
        fault, left = armed[0]
        if left or fault.how != where:
            armed[0] = fault, max(left - 1, 0)
            return
        del armed[0]
        if where == "inside":
            soon_s = fault.for_s % 1.0 * _INSIDE_S  # as good as any chance
            self._agenda.after(soon_s, partial(self._strike, keeper, fault, f"inside {what}"))
        else:
            self._strike(keeper, fault, f"{where} {what}")

    def _strike(self, keeper: Keeper, fault: Fault, why: str) -> None:
        if keeper.alive and self._carrier.active:
            strike = self._carrier.end_keeper if fault.kind == "civic-crash" else self._carrier.stop_keeper
            strike(keeper, fault, f"{why} of {keeper.log.stream}")

    def _stream(self, fault: Fault) -> str:
        return self._streams[fault.on[0] % len(self._streams)]

    def _arm(self, fault: Fault) -> None:
        self._armed.setdefault(self._stream(fault), []).append((fault, int(fault.by)))

    def _late(self, fault: Fault) -> None:
        self._carrier.note(fault.kind, f"PostgreSQL's next transaction arrives {fault.by:.2f} s late")
        self._archive.postgres.late_s.append(fault.by)

    def _answer_lost(self, fault: Fault) -> None:
        self._carrier.note(fault.kind, "the answer to PostgreSQL's next transaction is lost")
        self._archive.postgres.answers_to_lose += 1

    def _record_lost(self, fault: Fault) -> None:
        self._carrier.note(fault.kind, "the answer to the next record is lost")
        self._archive.records.answers_to_lose += 1

    def _restored(self, fault: Fault) -> None:
        stream = self._stream(fault)
        if not self._archive.set_back([stream]):
            return
        if self._archive.engines[stream].restore(stream, self._agenda.now_s - fault.by):
            self._carrier.note(
                fault.kind, f"the store of {stream} is back from a backup {fault.by:.0f} s old"
            )

    def _postgres_out(self, fault: Fault) -> None:
        self._carrier.note(fault.kind, "PostgreSQL is away")
        self._archive.postgres.outages += 1
        self._carrier.mended_after(fault, self._postgres_back)

    def _postgres_back(self) -> None:
        self._archive.postgres.outages -= 1

    def _postgres_cut(self, fault: Fault) -> None:
        postgres, (number, *_) = self._archive.postgres, fault.on
        if number not in postgres.cut:
            self._carrier.note(fault.kind, f"{chr(ord('A') + number)} cannot reach PostgreSQL")
            postgres.cut.add(number)
            self._carrier.mended_after(fault, lambda: postgres.cut.discard(number))

    def _standby_away(self, fault: Fault) -> None:
        postgres = self._archive.postgres
        if postgres.guarded:
            self._carrier.note(fault.kind, "PostgreSQL's standby is away: commits wait")
            postgres.lose_standby()
            self._carrier.mended_after(fault, postgres.find_standby)

    def _promoted(self, fault: Fault) -> None:
        postgres = self._archive.postgres
        if postgres.guarded:
            self._carrier.note(fault.kind, f"PostgreSQL's standby is promoted, the old server {fault.how}")
            postgres.promote(killed=fault.how == "killed")
            self._carrier.mended_after(fault, postgres.find_standby)

    def _witness_down(self, fault: Fault) -> None:
        witnesses, number = self._archive.witnesses, fault.on[0] % self._archive.options.witnesses
        if number not in witnesses.down:
            self._carrier.note(fault.kind, f"witness {number} is down")
            witnesses.down.add(number)
            self._carrier.mended_after(fault, lambda: witnesses.down.discard(number))

    def _witness_answer_lost(self, fault: Fault) -> None:
        self._carrier.note(fault.kind, "a witness's next answer is lost")
        self._archive.witnesses.answers_to_lose += 1


def _nothing(fault: Fault) -> None:
    """Where there are no logs."""
