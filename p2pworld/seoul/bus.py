"""The stops of the city circulation tour bus of 2011, in the order of the ride; the last is the first again.

The order is that of a blog post of November 2011 (traveltokorea7.blogspot.com); a current list was not found. The
positions are estimates, good to BUS_STOP_ERROR_M: each lies in its gu, not always on its kerb.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pworld.geometry import from_5179

__all__ = ["BUS_STOPS", "BUS_STOP_ERROR_M", "BusStop"]

BUS_STOP_ERROR_M = 250


@dataclass(frozen=True, slots=True)
class BusStop:
    """One stop: its place in the ride from 1, names, EPSG:5179 metres, and the gu it lies in."""

    order: int
    name_ko: str
    name_en: str
    e_m: int
    n_m: int
    gu_code: int

    @property
    def position_cm(self) -> tuple[int, int]:
        """The position (east_cm, north_cm)."""
        return from_5179(self.e_m, self.n_m)


# fmt: off
BUS_STOPS: tuple[BusStop, ...] = (
    BusStop( 1, "광화문",          "Gwanghwamun (Koreana Hotel/Donghwa)",   953762, 1952377, 11110),
    BusStop( 2, "덕수궁",          "Deoksugung",                            953794, 1951888, 11140),
    BusStop( 3, "남대문시장",      "Namdaemun Market",                      953809, 1951267, 11140),
    BusStop( 4, "서울역",          "Seoul Station",                         953400, 1950770, 11140),
    BusStop( 5, "USO",             "USO (Camp Kim)",                        953382, 1949261, 11170),
    BusStop( 6, "용산역",          "Yongsan Station",                       952818, 1947989, 11170),
    BusStop( 7, "국립중앙박물관",  "National Museum of Korea",              953962, 1947095, 11170),
    BusStop( 8, "전쟁기념관",      "War Memorial of Korea",                 953706, 1948716, 11170),
    BusStop( 9, "용산미군기지",    "Yongsan Army Base",                     954588, 1948478, 11170),
    BusStop(10, "이태원",          "Itaewon",                               955295, 1948474, 11170),
    BusStop(11, "크라운호텔",      "Crown Hotel",                           955601, 1947862, 11170),
    BusStop(12, "명동",            "Myeong-dong",                           954604, 1951407, 11140),
    BusStop(13, "남산골한옥마을",  "Namsangol Hanok Village",               955266, 1951226, 11140),
    BusStop(14, "앰배서더호텔",    "Grand Ambassador Hotel",                956008, 1951266, 11140),
    BusStop(15, "국립극장",        "National Theater",                      955792, 1950457, 11140),
    BusStop(16, "N서울타워",       "N Seoul Tower (bus stop)",              954996, 1950273, 11140),
    BusStop(17, "하얏트호텔",      "Hyatt Hotel",                           955563, 1948994, 11170),
    BusStop(18, "신라호텔",        "Shilla Hotel",                          956325, 1951076, 11140),
    BusStop(19, "동대문시장",      "Dongdaemun Market",                     956640, 1952184, 11140),
    BusStop(20, "대학로",          "Daehangno",                             956029, 1953685, 11110),
    BusStop(21, "창경궁",          "Changgyeonggung",                       955498, 1953355, 11110),
    BusStop(22, "창덕궁",          "Changdeokgung",                         955012, 1953280, 11110),
    BusStop(23, "인사동",          "Insa-dong",                             954568, 1952916, 11110),
    BusStop(24, "청와대",          "Cheong Wa Dae",                         953692, 1954030, 11110),
    BusStop(25, "국립민속박물관",  "National Folk Museum",                  954043, 1953640, 11110),
    BusStop(26, "경복궁",          "Gyeongbokgung",                         953952, 1953175, 11110),
    BusStop(27, "광화문",          "Gwanghwamun (end)",                     953762, 1952377, 11110),
)
# fmt: on
