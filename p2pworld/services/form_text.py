"""A form filled in as text only: what a page without script and Open311 send, as the values that the form checks.

What is not of a field's type is left as it came, for the form to say so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.services.form import Form, FormField

__all__ = ["moment", "moment_text", "value_of_texts", "values_of_texts"]

_SEOUL: Final = timezone(timedelta(hours=9))
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,16}")
_TRUTHS: Final = {
    **dict.fromkeys(("true", "on", "1", "yes"), True),
    **dict.fromkeys(("false", "off", "0", "no"), False),
}


def moment(text: str) -> datetime | None:
    """The moment that this text tells as ISO 8601 has it, in Seoul if it names no zone; None if it tells none."""
    try:
        read = datetime.fromisoformat(text.strip())
        return read.astimezone(_SEOUL) if read.tzinfo else read.replace(tzinfo=_SEOUL)
    except (ValueError, OverflowError):  # no moment, or one of the first or last day that there is
        return None


def moment_text(minute: int) -> str:
    """A minute of Unix time as ISO 8601 has it, with Seoul's zone."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(minutes=minute)).astimezone(_SEOUL).isoformat()


def values_of_texts(form: Form, texts: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The values of a form, of all the texts that came under each name; one that is empty was not filled in."""
    values: dict[str, object] = {}
    for name, given in texts.items():
        there = [text for text in given if text.strip()]
        if there:
            values[name] = value_of_texts(form.field(name), there)
    return values


def value_of_texts(field: FormField | None, texts: Sequence[str]) -> object:
    """The value of one field; `texts` are one at least."""
    if field is not None and field.schema["type"] == "array" and not field.choices:
        return [line for text in texts for line in text.splitlines() if line.strip()]
    if len(texts) > 1 or (field is not None and field.schema["type"] == "array"):
        return list(texts)
    text = texts[0].strip()
    if field is None:
        return text
    if field.schema["type"] == "integer" and _WHOLE.fullmatch(text):
        return int(text)
    if field.schema["type"] == "boolean":
        return _TRUTHS.get(text.lower(), text)
    if field.format in ("date", "date-time", "slot") and (read := moment(text)) is not None:
        return read.strftime("%Y-%m-%d" if field.format == "date" else "%Y-%m-%dT%H:%M")
    return text.replace(" ", "") if field.format == "point" else texts[0]
