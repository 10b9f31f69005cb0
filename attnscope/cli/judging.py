"""One report for each model that `verify-mask` is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from attnscope.cli.exit import line_of, told
from attnscope.cli.progress import working
from attnscope.cli.targets import Target, options
from attnscope.errors import AttnscopeError

if TYPE_CHECKING:
    from attnscope.load import LoadOptions
    from attnscope.report import Report
    from attnscope.verification import VerifyOptions

Asked = tuple["LoadOptions", "VerifyOptions"]


def judge(targets: Sequence[Target], prompt: str | None, *, go_on: bool) -> list[Report]:
    """The targets' reports, in their order.

    Raises SelectionError for wrong options of any of them before the first one is loaded. With
    `go_on`, a model that cannot be judged is told on stderr and gets a report that says why;
    otherwise AttnscopeError is raised.
    """
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope.load.factory import importable

        asked = [options(target) for target in targets]
        reports = []
        for number, (target, each) in enumerate(zip(targets, asked, strict=True), 1):
            say = _numbered(tell, number, len(targets))
            try:
                with nullcontext() if target.root is None else importable(target.root):
                    reports.append(_named(_report(each, prompt, say), target))
            except Exception as error:
                if not go_on:
                    raise
                tell("")
                reports.append(_lost(target, error))
    return reports


def _numbered(tell: Callable[[str], None], number: int, of: int) -> Callable[[str], None]:
    """Progress that says which of several models it is about."""

    def say(words: str) -> None:
        tell(f"{number} of {of}: {words}" if words and of > 1 else words)

    return say


def _report(asked: Asked, prompt: str | None, tell: Callable[[str], None]) -> Report:
    from attnscope import api

    with _verdict_or_error():
        return api.verify(*asked, prompt=prompt, progress=tell)


@contextmanager
def _verdict_or_error() -> Iterator[None]:
    """A model's own code may exit, lose its stream, or raise what no `except Exception` catches, as
    pytest's skips; none of it must read as a verdict.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):
            raise
        raise AttnscopeError(
            f"The model's code left before there was a verdict ({type(error).__name__}).",
            "Set ATTNSCOPE_TRACEBACK=1 to see where.",
        ) from error


def _named(report: Report, target: Target) -> Report:
    """Under the name that was written, which is the same on every machine, and with a note of what
    the file decided.
    """
    if target.location != target.model:
        report = replace(report, model=replace(report.model, name=target.model))
    return replace(report, notes=(*report.notes, target.note)) if target.note else report


def _lost(target: Target, error: Exception) -> Report:
    """What stands for a model that could not be judged: an error without a single row."""
    from attnscope.records import ModelInfo
    from attnscope.report import Report

    told(error, target.model)
    model = ModelInfo(
        name=target.model, architecture="", parameters=0, layers=0, heads=0, kv_heads=0,
        device="", dtype="", backend="",
    )  # fmt: skip
    return Report(
        outcome="error", model=model, labels=(), declared=(), results=(), backends=(),
        forwards=0, tokens=0, seconds=0.0, notes=(line_of(error),),
    )  # fmt: skip
