"""Commands by name, none of which is loaded before it is asked for."""

from __future__ import annotations

import pytest

from rebalancer.cli.app import COMMANDS
from rebalancer.cli.loading import Command, Group, lazily


def test_names_are_known_without_loading_anything() -> None:
    nowhere = lazily({"one": Command("no_such_module", "one"), "two": Command("no_such", "two")})
    assert [*nowhere] == ["one", "two"]
    assert len(nowhere) == 2
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        nowhere["one"]


def test_a_command_is_made_once() -> None:
    commands = lazily({"version": Command("helping", "version")})
    assert commands["version"] is commands["version"]
    assert commands["version"].name == "version"


def test_what_a_command_does_is_what_its_function_says_unless_told_otherwise() -> None:
    halt = Command("states", "halt")
    pause = Command("states", "halt", help="The same as halt.")
    assert halt.made("halt").help.startswith("Have the running desk stop")
    assert pause.made("pause").help == "The same as halt."


def test_an_unknown_name_is_none() -> None:
    commands = lazily(COMMANDS)
    assert commands.get("no-such-command") is None


def test_commands_behind_a_word_are_not_loaded_with_it() -> None:
    group = Group("What it is about.", {"one": Command("no_such_module", "one")}).made("word")
    assert group.list_commands(None) == ["one"]
    assert (group.name, group.help) == ("word", "What it is about.")
