"""How a page speaks: phrases, the words of declarations, dates and terms, each in the page's language.

What stands in another language than the page is marked with it, for a screen reader's voice. Everything comes out as
escaped markup, or as plain text for an attribute; nothing here trusts what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from p2pworld.seoul.gu import GU
from p2pworld.services.deadlines import NEVER
from p2pworld.services.form import gu_slug
from p2pworld.services.words import ACTION_WORDS, DONE_WORDS, STATE_WORDS
from p2pworld.services.workflow import Action, State
from p2pworld.services.working_time import day_of, seoul_text
from shard_node.web.page_words import LANGUAGES, SPOKEN, phrase

if TYPE_CHECKING:
    from datetime import date

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.deadlines import Term
    from p2pworld.services.form import FormField
    from p2pworld.world.places import Words

__all__ = ["Speech"]

WEEKDAYS: Final = {
    "ko": "월화수목금토일",
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "ja": "月火水木金土日",
    "zh": "一二三四五六日",
}
MONTHS_EN: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_GU: Final = {gu_slug(gu.name_en): {"ko": gu.name_ko, "en": gu.name_en} for gu in GU}
CITY_OFFICE: Final = {"ko": "서울시", "en": "City of Seoul", "ja": "ソウル市", "zh": "首尔市"}


@dataclass(frozen=True, slots=True)
class Speech:
    """One of the four languages."""

    language: str

    @property
    def others(self) -> tuple[str, ...]:
        """The languages that a page offers beside this one."""
        return tuple(each for each in LANGUAGES if each != self.language)

    def plain(self, key: str, **values: object) -> str:
        """The phrase as text."""
        return phrase(key, self.language)[0].format(**values)

    def __call__(self, key: str, **values: object) -> Markup:
        """The phrase as markup."""
        said, own = phrase(key, self.language)
        return self._marked(said.format(**values), self.language if own else "en")

    def words_plain(self, words: Words) -> str:
        """What a declaration calls something, as text."""
        return self._chosen(words)[0]

    def words(self, words: Words) -> Markup:
        """The same as markup."""
        return self._marked(*self._chosen(words))

    def _chosen(self, words: Words) -> tuple[str, str]:
        for language in (self.language, "en", "ko"):
            if words.get(language):
                return words[language], language
        return "", self.language

    def _marked(self, text: str, language: str) -> Markup:
        if language == self.language:
            return escape(text)
        return Markup('<span lang="{}">{}</span>').format(language, text)

    # ---- things that have names

    def state(self, value: str) -> Markup:
        """What a state is called."""
        return self.words(STATE_WORDS[State(value)])

    def action(self, value: str) -> Markup:
        """What an action is called on a button."""
        return self.words(ACTION_WORDS[Action(value)])

    def done(self, value: str) -> Markup:
        """What has happened when somebody has done this."""
        return self.words(DONE_WORDS[Action(value)])

    def gu(self, slug: str) -> Markup:
        """The name of a gu, or of the city's own office."""
        return self.words(_GU.get(slug, CITY_OFFICE))

    def gu_plain(self, slug: str) -> str:
        """The same as text."""
        return self.words_plain(_GU.get(slug, CITY_OFFICE))

    def value(self, field: FormField | None, text: str, catalogue: Catalogue) -> Markup:
        """A public value as people read it."""
        if field is None:
            return escape(text)
        if text in field.choices:
            return self.words(field.choices[text])
        match field.format:
            case "gu":
                return self.gu(text)
            case "facility" if text in catalogue.facilities:
                return self.words(catalogue.facilities[text].name)
            case "slot" | "date-time":
                return escape(text.replace("T", " "))
            case "language" if text in SPOKEN:
                return self._marked(SPOKEN[text], text)
        if text in ("true", "false"):
            return self("yes" if text == "true" else "no")
        return escape(text)

    # ---- times

    def term(self, term: Term) -> Markup:
        """Within which time an office answers."""
        one = "_one" if term.amount == 1 else ""
        return self(f"term_{term.count.value}{one}", count=term.amount)

    def moment(self, minute: int) -> Markup:
        """A time in Seoul, for people and for programs."""
        if minute >= NEVER:
            return self("due_none")
        stamp = seoul_text(minute).replace(" ", "T") + "+09:00"
        return Markup('<time datetime="{}">{}</time>').format(stamp, self.moment_plain(minute))

    def moment_plain(self, minute: int) -> str:
        """The same as text."""
        return f"{self.day(day_of(minute))} {seoul_text(minute)[11:]}"

    def until(self, minute: int) -> Markup:
        """Up to this time; midnight is the end of the day that it ends, as nobody reads it as the begin of one."""
        clock = seoul_text(minute)[11:]
        if clock != "00:00":
            return self("until", time=self.moment_plain(minute))
        return self("until", time=f"{self.day(day_of(minute - 1))} 24:00")

    def day(self, day: date) -> str:
        """A day with its weekday."""
        weekday = WEEKDAYS[self.language][day.weekday()]
        match self.language:
            case "en":
                return f"{weekday} {day.day} {MONTHS_EN[day.month - 1]} {day.year}"
            case "ko":
                return f"{day.year}년 {day.month}월 {day.day}일({weekday})"
            case _:
                return f"{day.year}年{day.month}月{day.day}日({weekday})"

    def short_day(self, day: date) -> str:
        """The same without its year, for the head of a column."""
        weekday = WEEKDAYS[self.language][day.weekday()]
        if self.language == "en":
            return f"{weekday} {day.day} {MONTHS_EN[day.month - 1][:3]}"
        return f"{day.month}.{day.day}. {weekday}"

    def won(self, amount: int) -> Markup:
        """A fee."""
        return self("won", amount=f"{amount:,}") if amount else self("free")

    def kept(self, keep_days: int, contact_days: int) -> Markup:
        """How long data is kept."""
        kept = self("keep_after", days=keep_days) if keep_days else self("keep_none")
        if contact_days == keep_days:
            return kept
        contacts = self("keep_contact", days=contact_days) if contact_days else self("keep_contact_none")
        return Markup("{}; {}").format(kept, contacts)
