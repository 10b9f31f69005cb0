"""The options about accepted findings, which `verify-mask` and `census` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Accepted findings"

Baseline = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Accepted findings: only others fail.",
        rich_help_panel=PANEL,
    ),
]
WriteBaseline = Annotated[
    Path | None,
    typer.Option(
        "--write-baseline",
        metavar="FILE",
        help="Accept what this run finds, from the next run on; needs --reason.",
        rich_help_panel=PANEL,
    ),
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Why the findings that --write-baseline adds are accepted.",
        rich_help_panel=PANEL,
    ),
]
