"""A service as a page is given it: plain values, whole, from which the same is checked as on the node."""

from __future__ import annotations

import json

from p2pworld.services.declaration import FILE_TYPES
from p2pworld.services.reasons import FIELD_REASONS, SERVICE_REASONS
from p2pworld.services.told import service_told, words_told
from p2pworld.services.workflow import Action, State
from shard_node.services.folder import read

SERVICES = read().services.values()


def test_a_service_is_told_in_plain_values_with_every_field_and_its_words() -> None:
    for service in SERVICES:
        told = json.loads(json.dumps(service_told(service)))
        assert told == service_told(service), "nothing that JSON has no word for"
        fields = told["form"]["fields"]
        assert [field["name"] for field in fields] == [field.name for field in service.form.fields]
        schema = service.form.json_schema()
        assert told["form"]["required"] == schema["required"]
        assert {field["name"]: field["schema"] for field in fields} == schema["properties"]
        assert set(told["public"]) <= set(schema["properties"])
        assert all(field["label"]["ko"] and field["label"]["en"] for field in fields)
        if told["attachments"]:
            assert set(told["attachments"]["types"]) <= set(FILE_TYPES)


def test_every_code_has_its_sentences_and_every_state_its_name() -> None:
    told = words_told()
    assert set(told["fields"]) == set(FIELD_REASONS)
    assert set(told["reasons"]) >= set(SERVICE_REASONS) | {"civic-busy"}
    assert set(told["states"]) == {state.value for state in State}
    assert set(told["actions"]) == {action.value for action in Action}
    assert told["reasons"]["civic-busy"]["again"]
    assert told["other"]["again"]
    assert not told["reasons"]["slot-taken"]["again"]
