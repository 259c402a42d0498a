"""The city as a drawing: metres from the corner, and a hash that spares the second download."""

from __future__ import annotations

from p2pworld.seoul import GU, gu_at
from tests.shard_node.test_web import Source, get, serving


async def test_the_city_is_drawn_once_and_asked_for_by_its_hash() -> None:
    async with serving(Source()) as url:
        first = await get(f"{url}/api/v1/city")
        drawing = first.json()
        assert len(drawing["gu"]) == len(GU)
        for gu in drawing["gu"]:
            east, north = gu["middle"]
            assert 0 < east < 65_536
            assert 0 < north < 65_536
            assert gu_at(round(east * 100), round(north * 100)) is not None
        assert len(drawing["river"]["line"]) == 2 * len(drawing["river"]["width"])
        again = await get(f"{url}/api/v1/city", **{"If-None-Match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        other = await get(f"{url}/api/v1/city", **{"If-None-Match": '"older"'})
        assert (other.status, other.body) == (200, first.body)
