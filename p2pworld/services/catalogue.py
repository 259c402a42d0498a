"""All services and facilities of a city, read from the texts of their files; a broken one harms no other.

A file holds a service (it has an `id`), facilities (`[[facilities]]`), common fields of forms (`[fields.NAME]`), or
templates of letters (`[[templates]]`).
What cannot be read is left out and stands among the faults, with file, line, key and a sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from p2pworld.services.declaration import Service, read_service
from p2pworld.services.facility import Facility, read_facility
from p2pworld.services.form import FIELD
from p2pworld.services.leaf_types import NO_SERVICES
from p2pworld.services.locate import line_of
from p2pworld.services.templates import Template, read_template
from p2pworld.world.reading import Table, Wrong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.transaction import TransactionType

__all__ = ["Catalogue", "ServiceFault", "Source", "read_catalogue"]

_AT_LINE: Final = re.compile(r"\(at line ([0-9]+), column [0-9]+\)")


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name for people, and its text."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class ServiceFault:
    """What is wrong in a file, and where."""

    file: str
    line: int
    key: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a city offers."""

    services: Mapping[str, Service]
    facilities: Mapping[str, Facility]
    faults: tuple[ServiceFault, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)

    def types(self) -> dict[str, TransactionType]:
        """The transaction types of all services, by name; what the holder of a stream takes."""
        return {service.id: service.transaction_type for service in self.services.values()}

    def of_code(self, code: str) -> Service | None:
        """The service that Open311 clients know by this code."""
        return next((s for s in self.services.values() if s.open311 and s.open311.code == code), None)

    def bookable(self, service: Service) -> tuple[Facility, ...]:
        """The facilities whose slots this service gives."""
        if service.places is None:
            return ()
        return tuple(
            facility
            for facility in self.facilities.values()
            if facility.kind in service.places.kinds and facility.allocation is service.places.allocation
        )


def read_catalogue(sources: Iterable[Source], homes: Mapping[str, str] | None = None) -> Catalogue:
    """Everything in these files that can be read, and the faults of the rest.

    `homes` are facilities of which something was booked, and in which office's log: two logs that give the same places
    would give them twice. So one that is declared for another office is a fault, and stays where it was.
    """
    reader = _Reader(homes or {})
    for source in sources:
        reader.parse(source)
    for source, values in reader.parsed:
        reader.common_fields(source, values)
    for source, values in reader.parsed:
        reader.facilities_of(source, values)
    for source, values in reader.parsed:
        reader.service_of(source, values)
    for source, values in reader.parsed:
        reader.templates_of(source, values)
    return Catalogue(
        MappingProxyType(reader.services),
        MappingProxyType(reader.facilities),
        tuple(reader.faults),
        MappingProxyType(reader.templates),
    )


class _Reader:
    """What has been read so far: first all files, then common fields, facilities and services, which build on those."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes
        self.parsed: list[tuple[Source, Mapping[str, object]]] = []
        self.faults: list[ServiceFault] = []
        self.common: dict[str, Mapping[str, object]] = {}
        self.facilities: dict[str, Facility] = {}
        self.services: dict[str, Service] = {}
        self.templates: dict[str, Template] = {}
        self._where: dict[str, str] = {}  # in which file an id, or an Open311 code, was read

    def parse(self, source: Source) -> None:
        try:
            values = tomllib.loads(source.text)
        except tomllib.TOMLDecodeError as error:
            where = _AT_LINE.search(str(error))
            line = int(where[1]) if where else source.text.count("\n") + 1
            said = _AT_LINE.sub("", str(error)).replace("(at end of document)", "").strip()
            self.faults.append(ServiceFault(source.file, line, "file", f"is not valid TOML: {said}."))
            return
        if not {"id", "fields", "facilities", "templates"} & set(values):
            self._fault(
                source, Wrong("id", "is missing: add it, or [[facilities]], [fields] or [[templates]].")
            )
            return
        self.parsed.append((source, values))

    def common_fields(self, source: Source, values: Mapping[str, object]) -> None:
        if "id" in values or "fields" not in values:
            return
        fields = values["fields"]
        for name, words in fields.items() if isinstance(fields, Mapping) else ():
            if not isinstance(words, Mapping) or not FIELD.fullmatch(name):
                self._fault(source, Wrong(f"fields.{name}", "is to be a table: the words of a field."))
            elif name in self.common:
                self._fault(
                    source, Wrong(f"fields.{name}", "is a common field already: choose another name.")
                )
            else:
                self.common[name] = words

    def facilities_of(self, source: Source, values: Mapping[str, object]) -> None:
        if "id" in values or "facilities" not in values:
            return
        try:
            tables = Table("", values).tables("facilities")
        except Wrong as wrong:
            self._fault(source, wrong)
            return
        for i, table in enumerate(tables):
            try:
                facility = read_facility(table)
                self._take_id(f"facilities[{i}].id", facility.id, source)
            except Wrong as wrong:
                self._fault(source, wrong)
            else:
                home = self._homes.get(facility.id, facility.gu)
                if home != facility.gu:
                    sentence = (
                        f"{facility.id!r} was booked in the log of {home}, where it stays: "
                        f"what moves to {facility.gu} needs a new id."
                    )
                    self._fault(source, Wrong(f"facilities[{i}].gu", sentence))
                self.facilities[facility.id] = replace(facility, gu=home)

    def service_of(self, source: Source, values: Mapping[str, object]) -> None:
        if "id" not in values:
            return
        try:
            service = read_service(values, self.common, source.file)
            offered = {facility.kind for facility in self.facilities.values()}
            if service.places and not service.places.kinds <= offered:
                missing = ", ".join(sorted(service.places.kinds - offered))
                raise Wrong("places.kinds", f"no facility is of the kind {missing}: add one, or correct it.")
            if service.open311 is not None:
                self._take_id("open311.code", f"Open311 {service.open311.code}", source)
            if service.id in NO_SERVICES:
                raise Wrong("id", f"{service.id!r} is what logs call something else: choose another one.")
            self._take_id("id", service.id, source)
        except Wrong as wrong:
            self._fault(source, wrong)
        else:
            self.services[service.id] = service

    def templates_of(self, source: Source, values: Mapping[str, object]) -> None:
        if "id" in values or "templates" not in values:
            return
        try:
            tables = Table("", values).tables("templates")
        except Wrong as wrong:
            self._fault(source, wrong)
            return
        for i, table in enumerate(tables):
            try:
                template = read_template(table)
                if missing := template.services - set(self.services):
                    raise table.wrong("services", f"no service is called {', '.join(sorted(missing))}.")
                self._take_id(f"templates[{i}].id", f"template {template.id}", source)
            except Wrong as wrong:
                self._fault(source, wrong)
            else:
                self.templates[template.id] = template

    def _take_id(self, key: str, identity: str, source: Source) -> None:
        if identity in self._where:
            raise Wrong(key, f"{identity!r} is in {self._where[identity]} already: choose another one.")
        self._where[identity] = source.file

    def _fault(self, source: Source, wrong: Wrong) -> None:
        line = line_of(source.text, wrong.key)
        self.faults.append(ServiceFault(source.file, line, wrong.key, wrong.sentence))
