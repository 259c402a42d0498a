"""A new generation of the city, after its coordination store was restored from a copy or replaced by another.

The copy has forgotten versions, epochs and numbers that were given after it was made. A new generation makes all later
ones larger than any of them, and lists nobody. It takes ground from whoever holds it without a word, so it is begun
only when nobody has renewed a lease for as long as a lease may be believed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from p2pworld.errors import Refusal
from p2pworld.membership import DEAD_AFTER_TTL
from p2pworld.world.citymap import CityMap, new_generation

if TYPE_CHECKING:
    from shard_node.coordination.interface import Coordination

__all__ = ["begin_generation"]


async def begin_generation(
    store: Coordination, ttl_s: float, above: int = 0, source: Coordination | None = None
) -> CityMap | Refusal:
    """Begin a generation above the map's and `above`, if nobody renews for longer than a lease; the map that stands.

    With a `source`, the map is that one's, and `store` must still be empty. Whoever held ground at the first look has
    lapsed at the second, unless it renewed in between.

    Raises:
        CoordinationDown, OutcomeUnknown: as the store's calls do.
    """
    begun_on = 0
    if source is not None and (begun_on := (await store.read(-1)).map_version):
        return Refusal("not_empty", f"The new store holds a city already, at map {begun_on}.")
    origin = store if source is None else source
    before = await origin.read(-1)
    await trio.sleep(ttl_s * DEAD_AFTER_TTL)
    seen = await origin.read(-1)
    renewed = set(seen.leases) - set(before.leases)
    living = sum(not lease.ended for lease in renewed)
    if living:
        return Refusal("alive", f"{living} nodes still renew their leases: end all nodes of this city first.")
    assert seen.map is not None
    city = new_generation(seen.map, above)
    if isinstance(city, Refusal):
        return city
    proposed = await store.propose(city, seen.map_version if source is None else begun_on)
    return (
        city if proposed.ok else Refusal("changed", "A node changed the map meanwhile: end all nodes first.")
    )
