"""The `attnscope` command and what belongs to no single subcommand."""

from __future__ import annotations

import platform
import sys
from typing import Annotated

import typer

import attnscope
from attnscope.cli.census import census
from attnscope.cli.checks import checks, explain
from attnscope.cli.compare import compare
from attnscope.cli.generate import generate
from attnscope.cli.heads import heads
from attnscope.cli.mask import mask
from attnscope.cli.trace import trace
from attnscope.cli.verify_mask import verify_mask

app = typer.Typer(
    name="attnscope",
    help="See what every attention head attends to, and prove that no token sees the future.",
    epilog="Exit codes: 0 clean, done · 1 a leak was found · 2 usage or tool error"
    " · 3 nothing could be checked · 130 interrupted. Set ATTNSCOPE_TRACEBACK=1 to see tracebacks.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(trace)
app.command()(heads)
app.command()(verify_mask)
app.command()(mask)
app.command()(compare)
app.command()(generate)
app.command()(census)
app.command()(checks)
app.command()(explain)


def _print_versions(wanted: bool) -> bool:
    if wanted:
        for name, value in versions():
            typer.echo(f"{name:<13} {value}")
        raise typer.Exit
    return wanted


def versions() -> list[tuple[str, str]]:
    """What a bug report needs, as (name, value) pairs."""
    packages = [(name, _installed(name)) for name in ("torch", "transformers", "rich", "typer")]
    return [
        ("attnscope", attnscope.__version__),
        *packages,
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("platform", platform.platform()),
        ("device", _device()),
    ]


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())}
        return (
            f"{torch.cuda.device_count()} x {', '.join(sorted(names))} (CUDA {torch.version.cuda})"
        )
    if torch.backends.mps.is_available():
        return "Apple GPU (mps)"
    return f"cpu, {torch.get_num_threads()} threads"


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print what a bug report needs and exit.",
            callback=_print_versions,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """See what every attention head attends to, and prove that no token sees the future."""
