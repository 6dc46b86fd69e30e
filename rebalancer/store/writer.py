"""The one thread that writes: commits in groups, everything else in between.

Whatever waits when the thread is free goes into one transaction, so that many waiters share one
flush to the disk. Answers go back to each waiter's own event loop, which never blocks.

A commit is answered as soon as the journal has its records. The projections follow once nothing
has come for a moment, or after a longer one whatever comes; a crash in between leaves them behind,
which readers see through (`overlay.py`) and the next open makes good.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rebalancer.core.records import Record
from rebalancer.errors import BrokenInvariant, DeskError, StoreUnavailable
from rebalancer.store import journal
from rebalancer.store.codec import EncodedRecord
from rebalancer.store.follower import Follower
from rebalancer.store.journal import Head
from rebalancer.store.session import Session
from rebalancer.store.target import unavailable
from rebalancer.store.views import Slice

T = TypeVar("T")


class Answer:
    """What one job came to, in the event loop that asked for it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


class QuickAnswer(Answer):
    """An answer that may be waited for on the spot, for a moment.

    The way of a result into an event loop that sleeps costs about as much as a quick disk takes to
    flush. Its loop stands still meanwhile, which is why a moment has to be enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begun, self._settled = threading.Lock(), threading.Lock()
        self._begun.acquire()
        self._settled.acquire()
        self._error: Exception | None = None

    def begin(self) -> None:
        """Note that the disk is about to be asked; called by the writer, perhaps once more."""
        if self._begun.locked():
            self._begun.release()

    def settle(self, error: Exception | None) -> None:
        """Note how it ended, before the future is told; called by the writer, once."""
        self._error = error
        self._settled.release()

    def await_begin(self, seconds: float) -> None:
        """Let the writer get as far as the disk, for so long at most."""
        self._begun.acquire(timeout=seconds)

    def is_settled(self, seconds: float) -> bool:
        """Wait for the end, for so long at most; say whether it came. A failure is raised.

        Ask once; if it came, nobody may wait for the future any more.
        """
        if not self._settled.acquire(timeout=seconds):
            return False
        self.future.cancel()
        if self._error is not None:
            raise self._error
        return True


@dataclass(frozen=True, slots=True)
class Commit:
    """Records to append, all or none."""

    encoded: Sequence[EncodedRecord]
    answer: QuickAnswer


@dataclass(frozen=True, slots=True)
class Call:
    """Something else to do on the writer's thread."""

    work: Callable[[], object]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Show:
    """Views to write, slice by slice, whenever no commit waits."""

    slices: Iterator[Slice]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the session and end the thread."""

    answer: Answer


Job = Commit | Call | Show | Stop


class Writer:
    """Owns the session and the end of the chain; only its own thread touches either."""

    def __init__(self, session: Session) -> None:
        """Start the thread on a session that is open; its database may raise SQLAlchemyError."""
        self._session = session
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._head = session.run(journal.read_head)
        self._head_is_certain = True
        self._showing: Show | None = None
        self._follower = Follower(session)
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def ask(self, job: Job) -> None:
        """Queue a job; its answer comes through the job's own future."""
        self._jobs.put(job)

    def join(self) -> None:
        """Wait for the thread, which ends right after it answered Stop."""
        self._thread.join()

    # Everything below runs on the writer's thread.

    def run(self, work: Callable[[Connection], T], *, flushed: bool = True) -> T:
        """Run `work` in one transaction; only StoreUnavailable and our own errors come out."""
        run = self._session.run if flushed else self._session.run_unflushed
        try:
            return run(work)
        except SQLAlchemyError as error:
            raise unavailable(self._session.place, error) from error

    def load(self) -> list[Record]:
        """Return all records after checking the chain, and take its end for certain again."""

        def read(connection: Connection) -> tuple[list[Record], Head]:
            records, head = [], journal.GENESIS
            for row in journal.verified(connection):
                records.append(row.record)
                head = Head(row.seq, row.hash)
            return records, head

        records, self._head = self.run(read)
        self._head_is_certain = True
        self._follower.grown(self._head.seq)
        return records

    def _work(self) -> None:
        stop: Stop | None = None
        while stop is None:
            jobs = self._take()
            commits = [job for job in jobs if isinstance(job, Commit)]
            self._commit_all(commits)
            if len(commits) < len(jobs):
                # Whoever asks for anything else finds the tables as the journal has them.
                _outcome(self._follower.catch_up)
            for job in jobs:
                if isinstance(job, Call):
                    _settle([(job.answer, *_outcome(job.work))])
                elif isinstance(job, Show):
                    self._end_show()
                    self._showing = job
                elif isinstance(job, Stop):
                    stop = job
            _outcome(partial(self._follower.follow, idle=not jobs))
            self._show_one_slice()
        self._end_show()
        self._session.close()
        _settle([(stop.answer, None, None)])

    def _take(self) -> list[Job]:
        """Return all jobs that wait; with nothing else to do, wait for one, else for a moment."""
        jobs: list[Job] = []
        with suppress(queue.Empty):
            if self._follower.is_behind:
                jobs.append(self._jobs.get(timeout=self._follower.patience_seconds))
            elif self._showing is None:
                jobs.append(self._jobs.get())
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _show_one_slice(self) -> None:
        if self._showing is None:
            return
        step = next(self._showing.slices, None)
        error: Exception | None = None
        if step is not None:
            _, error = _outcome(lambda: self.run(step, flushed=False))
        if step is None or error is not None:
            self._end_show(error)

    def _end_show(self, error: Exception | None = None) -> None:
        if self._showing is not None:
            _settle([(self._showing.answer, None, error)])
            self._showing = None

    def _commit_all(self, commits: Sequence[Commit]) -> None:
        if not commits:
            return
        _, error = _outcome(lambda: self._append(commits))
        if error is not None and len(commits) > 1:
            # One of them may be at fault: each gets a transaction and an outcome of its own. Should
            # the group have happened after all, the check of the head refuses them.
            for commit in commits:
                self._commit_all([commit])
            return
        for commit in commits:
            commit.answer.settle(error)
        _settle([(commit.answer, None, error) for commit in commits])

    def _append(self, commits: Sequence[Commit]) -> None:
        encoded = [record for commit in commits for record in commit.encoded]
        self._follower.refuse_if_stuck()
        self._make_certain()

        rows, head = journal.sealed(self._head, encoded)
        for commit in commits:
            commit.answer.begin()
        self._head_is_certain = False
        try:
            journal.append(self._session, rows)
        except IntegrityError as error:
            raise self._refused(encoded, error) from error
        except SQLAlchemyError as error:
            raise unavailable(self._session.place, error) from error
        self._head, self._head_is_certain = head, True
        self._follower.grown(head.seq)

    def _make_certain(self) -> None:
        """After a failed commit, make sure that it did not happen before building on the head."""
        if self._head_is_certain:
            return
        found = self.run(journal.read_head)
        if found != self._head:
            raise StoreUnavailable(
                f"{self._session.place.shown}: the journal ends at record {found.seq} where this "
                f"desk knows {self._head.seq}: a commit that failed has happened after all; "
                "load the records again"
            )
        self._head_is_certain = True

    def _refused(self, encoded: Sequence[EncodedRecord], error: IntegrityError) -> DeskError:
        keys = [record.key for record in encoded if record.key is not None]
        key = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
        key = key or self.run(lambda connection: journal.existing_key(connection, keys))
        if key is None:
            return unavailable(self._session.place, error)
        return BrokenInvariant(f"the journal already has a record with the key {key}")


def _outcome(work: Callable[[], object]) -> tuple[object, Exception | None]:
    """Return what `work` returned or raised; the thread must outlive every error."""
    try:
        return work(), None
    except DeskError as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - a waiter must hear of it, whatever it is
        wrapped = BrokenInvariant(f"the store failed in an unforeseen way: {error!r}")
        wrapped.__cause__ = error
        return None, wrapped


def _settle(answers: Sequence[tuple[Answer, object, Exception | None]]) -> None:
    """Give each waiter its result or error, waking every event loop once."""
    for loop in {answer.loop for answer, _, _ in answers}:
        mine = [(a.future, result, error) for a, result, error in answers if a.loop is loop]
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(answers: Sequence[tuple[asyncio.Future[Any], object, Exception | None]]) -> None:
    for future, result, error in answers:
        if future.done():  # the waiter was cancelled; what it asked for happened all the same
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
