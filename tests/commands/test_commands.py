"""What every command has: a place in the list, a docstring, and an example that its own parser takes."""

import shlex
from pathlib import Path

import pytest

from rethink_fr import cli, commands


def test_every_file_with_a_command_is_listed():
    with_commands = {
        path.stem
        for path in Path(commands.__file__).parent.glob("*.py")
        if "\ndef add_arguments(" in path.read_text(encoding="utf-8")
    }
    assert with_commands == {command.__name__.rpartition(".")[2] for command in cli.COMMANDS}


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.NAME)
def test_a_command_is_named_as_its_file_and_its_example_works(command, capsys):
    assert command.__name__ == f"rethink_fr.commands.{command.NAME.replace('-', '_')}"
    assert command.__doc__.startswith(f"`rethink-fr {command.NAME}` ")
    assert f"\n    {command.EXAMPLE}\n" in command.__doc__
    program, *arguments = shlex.split(command.EXAMPLE)
    assert program == "rethink-fr"
    try:
        assert cli._parser().parse_args(arguments).run is command.run
    except SystemExit as end:  # --help
        assert end.code == 0 and "usage: rethink-fr" in capsys.readouterr().out
