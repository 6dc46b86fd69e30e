"""Pages, manual and completion: all there, from the program itself, and up to date."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer.main

from rebalancer.cli.app import app
from rebalancer.cli.manual import manual
from rebalancer.cli.options import fund_names
from rebalancer.cli.pages import KINDS, page_of, pages
from rebalancer.errors import InputRefused
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


class TestPages:
    def test_every_page_of_the_documentation_is_a_topic_with_a_title(self, run: Run) -> None:
        listed = run("help", "--json").json
        written = {path.stem for path in (ROOT / "docs").rglob("*.md")} - {"README"}
        assert {each["topic"] for each in listed} == written
        assert {each["kind"] for each in listed} <= set(KINDS)
        assert all(each["title"] for each in listed)

    def test_no_two_pages_have_one_name(self) -> None:
        topics = [page.topic for page in pages()]
        assert sorted(topics) == sorted(set(topics))

    def test_people_see_them_by_what_they_are_for(self, run: Run) -> None:
        shown = run("help").out
        assert "how-to: get something done" in shown
        assert re.search(r"plan-and-apply +Plan a rebalance, look at it", shown)

    def test_a_page_is_shown_as_it_is_written(self, run: Run) -> None:
        shown = run("help", "plan-and-apply").out
        assert shown == (ROOT / "docs/how-to/plan-and-apply.md").read_text(encoding="utf-8")
        assert run("help", "plan and apply").out == shown
        assert run("help", "Plan-And-Apply.md").out == shown

    def test_a_new_page_appears_by_itself_in_its_kind(self, tmp_path: Path) -> None:
        for kind in ("tutorial", "explanation"):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / f"a-{kind}.md").write_text("# Title\n")
        (tmp_path / "README.md").write_text("# no page\n")
        found = [(page.topic, page.kind, page.title) for page in pages(tmp_path)]
        assert found == [
            ("a-tutorial", "tutorial", "Title"),
            ("a-explanation", "explanation", "Title"),
        ]

    def test_an_unknown_topic_names_the_nearest(self, run: Run) -> None:
        answer = run("help", "runbok")
        assert answer.code == 2
        assert "no command 'runbok'; the nearest is runbook" in answer.sentence
        with pytest.raises(InputRefused, match="all are in: rebalancer help"):
            page_of("xyzzy")


class TestCommands:
    @pytest.mark.parametrize("words", [["plan"], ["config", "check"], ["events"]])
    def test_the_help_of_a_command_is_what_the_command_says_itself(
        self, run: Run, words: list[str]
    ) -> None:
        shown = run("help", *words).out
        assert f"rebalancer {' '.join(words)} [OPTIONS]" in shown
        assert shown.split() == run(*words, "--help").out.replace("root", "rebalancer", 1).split()


class TestManual:
    def test_the_page_that_is_shipped_is_the_one_of_these_commands(self) -> None:
        """After a change of a command: rebalancer man > deploy/rebalancer.1."""
        shipped = (ROOT / "deploy/rebalancer.1").read_text(encoding="utf-8")
        assert shipped == manual(typer.main.get_command(app))

    def test_every_command_and_every_exit_code_is_in_it(self, run: Run) -> None:
        page = run("man").out
        for command in app.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            assert f".SS {name.replace('-', chr(92) + '-')}" in page
        for code in ("0", "1", "2", "3", "4", "5", "6", "130"):
            assert f".B {code}\n" in page


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_script_for_the_shell(self, run: Run, shell: str) -> None:
        assert "_REBALANCER_COMPLETE" in run("completion", shell).out

    def test_an_unknown_shell(self, run: Run) -> None:
        assert run("completion", "cmd").code == 2

    def test_a_line_is_completed(self) -> None:
        done = subprocess.run(
            [Path(sys.executable).with_name("rebalancer")],
            env={
                "_REBALANCER_COMPLETE": "complete_bash",
                "COMP_WORDS": "rebalancer config ch",
                "COMP_CWORD": "2",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split() == ["check"]

    def test_funds_come_from_the_file_and_trouble_disturbs_nobody(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert fund_names("BTC3") == ["BTC3L"]
        assert fund_names("") == ["BTC3L", "BTC1S"]
        for broken in ("[", "funds = 1", "funds = [[]]", ""):
            (folder / "config.toml").write_text(broken)
            assert fund_names("") == []
        monkeypatch.setenv("REBALANCER_CONFIG", "missing.toml")
        assert fund_names("") == []


def test_pages_and_manual_travel_with_the_program(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    docs = ROOT / "docs"
    for path in docs.rglob("*.md"):
        assert f"rebalancer/pages/{path.relative_to(docs).as_posix()}" in names
    assert any(name.endswith("share/man/man1/rebalancer.1") for name in names)
    assert not any(name.endswith(".png") for name in names)
