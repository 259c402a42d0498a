"""Landmarks, tour bus stops and the river stand where latitudes, point numbers and gu say they do."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from p2pworld.geometry import (
    from_wgs84,
    national_point_number,
    parse_national_point_number,
    to_5179,
    to_wgs84,
)
from p2pworld.seoul import (
    BUS_STOPS,
    HAN_RIVER,
    ISLANDS,
    LANDMARKS,
    Landmark,
    gu_at,
    gu_by_code,
    gu_by_name,
    landmark,
)

# fmt: off
# Korean name, WGS 84 latitude and longitude, national point number (10 m), gu: known apart from the declarations.
KNOWN = [
    ("서울시청",           37.56661, 126.97839, "다사 5393 5204", "중구"),
    ("광화문",             37.57588, 126.97681, "다사 5380 5307", "종로구"),
    ("덕수궁",             37.56580, 126.97515, "다사 5364 5195", "중구"),
    ("숭례문",             37.55999, 126.97530, "다사 5365 5131", "중구"),
    ("남대문시장",         37.55919, 126.97765, "다사 5386 5122", "중구"),
    ("돈의문 터",          37.56830, 126.96890, "다사 5309 5223", "종로구"),
    ("보신각",             37.56976, 126.98366, "다사 5440 5239", "종로구"),
    ("동대문디자인플라자", 37.56653, 127.00922, "다사 5665 5202", "중구"),
    ("서울광장",           37.56557, 126.97801, "다사 5390 5192", "중구"),
    ("청계광장",           37.56915, 126.97790, "다사 5389 5232", "중구"),
    ("여의도한강공원",     37.52671, 126.93471, "다사 5005 4763", "영등포구"),
    ("서울핀테크랩",       37.52340, 126.92570, "다사 4925 4727", "영등포구"),
    ("코엑스",             37.51182, 127.05916, "다사 6104 4592", "강남구"),
    ("롯데월드타워",       37.51256, 127.10254, "다사 6487 4599", "송파구"),
    ("N서울타워",          37.55117, 126.98823, "다사 5479 5032", "용산구"),
    ("서울숲",             37.54439, 127.03744, "다사 5913 4955", "성동구"),
    ("올림픽공원",         37.52070, 127.12150, "다사 6655 4689", "송파구"),
    ("서울역",             37.55595, 126.97232, "다사 5339 5086", "중구"),
    ("경복궁",             37.57962, 126.97704, "다사 5382 5348", "종로구"),
    ("창덕궁",             37.57944, 126.99103, "다사 5505 5346", "종로구"),
    ("광화문광장",         37.57239, 126.97691, "다사 5380 5268", "종로구"),
    ("120다산콜재단",      37.57450, 127.02450, "다사 5801 5289", "동대문구"),
    ("서울대학교",         37.45910, 126.95200, "다사 5153 4012", "관악구"),
    ("연세대학교",         37.56570, 126.93860, "다사 5042 5196", "서대문구"),
    ("고려대학교",         37.58950, 127.03230, "다사 5870 5455", "성북구"),
    ("홍익대학교",         37.55080, 126.92550, "다사 4925 5031", "마포구"),
    ("카이스트 서울캠퍼스",37.59250, 127.04650, "다사 5996 5488", "동대문구"),
]

KNOWN_STOPS = [
    (37.5696, 126.9764, "종로구"),  # 광화문
    (37.5652, 126.9768, "중구"),  # 덕수궁
    (37.5596, 126.9770, "중구"),  # 남대문시장
    (37.5551, 126.9724, "중구"),  # 서울역
    (37.5415, 126.9723, "용산구"),  # USO
    (37.5300, 126.9660, "용산구"),  # 용산역
    (37.5220, 126.9790, "용산구"),  # 국립중앙박물관
    (37.5366, 126.9760, "용산구"),  # 전쟁기념관
    (37.5345, 126.9860, "용산구"),  # 용산미군기지
    (37.5345, 126.9940, "용산구"),  # 이태원
    (37.5290, 126.9975, "용산구"),  # 크라운호텔
    (37.5609, 126.9860, "중구"),  # 명동
    (37.5593, 126.9935, "중구"),  # 남산골한옥마을
    (37.5597, 127.0019, "중구"),  # 앰배서더호텔
    (37.5524, 126.9995, "중구"),  # 국립극장
    (37.5507, 126.9905, "중구"),  # N서울타워
    (37.5392, 126.9970, "용산구"),  # 하얏트호텔
    (37.5580, 127.0055, "중구"),  # 신라호텔
    (37.5680, 127.0090, "중구"),  # 동대문시장
    (37.5815, 127.0020, "종로구"),  # 대학로
    (37.5785, 126.9960, "종로구"),  # 창경궁
    (37.5778, 126.9905, "종로구"),  # 창덕궁
    (37.5745, 126.9855, "종로구"),  # 인사동
    (37.5845, 126.9755, "종로구"),  # 청와대
    (37.5810, 126.9795, "종로구"),  # 국립민속박물관
    (37.5768, 126.9785, "종로구"),  # 경복궁
    (37.5696, 126.9764, "종로구"),  # 광화문
]
# fmt: on


def test_every_landmark_is_known() -> None:
    assert [place.name_ko for place in LANDMARKS] == [name for name, *_ in KNOWN]


@pytest.mark.parametrize(("name", "lat", "lon", "point_number", "gu_name"), KNOWN)
def test_a_landmark_is_where_it_is_known_to_be(
    name: str, lat: float, lon: float, point_number: str, gu_name: str
) -> None:
    place = landmark(name)
    assert math.dist(to_5179(*from_wgs84(lat, lon)), (place.e_m, place.n_m)) < 1
    back_lat, back_lon = to_wgs84(*place.position_cm)
    assert back_lat == pytest.approx(lat, abs=1e-5)
    assert back_lon == pytest.approx(lon, abs=1e-5)
    assert national_point_number(place.e_m, place.n_m) == point_number
    corner_e_m, corner_n_m = parse_national_point_number(point_number)
    assert 0 <= place.e_m - corner_e_m < 10
    assert 0 <= place.n_m - corner_n_m < 10
    assert gu_at(*place.position_cm) is gu_by_code(place.gu_code) is gu_by_name(gu_name)


def test_landmarks_are_found_by_either_name() -> None:
    for place in LANDMARKS:
        assert landmark(place.name_ko) is landmark(place.name_en) is landmark(place.name_en.upper()) is place
    assert landmark("Yonsei University").name_ko == "연세대학교"


def test_an_unknown_landmark_is_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match="did you mean Gwanghwamun Gate or Gwanghwamun Square"):
        landmark("Gwanghwamun")
    with pytest.raises(ValueError, match=r"no landmark is called '\?\?\?'$"):
        landmark("???")


def test_a_landmarks_grade_goes_with_its_error() -> None:
    def errors_m(grade: str) -> list[int]:
        return [place.error_m for place in LANDMARKS if place.sure == grade]

    assert max(errors_m("A")) <= 150 <= min(errors_m("C"))
    assert all(isinstance(place, Landmark) and 30 <= place.error_m <= 400 for place in LANDMARKS)


def test_every_bus_stop_is_where_it_is_known_to_be() -> None:
    assert [stop.order for stop in BUS_STOPS] == list(range(1, 28))
    for stop, (lat, lon, gu_name) in zip(BUS_STOPS, KNOWN_STOPS, strict=True):
        assert math.dist(to_5179(*from_wgs84(lat, lon)), (stop.e_m, stop.n_m)) < 1, stop.name_en
        assert gu_at(*stop.position_cm) is gu_by_code(stop.gu_code) is gu_by_name(gu_name), stop.name_en


def test_the_bus_ends_where_it_began_and_no_leg_is_absurd() -> None:
    assert BUS_STOPS[0].position_cm == BUS_STOPS[-1].position_cm
    assert all(math.dist((a.e_m, a.n_m), (b.e_m, b.n_m)) < 4_000 for a, b in pairwise(BUS_STOPS))


def test_the_river_runs_east_to_west_in_steps_a_boat_could_follow() -> None:
    assert len(HAN_RIVER) == 40
    assert HAN_RIVER[0].e_m > 970_000 > 940_000 > HAN_RIVER[-1].e_m
    assert all(a.e_m > b.e_m for a, b in pairwise(HAN_RIVER))
    assert all(300 < math.dist((a.e_m, a.n_m), (b.e_m, b.n_m)) < 1_700 for a, b in pairwise(HAN_RIVER))
    assert all(550 <= point.width_m <= 1_200 for point in HAN_RIVER)


def test_the_river_parts_the_sides_of_the_city() -> None:
    """Every landmark of a northern gu lies north of the centre line, every southern one south of it."""
    for place in LANDMARKS:
        a, b = next((a, b) for a, b in pairwise(HAN_RIVER) if b.e_m <= place.e_m < a.e_m)
        line_n_m = b.n_m + (a.n_m - b.n_m) * (place.e_m - b.e_m) / (a.e_m - b.e_m)
        assert gu_by_code(place.gu_code).side_of_han == ("N" if place.n_m > line_n_m else "S"), place.name_en


def test_islands_in_the_river_lie_in_its_water() -> None:
    assert [island.name_en for island in ISLANDS if not island.in_river] == ["Yeouido"]
    for island in ISLANDS:
        near = min(HAN_RIVER, key=lambda p: math.dist((p.e_m, p.n_m), (island.e_m, island.n_m)))
        inside = math.dist((near.e_m, near.n_m), (island.e_m, island.n_m)) < near.width_m / 2
        assert inside == island.in_river, island.name_en
