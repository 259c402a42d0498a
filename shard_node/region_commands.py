"""The subcommands by which an operator arranges the ground: who holds what, moves, splits, merges, pins, drains.

They write a wish into the city map, by the coordination store alone, and wait until the nodes have carried it out. No
node is asked directly, so they work from any machine that reaches the store, and a wish outlives this command.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from shard_node.commands import CONFIG
from shard_node.errors import ConfigError
from shard_node.options import Quantity

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.errors import Refusal
    from p2pworld.geometry import Cell
    from p2pworld.world.citymap import CityMap, Holding, Member
    from shard_node.config import Config

__all__ = ["drain", "read_map", "regions", "say"]

_TRIES: Final = 20  # proposals, of which others came first
_LOOK_S: Final = 0.25
_PREFIX_DIGITS: Final = 4

Step = Callable[["CityMap"], "CityMap | Refusal"]

WAIT = click.option(
    "--wait",
    "wait_s",
    type=Quantity(0, 3_600),
    default=30.0,
    show_default=True,
    help="How many seconds to wait until it is done; 0: only say it.",
)
CELL = click.argument("where", metavar="CELL")
CELLS = click.argument("wheres", metavar="CELL...", nargs=-1, required=True)


@click.group()
def regions() -> None:
    """Look at the regions of the city and arrange them.

    CELL is a region's quadkey, or a point as LATITUDE,LONGITUDE. NODE is the beginning of a node's key.
    """


@regions.command("list")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(config_path: Path, as_json: bool) -> None:
    """Say who holds which region, who stands by, and what is to become of it."""
    city = read_map(_settings(config_path))
    rows = [_row(city, cell) for cell in city.leaves if city.cells[cell].holder is not None]
    if as_json:
        nodes = [
            {
                "node": member.node.hex(),
                "incarnation": member.incarnation,
                "url": member.play_url,
                "draining": member.draining,
                "regions": len(city.cells_of(member.who)),
            }
            for member in city.members.values()
        ]
        click.echo(json.dumps({"map_version": city.version, "nodes": nodes, "regions": rows}, indent=1))
        return
    for row in rows:
        standbys = " ".join(str(standby)[:12] for standby in row["standbys"]) or "-"
        marks = " ".join(
            [str(row["wish"] or ""), "pinned" if row["pinned"] else "", "cut" if row["cut"] else ""]
        )
        click.echo(
            f"{row['cell']:16}  {row['side_m']:>6} m  {str(row['holder'])[:12]}  {standbys}  {marks}".rstrip()
        )
    unheld = len(city.unheld())
    click.echo(f"map {city.version}: {len(rows)} regions held by {len(city.members)} nodes, {unheld} unheld")


def _row(city: CityMap, cell: Cell) -> dict[str, Any]:
    holding = city.cells[cell]
    wish = holding.wish
    wished = None if wish is None else f"{wish.kind.value} {wish.to.hex()[:12]}".strip()
    return {
        "cell": str(cell),
        "side_m": cell.side_cm // 100,
        "holder": holding.holder.node.hex() if holding.holder else None,
        "standbys": [standby.node.hex() for standby in holding.standbys],
        "wish": wished,
        "pinned": holding.pinned,
        "cut": holding.cut_from is not None,
    }


@regions.command()
@CELL
@click.argument("node")
@CONFIG
@WAIT
def move(where: str, node: str, config_path: Path, wait_s: float) -> None:
    """Give a region to another node, while people walk in it."""
    from p2pworld.world.citymap import Wish, WishKind, wish

    settings = _settings(config_path)
    city = read_map(settings)
    cell, target = _cell(city, where), _node(city, node)
    _say_and_wait(
        settings,
        lambda city: wish(city, {cell: Wish(WishKind.MOVE, target.node)}),
        lambda city: city.holder_of(cell) == target.who,
        lambda city: city.cells.get(cell),
        wait_s,
        f"{cell} is with {target.node.hex()[:12]}",
    )


@regions.command()
@CELL
@CONFIG
@WAIT
def split(where: str, config_path: Path, wait_s: float) -> None:
    """Cut a region into its four quarters, which stay with its node and can be moved apart."""
    from p2pworld.world.citymap import Wish, WishKind, wish

    settings = _settings(config_path)
    cell = _cell(read_map(settings), where)
    _say_and_wait(
        settings,
        lambda city: wish(city, {cell: Wish(WishKind.SPLIT)}),
        lambda city: bool(city.leaves_in(cell)) and cell not in city.cells,
        lambda city: city.cells.get(cell),
        wait_s,
        f"{cell} is now {' '.join(str(part) for part in cell.children())}",
    )


@regions.command()
@CELL
@CONFIG
@WAIT
def merge(where: str, config_path: Path, wait_s: float) -> None:
    """Make one region of the four quarters of CELL; one node must hold them all."""
    from p2pworld.world.citymap import Wish, WishKind, wish
    from p2pworld.world.citymap import merge as merged

    settings = _settings(config_path)
    parent = _cell(read_map(settings), where, whole=True)

    def step(city: CityMap) -> CityMap | Refusal:
        from p2pworld.errors import Refusal

        if isinstance(fits := merged(city, parent), Refusal):
            return fits
        return wish(city, dict.fromkeys(parent.children(), Wish(WishKind.MERGE)))

    _say_and_wait(
        settings,
        step,
        lambda city: parent in city.cells,
        lambda city: city.cells.get(parent.children()[0]),
        wait_s,
        f"{parent} is one region",
    )


@regions.command()
@CELLS
@CONFIG
def pin(wheres: tuple[str, ...], config_path: Path) -> None:
    """Keep regions as they are and with whom they are: the steward leaves them alone."""
    _pin(wheres, config_path, True)


@regions.command()
@CELLS
@CONFIG
def unpin(wheres: tuple[str, ...], config_path: Path) -> None:
    """Let the steward move, cut and merge these regions again."""
    _pin(wheres, config_path, False)


def _pin(wheres: tuple[str, ...], config_path: Path, pinned: bool) -> None:
    from p2pworld.world.citymap import pin as pin_step

    settings = _settings(config_path)
    city = read_map(settings)
    cells = [_cell(city, where) for where in wheres]
    say(settings, lambda city: pin_step(city, cells, pinned))
    click.echo(f"{' '.join(str(cell) for cell in cells)}: {'pinned' if pinned else 'free'}")


@regions.command()
@CELLS
@CONFIG
def cancel(wheres: tuple[str, ...], config_path: Path) -> None:
    """Take back what was wished of these regions and has not been done yet."""
    from p2pworld.world.citymap import wish

    settings = _settings(config_path)
    city = read_map(settings)
    cells = [_cell(city, where) for where in wheres]
    say(settings, lambda city: wish(city, dict.fromkeys(cells)))
    click.echo(f"nothing is wished of {' '.join(str(cell) for cell in cells)} any more")


@click.command()
@click.argument("node")
@CONFIG
@WAIT
@click.option("--undo", is_flag=True, help="Let the node take ground again.")
def drain(node: str, config_path: Path, wait_s: float, undo: bool) -> None:
    """Have a node give all its ground away, so that it can be stopped; NODE is the beginning of its key."""
    from p2pworld.world.citymap import drain as drain_step

    settings = _settings(config_path)
    target = _node(read_map(settings), node)
    if undo:
        say(settings, lambda city: drain_step(city, target.node, False))
        click.echo(f"{target.node.hex()[:12]} takes ground again")
        return

    def done(city: CityMap) -> bool:
        return not city.is_listed(target.who) or not city.cells_of(target.who)

    def draining(city: CityMap) -> bool:
        member = city.members.get(target.node)
        return member is None or member.draining

    say(settings, lambda city: city if draining(city) else drain_step(city, target.node, True))
    left = _wait(settings, lambda city: done(city) or not draining(city), wait_s)
    if wait_s == 0:
        click.echo(f"{target.node.hex()[:12]} gives its {len(left.cells_of(target.who))} regions away")
    elif not done(left):
        raise ConfigError(
            f"{target.node.hex()[:12]} still holds {len(left.cells_of(target.who))} regions: look whether another node"
            " can take them, and at its log; it goes on giving them away until `--undo` says otherwise."
        )
    else:
        click.echo(
            f"{target.node.hex()[:12]} holds nothing: stop it, or let it take ground again with --undo"
        )


# ---- the map


def _settings(config_path: Path) -> Config:
    from shard_node import config

    return config.load(config_path)


def _cell(city: CityMap, where: str, *, whole: bool = False) -> Cell:
    """The region that is meant; with `whole`, a cell that may be divided.

    Raises ConfigError.
    """
    from p2pworld.errors import LocalError
    from p2pworld.geometry import Cell, from_wgs84

    try:
        if "," in where:
            latitude, longitude = (float(part) for part in where.split(","))
            return city.leaf_at(*from_wgs84(latitude, longitude))
        cell = Cell.from_quadkey(where)
    except (ValueError, LocalError):
        raise ConfigError(
            f"{where!r} is no region: name its quadkey, as `p2pworld regions list` shows it, or a point in Seoul such"
            " as 37.5717,126.9769."
        ) from None
    if not whole and cell not in city.cells:
        around = city.leaf_around(cell) if city.cells else None
        hint = f"it is a part of {around}" if around is not None else "it is divided into smaller ones"
        raise ConfigError(f"{where} is no region of the city now: {hint}.")
    return cell


def _node(city: CityMap, text: str) -> Member:
    """The member whose key begins so.

    Raises ConfigError.
    """
    found = [member for node, member in city.members.items() if node.hex().startswith(text.lower())]
    if len(text) < _PREFIX_DIGITS or len(found) != 1:
        why = "is the beginning of no node's key" if not found else "could be more than one node"
        if len(text) < _PREFIX_DIGITS:
            why = f"is too short: give {_PREFIX_DIGITS} digits or more"
        known = " ".join(node.hex()[:12] for node in city.members) or "none"
        raise ConfigError(f"{text!r} {why}; the nodes of the city are: {known}.")
    return found[0]


def read_map(settings: Config) -> CityMap:
    """The map that stands.

    Raises ConfigError.
    """
    import trio

    from shard_node.store_commands import read_store

    seen = trio.run(read_store, settings)
    assert seen.map is not None
    if seen.map.version == 0:
        raise ConfigError("Nobody has founded this city yet: start its nodes first.")
    return seen.map


def say(settings: Config, step: Step) -> None:
    """Take a step on the map that stands, again if others come first.

    Raises ConfigError.
    """
    import trio

    trio.run(_propose, settings, step)


async def _propose(settings: Config, step: Step) -> None:
    from p2pworld.errors import Refusal
    from shard_node.coordination import OutcomeUnknown
    from shard_node.store_commands import opened_store

    async with opened_store(settings) as store:
        for _ in range(_TRIES):
            seen = await store.read(-1)
            assert seen.map is not None
            changed = step(seen.map)
            if isinstance(changed, Refusal):
                raise ConfigError(f"The map stays as it is: {changed.sentence}")
            if changed is seen.map:
                return
            try:
                if (await store.propose(changed, seen.map_version)).ok:
                    return
            except OutcomeUnknown:
                continue  # the next look shows it
    raise ConfigError("The map changes all the time: try again in a moment.")


def _wait(settings: Config, done: Callable[[CityMap], bool], wait_s: float) -> CityMap:
    """The map once it is so, or after `wait_s`."""
    import trio

    async def look() -> CityMap:
        from shard_node.store_commands import opened_store

        async with opened_store(settings) as store:
            city = (await store.read(-1)).map
            with trio.move_on_after(wait_s):
                while city is None or not done(city):
                    seen = await store.wait_change(city.version if city is not None else -1, _LOOK_S)
                    city = (await store.read(-1)).map if city is None or seen != city.version else city
            assert city is not None
            return city

    return trio.run(look)


def _say_and_wait(
    settings: Config,
    step: Step,
    done: Callable[[CityMap], bool],
    of: Callable[[CityMap], Holding | None],
    wait_s: float,
    sentence: str,
) -> None:
    say(settings, lambda city: city if done(city) else step(city))
    if wait_s == 0:
        click.echo("said: the node that holds it will do it")
        return

    def decided(city: CityMap) -> bool:
        holding = of(city)
        return done(city) or holding is None or holding.wish is None

    city = _wait(settings, decided, wait_s)
    if done(city):
        click.echo(sentence)
    elif decided(city):
        raise ConfigError("It was not done: the wish was taken back, or the region has changed meanwhile.")
    else:
        raise ConfigError(
            "It is not done yet: the wish stands, and `p2pworld regions cancel` takes it back; look whether the nodes"
            " are linked and the disk of its standby keeps up."
        )
