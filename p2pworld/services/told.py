"""A service and the sentences around it as plain values (JSON): what a page or a program of another make works with.

`service_told` has the form with its words in every language, what of it is public and where a filing goes, so that the
form can be filled in, checked and signed on the citizen's device by the rules of `Form.check` and `Service.check`.
`words_told` has every sentence that goes with a code. There is no second copy of either: a page is given these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pworld.civic.reasons import REASONS, words_for
from p2pworld.services.party import party_fields
from p2pworld.services.reasons import FIELD_REASONS, SERVICE_REASONS
from p2pworld.services.words import ACTION_WORDS, STATE_WORDS

if TYPE_CHECKING:
    from p2pworld.civic.reasons import Words
    from p2pworld.services.declaration import Service
    from p2pworld.services.form import Form

__all__ = ["form_told", "service_told", "words_told"]


def form_told(form: Form) -> dict[str, Any]:
    """The fields of a form in their order, each with its JSON Schema and its words."""
    return {
        "fields": [
            {
                "name": field.name,
                "schema": dict(field.schema),
                "label": dict(field.label),
                "hint": dict(field.hint),
                "error": dict(field.error),
                "choices": {choice: dict(words) for choice, words in field.choices.items()},
                "lines": field.lines,
            }
            for field in form.fields
        ],
        "required": [field.name for field in form.fields if field.name in form.required],
    }


def service_told(service: Service) -> dict[str, Any]:
    """What is needed to fill in, check and file a request of this service."""
    places, attachments = service.places, service.attachments
    return {
        "id": service.id,
        "title": dict(service.title),
        "about": dict(service.about),
        "form": form_told(service.form),
        "public": list(service.public),
        "office": {"of": service.office.source, "unit": dict(service.office.unit)},
        "person": service.eligible.person.value,
        "eligible": dict(service.eligible.text),
        "windows": [{"field": window.field, "days": window.days} for window in service.windows],
        "party": list(party_fields(service.form)) if places else [],
        "allocation": places.allocation.value if places else None,
        "attachments": {
            "types": list(attachments.types),
            "most": attachments.most,
            "bytes_max": attachments.bytes_max,
        }
        if attachments
        else None,
        "fee": dict(service.fee),
        "privacy": {"why": dict(service.privacy.why), "notice": dict(service.privacy.notice)},
        "emergency": service.emergency,
    }


def words_told() -> dict[str, Any]:
    """Every sentence and name that goes with a code: of fields, refusals (`again`: file the same again), states and
    actions; `other` is for a refusal that is not known here."""
    return {
        "fields": {code: {"ko": words.ko, "en": words.en} for code, words in FIELD_REASONS.items()},
        "reasons": {code: _refused(words) for code, words in {**REASONS, **SERVICE_REASONS}.items()},
        "other": _refused(words_for("")),
        "states": {state.value: dict(words) for state, words in STATE_WORDS.items()},
        "actions": {action.value: dict(words) for action, words in ACTION_WORDS.items()},
    }


def _refused(words: Words) -> dict[str, Any]:
    return {"ko": words.ko, "en": words.en, "again": words.again}
