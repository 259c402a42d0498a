"""Well-known places of Seoul: names, where they are, and how well that is known.

A position marks the place as people would point at it: a gate itself, the centre of a palace, park or campus, the open
space of a square. `sure` grades the source: A good, B fair, C an estimate.

Sources: the place list of Seoul's real-time city data as copied in public repositories, and general knowledge; plain
facts, on which no licence is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from p2pworld.geometry import from_5179

__all__ = ["LANDMARKS", "Landmark", "landmark"]


@dataclass(frozen=True, slots=True)
class Landmark:
    """One place: names, EPSG:5179 metres, the gu it lies in, the grade of the source and its likely error."""

    name_ko: str
    name_en: str
    e_m: float
    n_m: float
    gu_code: int
    sure: Literal["A", "B", "C"]
    error_m: int

    @property
    def position_cm(self) -> tuple[int, int]:
        """The position (east_cm, north_cm)."""
        return from_5179(self.e_m, self.n_m)


# fmt: off
LANDMARKS: tuple[Landmark, ...] = (
    Landmark("서울시청",           "Seoul City Hall",                  953935.7, 1952044.1, 11140, "A", 50),
    Landmark("광화문",             "Gwanghwamun Gate",                 953801.9, 1953073.3, 11110, "A", 30),
    Landmark("덕수궁",             "Deoksugung",                       953649.0, 1951955.8, 11140, "A", 60),
    Landmark("숭례문",             "Sungnyemun (Namdaemun gate)",      953658.7, 1951311.2, 11140, "B", 40),
    Landmark("남대문시장",         "Namdaemun Market",                 953865.7, 1951221.2, 11140, "A", 60),
    Landmark("돈의문 터",          "Donuimun site",                    953098.6, 1952236.3, 11110, "C", 150),
    Landmark("보신각",             "Bosingak",                         954403.0, 1952391.0, 11110, "A", 30),
    Landmark("동대문디자인플라자", "DDP",                              956658.3, 1952020.6, 11140, "A", 60),
    Landmark("서울광장",           "Seoul Plaza",                      953901.5, 1951928.9, 11140, "A", 30),
    Landmark("청계광장",           "Cheonggyecheon Plaza",             953894.0, 1952326.1, 11140, "B", 70),
    Landmark("여의도한강공원",     "Yeouido Hangang Park",             950051.6, 1947639.7, 11560, "A", 150),
    Landmark("서울핀테크랩",       "Seoul Fintech Lab (Yeouido)",      949253.2, 1947277.3, 11560, "C", 250),
    Landmark("코엑스",             "COEX",                             961040.2, 1945928.9, 11680, "A", 60),
    Landmark("롯데월드타워",       "Lotte World Tower",                964874.3, 1945994.0, 11710, "A", 60),
    Landmark("N서울타워",          "N Seoul Tower",                    954795.3, 1950326.3, 11170, "B", 40),
    Landmark("서울숲",             "Seoul Forest",                     959138.4, 1949551.6, 11200, "A", 100),
    Landmark("올림픽공원",         "Olympic Park",                     966553.5, 1946890.1, 11710, "B", 200),
    Landmark("서울역",             "Seoul Station",                    953393.0, 1950864.4, 11140, "A", 60),
    Landmark("경복궁",             "Gyeongbokgung",                    953824.5, 1953488.2, 11110, "A", 60),
    Landmark("창덕궁",             "Changdeokgung",                    955059.7, 1953461.4, 11110, "B", 80),
    Landmark("광화문광장",         "Gwanghwamun Square",               953808.5, 1952686.1, 11110, "A", 40),
    Landmark("120다산콜재단",      "120 Dasan Call Center",            958012.2, 1952897.8, 11230, "C", 400),
    Landmark("서울대학교",         "Seoul National University (Gwanak)",951535.6, 1940129.7, 11620, "B", 150),
    Landmark("연세대학교",         "Yonsei University (Sinchon)",      950421.1, 1951963.4, 11410, "B", 150),
    Landmark("고려대학교",         "Korea University (Anam)",          958709.2, 1954558.6, 11290, "B", 100),
    Landmark("홍익대학교",         "Hongik University (Seoul)",        949254.1, 1950317.3, 11440, "B", 120),
    Landmark("카이스트 서울캠퍼스","KAIST Seoul campus (Hoegi-ro 85)", 959964.5, 1954885.3, 11230, "B", 200),
)
# fmt: on

# An English name is also found without what stands in brackets.
_BY_NAME = {
    name.casefold(): place
    for place in LANDMARKS
    for name in (place.name_ko, place.name_en, place.name_en.partition(" (")[0])
}


def landmark(name: str) -> Landmark:
    """The landmark with this Korean or English name (any case; what stands in brackets may be left out).

    Raises:
        ValueError: no landmark has it; the sentence names those whose names hold this one.
    """
    key = name.strip().casefold()
    place = _BY_NAME.get(key)
    if place is None:
        near = dict.fromkeys(place.name_en for known, place in _BY_NAME.items() if key and key in known)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"no landmark is called {name!r}{hint}")
    return place
