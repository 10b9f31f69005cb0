"""What starting costs: the command beside an empty Typer app, and `trace` beside a bare script.

    python -m tests.benchmarks.startup [--pairs 11] [--save docs/benchmarks/startup.jsonl]

Each number is a fresh process, the two sides in turn, both with byte-compiled code, as it is once
installed; the first of each side compiles and is not counted.

The Typer apps are made from the command itself: the same commands with the same help, empty bodies,
and either no options at all or the same options. The bare script loads the bundled model and its
tokenizer with transformers and runs one forward pass over the same prompt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.record import ROOT, interleaved, ratios, row, save, spread

OURS = "from attnscope.__main__ import main; main()"
PEER = """\
from typing import Annotated, Any
import typer

app = typer.Typer(
    name="attnscope", help={help!r}, epilog={epilog!r}, add_completion=False,
    no_args_is_help=True, pretty_exceptions_enable=False,
    context_settings={{"help_option_names": ["-h", "--help"]}},
)

@app.callback()
def common(_version: Annotated[bool, typer.Option("--version", help="Versions.")] = False) -> None:
    pass

"""
BARE = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({path!r})
model = AutoModelForCausalLM.from_pretrained({path!r})
with torch.no_grad():
    logits = model(**tokenizer({prompt!r}, return_tensors="pt")).logits
print(int(logits[0, -1].argmax()))
"""


def peer(*, with_options: bool) -> str:
    """The source of a Typer app with our commands and empty bodies."""
    from typer.main import get_command

    from attnscope.cli.app import app

    group: Any = get_command(app)
    source = PEER.format(help=group.help, epilog=group.epilog)
    for name, command in group.commands.items():
        options = [one for one in command.params if one.name != "help"] if with_options else []
        parameters = ", ".join(_parameter(one) for one in options)
        source += f"@app.command({name!r})\ndef {name.replace('-', '_')}({parameters}) -> Any:\n"
        source += f"    {command.help!r}\n\n"
    return source


def _parameter(one: Any) -> str:
    """A parameter with the same names, help and panel, as text that may be left out."""
    if one.param_type_name == "argument":
        return f"{one.name}: Annotated[str, typer.Argument(help={one.help!r})] = ''"
    kind = "bool" if one.is_flag else "str"
    default = "False" if one.is_flag else "''"
    names = ", ".join(map(repr, one.opts))
    said = f"help={one.help!r}, rich_help_panel={one.rich_help_panel!r}"
    return f"{one.name}: Annotated[{kind}, typer.Option({names}, {said})] = {default}"


def process(code: str, *arguments: str, folder: str) -> Callable[[], object]:
    """Something that runs code as a console script does, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join([folder, str(ROOT)])
    command = [sys.executable, "-c", code, *arguments]
    return lambda: subprocess.run(
        command, check=True, cwd=folder, env=environment, capture_output=True
    )


def sides(folder: str) -> dict[tuple[str, str], tuple[Callable[[], object], Callable[[], object]]]:
    """(what of ours, beside what) to both as processes; modules are written into the folder."""
    weights = ROOT / "attnscope" / "models" / "fable" / "weights"
    sources = {
        "plain_app": peer(with_options=False),
        "full_app": peer(with_options=True),
        "bare": BARE.format(path=str(weights), prompt=_prompt()),
    }
    for name, source in sources.items():
        Path(folder, f"{name}.py").write_text(source)
    ours = process(OURS, "--help", folder=folder)
    plain = process("from plain_app import app; app()", "--help", folder=folder)
    full = process("from full_app import app; app()", "--help", folder=folder)
    return {
        ("--help", "Typer app without options"): (ours, plain),
        ("--help", "Typer app with the same options"): (ours, full),
        ("trace", "bare script"): (
            process(OURS, "trace", folder=folder),
            process("import bare", folder=folder),
        ),
    }


def _prompt() -> str:
    from attnscope.load import LoadOptions, load

    return load(LoadOptions(model="fable")).default_prompt


def main() -> None:
    """Print one line a comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for (what, beside), (ours, theirs) in sides(folder).items():
            numbers = interleaved(ours, theirs, options.pairs)
            low = min(numbers["run"]), min(numbers["base"])
            print(f"{what} / {beside}: {spread(ratios(numbers))}  ({low[0]:.3f} s, {low[1]:.3f} s)")
            save(options.save, [row({"what": what, "beside": beside}, numbers, "typer", "rich")])


if __name__ == "__main__":
    main()
