"""The Han river through Seoul: points of its centre line downstream, from east to west, with its width there.

A width is that of the open water from bank to bank at normal level: islands in mid-river are counted in, riverside
parks and Yeouido, which lies behind the narrow Saetgang, are not. Centre and width are good to 100 m, islands to 100 m
(Yeouido 300 m).

Sources: the gu borders in the river of the SGIS boundaries credited in `outline`, moved to mid-river where they leave
it, and compared with a water outline (c) OpenStreetMap contributors, ODbL 1.0, of which no geometry is copied, only
mid-river positions and widths rounded to 50 m; bridges and islands from general knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HAN_RIVER", "ISLANDS", "Island", "RiverPoint"]


@dataclass(frozen=True, slots=True)
class RiverPoint:
    """A point of the centre line in EPSG:5179 metres, the width there, and what is to be seen."""

    e_m: int
    n_m: int
    width_m: int
    note: str


@dataclass(frozen=True, slots=True)
class Island:
    """An island: its centre in EPSG:5179 metres, its length and breadth, and whether the river's width counts it in."""

    name_ko: str
    name_en: str
    e_m: int
    n_m: int
    length_m: int
    breadth_m: int
    in_river: bool


# fmt: off
HAN_RIVER: tuple[RiverPoint, ...] = (
    RiverPoint(971600, 1954000,  550, "beyond the city limit, so that the line passes it"),
    RiverPoint(970750, 1953600,  550, "the city limit: enters Gangdong-gu"),
    RiverPoint(970050, 1953150,  650, "Gangdong Bridge"),
    RiverPoint(968650, 1952500,  750, ""),
    RiverPoint(967500, 1952100,  700, "Guri-Amsa Bridge"),
    RiverPoint(966700, 1951750,  750, ""),
    RiverPoint(966250, 1950950,  750, ""),
    RiverPoint(966000, 1950050,  750, ""),
    RiverPoint(965650, 1949300,  650, "Cheonho Bridge; Gwangjin Bridge just upstream"),
    RiverPoint(964900, 1948350,  950, "Olympic Bridge"),
    RiverPoint(964400, 1947650, 1000, "Jamsil rail bridge"),
    RiverPoint(963700, 1947200,  900, "Jamsil Bridge and its underwater weir"),
    RiverPoint(962700, 1947250,  850, ""),
    RiverPoint(961450, 1947550,  750, "Cheongdam Bridge; Tancheon joins from the south"),
    RiverPoint(960800, 1947850,  650, "Yeongdong Bridge"),
    RiverPoint(959800, 1948300,  650, ""),
    RiverPoint(958900, 1948700,  650, "Seongsu Bridge"),
    RiverPoint(958400, 1948900,  700, ""),
    RiverPoint(957750, 1948600,  850, "Dongho Bridge; Jungnangcheon joins from the north"),
    RiverPoint(956800, 1947650,  650, "Hannam Bridge"),
    RiverPoint(956250, 1946900,  700, ""),
    RiverPoint(955400, 1946350,  700, "Banpo Bridge above Jamsu Bridge"),
    RiverPoint(954150, 1945800,  900, "Dongjak Bridge"),
    RiverPoint(953150, 1946050,  900, ""),
    RiverPoint(952100, 1946600,  750, "Hangang Bridge, over Nodeulseom"),
    RiverPoint(951400, 1947000,  850, "Han River rail bridge"),
    RiverPoint(951000, 1947800, 1200, "Wonhyo Bridge"),
    RiverPoint(950150, 1948350, 1050, "Mapo Bridge; Yeouido on the south side"),
    RiverPoint(949350, 1948850, 1150, "Seogang Bridge, over Bamseom"),
    RiverPoint(948200, 1949150,  800, ""),
    RiverPoint(947350, 1949450,  850, "Yanghwa Bridge; Dangsan rail bridge upstream; Seonyudo downstream"),
    RiverPoint(946200, 1950450,  900, "Seongsan Bridge"),
    RiverPoint(945500, 1951000, 1000, "World Cup Bridge"),
    RiverPoint(944350, 1951750,  850, ""),
    RiverPoint(943600, 1952450,  900, "Gayang Bridge"),
    RiverPoint(942400, 1953300,  950, ""),
    RiverPoint(941300, 1954050, 1050, ""),
    RiverPoint(940250, 1954650,  950, "Banghwa Bridge"),
    RiverPoint(939100, 1955850,  750, "Haengju Bridge"),
    RiverPoint(938600, 1956300,  800, "the city limit: leaves Gangseo-gu north-westwards"),
)

ISLANDS: tuple[Island, ...] = (
    Island("노들섬", "Nodeulseom", 952150, 1946600,  710,  200, True),
    Island("여의도", "Yeouido",    949300, 1947500, 3300, 1300, False),
    Island("밤섬",   "Bamseom",    949550, 1949000, 1200,  330, True),
    Island("선유도", "Seonyudo",   947000, 1949500,  750,  200, True),
)
# fmt: on
