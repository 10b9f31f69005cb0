"""`attnscope census`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnscope.cli import baseline_options, options, reports
from attnscope.cli.exit import Verdict
from attnscope.cli.lists import ALL, parse_backends, require_one
from attnscope.cli.output import Answer
from attnscope.cli.progress import working
from attnscope.errors import SelectionError

if TYPE_CHECKING:
    from attnscope.census.run import CensusOptions, Standing
    from attnscope.records.census import Census

WHAT = "What to judge"


Only = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE,…", help="Only these model types.", rich_help_panel=WHAT),
]
Backends = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME,…",
        help="Attention backends; by default eager, sdpa and flex_attention.",
        rich_help_panel=WHAT,
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Few conditions, and one compiled kernel a mask.", rich_help_panel=WHAT
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**63 - 1, help="Of weights and tokens.", rich_help_panel=WHAT)
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="The I-th of N shares, from 1.", rich_help_panel=WHAT),
]
Jobs = Annotated[
    int,
    typer.Option(min=0, max=256, help="Types at a time; 0: one a core.", rich_help_panel=WHAT),
]
Limit = Annotated[
    float | None,
    typer.Option(
        min=1.0,
        metavar="SECONDS",
        help="For one type; by default 900, quick 180.",
        rich_help_panel=WHAT,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keep each row in this JSON-lines file; what is there is not judged again.",
        rich_help_panel=WHAT,
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="FILE", help="Show the rows of such a file, and judge nothing.",
        rich_help_panel=WHAT,
    ),
]  # fmt: skip


def census(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    only: Only = None,
    backend: Backends = None,
    quick: Quick = False,
    seed: Seed = 0,
    shard: Shard = None,
    jobs: Jobs = 0,
    limit: Limit = None,
    resume: Resume = None,
    saved: From = None,
    baseline: baseline_options.Baseline = None,
    write_baseline: baseline_options.WriteBaseline = None,
    reason: baseline_options.Reason = None,
    form: reports.FormOption = reports.Form.table,
    output: reports.Output = None,
    report: reports.ReportOption = None,
    sarif_anchor: reports.AnchorOption = reports.ANCHOR,
    width: options.Width = None,
) -> int:
    """Judge every causal language model that transformers registers, shrunken, one row a type."""
    from attnscope.cli.accepting import acceptance

    planned = reports.plan(form, output, width, report, sarif_anchor, (resume, write_baseline))
    reports.require_apart(planned, baseline)
    require_one({"--resume": resume, "--from": saved})
    if limit is not None and not isfinite(limit):
        raise SelectionError(
            f"--limit {limit} is no number of seconds.", "Say 600 for ten minutes."
        )
    accepted = acceptance(baseline, write_baseline, reason)
    share = _share(shard)
    asked = {
        "only": tuple(" ".join(only or ()).replace(",", " ").split()),
        "quick": quick,
        "seed": seed,
        "shard": share,
        "jobs": jobs,
        "limit": limit or 0.0,
        "resume": resume,
    }
    names = parse_backends(backend)
    if names and ALL not in names:
        asked["backends"] = names
    found = _saved(saved) if saved is not None else _judged(asked)
    found = accepted.census(found)
    return _deliver(found, _exit_code(found), planned)


def _share(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    given = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    number, of = (int(given[1]), int(given[2])) if given else (0, 0)
    if not 1 <= number <= of:
        raise SelectionError(
            f"--shard {text[:40]!r} is no share.", "Say 1/4 for the first of four."
        )
    return number, of


def _saved(path: Path) -> Census:
    from attnscope.census.ledger import read

    return read(path)


def _judged(asked: dict[str, Any]) -> Census:
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope.census.run import CensusOptions
        from attnscope.census.run import census as judge_all

        chosen: CensusOptions = CensusOptions(**asked)
    with _bar() as show:
        return judge_all(chosen, show)


@contextmanager
def _bar() -> Iterator[Callable[[Standing], None]]:
    """Rows done, findings and losses so far, and what is being judged; silent in a pipe."""
    if not sys.stderr.isatty():
        yield lambda standing: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    now = TextColumn("{task.fields[now]}", markup=False)
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), now)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("census", total=None, now="starting workers")

        def show(standing: Standing) -> None:
            words = f"{standing.failed} with findings, {standing.lost} without a verdict"
            told = f"{words}: {', '.join(standing.now)}" if standing.now else words
            progress.update(task, total=standing.of, completed=standing.done, now=told)

        yield show


def _exit_code(found: Census) -> int:
    """1 a finding, 2 a row without a verdict, 3 a row that could not be checked, 0 all passed."""
    states = {row.state for row in found.rows}
    if "fail" in states:
        return 1
    if "error" in states:
        return 2
    return 0 if "pass" in states and "skip" not in states else 3


def _deliver(found: Census, code: int, planned: reports.Plan) -> Verdict:
    from attnscope.render.census import census_page
    from attnscope.render.census_json import census_json
    from attnscope.render.census_markdown import census_markdown
    from attnscope.render.census_rows import made_with
    from attnscope.render.reports import of_census

    title = "attnscope census"
    answer = Answer(
        title=title, page=lambda: census_page(found), data=lambda: census_json(found, code)
    )
    made = reports.texts(of_census(found), planned, f"{title} · {made_with(found)}", code)
    own = {reports.Form.markdown: lambda: census_markdown(found)}
    return reports.settle(planned, answer, {**made, **own}, code)
