"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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


class Weights(StrEnum):
    """`--weights`."""

    real = "real"
    random = "random"


class Format(StrEnum):
    """`--format`."""

    table = "table"
    json = "json"


PROMPT_PANEL = "Prompt"
LOOK_PANEL = "What to look at closely"
LOADING_PANEL = "Loading the model"
CHECKS_PANEL = "What to check"
OUTPUT_PANEL = "Output"

Prompt = Annotated[
    str | None,
    typer.Argument(help="- for standard input; by default one that suits the model."),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="Read the prompt from a file, - for standard input.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
Ids = Annotated[
    str | None,
    typer.Option(
        help="Token ids instead of a prompt, for example 5,9,23.", rich_help_panel=PROMPT_PANEL
    ),
]
Chat = Annotated[
    bool,
    typer.Option("--chat", help="Apply the model's chat template.", rich_help_panel=PROMPT_PANEL),
]
Layer = Annotated[
    int | None,
    typer.Option(
        help="From 0, or -1 for the last; by default the most telling.", rich_help_panel=LOOK_PANEL
    ),
]
Head = Layer
HeadList = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="HEAD,…",
        help="From 0, or -1 for the last; several, as 0,1,3, are drawn side by side.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        help="Position from 0, -1 for the last, or a token; by default the last.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Bundled name (fable, textbook), local directory or Hugging Face hub id.",
        rich_help_panel=LOADING_PANEL,
    ),
]
ModelArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="Bundled name (fable, textbook), local directory, Hugging Face hub id or"
        " package.module:factory; several are judged one after the other; by default all that the"
        " pyproject.toml here or above lists.",
        show_default=False,
    ),
]
_DEVICE: Any = typer.Option(
    help="auto (cuda, then mps, then cpu) or a device.", rich_help_panel=LOADING_PANEL
)
_DTYPE: Any = typer.Option(
    "--dtype", help="auto: as the checkpoint says.", rich_help_panel=LOADING_PANEL
)
_WEIGHTS: Any = typer.Option(
    "--weights",
    help="random: a small model of this architecture from config.json, without its weights.",
    rich_help_panel=LOADING_PANEL,
)
Device = Annotated[str, _DEVICE]
DtypeOption = Annotated[Dtype, _DTYPE]
WeightsOption = Annotated[Weights, _WEIGHTS]
AskedDevice = Annotated[str | None, _DEVICE]
AskedDtype = Annotated[Dtype | None, _DTYPE]
AskedWeights = Annotated[Weights | None, _WEIGHTS]
"""The same where a file may say it: None is what nobody said."""
BackendOption = Annotated[
    Backend,
    typer.Option("--backend", help="auto: as transformers chooses.", rich_help_panel=LOADING_PANEL),
]
Backends = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME,…",
        help="Attention backends, or all that run here; by default the one that transformers"
        " chooses, eager and sdpa.",
        rich_help_panel=LOADING_PANEL,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(help="Branch, tag or commit of a hub model.", rich_help_panel=LOADING_PANEL),
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        help="Spread the model over devices (needs accelerate).", rich_help_panel=LOADING_PANEL
    ),
]
TpPlan = Annotated[
    str | None,
    typer.Option(help="auto: torchrun's processes share the model.", rich_help_panel=LOADING_PANEL),
]
VocabSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="TOKENS",
        help="Token ids that the model of a package.module:factory reads.",
        rich_help_panel=LOADING_PANEL,
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Also read pickled weights. A pickle can run any code.",
        rich_help_panel=LOADING_PANEL,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that comes with the model.",
        rich_help_panel=LOADING_PANEL,
    ),
]
Expect = Annotated[
    str | None,
    typer.Option(
        metavar="MASK",
        help="What a token may see: causal, sliding:W, chunked:C, prefix:P or bidirectional; by"
        " default as the config says.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE,…",
        help="Only these checks: codes (ATN301), their beginnings (ATN3), names or families."
        " The controls are always asked.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE,…", help="Leave these checks out.", rich_help_panel=CHECKS_PANEL),
]
Quick = Annotated[
    bool | None,
    typer.Option(
        "--quick/--no-quick",
        help="Few conditions, a handful of forward passes.",
        show_default=False,
        rich_help_panel=CHECKS_PANEL,
    ),
]
Length = Annotated[
    int | None,
    typer.Option(
        metavar="TOKENS",
        help="Tokens to read; by default chosen from the model's windows.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**63 - 1,
        help="Of the random token ids; by default 0.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="TOKENS",
        help="Tokens to push through the model at most.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
RealPrompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help="Read this text instead of random ids, - for standard input.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
RealIds = Annotated[
    str | None,
    typer.Option(
        "--ids",
        help="Read these token ids instead, for example 5,9,23.",
        rich_help_panel=CHECKS_PANEL,
    ),
]
Prove = Annotated[
    bool | None,
    typer.Option(
        "--prove/--no-prove",
        help="After a pass, plant leaks of known size and show which are caught.",
        show_default=False,
        rich_help_panel=CHECKS_PANEL,
    ),
]
Reproducer = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where there is a leak, write a Python script that shows the worst one with torch and"
        " transformers alone.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="What to print.", rich_help_panel=OUTPUT_PANEL)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to a file instead: text, .json, .svg or .html, by its ending.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Width = Annotated[
    int | None,
    typer.Option(
        min=40,
        max=500,
        help="Columns; by default the terminal's, 80 in a pipe, 100 for files.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
