"""`attnscope generate`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from attnscope.cli import lesson_options, options
from attnscope.cli.lists import require_one
from attnscope.cli.loading import loading
from attnscope.cli.options import Format
from attnscope.cli.output import Answer, deliver
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, read_argument, read_prompt
from attnscope.errors import PromptError
from attnscope.files import require_place

if TYPE_CHECKING:
    from attnscope.load import LoadedModel
    from attnscope.records import Cheat, Generation, Tokens


def generate(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    prompt: options.Prompt = None,
    file: options.File = None,
    ids: options.Ids = None,
    steps: lesson_options.Steps = 5,
    top: lesson_options.Top = 5,
    layer: options.Layer = None,
    head: options.Head = None,
    cheat: lesson_options.CheatOption = False,
    continuation: lesson_options.Continuation = None,
    delay: lesson_options.Delay = None,
    model: options.Model = "fable",
    device: options.Device = "auto",
    dtype: options.DtypeOption = options.Dtype.auto,
    backend: options.BackendOption = options.Backend.auto,
    weights: options.WeightsOption = options.Weights.real,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    width: options.Width = None,
) -> None:
    """Write a text token by token: its growing mask, its cache, and what a cheat is worth."""
    chosen = loading(locals())
    if output is not None:
        require_place(output)
    if continuation is not None and (not cheat or ids is not None):
        reason = "exclude each other" if cheat else "is for --cheat"
        raise PromptError(
            f"--continuation {'and --ids ' if cheat else ''}{reason}.", "Leave it out."
        )
    if continuation is not None and not continuation.strip():
        raise PromptError("--continuation is empty.", "Give at least one word.")
    for option, value in (("--layer", layer), ("--head", head), ("--delay", delay)):
        if cheat and value is not None:
            require_one({"--cheat": True, option: True})
    text = read_prompt(prompt, file, ids)
    numbers = None if ids is None else parse_ids(ids)
    rest = None if continuation is None else read_argument(continuation)
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope import LoadOptions, Selection, lessons
        from attnscope.load import load, tokens_of

        loaded = load(LoadOptions(**chosen), tell)
        if cheat:
            tokens, start = _given(loaded, text, numbers, rest, steps)
            told = lessons.cheat(loaded, tokens, start, progress=tell)
            answer = _cheat_answer(told)
        else:
            tokens = tokens_of(loaded, text, numbers)
            place = Selection(layer=layer, head=head)
            result = lessons.generate(loaded, tokens, steps, place, top=top, progress=tell)
            answer = _answer(result)
    if delay is not None and not cheat and form is Format.table and output is None:
        _animate(result, delay, width)
    deliver(answer, form, output, width)


def _given(
    loaded: LoadedModel, text: str | None, ids: list[int] | None, rest: str | None, steps: int
) -> tuple[Tokens, int]:
    """The prompt with its continuation: one that is given, or the prompt's own last tokens."""
    from attnscope.load import tokens_of
    from attnscope.load.continuation import continued

    if rest is not None:
        return continued(loaded, loaded.default_prompt if text is None else text, rest)
    tokens = tokens_of(loaded, text, ids)
    return tokens, max(len(tokens) - steps, 1)


def _answer(result: Generation) -> Answer:
    from attnscope.render.generation import generation_page
    from attnscope.render.generation_json import generation_json

    return Answer(
        title=f"attnscope generate --model {result.model.name}",
        page=lambda: generation_page(result),
        data=lambda: generation_json(result),
    )


def _cheat_answer(result: Cheat) -> Answer:
    from attnscope.render.cheat import cheat_page
    from attnscope.render.generation_json import cheat_json

    return Answer(
        title=f"attnscope generate --cheat --model {result.model.name}",
        page=lambda: cheat_page(result),
        data=lambda: cheat_json(result),
    )


def _animate(result: Generation, delay: float, width: int | None) -> None:
    """Show the steps one after the other where they stood; nothing in a pipe."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console
    from rich.live import Live

    from attnscope.render.generation import frame

    console = Console(width=width, highlight=False, emoji=False, markup=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for number in range(1, len(result.steps) + 1):
            live.update(frame(result, number), refresh=True)
            time.sleep(delay)
