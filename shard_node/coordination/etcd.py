"""A coordination store in etcd: for the nodes of many machines.

Under one prefix lie the map, its head (version and hash, so that a reader who knows it is spared the map), the last
number of each node, and one key for each lease. A renewal is a transaction that must find its key and writes it again;
etcd's own count of a key's writes is the counter, and a lease that has ended is a key that is gone. Takeovers compare
the head and the victim's key and delete it, all in one transaction. So every rule is kept by etcd's log alone:
neither its clock nor its leases are asked, since those can be ended by a leader that was deposed while it was paused
(docs/decisions/0006). Reads are linearizable.

What the renewals leave in etcd's history is compacted by the nodes themselves once it is a few minutes old.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from p2pworld.errors import LocalError, RemoteError
from p2pworld.ids import Incarnation
from p2pworld.limits import NOTICES_MAX, RECORDS_MAX
from p2pworld.membership import Lease
from p2pworld.world.citymap import EMPTY, CityMap, decode
from shard_node.coordination import rules
from shard_node.coordination.gateway import Gateway
from shard_node.coordination.interface import (
    Board,
    CoordinationDown,
    OutcomeUnknown,
    Proposed,
    Registration,
    Snapshot,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from shard_node.coordination.gateway import Endpoint

__all__ = ["SCHEMA", "EtcdCoordination"]

Json = dict[str, Any]

SCHEMA: Final = 1  # newer is refused
_CALL_S: Final = 1.0  # within two renewal intervals, and long enough for two endpoints
_TRIES: Final = 8  # of one change, when others come in between
_LISTED_AT_ONCE: Final = 100  # etcd compares at most 128 keys in a transaction
_WATCH_S: Final = 10.0  # a watch whose link is silently dead is begun anew after this
_WATCH_AGAIN_S: Final = 0.1  # between two watches, where they do not last
_COMPACT_S: Final = 300.0  # history is kept for this long at least
_COMPACT_WAIT_S: Final = 0.25


class _Key(NamedTuple):
    """One key as etcd shows it: when it was written last, how often, and its value (empty if not asked for)."""

    name: bytes
    revision: int
    writes: int
    value: bytes


class _Seen(NamedTuple):
    """What one transaction read: the map, its head as written, and all leases with the keys they stand in."""

    revision: int
    city: CityMap | None  # None: the one already known
    head: _Key | None
    leases: dict[Incarnation, tuple[Lease, _Key]]


class EtcdCoordination:
    """The Coordination of one etcd, under `prefix`; any number of processes may use it."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        *,
        prefix: str = "p2pworld/",
        tls: ssl.SSLContext | None = None,
        user: str = "",
        password: str = "",
        call_s: float = _CALL_S,
    ) -> None:
        self._gateway = Gateway(endpoints, tls, user, password)
        self._where = f"etcd under {prefix!r}"
        self._prefix = prefix.encode()
        self._call_s = call_s
        self._known: tuple[bytes, CityMap] = (b"", EMPTY)  # the head as written, and the map it speaks of
        self._history: tuple[float, int] | None = None  # when which revision was the newest

    # ---- the interface

    async def register(self, record: Registration, ttl_s: float, ends: Incarnation | None) -> int:
        """See `Coordination.register`."""
        until_s = self._until_s()
        counter_key = self._key("node", record.node.hex())
        for _ in range(_TRIES):
            answer = await self._transact(
                until_s, [], [*self._look_at_map(), _get(counter_key), self._look_at_leases(values=True)]
            )
            seen = self._seen(answer, leases_at=-1)
            city = self._known[1]
            living = [(who, _ttl_s(key.value)) for who, (_, key) in seen.leases.items()]
            rules.check_registration(record, ttl_s, ends, city, living)
            last = _keys(answer, -2)
            number = rules.next_number(int(last[0].value) if last else 0, city, ends)
            mine = [who.number for who in seen.leases if who.node == record.node]
            over = {old for old in mine if ends is not None and old <= ends.number}
            over.update(rules.forgettable(record, number, city, mine))
            value = json.dumps([ttl_s, record.link_url, record.play_url, record.web_url]).encode()
            compares = [self._same_schema(), *self._same_head(seen), _same(counter_key, last)]
            changes = [
                _put(counter_key, str(number).encode()),
                _put(self._lease_key(Incarnation(record.node, number)), value),
                *(_delete(self._lease_key(Incarnation(record.node, old))) for old in sorted(over)),
            ]
            try:
                done = await self._transact(until_s, compares, changes, once=True)
            except OutcomeUnknown as error:
                raise CoordinationDown("io", str(error)) from None  # a number may be spent, for nobody
            if done.get("succeeded"):
                return number
            await self._found(seen, until_s)
        raise self._crowded()

    async def renew(self, who: Incarnation) -> bool:
        """See `Coordination.renew`."""
        key = self._lease_key(who)
        write_again = {"request_put": {"key": _text(key), "ignore_value": True}}
        answer = await self._transact(self._until_s(), [_exists(key)], [write_again])
        await self._compact(_revision(answer))
        return bool(answer.get("succeeded"))

    async def read(self, known_version: int) -> Snapshot:
        """See `Coordination.read`."""
        until_s = self._until_s()
        head, city = self._known
        compares = [_value_is(self._key("head"), head)] if head and city.version == known_version else []
        spared = [_get(self._key("schema")), self._look_at_leases()]
        whole = [*self._look_at_map(), self._look_at_leases()]
        answer = await self._transact(until_s, compares, spared if compares else whole, whole)
        leases_only = bool(compares) and bool(answer.get("succeeded"))
        seen = self._seen(answer, leases_at=-1, with_map=not leases_only)
        if not leases_only:
            city = self._known[1]
        leases = tuple(lease for lease, _ in sorted(seen.leases.values(), key=lambda pair: pair[0].who))
        return Snapshot(city.version, None if city.version == known_version else city, leases)

    async def propose(self, city: CityMap, expected_version: int, victim: Lease | None = None) -> Proposed:
        """See `Coordination.propose`."""
        form = rules.checked_form(city, expected_version)
        head = f"{city.version} {hashlib.sha256(form).hexdigest()}".encode()
        until_s = self._until_s()
        for _ in range(_TRIES):
            answer = await self._transact(until_s, [], [*self._look_at_map(), self._look_at_leases()])
            seen = self._seen(answer, leases_at=-1)
            before = self._known[1]
            leases = {who: lease for who, (lease, _) in seen.leases.items()}
            reason = rules.why_refused(city, before, expected_version, victim, leases)
            if reason is not None:
                return Proposed(False, before.version, reason)
            listing = rules.newly_listed(city, before)
            if len(listing) > _LISTED_AT_ONCE:
                raise LocalError(f"one map can list at most {_LISTED_AT_ONCE} new members in etcd")
            compares = [self._same_schema(), *self._same_head(seen)]
            compares += [_exists(self._lease_key(who)) for who in listing]
            changes = [_put(self._key("head"), head), _put(self._key("map"), form)]
            if victim is not None:
                key = self._lease_key(victim.who)
                compares.append(_same(key, [seen.leases[victim.who][1]] if victim.who in leases else []))
                changes.append(_delete(key))
            done = await self._transact(until_s, compares, changes, once=True)
            if done.get("succeeded"):
                return Proposed(True, city.version)
            await self._found(seen, until_s)
        raise self._crowded()

    async def wait_change(self, after_version: int, timeout_s: float) -> int:
        """See `Coordination.wait_change`; it watches from the revision that it has read up to."""
        version = after_version
        with trio.move_on_after(timeout_s):
            while True:
                answer = await self._transact(self._until_s(), [], self._look_at_map())
                revision = self._seen(answer, leases_at=None).revision
                version = self._known[1].version
                if version != after_version:
                    return version
                with trio.move_on_after(_WATCH_S):
                    if not await self._head_written(revision + 1):
                        await trio.sleep(_WATCH_AGAIN_S)
        return version

    async def end(self, who: Incarnation) -> None:
        """See `Coordination.end`."""
        await self._transact(self._until_s(), [], [_delete(self._lease_key(who))])

    async def notices(self, known: int) -> Board:
        """See `Coordination.notices`; the number is etcd's revision of the newest key."""
        until_s = self._until_s()
        newest = _range(self._key("notice", ""))
        newest["request_range"] |= {
            "limit": "1", "sort_order": "DESCEND", "sort_target": "MOD", "keys_only": True
        }  # fmt: skip
        found = _keys(await self._transact(until_s, [], [newest]), 0)
        number = found[0].revision if found else 0
        if number == known:
            return Board(number, None)
        answer = await self._transact(until_s, [], [_range(self._key("notice", ""))])
        rows = _keys(answer, 0)
        posted = {self._name(row.name): row.value for row in rows}
        return Board(max((row.revision for row in rows), default=0), posted)

    async def post(self, name: bytes, notice: bytes) -> bool:
        """See `Coordination.post`."""
        until_s, key = self._until_s(), self._key("notice", name.hex())
        if await self._count("notice", until_s) >= NOTICES_MAX:
            return False
        await self._transact(until_s, [_same(key, [])], [_put(key, notice)])
        return True

    async def take_down(self, name: bytes) -> None:
        """See `Coordination.take_down`."""
        await self._transact(self._until_s(), [], [_delete(self._key("notice", name.hex()))])

    async def read_record(self, name: str) -> bytes | None:
        """See `Records.read_record`."""
        found = _keys(await self._transact(self._until_s(), [], [_get(self._record_key(name))]), 0)
        return found[0].value if found else None

    async def put_record(self, name: str, before: bytes | None, record: bytes) -> bytes | None:
        """See `Records.put_record`."""
        rules.check_record(record)
        until_s, key = self._until_s(), self._record_key(name)
        if before is None and await self._count("record", until_s) >= RECORDS_MAX:
            raise rules.too_many_records(self._where)
        compare = _same(key, []) if before is None else _value_is(key, before)
        done = await self._transact(until_s, [compare], [_put(key, record)], [_get(key)], once=True)
        if done.get("succeeded"):
            return record
        found = _keys(done, 0)
        return found[0].value if found else None

    async def close(self) -> None:
        """See `Coordination.close`."""
        await self._gateway.close()

    # ---- reading

    def _until_s(self) -> float:
        return trio.current_time() + self._call_s

    async def _count(self, kind: str, until_s: float) -> int:
        """How many keys there are of a kind."""
        count = _range(self._key(kind, ""))
        count["request_range"]["count_only"] = True
        answer = await self._transact(until_s, [], [count])
        return int(_read_json(lambda: answer["responses"][0]["response_range"].get("count", 0)))

    def _look_at_map(self) -> list[Json]:
        return [_get(self._key("schema")), _get(self._key("head")), _get(self._key("map"))]

    def _look_at_leases(self, values: bool = False) -> Json:
        first = self._key("lease", "")
        return {
            "request_range": {"key": _text(first), "range_end": _text(_after(first)), "keys_only": not values}
        }

    def _seen(self, answer: Json, leases_at: int | None, with_map: bool = True) -> _Seen:
        """What a transaction read whose first answers are those of `_look_at_map`, or of the schema alone.

        Raises:
            CoordinationDown: it is nothing that this release can read.
        """
        schema = _keys(answer, 0)
        head = _keys(answer, 1) if with_map else []
        leases: dict[Incarnation, tuple[Lease, _Key]] = {}
        for key in _keys(answer, leases_at) if leases_at is not None else ():
            who = self._whose(key.name)
            leases[who] = Lease(who, key.writes - 1, False), key
        if not schema and (head or leases):
            raise CoordinationDown("not_a_store", f"{self._where} lie the keys of another program")
        if schema and schema[0].value != str(SCHEMA).encode():
            raise self._other_schema(schema[0].value)
        if not with_map:
            return _Seen(_revision(answer), None, None, leases)
        if not head:
            self._known = (b"", EMPTY)
        elif head[0].value != self._known[0]:
            form = _keys(answer, 2)
            try:
                city = decode(form[0].value if form else b"")
            except RemoteError as error:
                raise rules.unreadable_map(self._where, error) from error
            self._known = head[0].value, city
        return _Seen(_revision(answer), self._known[1], head[0] if head else None, leases)

    def _whose(self, name: bytes) -> Incarnation:
        try:
            node, number = name[len(self._prefix) :].decode().split("/")[1:]
            return Incarnation(bytes.fromhex(node), int(number, 16))
        except ValueError:
            raise CoordinationDown("not_a_store", f"{self._where} lie the keys of another program") from None

    def _name(self, key: bytes) -> bytes:
        """The name of the notice under this key."""
        try:
            return bytes.fromhex(key[len(self._key("notice", "")) :].decode())
        except ValueError:
            raise CoordinationDown("not_a_store", f"{self._where} lie the keys of another program") from None

    def _other_schema(self, value: bytes) -> CoordinationDown:
        text = value[:20].decode("utf-8", "replace")
        if text.isascii() and text.isdigit() and int(text) > SCHEMA:
            return CoordinationDown(
                "newer_schema",
                f"the store of {self._where} was written by a newer release (schema {text}, "
                f"this one reads up to {SCHEMA}); update this node",
            )
        return CoordinationDown("not_a_store", f"{self._where} lie the keys of another program")

    # ---- writing

    async def _transact(
        self,
        until_s: float,
        compares: list[Json],
        changes: list[Json],
        otherwise: list[Json] | None = None,
        *,
        once: bool = False,
    ) -> Json:
        question = {"compare": compares, "success": changes, "failure": otherwise or []}
        return await self._gateway.ask("/v3/kv/txn", question, until_s, once=once)

    async def _found(self, seen: _Seen, until_s: float) -> None:
        """After a change was refused: if that was because nobody has made this store yet, make it."""
        if seen.head is None and not seen.leases:
            key = self._key("schema")
            await self._transact(until_s, [_same(key, [])], [_put(key, str(SCHEMA).encode())])

    def _crowded(self) -> CoordinationDown:
        return CoordinationDown("busy", f"others keep changing {self._where}")

    async def _compact(self, revision: int) -> None:
        """Let etcd forget what was written before the last few minutes; another node may have done so already."""
        now_s = trio.current_time()
        if self._history is None:
            self._history = now_s, revision
        elif now_s - self._history[0] >= _COMPACT_S:
            old, self._history = self._history[1], (now_s, revision)
            with trio.move_on_after(_COMPACT_WAIT_S):
                try:
                    await self._gateway.ask("/v3/kv/compaction", {"revision": str(old)}, self._until_s())
                except CoordinationDown:
                    return  # it is compacted already, or somebody will in the next few minutes

    async def _head_written(self, from_revision: int) -> bool:
        """True as soon as the head has been written at this revision or later; False when nobody can tell any more.

        That is so when the stream breaks, when its endpoint loses its leader, and when the revision is compacted.
        """
        question = {
            "create_request": {"key": _text(self._key("head")), "start_revision": str(from_revision)},
        }
        async with self._gateway.stream("/v3/watch", question, self._until_s()) as lines, aclosing(lines):
            async for line in lines:
                if line.get("events") or line.get("canceled"):
                    return bool(line.get("events"))
        return False

    # ---- names

    def _key(self, *parts: str) -> bytes:
        return self._prefix + "/".join(parts).encode()

    def _lease_key(self, who: Incarnation) -> bytes:
        return self._key("lease", who.node.hex(), f"{who.number:016x}")

    def _record_key(self, name: str) -> bytes:
        return self._key("record", name.encode().hex())

    def _same_schema(self) -> Json:
        return _value_is(self._key("schema"), str(SCHEMA).encode())

    def _same_head(self, seen: _Seen) -> list[Json]:
        """That the map is the one seen: its head not written since, nor (in a store restored meanwhile) another."""
        key = self._key("head")
        if seen.head is None:
            return [_same(key, [])]
        return [_same(key, [seen.head]), _value_is(key, seen.head.value)]


# ---- etcd's JSON: bytes are base64, 64-bit numbers are texts, what is empty or false is left out


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`, whose last byte is not the largest."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _get(key: bytes) -> Json:
    return {"request_range": {"key": _text(key)}}


def _range(first: bytes) -> Json:
    """All keys that begin so."""
    return {"request_range": {"key": _text(first), "range_end": _text(_after(first))}}


def _put(key: bytes, value: bytes) -> Json:
    return {"request_put": {"key": _text(key), "value": _text(value)}}


def _delete(key: bytes) -> Json:
    return {"request_delete_range": {"key": _text(key)}}


def _exists(key: bytes) -> Json:
    return {"key": _text(key), "target": "VERSION", "result": "GREATER", "version": "0"}


def _value_is(key: bytes, value: bytes) -> Json:
    return {"key": _text(key), "target": "VALUE", "result": "EQUAL", "value": _text(value)}


def _same(key: bytes, seen: list[_Key]) -> Json:
    """That a key was not written since it was seen, or is still missing."""
    return {
        "key": _text(key),
        "target": "MOD",
        "result": "EQUAL",
        "mod_revision": str(seen[0].revision if seen else 0),
    }


def _read_json(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CoordinationDown(
            "not_a_store", f"etcd answers in a form this release does not know: {error!r}"
        ) from None


def _revision(answer: Json) -> int:
    return int(_read_json(lambda: int(answer["header"]["revision"])))


def _keys(answer: Json, at: int) -> list[_Key]:
    """The keys that the range of this place read."""

    def read() -> list[_Key]:
        rows = answer["responses"][at]["response_range"].get("kvs", [])
        return [
            _Key(
                b64decode(row["key"]),
                int(row["mod_revision"]),
                int(row["version"]),
                b64decode(row.get("value", "")),
            )
            for row in rows
        ]

    found: list[_Key] = _read_json(read)
    return found


def _ttl_s(value: bytes) -> float:
    return float(_read_json(lambda: float(json.loads(value)[0])))
