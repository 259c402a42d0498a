"""One document as JSON or as XML, as Open311 has it: what is an array in the one is a row of elements in the other.

The standard's JSON is its XML without the names that only gather (the "Spark" convention): the elements of a list have
the singular of its name, a root that is a list is a bare array, and an element with nothing in it is null.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMATS", "to_json", "to_xml"]

FORMATS: Final = {"xml": "text/xml; charset=utf-8", "json": "application/json; charset=utf-8"}
_SINGULAR: Final[Mapping[str, str]] = {
    "services": "service",
    "attributes": "attribute",
    "values": "value",
    "service_requests": "request",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def to_json(document: Any) -> bytes:
    """The document as JSON, in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def to_xml(root: str, document: Any) -> bytes:
    """The document as XML below an element `root`, in UTF-8; what XML has no way to write is left out."""
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{_element(root, document)}\n'
    return text.encode("utf-8", "replace")


def _element(name: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return f"<{name}/>"
    match value:
        case bool():
            inside = "true" if value else "false"
        case dict():
            inside = "".join(_element(key, each) for key, each in value.items())
        case list():
            inside = "".join(_element(_SINGULAR[name], each) for each in value)
        case _:
            inside = escape(_NOT_IN_XML.sub("", str(value)))
    return f"<{name}>{inside}</{name}>"
