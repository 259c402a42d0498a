"""Two hundred texts that have broken pages, parsers, lines or nerves elsewhere, made from a few dozen kinds.

Where a script in them ran, it would set `window.harmed` or open a dialog. Some hold what no text may (lone halves of a
pair, NUL); `json.dumps` writes them all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HOSTILE", "WORST"]

_SCRIPTS: Final = (
    "window.harmed=1", "alert(1)", "confirm(1)", "top.location='about:blank'",
)  # fmt: skip
_MARKUP: Final = (
    "<script>{0}</script>",
    "<img src=x onerror={0}>",
    "<svg/onload={0}>",
    '"><img src=x onerror="{0}">',
    "'-{0}-'",
    "javascript:{0}",
    "</textarea><script>{0}</script>",
    "</title><script>{0}</script>",
    "<iframe srcdoc='<script>{0}</script>'>",
    "<a href='javascript:{0}' autofocus onfocus={0}>x</a>",
    "${{{0}}}",
    "{{{{constructor.constructor('{0}')()}}}}",
    "`-{0}-`",
    "<details open ontoggle={0}>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror={0}>",
)
_TURNS: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
_UNSEEN: Final = (
    "\u0000\u0001\u0007\u0008\u000b\u000c\u001b\u007f\u0080\u0085\u009f\u00ad\u034f\u115f\u1160\u17b4\u180e"
    "\u200b\u200c\u200d\u2028\u2029\u2060\u2064\u206a\u3164\ufeff\ufff9\ufffb\ufffc\ufffe\uffff"
)
_FAMILY: Final = "👨‍👩‍👧‍👦"

_single: list[str] = [
    *(kind.format(script) for kind in _MARKUP for script in _SCRIPTS),  # 60
    *(f"앞{turn}evil{turn}뒤" for turn in _TURNS),  # 12
    *(f"a{unseen}b" for unseen in _UNSEEN),  # 32
    *(unseen * 40 for unseen in _UNSEEN),  # 32
]
_single += [
    "\u202e" * 100 + "moc.live",
    "\u2066" * 60 + "never closed",
    "\u2069" * 60 + "closed too often",
    "Z" + "\u0351\u0363\u0334\u0300\u0317" * 50 + "algo",
    "안" + "\u0308" * 200 + "녕",
    "\u0e49" * 120,
    "ก" + "\u0e49" * 80,
    "\u0489" * 100,
    "é" * 150,
    "e\u0301" * 140,
    "\u0301" * 300,
    "ᄀ" * 200,
    "ᄀ" + "ᅡ" * 150,
    "가" + "ᆨ" * 150,
    "각" * 300,
    _FAMILY * 20,
    "👩" + "\u200d👩" * 80,
    "\u200d" * 200 + "👨",
    "🏳️‍🌈" * 50,
    "🇰🇷" * 100,
    "🇰" * 101,
    "👍🏿" + "🏿" * 80,
    "🏴" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") * 30 + "\U000e007f",
    "\U000e0001" + "".join(chr(0xE0000 + ord(c)) for c in "hidden orders"),
    "\ufe0f" * 200,
    "❤" + "\ufe0f\ufe0e" * 90,
    "\ud800",
    "\udfff",
    "a\ud83d",
    "\ude00\ud83d",
    "\ufdfd" * 60,
    "𒐫" * 60,
    "꧅" * 80,
    "﷽" + "⸻" * 60,
    "W" * 300,
    "i" * 5_000,
    "한" * 5_000,
    " " * 300,
    "\u3000" * 300,
    "\n" * 300,
    "line\nafter\r\nline\ttab",
    "\r\r\r",
    "مرحبا بكم في سيول",
    "שלום \u202eevil\u202c עולם",
    "السُّلَّطِّبُلُلّصّبُلُلصّبُررً ॣ ॣh ॣ ॣ 冗",
    "జ్ఞ‌ా",
    "\ue000\uf8ff\U000f0000\U0010fffd",
    "\U0010ffff\ufdd0",
    "%00%0a%0d<>",
    "'; DROP TABLE cells; --",
    "../../../etc/passwd",
    "__proto__",
    "constructor",
    "toString",
    "NaN",
    "null",
    "undefined",
    "[object Object]",
    "&lt;script&gt;&#0;&amp;amp;",
    "<!--",
    "]]>",
    "\\u0000\\x00\\",
    "$&$1$`",
    "{place}{name}{count}",
]
HOSTILE: Final = tuple(_single)

WORST: Final = (
    "<img src=x onerror=window.harmed=1>",
    '"><svg/onload=alert(1)>',
    "\u202e" * 20 + "moc.live \u2066never closed",
    "Z" + "\u0351\u0363\u0334\u0300\u0317" * 8 + "algo",
    _FAMILY * 6,
    "a\u0000b\u001bc\u2028d",
)
