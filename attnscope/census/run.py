"""The whole census: which cases, which of them are still to be judged, and the table."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

import attnscope
from attnscope.census.cases import Case, cases, shard
from attnscope.census.judge import Ask, judge
from attnscope.census.ledger import Heading, Ledger, table
from attnscope.census.workers import Watch, judged
from attnscope.load.registered import registered_types
from attnscope.records.census import Census, Row
from attnscope.verification.options import COMPILED

LIMIT, LIMIT_QUICK = 900.0, 180.0
"""Seconds for one type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a census is."""

    done: int
    of: int
    failed: int
    """Rows with findings."""
    lost: int
    """Rows without a verdict."""
    now: tuple[str, ...]
    """What is being judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusOptions:
    """What to judge, and how."""

    only: tuple[str, ...] = ()
    """Model types; none: all that transformers registers."""
    backends: tuple[str, ...] = Ask().backends
    """Attention implementations; a type is judged on those that it runs on."""
    quick: bool = False
    """A handful of forward passes a type, and one compiled kernel for each of its masks."""
    seed: int = 0
    """Of weights and tokens."""
    jobs: int = 0
    """Types judged at the same time; 0: one for each core."""
    limit: float = 0.0
    """Seconds for one type; 0: 180 in the quick form, else 900."""
    shard: tuple[int, int] = (1, 1)
    """The first, second … of so many shares."""
    resume: Path | None = None
    """A JSON-lines file: its rows are not judged again, and new ones are added to it."""


def census(options: CensusOptions, progress: Callable[[Standing], None] | None = None) -> Census:
    """Judge every registered causal language model, each in a process of its own.

    Raises SelectionError for types that are not registered, and for rows in `resume` that were made
    otherwise; OutputError when that file cannot be written.
    """
    wanted = shard(cases(registered_types(), options.only), *options.shard)
    heading = heading_of(options)
    if options.resume is None:
        return _run(wanted, options, heading, {}, lambda row: None, progress)
    ledger = Ledger(options.resume, heading)
    with closing(ledger):
        return _run(wanted, options, ledger.heading, ledger.rows, ledger.add, progress)


def heading_of(options: CensusOptions) -> Heading:
    """What the rows of a run that begins now are made with."""
    return Heading(
        versions=(
            ("attnscope", attnscope.__version__),
            ("torch", torch.__version__),
            ("transformers", version("transformers")),
            ("Python", platform.python_version()),
        ),
        date=date.today().isoformat(),
        quick=options.quick,
        backends=options.backends,
        seed=options.seed,
    )


def _run(
    wanted: Sequence[Case],
    options: CensusOptions,
    heading: Heading,
    known: dict[str, Row],
    keep: Callable[[Row], None],
    progress: Callable[[Standing], None] | None,
) -> Census:
    rows = {case.key: known[case.key] for case in wanted if case.key in known}
    left = [case for case in wanted if case.key not in rows]

    def watch(now: Sequence[Case]) -> None:
        if progress is not None:
            progress(_standing(rows, len(wanted), now))

    limit = options.limit or (LIMIT_QUICK if options.quick else LIMIT)
    ask = Ask(backends=options.backends, quick=options.quick, seed=options.seed)
    for row in _rows(left, ask, options.jobs or _cores(), limit, watch):
        keep(row)
        rows[row.key] = row
        watch(())
    return table(heading, [rows[case.key] for case in wanted])


def _rows(
    wanted: Sequence[Case], ask: Ask, jobs: int, limit: float, watch: Watch
) -> Generator[Row]:
    """A row for each case; one whose process was lost is asked again without compiled kernels,
    which are what ends processes, and says so.
    """
    plain = tuple(name for name in ask.backends if name not in COMPILED)
    again: dict[str, Row] = {}
    with closing(judged(wanted, judge, ask, jobs=jobs, limit=limit, watch=watch)) as coming:
        for row in coming:
            if row.state == "error" and not row.without and 0 < len(plain) < len(ask.backends):
                again[row.key] = row
            else:
                yield row
    left = [case for case in wanted if case.key in again]
    less = replace(ask, backends=plain)
    with closing(judged(left, judge, less, jobs=jobs, limit=limit, watch=watch)) as coming:
        for row in coming:
            before = again[row.key]
            reasons = tuple((name, before.reason) for name in ask.backends if name in COMPILED)
            seconds = before.seconds + row.seconds
            yield replace(row, without=(*row.without, *reasons), seconds=seconds)


def _standing(rows: dict[str, Row], of: int, now: Sequence[Case]) -> Standing:
    states = [row.state for row in rows.values()]
    return Standing(
        done=len(rows), of=of, failed=states.count("fail"),
        lost=states.count("error") + states.count("skip"), now=tuple(case.key for case in now),
    )  # fmt: skip


def _cores() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
