"""What every engine decides alike: the next number of a node, who may register, whether a proposal is refused.

Pure functions over what one transaction has read. An engine brings the reading, the writing, and the promise that
nothing changed in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError
from p2pworld.limits import RECORD_BYTES_MAX, RECORDS_MAX
from p2pworld.world.citymap import CityMap, encode, first_of
from shard_node.coordination.interface import CoordinationDown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.errors import RemoteError
    from p2pworld.ids import Incarnation
    from p2pworld.membership import Lease
    from shard_node.coordination.interface import Registration

__all__ = [
    "LEASES_PER_NODE",
    "check_record",
    "check_registration",
    "checked_form",
    "forgettable",
    "newly_listed",
    "next_number",
    "too_many_records",
    "unreadable_map",
    "why_refused",
]

LEASES_PER_NODE: Final = 16  # unlisted, the newest; older ones end by being forgotten


def next_number(last: int, city: CityMap, ends: Incarnation | None) -> int:
    """The number of a node's next incarnation: above all that it ever had.

    A store restored from a copy may have forgotten numbers it gave: those of a new generation are larger than all of
    the ones before, and the node itself knows the one it `ends`.
    """
    return max(last, first_of(city.generation), ends.number if ends is not None else 0) + 1


def check_registration(
    record: Registration,
    ttl_s: float,
    ends: Incarnation | None,
    city: CityMap,
    leases_last_s: Iterable[tuple[Incarnation, float]],
) -> None:
    """Prove that this node may register; `leases_last_s` are the leases that have not ended.

    Raises:
        LocalError: it would end another node's lease, or the members' leases last another time.
    """
    if ends is not None and ends.node != record.node:
        raise LocalError("a registration can end only older incarnations of the same node")
    for who, other_s in leases_last_s:
        if other_s != ttl_s and who.node != record.node and city.is_listed(who):
            raise LocalError(
                f"leases of this city last {other_s} s and this node's are set to {ttl_s} s; set the same"
            )


def forgettable(record: Registration, number: int, city: CityMap, numbers: Iterable[int]) -> list[int]:
    """Which of a node's older numbers to forget at its registration as `number`: all but the newest and the listed."""
    listed = city.members.get(record.node)
    kept = listed.incarnation if listed else 0
    return [old for old in numbers if old != kept and old <= number - LEASES_PER_NODE]


def checked_form(city: CityMap, expected_version: int) -> bytes:
    """The bytes of a map that is sound and follows the version it is proposed on.

    Raises:
        LocalError: it is unsound, or not newer.
    """
    city.check()
    if city.version <= expected_version:
        raise LocalError(f"a map of version {city.version} cannot follow version {expected_version}")
    return encode(city)


def why_refused(
    city: CityMap,
    before: CityMap,
    expected_version: int,
    victim: Lease | None,
    leases: Mapping[Incarnation, Lease],
) -> str | None:
    """Why `city` may not replace the map `before` under these leases, as in `Proposed.reason`; None if it may."""
    if before.version != expected_version:
        return "version"
    if victim is not None:
        seen = leases.get(victim.who)
        if seen is not None and seen.counter != victim.counter:
            return "renewed"
    for who in newly_listed(city, before):
        seen = leases.get(who)
        if seen is None or seen.ended or (victim is not None and who == victim.who):
            return "ended"
    return None


def newly_listed(city: CityMap, before: CityMap) -> list[Incarnation]:
    """The incarnations that `city` lists and `before` did not."""
    return [member.who for member in city.members.values() if not before.is_listed(member.who)]


def check_record(record: bytes) -> None:
    """Prove that a civic log's record is small.

    Raises:
        LocalError: it is longer than `RECORD_BYTES_MAX`.
    """
    if len(record) > RECORD_BYTES_MAX:
        raise LocalError(f"a record of {len(record)} bytes, where {RECORD_BYTES_MAX} are allowed")


def too_many_records(where: object) -> CoordinationDown:
    """What to raise for one civic log more than there may be."""
    return CoordinationDown("full", f"the coordination store {where} holds {RECORDS_MAX} logs already")


def unreadable_map(where: object, error: RemoteError) -> CoordinationDown:
    """What to raise for a stored map that this release cannot read."""
    reason = "newer_schema" if error.reason == "newer_format" else "corrupt"
    return CoordinationDown(reason, f"the map in {where} cannot be read: {error}")
