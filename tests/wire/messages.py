"""Strategies for every message, made from the dataclasses' own annotations: all they allow, and nothing else."""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from p2pworld.messages import LINK_MESSAGES, PLAY_MESSAGES, Batch, Range, Size

__all__ = ["batches", "link_messages", "of_class", "play_messages"]

_TEXT = st.characters(codec="utf-8", exclude_characters="\0")
_FEW = 5  # items of a tuple and bytes beyond the least: enough to differ, small enough to be quick


def of_hint(hint: Any) -> st.SearchStrategy[Any]:
    """Any value that an annotation allows."""
    bound: Range | Size | None = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        bound = extras[0]
    if hint is bool:
        return st.booleans()
    if hint is int:
        assert isinstance(bound, Range)
        return st.integers(bound.low, bound.high) | st.sampled_from((bound.low, bound.high))
    if hint is str:
        assert isinstance(bound, Size)
        return st.text(_TEXT, min_size=bound.low, max_size=min(bound.high, bound.low + 2 * _FEW))
    if hint is bytes:
        assert isinstance(bound, Size)
        return st.binary(min_size=bound.low, max_size=min(bound.high, bound.low + _FEW))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return of_class(hint)
    first = get_args(hint)[0]
    if get_origin(hint) is tuple:
        assert isinstance(bound, Size)
        most = min(bound.high, bound.low + _FEW)
        return st.lists(of_hint(first), min_size=bound.low, max_size=most).map(tuple)
    assert get_origin(hint) in (Union, types.UnionType)
    return st.none() | of_hint(first)


def of_class(cls: type) -> st.SearchStrategy[Any]:
    """Any message of one class; fields with defaults are at them about half of the time."""
    hints = get_type_hints(cls, include_extras=True)
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(cls):
        strategy = of_hint(hints[field.name])
        if field.default is not dataclasses.MISSING:
            strategy = st.just(field.default) | strategy
        fields[field.name] = strategy
    return st.builds(cls, **fields)


play_messages = st.one_of(*(of_class(cls) for cls in PLAY_MESSAGES))
link_messages = st.one_of(*(of_class(cls) for cls in LINK_MESSAGES))
batches = st.builds(Batch, st.integers(0, 2**63 - 1), st.lists(link_messages, max_size=4).map(tuple))
