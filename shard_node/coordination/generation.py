"""A new generation of the city, after its coordination store was restored from a copy.

The copy has forgotten versions, epochs and numbers that were given after it was made. A new generation makes all later
ones larger than any of them, and lists nobody. It takes ground from whoever holds it without a word, so it is begun
only when nobody has renewed a lease for as long as a lease may be believed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from p2pworld.errors import Refusal
from p2pworld.membership import DEAD_AFTER_TTL, LeaseJudge
from p2pworld.world.citymap import CityMap, new_generation

if TYPE_CHECKING:
    from shard_node.coordination.interface import Coordination

__all__ = ["begin_generation"]

_READS_PER_TTL: Final = 4  # a judge that reads less often than twice a lease begins anew


async def begin_generation(store: Coordination, ttl_s: float, above: int = 0) -> CityMap | Refusal:
    """Wait until nobody renews, then begin a generation above the map's and `above`; the map that then stands.

    Raises:
        CoordinationDown, OutcomeUnknown: as the store's calls do.
    """
    judge = LeaseJudge(ttl_s)
    began_s = trio.current_time()
    while True:
        seen = await store.read(-1)
        assert seen.map is not None
        now_s = trio.current_time()
        judge.observe(seen.leases, now_s)
        if all(judge.is_dead(lease.who) for lease in seen.leases):
            break
        if now_s - began_s > 2 * DEAD_AFTER_TTL * ttl_s:
            living = sum(not judge.is_dead(lease.who) for lease in seen.leases)
            return Refusal(
                "alive", f"{living} nodes still renew their leases: end all nodes of this city first."
            )
        await trio.sleep(ttl_s / _READS_PER_TTL)
    city = new_generation(seen.map, above)
    if isinstance(city, Refusal):
        return city
    proposed = await store.propose(city, seen.map_version)
    return (
        city if proposed.ok else Refusal("changed", "A node changed the map meanwhile: end all nodes first.")
    )
