"""A backtest that can be interrupted: where it stands is written down, and it goes on from there.

Between two moments a replay is a value (`sim/replay.py`), so that a checkpoint is that value, how
many moments it has played, and what it was made of. It is a file of this program for this program:
the same command reads it, and nothing else may be made of it than the values of a replay.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rebalancer import __version__
from rebalancer.core.instant import iso
from rebalancer.core.state import Desk
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import History, Moment, merge
from rebalancer.sim.backtest import Book, Result, Watch, refuse_unready
from rebalancer.sim.replay import Replay, desk_for_history, sources_apart
from rebalancer.venues.paper import PaperCosts

EVERY_SECONDS = 10.0
#: writing a checkpoint takes at most one part in so many of the time
PART_OF_TIME = 20
_BEGIN_ANEW = "delete it to begin anew"
_OURS = ("rebalancer.core.", "rebalancer.sim.", "rebalancer.venues.paper")
_PLAIN = {
    ("decimal", "Decimal"),
    ("datetime", "date"),
    ("collections", "deque"),
    ("collections", "defaultdict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
}


class _Standing(NamedTuple):
    """Where a backtest stands between two moments."""

    #: of every history, by contract
    digests: Mapping[str, str]
    replay: Replay
    book: Book
    #: how many moments were played, those without a price included
    played: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The file that a backtest writes from time to time, and goes on from."""

    path: Path
    #: seconds that only grow
    seconds: Callable[[], float]
    #: tells a person from where it goes on
    say: Callable[[str], None]

    def read(self) -> _Standing | None:
        """Return what the file holds, None where there is none; InputRefused where it is not ours.

        A file of another version of the program is refused before anything is made of it.
        """
        try:
            head, _, body = self.path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputRefused(f"{self.path}: cannot be read: {error.strerror}") from None
        try:
            told = json.loads(head)
            program, digest = told["program"], told["sha256"]
        except (ValueError, LookupError, TypeError):
            self._refuse("is no checkpoint of a backtest; name another file")
        if program != _program():
            self._refuse(f"was written by another version of the program; {_BEGIN_ANEW}")
        if digest != hashlib.sha256(body).hexdigest():
            self._refuse(f"is damaged; {_BEGIN_ANEW}")
        standing: _Standing = _Reader(io.BytesIO(body)).load()
        return standing

    def write(self, standing: _Standing) -> None:
        """Replace the file as a whole; InputRefused where it cannot be written."""
        standing.replay.on_records = None  # the only part of a replay that is no value
        try:
            body = pickle.dumps(standing, protocol=5)
        finally:
            standing.replay.on_records = standing.book.take
        head = {
            "version": __version__,
            "program": _program(),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            with part.open("wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            self._refuse(f"cannot be written: {error.strerror}")

    def resume(self, fresh: Replay, digests: Mapping[str, str]) -> _Standing:
        """Return where the file stands, or `fresh`; InputRefused where it is of another replay."""
        standing = self.read()
        if standing is None:
            standing = _Standing(digests, fresh, Book.of(fresh.desk.funds), 0)
        for symbol in {**standing.digests, **digests}:
            if standing.digests.get(symbol) != digests.get(symbol):
                self._refuse(f"is of other prices or funding of {symbol}; {_BEGIN_ANEW}")
        if (standing.replay.desk, standing.replay.costs) != (fresh.desk, fresh.costs):
            self._refuse(f"is of another configuration; {_BEGIN_ANEW}")
        standing.replay.on_records = standing.book.take
        if standing.played:
            self.say(f"{self.path}: goes on after {iso(standing.replay.state.now_ms)}")
        return standing

    def _refuse(self, why: str) -> NoReturn:
        raise InputRefused(f"{self.path}: {why}")


def resumable_backtest(
    desk: Desk,
    histories: Mapping[str, History],
    costs: Mapping[str, PaperCosts],
    checkpoint: Checkpoint,
    watch: Watch = lambda moments, _total: moments,
) -> Result:
    """Replay as `sim.backtest.backtest` does, from where `checkpoint` stands.

    The file stays until the caller removes it. Raises InputRefused as `refuse_unready` does, and
    where the file is of other histories, another configuration or another version.
    """
    refuse_unready(desk, histories)
    digests = {symbol: _digest(history) for symbol, history in histories.items()}
    ready, apart = desk_for_history(desk, histories), sources_apart(histories)
    standing = checkpoint.resume(Replay(ready, dict(costs), apart=apart), digests)
    total = max(history.rows for history in histories.values())
    moments = islice(watch(merge(histories.values()), total), standing.played, None)
    standing.replay.run(_written_down(moments, standing, checkpoint))
    return Result.of(standing.replay, standing.book)


def _written_down(
    moments: Iterator[Moment], standing: _Standing, checkpoint: Checkpoint
) -> Iterator[Moment]:
    """Yield all moments, and write in between where the replay stands; first of all, too.

    A file that cannot be written is found out before the work is done.
    """
    due, played = checkpoint.seconds(), standing.played
    while True:
        begun = checkpoint.seconds()
        if begun >= due:
            checkpoint.write(standing._replace(played=played))
            ended = checkpoint.seconds()
            due = ended + max(EVERY_SECONDS, PART_OF_TIME * (ended - begun))
        moment = next(moments, None)
        if moment is None:
            return
        yield moment  # the replay comes back once it has played it
        played += 1


def _digest(history: History) -> str:
    """Return what tells a history from every other: its prices and funding, to the last digit."""
    digest = hashlib.sha256(f"{history.interval_ms}".encode())
    funding = (f"{point.at_ms} {point.rate}" for point in history.funding)
    apart = (f"{source} {_digest(each)}" for source, each in history.apart.items())
    for column in (map(str, history.times_ms), map(str, history.closes), funding, apart):
        digest.update("\n".join(column).encode() + b"\n\n")
    return digest.hexdigest()


@cache
def _program() -> str:
    """Return the digest of the program's text: what others wrote it might read wrongly."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Reader(pickle.Unpickler):
    """Makes the values of a replay and nothing else, whoever wrote the file."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of a replay; InputRefused for anything else."""
        if (module, name) in _PLAIN or module.startswith(_OURS):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise InputRefused(f"a checkpoint holds no {module}.{name}: somebody else wrote it")
