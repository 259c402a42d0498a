"""No option of any subcommand takes `nan` or `inf` for a quantity, and a file nobody can write is refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from shard_node.cli import main
from shard_node.options import OutputFile, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def commands(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every subcommand there is, with its words."""
    yield name, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for word in group.list_commands(context):
            found = group.get_command(context, word)
            assert found is not None
            yield from commands(found, f"{name} {word}".strip())


def test_every_fraction_on_the_command_line_is_a_quantity() -> None:
    fractions = [
        (name, option.name, option.type)
        for name, command in commands(main)
        for option in command.params
        if isinstance(option.type, click.FloatRange) or option.type is click.FLOAT
    ]
    assert len(fractions) > 10
    assert [(name, option) for name, option, kind in fractions if not isinstance(kind, Quantity)] == []


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    for bounds in (Quantity(0, 10), Quantity(min=0), Quantity()):
        with pytest.raises(click.BadParameter):
            bounds.convert(text, None, None)
    assert Quantity(0, 10).convert("2.5", None, None) == 2.5


def test_a_file_that_nobody_can_write_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    lost = tmp_path / "none" / "figures.json"
    for words in (["simulate", "--json", str(lost)], ["simulate", "--story", str(lost)]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2
        assert "nothing can be written into" in result.output
    assert OutputFile().convert(str(tmp_path / "figures.json"), None, None) == tmp_path / "figures.json"
    assert str(OutputFile(allow_dash=True).convert("-", None, None)) == "-"
