"""Judges that go wrong, for the workers: found by name in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from attnscope.census.cases import Case
from attnscope.records.census import Row


def judge(case: Case, ask: Path) -> Row:
    """A row, or what the case's name says; each call leaves a line in the file `ask`."""
    with ask.open("a") as told:
        told.write(f"{case.model_type} {os.getpid()}\n")
    act = ACTS.get(case.model_type)
    if act is not None:
        act()
    print("never seen")
    print("never seen", file=sys.stderr)
    return Row(model_type=case.model_type, state="pass", backends=("eager",))


def _hang() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(600)


def _leave() -> None:
    raise SystemExit(0)


def _wrong() -> None:
    raise ValueError("a wrong\nvalue")


def _no_memory() -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")


def _not_sent() -> None:
    os._exit(7)


ACTS = {
    "crash": os.abort,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": _hang,
    "leave": _leave,
    "wrong": _wrong,
    "memory": _no_memory,
    "exit": _not_sent,
}
