"""Each case in a process of its own: a crash, a hang or a lack of memory costs one row."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from attnscope.census.cases import Case
from attnscope.records.census import Row

Judge = Callable[[Case, Any], Row]
"""What runs in a worker: a case and what is asked, to a row. Found by name in the new process."""

Watch = Callable[[Sequence[Case]], None]
"""Told which cases are under way whenever that changes."""

OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "MemoryError")
"""What failed allocations say."""


FAREWELL = 10.0
"""Seconds that a worker has, once it has answered, to put its own things away."""


LONGEST_WAIT = 60.0
"""Seconds between two looks at the workers."""


@dataclass(frozen=True, slots=True)
class _Running:
    case: Case
    process: BaseProcess
    answer: Connection
    started: float


def judged(
    cases: Sequence[Case], judge: Judge, ask: Any, *, jobs: int, limit: float, watch: Watch
) -> Generator[Row]:
    """The rows of `cases` as they come, `jobs` at a time, each given `limit` seconds.

    Every process that was begun has ended when this iterator is left, however it is left.
    """
    context = _context()
    waiting, running = list(reversed(cases)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_begin(context, judge, waiting.pop(), ask))
            watch([one.case for one in running])
            yield from _finished(running, limit)
    finally:
        for one in running:
            _end(one)


def _context() -> Any:
    """Workers are copies of a process that has imported torch and run nothing; else new ones."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    _start_tracker()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["attnscope.census.judge", "transformers.masking_utils"])
    return context


def _start_tracker() -> None:
    """Python's own process that clears away what ended workers leave. It would warn of each thing
    on standard error: of semaphores that torch's compiler made, for one.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _begin(context: Any, judge: Judge, case: Case, ask: Any) -> _Running:
    answer, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(judge, case, ask, sender))
    with _without_main():
        process.start()
    sender.close()
    return _Running(case, process, answer, time.monotonic())


@contextmanager
def _without_main() -> Iterator[None]:
    """A new process need not import the script that runs: it may be standard input, a notebook."""
    own = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: own[name] for name in ("__file__", "__spec__") if name in own}
    own.pop("__file__", None)
    own["__spec__"] = None
    try:
        yield
    finally:
        own.update(kept)


def _work(judge: Judge, case: Case, ask: Any, answer: Connection) -> None:
    """In the worker: nothing is printed, and Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = False
    with suppress(AttributeError, OSError):
        os.setsid()  # compilers that it starts end with it
        own = True
    threading.Thread(target=_end_with_parent, args=(own,), daemon=True).start()
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(sink, stream.fileno())
    try:
        row = judge(case, ask)
    except BaseException as error:  # whatever a model's code raises, SystemExit included
        row = lost(case, _words(error))
    with suppress(OSError):  # the parent may be gone
        answer.send(row)
    answer.close()


def _end_with_parent(own_session: bool) -> None:
    """Nobody waits for a worker whose parent was ended, and nobody would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if own_session:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _words(error: BaseException) -> str:
    first = str(error).strip().splitlines()[:1]
    words = f"{type(error).__name__}: {first[0] if first else ''}".rstrip(": ")
    if any(sign in words for sign in OUT_OF_MEMORY):
        return f"out of memory ({words})"
    return f"the checker's own failure: {words}"


def _finished(running: list[_Running], limit: float) -> Iterator[Row]:
    """Wait until something ends or is to be ended; what has ended leaves the list."""
    now = time.monotonic()
    left = min(one.started + limit - now for one in running)
    patience = min(max(left, 0.0), LONGEST_WAIT)
    wait([each for one in running for each in (one.answer, one.process.sentinel)], patience)
    now = time.monotonic()
    for one in list(running):
        row = _row(one, late=now - one.started >= limit, limit=limit)
        if row is not None:
            if row.state != "error":
                one.process.join(FAREWELL)
            running.remove(one)
            _end(one)
            yield row


def _row(one: _Running, *, late: bool, limit: float) -> Row | None:
    """What a worker came to; None while it is at work."""
    seconds = time.monotonic() - one.started
    if one.answer.poll():
        try:
            row: Row = one.answer.recv()
        except (EOFError, OSError):  # ended while it was sending
            one.process.join()
            return lost(one.case, _ending(one.process.exitcode), seconds)
        return row
    if late:
        return lost(one.case, f"it took longer than {limit:g} seconds and was ended", seconds)
    if not one.process.is_alive():
        return lost(one.case, _ending(one.process.exitcode), seconds)
    return None


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        more = ": the system may have been out of memory" * (name == "SIGKILL")
        return f"its process was ended by {name}{more}"
    return f"its process left with exit code {code}"


def lost(case: Case, reason: str, seconds: float = 0.0) -> Row:
    """The row of a case that has no verdict."""
    return Row(
        model_type=case.model_type, variant=case.variant, state="error", reason=reason,
        seconds=seconds,
    )  # fmt: skip


def _end(one: _Running) -> None:
    """The worker and what it has started are gone afterwards."""
    with suppress(ProcessLookupError, PermissionError, AttributeError):
        if one.process.pid is not None:
            os.killpg(one.process.pid, signal.SIGKILL)
    one.process.kill()
    one.process.join()
    one.answer.close()
