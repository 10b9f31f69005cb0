"""`attnscope trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnscope.cli import lesson_options, options
from attnscope.cli.lists import parse_heads
from attnscope.cli.loading import loading
from attnscope.cli.output import Answer, deliver
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, read_argument, read_prompt
from attnscope.errors import PromptError
from attnscope.files import require_place

if TYPE_CHECKING:
    from attnscope.records import Trace


def trace(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    prompt: options.Prompt = None,
    file: options.File = None,
    ids: options.Ids = None,
    chat: options.Chat = False,
    layer: options.Layer = None,
    head: options.HeadList = None,
    query: options.Query = None,
    caveat: lesson_options.Caveat = False,
    model: options.Model = "fable",
    device: options.Device = "auto",
    dtype: options.DtypeOption = options.Dtype.auto,
    backend: options.BackendOption = options.Backend.auto,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    width: options.Width = None,
) -> None:
    """Show what attention does with a prompt: mask, heads, one computation by hand, and a proof."""
    chosen = loading(locals())
    if output is not None:
        require_place(output)
    text = read_prompt(prompt, file, ids)
    if chat and ids is not None:
        raise PromptError("--chat and --ids exclude each other.", "Give one of them.")
    query = None if query is None else read_argument(query)
    heads = parse_heads(head)
    numbers = parse_ids(ids) if ids is not None else None
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope import LoadOptions, Selection, trace_tokens
        from attnscope.load import load, tokens_of

        loaded = load(LoadOptions(**chosen), tell)
        tokens = tokens_of(loaded, text, numbers, chat=chat)
        selection = Selection(layer=layer, head=heads, query=query)
        result = trace_tokens(loaded, tokens, selection, progress=tell)
    deliver(_answer(result, with_caveat=caveat), form, output, width)


def _answer(result: Trace, *, with_caveat: bool) -> Answer:
    from attnscope.render.caveat import POINTS
    from attnscope.render.page import page
    from attnscope.render.trace_json import trace_json

    return Answer(
        title=f"attnscope trace --model {result.model.name}",
        page=lambda: page(result, with_caveat=with_caveat),
        data=lambda: trace_json(result) | ({"caveat": POINTS} if with_caveat else {}),
    )
