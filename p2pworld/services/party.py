"""How many people come with a booking, and whether a place has room for them.

Whoever gives the places reads it in the leaf, so a service that gives places has these fields in public: a number,
never who. It is the number of `people`; a form without one has adults, children or seats that are counted together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.services.form import FieldFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.services.form import Form

__all__ = ["party", "party_fault", "party_fields"]

_ALL: Final = "people"
_KINDS: Final = ("adults", "children", "seats")


def party_fields(form: Form) -> tuple[str, ...]:
    """The fields of this form whose sum is how many come; none where one person does."""
    counts = {field.name for field in form.fields if field.schema["type"] == "integer"}
    return (_ALL,) if _ALL in counts else tuple(name for name in _KINDS if name in counts)


def party(form: Form, values: Mapping[str, object]) -> int:
    """How many come with a booking of these checked values, or of the texts of a leaf; one person at least."""
    found = (str(values.get(name) or 0) for name in party_fields(form))
    return max(1, sum(int(text) for text in found))


def party_fault(form: Form, values: Mapping[str, object], capacity: int) -> FieldFault | None:
    """What is wrong if more come than a place of this capacity has room for."""
    if party(form, values) <= capacity:
        return None
    name = party_fields(form)[0]
    field = form.field(name)
    assert field is not None, "it is one of the form's"
    return FieldFault(name, "too-many-people", field.label, str(capacity))
