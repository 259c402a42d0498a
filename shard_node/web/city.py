"""The city as a drawing: outlines of the gu, the river, landmarks, the bus and its stops, as one JSON text made once.

Positions are metres from the root's south-west corner, as pages and clients count them; lines and rings are flat lists
east0, north0, east1, north1, … The text never changes while a process runs, so its hash is its ETag.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING

from starlette.responses import Response

from p2pworld.geometry import ROOT_EAST_M, ROOT_NORTH_M
from p2pworld.seoul import BUS_STOPS, GU, HAN_RIVER, ISLANDS, LANDMARKS
from p2pworld.world.vehicles import BUS_CM_S, BUSES, DWELL_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

__all__ = ["city", "drawing"]

MAX_AGE_S = 3600


async def city(request: Request) -> Response:
    """Answers with the drawing, or 304 when the asker has it."""
    text, tag = drawing()
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/json", headers=headers)


@functools.cache
def drawing() -> tuple[bytes, str]:
    """The JSON text, and its tag."""
    value = {
        "gu": [
            {
                "code": gu.code,
                "name": {"ko": gu.name_ko, "en": gu.name_en},
                "middle": _flat([(gu.centroid_e_m, gu.centroid_n_m)]),
                "outline": _flat(gu.outline),
            }
            for gu in GU
        ],
        "river": {
            "line": _flat((point.e_m, point.n_m) for point in HAN_RIVER),
            "width": [point.width_m for point in HAN_RIVER],
            "notes": [point.note for point in HAN_RIVER],
        },
        "islands": [
            {
                "name": {"ko": island.name_ko, "en": island.name_en},
                "middle": _flat([(island.e_m, island.n_m)]),
                "length": island.length_m,
                "breadth": island.breadth_m,
                "in_river": island.in_river,
            }
            for island in ISLANDS
        ],
        "landmarks": [
            {
                "name": {"ko": place.name_ko, "en": place.name_en},
                "middle": _flat([(place.e_m, place.n_m)]),
                "sure": place.sure,
            }
            for place in LANDMARKS
        ],
        "stops": [
            {
                "order": stop.order,
                "name": {"ko": stop.name_ko, "en": stop.name_en},
                "middle": _flat([(stop.e_m, stop.n_m)]),
            }
            for stop in BUS_STOPS
        ],
        # with the stops, all it takes to know where every bus is (`world.vehicles`)
        "bus": {"count": BUSES, "speed_cm_s": BUS_CM_S, "dwell_ms": DWELL_MS},
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def _flat(points: Iterable[tuple[float, float]]) -> list[float]:
    return [round(value, 1) for e_m, n_m in points for value in (e_m - ROOT_EAST_M, n_m - ROOT_NORTH_M)]
