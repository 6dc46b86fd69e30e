"""The manual page, made from the commands: what `man rebalancer` and `rebalancer man` show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rebalancer import __version__

#: environment that every command reads
_ENVIRONMENT = (
    ("REBALANCER_CONFIG", "the configuration file where --config is not given"),
    ("REBALANCER__TABLE__KEY", "a setting of the file, such as REBALANCER__STORE__URL"),
    ("CREDENTIALS_DIRECTORY", "folder of secrets, one file for each, as systemd hands them over"),
    ("NO_COLOR", "no colour on a terminal"),
)
_CODES = (
    ("0", "done, or nothing to do"),
    ("1", "failed, or what was checked does not hold"),
    ("2", "wrong arguments, configuration or input; nothing was done"),
    ("3", "partly done: some funds or flows, not all"),
    ("4", "refused: halted, not confirmed, a stale plan, another desk runs"),
    ("5", "the plan has orders (plan --detailed-exitcode)"),
    ("6", "no desk runs"),
    ("130", "interrupted"),
)
_FILES = (
    ("config.toml", "the configuration, in the working directory unless named"),
    ("STORE.db", "all that the desk knows, and beside it .lock, .sock, .killed and .tokens"),
)


def manual(root: Any) -> str:
    """Return the page in roff; `root` is the command of the whole program."""
    return "\n".join(_page(root)) + "\n"


def _page(root: Any) -> Iterator[str]:
    yield f'.TH REBALANCER 1 "" "rebalancer {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"rebalancer \\- {_escaped(_first(root.help))}"
    yield ".SH SYNOPSIS"
    yield ".B rebalancer"
    yield ".I command"
    yield "[\\fIoptions\\fR]"
    yield ".SH DESCRIPTION"
    yield (
        "Data goes to standard output, messages to standard error. Every command that reports "
        "something prints JSON with \\fB\\-\\-json\\fR: decimals are strings, times are RFC 3339."
    )
    yield ".SH COMMANDS"
    yield from _commands(root, ())
    for heading, rows in (
        ("EXIT STATUS", _CODES),
        ("ENVIRONMENT", _ENVIRONMENT),
        ("FILES", _FILES),
    ):
        yield f".SH {heading}"
        for name, words in rows:
            yield from (".TP", f".B {_escaped(name)}", _escaped(words))
    yield ".SH SEE ALSO"
    yield "\\fBrebalancer help\\fR lists the pages of the documentation and shows each."


def _commands(group: Any, before: tuple[str, ...]) -> Iterator[str]:
    for name, command in group.commands.items():
        words = (*before, name)
        if hasattr(command, "commands"):
            yield from _commands(command, words)
        elif not command.hidden:
            yield from _command(words, command)


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    given = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    places = " ".join(_place(each) for each in given)
    yield f".SS {_escaped(' '.join(words))} {_escaped(places)}".rstrip()
    for paragraph in (command.help or "").split("\n\n"):
        yield _escaped(" ".join(paragraph.split()))
        yield ".P"
    for each in options:
        if each.name != "help" and not each.hidden:
            names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in each.opts)
            value = "" if each.is_flag else f" \\fI{_escaped(each.name.upper())}\\fR"
            yield from (".TP", f"{names}{value}", _escaped(each.help or ""))


def _place(argument: Any) -> str:
    name = str(argument.name).upper()
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _first(help_text: str | None) -> str:
    return (help_text or "").split("\n")[0].rstrip(".")


def _escaped(text: str) -> str:
    """Write text so that roff prints it as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
