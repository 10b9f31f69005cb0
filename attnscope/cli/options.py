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


class Weights(StrEnum):
    """`--weights`."""

    real = "real"
    random = "random"


class MaskForm(StrEnum):
    """`--form`."""

    map = "map"
    binary = "binary"
    additive = "additive"
    bool = "bool"


class Format(StrEnum):
    """`--format`."""

    table = "table"
    json = "json"


_PROMPT = "Prompt"
_LOOK = "What to look at closely"
_LOADING = "Loading the model"
_CHECKS = "What to check"
_OUTPUT = "Output"
_DRAWING = "How to draw it"

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
        rich_help_panel=_PROMPT,
    ),
]
Ids = Annotated[
    str | None,
    typer.Option(
        help="Token ids instead of a prompt, for example 5,9,23.", rich_help_panel=_PROMPT
    ),
]
Chat = Annotated[
    bool,
    typer.Option("--chat", help="Apply the model's chat template.", rich_help_panel=_PROMPT),
]
Layer = Annotated[
    int | None,
    typer.Option(
        help="From 0, or -1 for the last; by default the most telling.", rich_help_panel=_LOOK
    ),
]
Head = Layer
HeadList = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="HEAD,…",
        help="From 0, or -1 for the last; several, as 0,1,3, are drawn side by side.",
        rich_help_panel=_LOOK,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        help="Position from 0, -1 for the last, or a token; by default the last.",
        rich_help_panel=_LOOK,
    ),
]
Steps = Annotated[
    int,
    typer.Option(min=1, max=10_000, help="Tokens to write.", rich_help_panel=_LOOK),
]
Top = Annotated[
    int,
    typer.Option(min=1, max=50, help="Candidates to show at each step.", rich_help_panel=_LOOK),
]
CheatOption = Annotated[
    bool,
    typer.Option(
        "--cheat",
        help="Read a given continuation with every mask taken away, and see what that is worth.",
        rich_help_panel=_LOOK,
    ),
]
Continuation = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The continuation for --cheat; by default the prompt's last --steps tokens.",
        rich_help_panel=_LOOK,
    ),
]
Delay = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=60.0,
        metavar="SECONDS",
        help="In a terminal, first show the steps one after the other, so long each.",
        rich_help_panel=_OUTPUT,
    ),
]
Against = Annotated[
    str,
    typer.Option(
        metavar="MASK",
        help="The other mask: none, or one in words (sliding:3, prefix:2, row:2 …); multiplied:"
        " scores times 0 and 1, a common mistake.",
        rich_help_panel=_LOOK,
    ),
]
Caveat = Annotated[
    bool,
    typer.Option(
        "--caveat", help="Say what attention weights do not explain.", rich_help_panel=_LOOK
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Bundled name (fable, textbook), local directory or Hugging Face hub id.",
        rich_help_panel=_LOADING,
    ),
]
OptionalModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Draw the masks that this model's layers are handed: bundled name (fable, textbook),"
        " local directory or Hugging Face hub id.",
        rich_help_panel=_LOADING,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Bundled name (fable, textbook), local directory or Hugging Face hub id.",
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
Backends = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME,…",
        help="Attention backends, or all that run here; by default the one that transformers"
        " chooses, eager and sdpa.",
        rich_help_panel=_LOADING,
    ),
]
WeightsOption = Annotated[
    Weights,
    typer.Option(
        "--weights",
        help="random: a small model of this architecture from config.json, without its weights.",
        rich_help_panel=_LOADING,
    ),
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
Expect = Annotated[
    str | None,
    typer.Option(
        metavar="MASK",
        help="What a token may see: causal, sliding:W, chunked:C, prefix:P or bidirectional; by"
        " default as the config says.",
        rich_help_panel=_CHECKS,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE,…",
        help="Only these checks: codes (ATN301), their beginnings (ATN3), names or families."
        " The controls are always asked.",
        rich_help_panel=_CHECKS,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE,…", help="Leave these checks out.", rich_help_panel=_CHECKS),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Few conditions, a handful of forward passes.", rich_help_panel=_CHECKS
    ),
]
Length = Annotated[
    int | None,
    typer.Option(
        metavar="TOKENS",
        help="Tokens to read; by default chosen from the model's windows.",
        rich_help_panel=_CHECKS,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**63 - 1, help="Of the random token ids.", rich_help_panel=_CHECKS),
]
Budget = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="TOKENS",
        help="Tokens to push through the model at most.",
        rich_help_panel=_CHECKS,
    ),
]
RealPrompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        help="Read this text instead of random ids, - for standard input.",
        rich_help_panel=_CHECKS,
    ),
]
RealIds = Annotated[
    str | None,
    typer.Option(
        "--ids",
        help="Read these token ids instead, for example 5,9,23.",
        rich_help_panel=_CHECKS,
    ),
]
Prove = Annotated[
    bool,
    typer.Option(
        "--prove",
        help="After a pass, plant leaks of known size and show which are caught.",
        rich_help_panel=_CHECKS,
    ),
]
Reproducer = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where there is a leak, write a Python script that shows the worst one with torch and"
        " transformers alone.",
        rich_help_panel=_OUTPUT,
    ),
]
Positions = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Draw over so many plain positions; by default the textbook's five words, or as many"
        " positions as the mask needs.",
        rich_help_panel=_DRAWING,
    ),
]
MaskFormOption = Annotated[
    MaskForm,
    typer.Option(
        "--form",
        help="map: a picture; binary: 1 and 0; additive: 0 and -inf; bool: ✓ and ✗.",
        rich_help_panel=_DRAWING,
    ),
]
Listed = Annotated[
    bool,
    typer.Option(
        "--list",
        help="In words: cat looks at [The, cat]; up to 1,024 tokens.",
        rich_help_panel=_DRAWING,
    ),
]
Diff = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="A B",
        help="Mark the cells in which two masks differ; with --model, layer:I is one too.",
        rich_help_panel=_DRAWING,
    ),
]
Shape = Annotated[
    bool,
    typer.Option(
        "--shape", help="Explain how it is broadcast to the scores.", rich_help_panel=_DRAWING
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(min=1, max=10**6, help="Sequences, for --shape.", rich_help_panel=_DRAWING),
]
Heads = Annotated[
    int | None,
    typer.Option(min=1, max=10**6, help="Heads, for --shape.", rich_help_panel=_DRAWING),
]
Pad = Annotated[
    str | None,
    typer.Option(
        metavar="SIDE:N",
        help="Put pads beside the prompt: left:2 or right:2.",
        rich_help_panel=_PROMPT,
    ),
]
TokenTypes = Annotated[
    str | None,
    typer.Option(
        metavar="0,1,1,…",
        help="token_type_ids, for models that open blocks of images or prefixes by them.",
        rich_help_panel=_PROMPT,
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
