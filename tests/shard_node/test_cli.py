"""The command line's door: every subcommand it promises loads and explains itself."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from shard_node.cli import main


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_every_subcommand_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_an_unknown_subcommand_is_one_sentence_and_exit_2() -> None:
    result = CliRunner().invoke(main, ["dmeo"])
    assert result.exit_code == 2
    assert "dmeo" in result.output
