"""How an error becomes one sentence and a code that scripts can rely on."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from rebalancer import __version__
from rebalancer.__main__ import main
from rebalancer.cli.exits import DeskBarred, DeskUnreachable, code_of, told
from rebalancer.errors import (
    BrokenInvariant,
    CommandRefused,
    ConfigRefused,
    DeskError,
    InputRefused,
    StoreRefused,
    StoreUnavailable,
    VenueUnavailable,
)
from tests.cli.conftest import Run

CODES = [
    (ConfigRefused("x"), 2),
    (InputRefused("x"), 2),
    (CommandRefused("x"), 4),
    (StoreRefused("another desk (pid 7) already runs on it"), 4),
    (StoreUnavailable("the disk is full"), 1),
    (VenueUnavailable("x"), 1),
    (BrokenInvariant("x"), 1),
    (DeskUnreachable("x"), 6),
    (DeskBarred("x"), 4),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda each: type(each).__name__)
def test_every_error_has_its_code(error: DeskError, code: int) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda each: type(each).__name__)
def test_every_error_is_told_on_standard_error(
    error: DeskError, code: int, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    @told
    def command(*, as_json: bool) -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        command(as_json=as_json)
    assert ended.value.exit_code == code
    out, err = capsys.readouterr()
    assert out == ""
    if as_json:
        assert json.loads(err) == {
            "message_type": "exit_error",
            "code": code,
            "message": str(error),
        }
    else:
        assert err == f"rebalancer: {error}\n"


def test_an_interrupt_has_the_shells_code(capsys: pytest.CaptureFixture[str]) -> None:
    @told
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_written_out_is_told_in_one_sentence(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    @told
    def command(*, as_json: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(typer.Exit) as ended:
        command(as_json=as_json)
    assert ended.value.exit_code == 1
    assert "standard output: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["orders", "--help"], ["--version"]])
def test_help_that_cannot_be_written_out_is_told_in_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rebalancer", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "rebalancer: standard output: No space left on device; send it to a place that has room\n"
    )


def test_an_interrupt_while_the_program_loads_has_the_shells_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "rebalancer.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "rebalancer.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupted, *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_a_file_that_a_program_forgot_to_expect_is_a_bug() -> None:
    @told
    def command() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        command()


def test_a_bug_is_not_dressed_up_as_an_operators_mistake() -> None:
    @told
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_the_version(run: Run) -> None:
    assert run("version").out == f"rebalancer {__version__}\n"
    assert run("--version").out == run("version").out
    assert run("version", "--json").json == {"version": __version__}


@pytest.mark.parametrize("arguments", [["nope"], ["plan", "--nope"], ["history", "-n", "x"]])
def test_a_slip_of_the_keyboard_is_a_usage_error(run: Run, arguments: list[str]) -> None:
    answer = run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err
