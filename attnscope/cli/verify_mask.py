"""`attnscope verify-mask`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.cli import options, reports
from attnscope.cli.exit import Verdict
from attnscope.cli.lists import ALL, parse_backends, parse_words, require_length
from attnscope.cli.output import Answer, write
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, read_prompt
from attnscope.cli.streams import say
from attnscope.errors import AttnscopeError, PromptError

if TYPE_CHECKING:
    from attnscope.report import Report


def verify_mask(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    model: options.ModelArgument,
    expect: options.Expect = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    quick: options.Quick = False,
    length: options.Length = None,
    seed: options.Seed = 0,
    budget: options.Budget = None,
    prompt: options.RealPrompt = None,
    ids: options.RealIds = None,
    prove: options.Prove = False,
    backend: options.Backends = None,
    weights: options.WeightsOption = options.Weights.real,
    device: options.Device = "auto",
    dtype: options.DtypeOption = options.Dtype.auto,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    form: reports.FormOption = reports.Form.table,
    output: reports.Output = None,
    report: reports.ReportOption = None,
    sarif_anchor: reports.AnchorOption = reports.ANCHOR,
    reproducer: options.Reproducer = None,
    width: options.Width = None,
) -> int:
    """Prove that no token sees what it must not: masks, influence, padding, caches, backends."""
    planned = reports.plan(form, output, width, report, sarif_anchor, (reproducer,))
    backends = parse_backends(backend)
    selected, ignored = parse_words(select, "--select"), parse_words(ignore, "--ignore")
    require_length(length, prompt, ids)
    text = _text(prompt, ids)
    loading = {
        "model": model,
        "device": device,
        "dtype": dtype.value,
        "revision": revision,
        "backend": backends[0] if len(backends) == 1 and ALL not in backends else "auto",
        "device_map": device_map,
        "allow_pickle": allow_pickle,
        "trust_remote_code": trust_remote_code,
        "weights": weights.value,
    }
    asked = {
        "backends": backends,
        "expect": expect,
        "select": selected,
        "ignore": ignored,
        "length": length,
        "seed": seed,
        "quick": quick,
        "budget": budget,
        "prove": prove,
        "ids": None if ids is None else tuple(parse_ids(ids)),
    }
    with _verdict_or_error():
        found = _judge(loading, asked, text)
    code = _deliver((found,), planned)
    if reproducer is not None:
        _reproduce(found, reproducer)
    return code


def _judge(loading: dict[str, Any], asked: dict[str, Any], text: str | None) -> Report:
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope import LoadOptions, api
        from attnscope.cli.codes import require_checks
        from attnscope.declared import parse_expect
        from attnscope.verification import VerifyOptions

        require_checks(asked["select"], "--select")
        require_checks(asked["ignore"], "--ignore")
        if asked["expect"] is not None:
            parse_expect(asked["expect"])
        return api.verify(
            LoadOptions(**loading), VerifyOptions(**asked), prompt=text, progress=tell
        )


def _text(prompt: str | None, ids: str | None) -> str | None:
    if prompt is not None and ids is not None:
        raise PromptError("--prompt and --ids exclude each other.", "Give one of them.")
    return read_prompt(prompt, None, None)


@contextmanager
def _verdict_or_error() -> Iterator[None]:
    """A model's own code may exit or lose its stream; that must not read as a clean verdict."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        raise AttnscopeError(
            f"The model's code left before there was a verdict ({type(error).__name__}).",
            "Set ATTNSCOPE_TRACEBACK=1 to see where.",
        ) from error


def _deliver(found: Sequence[Report], planned: reports.Plan) -> Verdict:
    from rich.console import Group

    from attnscope.render.report_json import reports_json
    from attnscope.render.reports import of_reports
    from attnscope.render.verdict import verdict
    from attnscope.report import exit_code

    title = f"attnscope verify-mask {', '.join(each.model.name for each in found)}"
    code = exit_code(found)
    answer = Answer(
        title=title, page=lambda: Group(*map(verdict, found)), data=lambda: reports_json(found)
    )
    made = reports.texts(of_reports(found), planned, title, code)
    return reports.settle(planned, answer, made, code)


def _reproduce(report: Report, path: Path) -> None:
    from attnscope.text import escape

    place = escape(str(path))
    if report.reproducer:
        write(path, report.reproducer)
        say(f"attnscope: a script that shows the worst finding is in {place}")
    else:
        why = "there is no finding" if report.outcome != "fail" else "no script shows this finding"
        say(f"attnscope: {why}, so nothing is written to {place}")
