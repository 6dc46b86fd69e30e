"""Five hundred configurations that went wrong: none is applied wrongly, each refusal names a place.

In process they are read and offered to a desk that runs; fifty go to the program as processes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rebalancer.errors import CommandRefused, ConfigRefused
from rebalancer.settings import Config, load, parse
from rebalancer.settings.in_force import reader_of
from tests.settings.mutations import BASE, Mutant, mutants
from tests.test_reloading import Running, running

COUNT, PROCESSES = 500, 50
#: forks a child for each file, so that the program is loaded once; a child is the whole program
FORKS = """
import gc, json, os, sys
import rich.console, rich.table, rich.text, structlog
import rebalancer.cli.app, rebalancer.bootstrap, rebalancer.settings, rebalancer.store.sql
import rebalancer.doctor.examination, rebalancer.store.reader, rebalancer.desk.service
rebalancer.settings.parse("")
gc.freeze()
ended = []
for place, command in json.load(sys.stdin):
    pid = os.fork()
    if pid == 0:
        out = os.open(place + ".said", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv = ["rebalancer", *command, "--config", place]
        try:
            rebalancer.cli.app.main()
        except SystemExit as end:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(int(end.code or 0))
        except BaseException:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(99)
    ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(json.dumps(ended))
"""


def read(mutant: Mutant) -> Config | str:
    """Return what becomes of it: a configuration, or the sentence that refuses it."""
    try:
        return parse(mutant.text, "desk.toml")
    except ConfigRefused as refused:
        return str(refused)


def test_each_is_refused_by_its_place_or_means_just_what_it_says() -> None:
    outcomes: Counter[tuple[str, bool]] = Counter()
    for mutant in mutants(COUNT):
        found = read(mutant)
        outcomes[mutant.kind, isinstance(found, str)] += 1
        if isinstance(found, Config):
            assert not mutant.places, f"{mutant.kind} was accepted: {mutant.text}"
            # A cut between two lines leaves a document: all that it says is in force, no more.
            assert set(found.funds) == {
                line[len("[funds.") : -1]
                for line in mutant.text.splitlines()
                if line.startswith("[funds.") and line.count(".") == 1 and line.endswith("]")
            }
        else:
            assert "desk.toml" in found
            assert not mutant.places or any(place in found for place in mutant.places), found
    refused = {kind for kind, was_refused in outcomes if was_refused}
    assert refused == {
        *("wrong type", "beyond", "unknown", "repeated key", "repeated table", "cut", "torn line")
    }
    assert sum(outcomes[kind, True] for kind in refused) > COUNT * 0.95


async def offered(here: Running, text: str) -> str:
    """Return why a desk refuses a document; empty where it takes it over."""
    try:
        await here.reload(text)
    except CommandRefused as refused:
        return str(refused)
    return ""


async def test_a_desk_that_runs_takes_none_of_them_over_by_mistake() -> None:
    """Bad and good in turn: only the good ones count; the desk is on the last of them."""
    good = [BASE, BASE.replace("400000", "390000")]
    async with running(BASE) as here:
        for number, mutant in enumerate(mutants(COUNT)):
            said = await offered(here, mutant.text)
            assert said or not mutant.places, mutant.text
            assert not any(name in said for name in ("Error", "Exception")), said
            if number % 100 == 0:
                wanted = good[number // 100 % 2]
                await here.reload(wanted)
                assert here.digest == parse(wanted).digest
        assert here.daemon is not None
        assert here.daemon.ready
        await here.reload(BASE)
        assert here.digest == parse(BASE).digest


def test_as_processes_they_end_with_2_and_a_sentence(tmp_path: Path) -> None:
    chosen = [mutant for mutant in mutants(COUNT, seed=12) if mutant.places][:PROCESSES]
    commands = []
    for number, mutant in enumerate(chosen):
        place = tmp_path / f"{number}.toml"
        place.write_text(mutant.text, encoding="utf-8")
        command = [["config", "check"], ["run"], ["doctor"], ["status"]][number % 4]
        commands.append((str(place), command))
    done = subprocess.run(
        [sys.executable, "-c", FORKS],
        input=json.dumps(commands),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert json.loads(done.stdout) == [2] * PROCESSES
    for (name, _), mutant in zip(commands, chosen, strict=True):
        said = Path(f"{name}.said").read_text(encoding="utf-8")
        assert "Traceback" not in said
        assert any(each in said.replace("\n", "") for each in mutant.places), said
    assert not (tmp_path / "desk.db").exists(), "nothing was begun"


class TestFiles:
    """What a file can be, beside its text."""

    def refused(self, path: Path) -> str:
        with pytest.raises(ConfigRefused) as told:
            load(path, {})
        assert str(path) in str(told.value)
        return str(told.value)

    def test_ten_megabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "c.toml"
        path.write_text(BASE + "#" * 10 * 2**20)
        assert "is larger than 8388608 bytes; name the right file" in self.refused(path)

    def test_a_symbolic_link_is_followed_and_named(self, tmp_path: Path) -> None:
        link, real = tmp_path / "c.toml", tmp_path / "real.toml"
        link.symlink_to(real)
        assert "no such file" in self.refused(link)
        real.write_text(BASE)
        assert load(link, {}).digest == parse(BASE).digest
        real.write_text(BASE.replace("= 3\n", "= three\n"))
        assert f"{link}:" in self.refused(link)

    def test_a_link_to_itself_and_a_folder_and_a_pipe(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        (tmp_path / "folder").mkdir()
        assert "cannot be read" in self.refused(tmp_path / "loop")
        assert "is a directory" in self.refused(tmp_path / "folder")

    async def test_a_file_that_is_swapped_during_a_run_counts_whole_or_not_at_all(
        self, tmp_path: Path
    ) -> None:
        """An editor writes beside the file and renames; a deployment turns a link over."""
        path, link = tmp_path / "1.toml", tmp_path / "c.toml"
        path.write_text(BASE)
        link.symlink_to(path)
        async with running(BASE) as here:
            assert here.daemon is not None
            reloader: Any = here.daemon.reloader
            reloader.__self__.read = reader_of(link, {})
            for number in range(2, 12):
                new, broken = BASE.replace("400000", f"{number}00000"), number % 3 == 0
                target = tmp_path / f"{number}.toml"
                target.write_text(new[: len(new) // 2] + "[" if broken else new)
                (tmp_path / "next").symlink_to(target)
                (tmp_path / "next").replace(link)
                before = here.digest
                said = await offered(here, "the desk reads the link")
                assert ("c.toml:" in said) is broken, said
                assert here.digest == (before if broken else parse(new).digest)
