"""Names, clothes and sentences of the city's programs: typed tables, Korean and English.

A sentence is a pair; who speaks chooses the language of whom it speaks to, or both where it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "CAMERA", "HELLO", "HELLO_BELL", "HELLO_LANTERNS", "TOPICS", "WISHES", "Both", "Topic", "bearing", "is_korean",
    "look", "name", "remark", "topic_of",
]  # fmt: skip


class Both(NamedTuple):
    """One sentence in Korean and in English; `{name}` and the like are filled in by whoever says it."""

    ko: str
    en: str

    def fit(self, korean: bool) -> str:
        """In one language."""
        return self.ko if korean else self.en

    @property
    def whole(self) -> str:
        """In both."""
        return f"{self.ko} {self.en}"


FAMILIES: Final = ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오", "서", "신", "권")
GIVEN: Final = (
    "서연", "민준", "지우", "서준", "하윤", "도윤", "지민", "예준", "수아", "주원", "다은", "현우", "은서", "지호",
    "유나", "태윤", "소율", "건우", "아라", "준서", "보람", "하늘", "가온", "나래", "슬기", "이든", "채원", "시우",
)  # fmt: skip
HANBOK: Final = (
    "jade/red", "yellow/crimson", "white/blue", "green/crimson", "pink/indigo", "undyed/jade", "violet/white",
)  # fmt: skip
PLAIN: Final = ("grey/indigo", "white/black", "blue/grey", "undyed/brown", "black/grey", "jade/black")
HAIRS: Final = ("short", "long", "bun")
HANBOK_SHARE: Final = 0.35


def name(random: Random) -> str:
    """A Korean name: family and given."""
    return random.choice(FAMILIES) + random.choice(GIVEN)


def look(random: Random) -> str:
    """The clothes of a profile: hanbok for one in three."""
    if random.random() < HANBOK_SHARE:
        return f"hanbok:{random.choice(HANBOK)};hair:{random.choice(('bun', 'gat', 'long'))};tone:black"
    outfit = "coat" if random.random() < 0.3 else "plain"
    return f"{outfit}:{random.choice(PLAIN)};hair:{random.choice(HAIRS)};tone:{random.choice(('black', 'brown'))}"


def is_korean(text: str) -> bool:
    """Whether it is written in Hangul, at least in part."""
    return any("가" <= letter <= "힣" or "ㄱ" <= letter <= "ㆎ" for letter in text)


# ---- what tourists say, by where they are

CAMERA: Final = (Both("찰칵! 📸", "Click! 📸"), Both("사진 한 장 찍을게요.", "Let me take a picture."))
REMARKS: Final[dict[str, tuple[Both, ...]]] = {
    "Gwanghwamun Gate": (
        Both("광화문은 1395년에 세워졌대요.", "They say this gate was first built in 1395."),
        Both("저기 해치가 있네요!", "Look, the haechi!"),
    ),
    "Gwanghwamun Square": (
        Both("이순신 장군 동상이 크네요.", "The statue of Admiral Yi is tall!"),
        Both("북소리가 들려요.", "I can hear the drums."),
    ),
    "Cheonggyecheon Plaza": (
        Both("등불이 참 예쁘네요.", "The lanterns are so pretty."),
        Both("물소리가 시원해요.", "The stream sounds cool."),
    ),
    "Seoul City Hall": (Both("시청 건물이 파도 같아요.", "City Hall looks like a wave."),),
    "Deoksugung": (
        Both("돌담길이 참 좋아요.", "I like the stone wall road."),
        Both("대한문으로 들어가면 돼요.", "One goes in by Daehanmun."),
    ),
    "Sungnyemun": (Both("숭례문은 국보예요.", "Sungnyemun is a national treasure."),),
    "Namdaemun Market": (
        Both("호떡 먹을까요?", "Shall we have a hotteok?"),
        Both("갈치조림 골목이 어디죠?", "Where is the hairtail alley?"),
    ),
    "Bosingak": (Both("새해에 서른세 번 울린대요.", "It rings 33 times at New Year."),),
}
WISHES: Final = (
    Both("새해 복 많이 받으세요", "Happy New Year"),
    Both("모두 건강하기를", "Health to everybody"),
    Both("시험 합격!", "May I pass the exam!"),
    Both("서울에 다시 올게요", "I will come back to Seoul"),
    Both("우리 가족 행복", "Happiness to my family"),
    Both("온 세상에 평화를", "Peace to the whole world"),
    Both("좋은 친구를 만나게 해 주세요", "May I meet a good friend"),
)


def remark(place: str, random: Random) -> str:
    """Something said in this place, in either language."""
    table = REMARKS.get(place, ()) if random.random() < 0.7 else CAMERA
    return random.choice(table or CAMERA).fit(random.random() < 0.6)


# ---- what hosts say

HELLO: Final = Both(
    "안녕하세요, {name} 님! {post}입니다. 버스, 등불, 종, 북이라고 말해 보세요. 길을 알려 드릴게요.",
    "Hello {name}, this is {post_en}. Say bus, lantern, bell or drum and I will show you the way.",
)
HELLO_LANTERNS: Final = Both(
    "안녕하세요, {name} 님! {post}입니다. 물가에서 소원을 적어 등불을 걸어 보세요.",
    "Hello {name}, this is {post_en}. Write a wish and hang your lantern here over the stream.",
)
HELLO_BELL: Final = Both(
    "안녕하세요, {name} 님! {post}입니다. 시연을 시작하면 누구나 종을 칠 수 있어요. 직접 시작해 보세요.",
    "Hello {name}, this is {post_en}. Start a rehearsal, and everybody may strike the bell.",
)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a host knows something about: the words that ask for it, and the answer; `{way}` is how to get there."""

    id: str
    words: tuple[str, ...]
    answer: Both


TOPICS: Final = (
    Topic(
        "bus",
        ("버스", "정류장", "bus", "stop"),
        Both(
            "버스 정류장은 {way}에 있어요. 다음 버스는 {wait}초 뒤에 옵니다. 버스 옆에 서서 타기를 누르세요.",
            "The bus stop is {way}; the next bus comes there in {wait} s. Stand beside it and board.",
        ),
    ),
    Topic(
        "lantern",
        ("등불", "등", "소원", "청계천", "lantern", "lanterns", "wish", "stream"),
        Both(
            "등불은 {way}, 청계천에 있어요. 물가에서 소원을 적어 거세요.",
            "The lanterns hang over the stream, {way}. Stand at the water and hang one with your wish.",
        ),
    ),
    Topic(
        "bell",
        ("종", "보신각", "타종", "bell", "bosingak"),
        Both(
            "보신각 종은 {way}에 있어요. 시연을 시작하면 누구나 쳐 볼 수 있어요.",
            "The bell of Bosingak is {way}. Start a rehearsal there, and everybody may strike it.",
        ),
    ),
    Topic(
        "drum",
        ("북", "장구", "풍물", "drum", "drums"),
        Both(
            "풍물패는 {way}에서 북을 칩니다. 함께 쳐 보세요.",
            "The drummers play {way}. Go and drum along.",
        ),
    ),
    Topic(
        "thanks",
        ("고마워요", "고맙습니다", "감사합니다", "감사해요", "고마워", "thanks", "thank"),
        Both("천만에요. 즐거운 시간 보내세요!", "You are welcome. Enjoy the city!"),
    ),
    Topic(
        "hello",
        ("안녕", "안녕하세요", "안녕하십니까", "hello", "hi", "hey"),
        Both(
            "안녕하세요! 버스, 등불, 종, 북 가운데 무엇이 궁금하세요?",
            "Hello! What would you like: bus, lantern, bell or drum?",
        ),
    ),
)
PARTICLES: Final = (
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "에",
    "도",
    "로",
    "으로",
    "요",
    "이요",
    "에서",
    "까지",
    "타고",
)
STRIPPED: Final = " .,!?~…·'\"()"


def topic_of(text: str) -> Topic | None:
    """What somebody asks about: the first topic, in the table's order, of which they used a word."""
    said = {word.strip(STRIPPED) for word in text.casefold().split()}
    stems = said | {
        word[: -len(particle)] for word in said for particle in PARTICLES if word.endswith(particle)
    }
    return next((topic for topic in TOPICS if stems.intersection(topic.words)), None)


_WINDS: Final = (
    Both("북", "north"), Both("북동", "north-east"), Both("동", "east"), Both("남동", "south-east"),
    Both("남", "south"), Both("남서", "south-west"), Both("서", "west"), Both("북서", "north-west"),
)  # fmt: skip
HERE_M: Final = 25


def bearing(turn: float, metres: float) -> Both:
    """How to get there: `turn` (0 to 1 clockwise from north) and distance in words."""
    if metres <= HERE_M:
        return Both("바로 여기", "right here")
    wind, about = _WINDS[round(turn * 8) % 8], max(10, round(metres / 10) * 10)
    return Both(f"{wind.ko}쪽으로 약 {about} m", f"about {about} m {wind.en} of here")
