"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Dtype(StrEnum):
    """`--dtype`."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Backend(StrEnum):
    """`--backend`."""

    auto = "auto"
    eager = "eager"
    sdpa = "sdpa"
    flex_attention = "flex_attention"
    flash_attention_2 = "flash_attention_2"


class Format(StrEnum):
    """`--format`."""

    table = "table"
    json = "json"


_LOADING = "Loading the model"
_OUTPUT = "Output"

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Bundled name (fable, textbook), local directory or Hugging Face hub id.",
        rich_help_panel=_LOADING,
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto (cuda, then mps, then cpu) or a device.", rich_help_panel=_LOADING),
]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="auto: as the checkpoint says.", rich_help_panel=_LOADING)
]
BackendOption = Annotated[
    Backend,
    typer.Option("--backend", help="auto: as transformers chooses.", rich_help_panel=_LOADING),
]
Revision = Annotated[
    str | None,
    typer.Option(help="Branch, tag or commit of a hub model.", rich_help_panel=_LOADING),
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        help="Spread the model over devices (needs accelerate).", rich_help_panel=_LOADING
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Also read pickled weights. A pickle can run any code.",
        rich_help_panel=_LOADING,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that comes with the model.",
        rich_help_panel=_LOADING,
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="What to print.", rich_help_panel=_OUTPUT)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to a file instead: text, .json, .svg or .html, by its ending.",
        rich_help_panel=_OUTPUT,
    ),
]
Width = Annotated[
    int | None,
    typer.Option(
        min=40,
        max=500,
        help="Columns; by default the terminal's, 80 in a pipe, 100 for files.",
        rich_help_panel=_OUTPUT,
    ),
]
