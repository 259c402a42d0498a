"""Seoul as declarations: its gu, river, landmarks and tour bus, the cells it touches, and the rooms of the annex.

Typed tables with their sources named where they stand, and the few questions asked of them. Positions in the tables are
EPSG:5179 metres as published; `position_cm` and the functions speak system centimetres (see `p2pworld.geometry`).
"""

from __future__ import annotations

from p2pworld.seoul.annex import ROOM_LEVEL, annex_cells, is_room, room_cell, room_number
from p2pworld.seoul.bus import BUS_STOP_ERROR_M, BUS_STOPS, BusStop
from p2pworld.seoul.cells import seoul_cells, touches_seoul
from p2pworld.seoul.gu import GU, Gu, gu_at, gu_by_code, gu_by_name
from p2pworld.seoul.landmarks import LANDMARKS, Landmark, landmark
from p2pworld.seoul.outline import OUTLINES
from p2pworld.seoul.river import HAN_RIVER, ISLANDS, Island, RiverPoint

__all__ = [
    "BUS_STOPS",
    "BUS_STOP_ERROR_M",
    "GU",
    "HAN_RIVER",
    "ISLANDS",
    "LANDMARKS",
    "OUTLINES",
    "ROOM_LEVEL",
    "BusStop",
    "Gu",
    "Island",
    "Landmark",
    "RiverPoint",
    "annex_cells",
    "gu_at",
    "gu_by_code",
    "gu_by_name",
    "is_room",
    "landmark",
    "room_cell",
    "room_number",
    "seoul_cells",
    "touches_seoul",
]
