"""The 25 gu (districts) of Seoul, and which of them a point lies in.

A gu is known by its legal code. People are the registered residents, foreigners included, of the second quarter
of 2021; the area is the official one, which differs from that of the outline by more than 3 % in six gu (영등포,
동작, 은평, 강서, 광진, 강동), because the outlines follow another survey. Points are decided by the outlines alone.

Sources: residents from the Seoul statistics table of 2021 Q2 as kept in raqoon886/Local_HangJeongDong; areas from an
encyclopaedia's table of the city; centroids and neighbours computed from the SGIS boundaries credited in `outline`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from p2pworld.geometry import ROOT_EAST_M, ROOT_NORTH_M, from_5179
from p2pworld.seoul.outline import OUTLINES, Ring

__all__ = ["GU", "Edge", "Gu", "edges_cm", "gu_at", "gu_by_code", "gu_by_name"]

Edge = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Gu:
    """One district: legal code, names, side of the Han river, residents, official area, centroid (EPSG:5179 metres)."""

    code: int
    name_ko: str
    name_en: str
    side_of_han: Literal["N", "S"]
    population: int
    area_km2: float
    centroid_e_m: int
    centroid_n_m: int

    @property
    def neighbours(self) -> tuple[int, ...]:
        """The codes of the gu that share a piece of border with this one."""
        return _NEIGHBOURS[self.code]

    @property
    def outline(self) -> Ring:
        """The ring of its border, counter-clockwise, in EPSG:5179 metres."""
        return OUTLINES[self.code]

    @property
    def centre_cm(self) -> tuple[int, int]:
        """The centroid as a position (east_cm, north_cm)."""
        return from_5179(self.centroid_e_m, self.centroid_n_m)


# fmt: off
GU: tuple[Gu, ...] = (
    # code, Korean, English, side, residents, km2, centroid east and north
    Gu(11110, "종로구",   "Jongno-gu",       "N", 155106, 23.91, 953889, 1955118),
    Gu(11140, "중구",     "Jung-gu",         "N", 132259,  9.96, 955477, 1951308),
    Gu(11170, "용산구",   "Yongsan-gu",      "N", 240665, 21.87, 954069, 1948258),
    Gu(11200, "성동구",   "Seongdong-gu",    "N", 295767, 16.85, 959481, 1950310),
    Gu(11215, "광진구",   "Gwangjin-gu",     "N", 355306, 17.06, 963477, 1949768),
    Gu(11230, "동대문구", "Dongdaemun-gu",   "N", 352259, 14.20, 960733, 1953722),
    Gu(11260, "중랑구",   "Jungnang-gu",     "N", 394679, 18.50, 964076, 1955471),
    Gu(11290, "성북구",   "Seongbuk-gu",     "N", 443206, 24.56, 957448, 1956379),
    Gu(11305, "강북구",   "Gangbuk-gu",      "N", 306093, 23.61, 956869, 1960568),
    Gu(11320, "도봉구",   "Dobong-gu",       "N", 322419, 20.70, 958762, 1963393),
    Gu(11350, "노원구",   "Nowon-gu",        "N", 520005, 35.44, 962532, 1961485),
    Gu(11380, "은평구",   "Eunpyeong-gu",    "N", 479409, 29.69, 949603, 1957987),
    Gu(11410, "서대문구", "Seodaemun-gu",    "N", 317699, 17.60, 950466, 1953268),
    Gu(11440, "마포구",   "Mapo-gu",         "N", 379984, 23.88, 947880, 1951154),
    Gu(11470, "양천구",   "Yangcheon-gu",    "S", 454288, 17.40, 943113, 1947467),
    Gu(11500, "강서구",   "Gangseo-gu",      "S", 582995, 41.43, 940327, 1951524),
    Gu(11530, "구로구",   "Guro-gu",         "S", 424582, 20.12, 943127, 1944091),
    Gu(11545, "금천구",   "Geumcheon-gu",    "S", 244685, 13.00, 947047, 1940303),
    Gu(11560, "영등포구", "Yeongdeungpo-gu", "S", 402375, 24.57, 947863, 1946929),
    Gu(11590, "동작구",   "Dongjak-gu",      "S", 397231, 16.35, 951579, 1944627),
    Gu(11620, "관악구",   "Gwanak-gu",       "S", 502698, 29.57, 951011, 1941027),
    Gu(11650, "서초구",   "Seocho-gu",       "S", 422174, 47.00, 958531, 1941727),
    Gu(11680, "강남구",   "Gangnam-gu",      "S", 536107, 39.51, 961346, 1944304),
    Gu(11710, "송파구",   "Songpa-gu",       "S", 664341, 33.88, 965998, 1945163),
    Gu(11740, "강동구",   "Gangdong-gu",     "S", 469094, 24.58, 968803, 1950262),
)

_NEIGHBOURS: dict[int, tuple[int, ...]] = {
    11110: (11140, 11230, 11290, 11380, 11410),
    11140: (11110, 11170, 11200, 11410, 11440),
    11170: (11140, 11200, 11440, 11560, 11590, 11650, 11680),
    11200: (11140, 11170, 11215, 11230, 11680),
    11215: (11200, 11230, 11260, 11680, 11710, 11740),
    11230: (11110, 11200, 11215, 11260, 11290),
    11260: (11215, 11230, 11290, 11350),
    11290: (11110, 11230, 11260, 11305, 11350),
    11305: (11290, 11320, 11350),
    11320: (11305, 11350),
    11350: (11260, 11290, 11305, 11320),
    11380: (11110, 11410, 11440),
    11410: (11110, 11140, 11380, 11440),
    11440: (11140, 11170, 11380, 11410, 11500, 11560),
    11470: (11500, 11530, 11560),
    11500: (11440, 11470, 11560),
    11530: (11470, 11545, 11560, 11620),
    11545: (11530, 11620),
    11560: (11170, 11440, 11470, 11500, 11530, 11590),
    11590: (11170, 11560, 11620, 11650),
    11620: (11530, 11545, 11590, 11650),
    11650: (11170, 11590, 11620, 11680),
    11680: (11170, 11200, 11215, 11650, 11710),
    11710: (11215, 11680, 11740),
    11740: (11215, 11710),
}
# fmt: on

_BY_CODE = {gu.code: gu for gu in GU}
_BY_NAME = {name.casefold(): gu for gu in GU for name in (gu.name_ko, gu.name_en)}


def gu_by_code(code: int) -> Gu:
    """The gu with this legal code.

    Raises:
        ValueError: no gu of Seoul has it.
    """
    if code not in _BY_CODE:
        raise ValueError(f"{code} is not the legal code of a gu of Seoul, such as 11110 for Jongno-gu")
    return _BY_CODE[code]


def gu_by_name(name: str) -> Gu:
    """The gu with this Korean or English name (`종로구`, `Jongno-gu`; any case).

    Raises:
        ValueError: no gu of Seoul has it.
    """
    if name.casefold() not in _BY_NAME:
        raise ValueError(f"{name!r} is not a gu of Seoul; names look like 종로구 or Jongno-gu")
    return _BY_NAME[name.casefold()]


def edges_cm(ring: Ring) -> tuple[Edge, ...]:
    """The edges (east_1, north_1, east_2, north_2) of a ring in system centimetres, each with its lower end first."""
    points = [((e_m - ROOT_EAST_M) * 100, (n_m - ROOT_NORTH_M) * 100) for e_m, n_m in ring]
    edges = []
    for start, end in zip(points, points[1:] + points[:1], strict=True):
        low, high = sorted((start, end), key=lambda point: (point[1], point[0]))
        edges.append((*low, *high))
    return tuple(edges)


@functools.cache
def _shapes() -> tuple[tuple[Gu, tuple[int, int, int, int], tuple[Edge, ...]], ...]:
    """Each gu with its bounding box (west, south, east, north) and edges, in centimetres."""
    shapes = []
    for gu in GU:
        edges = edges_cm(gu.outline)
        easts = [east for edge in edges for east in edge[::2]]
        norths = [north for edge in edges for north in edge[1::2]]
        shapes.append((gu, (min(easts), min(norths), max(easts), max(norths)), edges))
    return tuple(shapes)


def gu_at(east_cm: int, north_cm: int) -> Gu | None:
    """The gu that holds this position, or None outside Seoul; never two.

    Counts the edges crossed on the way west, in exact integers: an edge holds its lower end and not its upper one, and
    a point on an edge belongs to the side east of it, or north of an edge that runs due east. Neighbours share edges,
    so each point falls to one gu only.
    """
    for gu, (west, south, east, north), edges in _shapes():
        if not (west <= east_cm <= east and south <= north_cm <= north):
            continue
        inside = False
        for e1, n1, e2, n2 in edges:
            if n1 <= north_cm < n2 and (east_cm - e1) * (n2 - n1) >= (e2 - e1) * (north_cm - n1):
                inside = not inside
        if inside:
            return gu
    return None
