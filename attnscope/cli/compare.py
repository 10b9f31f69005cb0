"""`attnscope compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnscope.cli import lesson_options, options
from attnscope.cli.loading import loading
from attnscope.cli.output import Answer, deliver
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, read_argument, read_prompt
from attnscope.files import require_place

if TYPE_CHECKING:
    from attnscope.records import Comparison


def compare(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    prompt: options.Prompt = None,
    file: options.File = None,
    ids: options.Ids = None,
    against: lesson_options.Against = "none",
    layer: options.Layer = None,
    head: options.Head = None,
    caveat: lesson_options.Caveat = False,
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
    """Standard against masked attention: one head, and the whole model, with and without a mask."""
    chosen = loading(locals())
    if output is not None:
        require_place(output)
    text = read_prompt(prompt, file, ids)
    numbers = None if ids is None else parse_ids(ids)
    other = read_argument(against).strip()
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope import LoadOptions, Selection, lessons
        from attnscope.load import load, tokens_of

        lessons.require_mask(other)
        loaded = load(LoadOptions(**chosen), tell)
        tokens = tokens_of(loaded, text, numbers)
        result = lessons.compare(
            loaded, tokens, other, Selection(layer=layer, head=head), progress=tell
        )
    deliver(_answer(result, with_caveat=caveat), form, output, width)


def _answer(result: Comparison, *, with_caveat: bool) -> Answer:
    from attnscope.render.caveat import POINTS
    from attnscope.render.comparison import comparison_page
    from attnscope.render.comparison_json import comparison_json

    return Answer(
        title=f"attnscope compare --model {result.model.name}",
        page=lambda: comparison_page(result, with_caveat=with_caveat),
        data=lambda: comparison_json(result) | ({"caveat": POINTS} if with_caveat else {}),
    )
