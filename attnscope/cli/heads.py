"""`attnscope heads`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope import ranks
from attnscope.cli import heads_options, options
from attnscope.cli.heads_options import Sort, parse_layers, parse_pairs, parse_part
from attnscope.cli.lists import require_one
from attnscope.cli.loading import loading
from attnscope.cli.output import Answer, deliver
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, read_prompt
from attnscope.errors import OutputError, PromptError, SelectionError
from attnscope.files import require_place
from attnscope.heads_options import HeadsOptions, Part

if TYPE_CHECKING:
    from attnscope.records import Heads


def heads(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    prompt: options.Prompt = None,
    file: options.File = None,
    ids: options.Ids = None,
    chat: options.Chat = False,
    window: heads_options.Window = None,
    no_window: heads_options.NoWindow = False,
    saved: heads_options.From = None,
    layers: heads_options.Layers = None,
    head: heads_options.HeadPairs = None,
    rows: heads_options.Rows = None,
    keys: heads_options.Keys = None,
    sort: heads_options.SortOption = None,
    reverse: heads_options.Reverse = False,
    top: heads_options.Top = None,
    model: heads_options.Model = None,
    device: options.AskedDevice = None,
    dtype: options.AskedDtype = None,
    backend: heads_options.AskedBackend = None,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    tp_plan: options.TpPlan = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    form: heads_options.FormatOption = heads_options.Tabular.table,
    output: heads_options.Output = None,
    save: heads_options.Save = None,
    width: options.Width = None,
) -> None:
    """Show where every head looks, over a text of any length: statistics, roles, heatmaps."""
    chosen = {
        name: value for name, value in loading(locals()).items() if value not in {None, False}
    }
    picked, pairs = parse_layers(layers), parse_pairs(head)
    parts = (parse_part(rows, "--rows"), parse_part(keys, "--keys"))
    for path in (output, save):
        if path is not None:
            require_place(path)
    if saved is not None:
        beside = {"PROMPT": prompt, "--file": file, "--ids": ids, "--chat": chat,
                  "--window": window, "--no-window": no_window, "--save": save}  # fmt: skip
        _require_alone({**beside, **{_option(name): value for name, value in chosen.items()}})
        found = _look_again(saved, picked, pairs, parts)
        deliver(_answer(found, sort, top, reverse=reverse), form, output, width)
        return
    if any(parts) and not pairs:
        raise SelectionError(
            f"{'--rows' if parts[0] else '--keys'} needs a heatmap to draw.",
            "Say of which head with --head LAYER:HEAD.",
        )
    require_one({"--window": window, "--no-window": no_window})
    require_one({"--chat": chat, "--ids": ids})
    _require_apart(save, output, file)
    text = read_prompt(prompt, file, ids)
    numbers = parse_ids(ids) if ids is not None else None
    wanted = HeadsOptions(
        layers=picked, views=pairs, rows=parts[0], keys=parts[1], window=window,
        windowed=not no_window,
    )  # fmt: skip
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope.load import LoadOptions, load, tokens_of
        from attnscope.load.parallel import together
        from attnscope.passes import heads_of

        with together(tp_plan):
            loaded = load(LoadOptions(**chosen), tell)
            tokens = tokens_of(loaded, text, numbers, chat=chat, any_length=True)
            found = heads_of(loaded, tokens, wanted, progress=tell)
    try:
        if save is not None and ranks.prints():
            _save(found, save)
    finally:  # what took long to find is shown in any case
        deliver(_answer(found, sort, top, reverse=reverse), form, output, width)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_alone(given: Mapping[str, Any]) -> None:
    """Raises PromptError for a prompt, a model or a way of loading beside --from."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise PromptError(
                f"--from and {name} exclude each other.",
                "A saved file is shown as it is, without a model.",
            )


def _require_apart(save: Path | None, output: Path | None, file: Path | None) -> None:
    """Raises OutputError where a file that is read or written would be written over."""
    for name, other in (("--output", output), ("--file", file)):
        if save and other and os.path.realpath(save) == os.path.realpath(other):
            raise OutputError(f"--save and {name} are one file.", "Give two.")


def _look_again(
    saved: Path,
    layers: tuple[int, ...] | None,
    pairs: tuple[tuple[int, int], ...],
    parts: tuple[Part | None, Part | None],
) -> Heads:
    with working() as tell:
        tell("starting torch")
        from attnscope.cli.saved_heads import selected
        from attnscope.heads_file import load_heads

        return selected(load_heads(saved), layers, pairs, parts)


def _save(found: Heads, path: Path) -> None:
    from attnscope.heads_file import save_heads

    save_heads(found, path)


def _answer(found: Heads, sort: Sort | None, top: int | None, *, reverse: bool) -> Answer:
    from attnscope.heads_options import Order
    from attnscope.render.head_table import ordered
    from attnscope.render.heads_json import heads_csv, heads_json
    from attnscope.render.heads_page import heads_page

    named = (sort or Sort.entropy).value
    order = Order(sort=named, reverse=reverse, top=top or Order().top)
    arranged = bool(sort or top or reverse)
    focus = ordered(found.focus, order)[:top] if arranged else list(found.focus)
    return Answer(
        title=f"attnscope heads --model {found.model.name}",
        page=lambda: heads_page(found, order),
        data=lambda: heads_json(found, focus),
        table=lambda: heads_csv(focus),
    )
