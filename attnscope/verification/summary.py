"""From the rows to the report: the outcome, and what has to be said with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from attnscope.experiments.subject import THEIRS, subject_of
from attnscope.load import tokens_from_ids
from attnscope.load.stand_in import StandIn
from attnscope.report import Report
from attnscope.verification import reproducer
from attnscope.verification.outcome import settled
from attnscope.verification.run import Run


def summarise(run: Run) -> Report:
    """The report on everything that was found."""
    report = Report(
        outcome=settled(run.results, run.backends, run.options.select),
        model=run.loaded.info,
        labels=_labels(run),
        swapped=run.swapped,
        declared=_declared(run),
        results=tuple(run.results),
        backends=run.backends,
        forwards=run.cost.forwards,
        tokens=run.cost.tokens,
        seconds=0.0,
        notes=tuple(_notes(run)),
        floors=tuple(run.floors),
        selected=run.options.select,
    )
    if report.outcome != "fail":
        return report
    subject = subject_of(run.loaded, run.cost)
    subject.first_position = run.first_position
    script = reproducer.script(subject, run.ids, run.options.seed, report, run.origin)
    return replace(report, reproducer=script)


def _labels(run: Run) -> tuple[str, ...]:
    ids, model = run.ids[0].tolist(), run.loaded.model
    if isinstance(model, StandIn):
        return model.labels(ids)
    return tokens_from_ids(run.loaded, ids).labels


def _declared(run: Run) -> tuple[str, ...]:
    """One line for each kind of layer."""
    if run.options.expect is not None:
        return (f"expected: {run.declared[0].words}",)
    kinds = dict.fromkeys(one.words for one in run.declared)
    counts = {words: sum(one.words == words for one in run.declared) for words in kinds}
    return tuple(f"{count} layer{'s' * (count > 1)}: {words}" for words, count in counts.items())


def _listed(run: Run, left_out: dict[str, set[str]]) -> str:
    """Checks, with their backends where these are not all."""
    every = set(run.backends)
    return " · ".join(
        what if backends >= every else f"{what} on {', '.join(sorted(backends))}"
        for what, backends in left_out.items()
    )


def _conditions(left_out: Iterable[str]) -> str:
    """The conditions alone, or the checks that have only one."""
    names = (what.partition(" (")[2].removesuffix(")") or what for what in left_out)
    return ", ".join(dict.fromkeys(names))


def _notes(run: Run) -> Iterator[str]:
    if run.loaded.remark:
        yield run.loaded.remark
    yield from run.notes
    config = run.loaded.model.config
    if config.get_text_config(decoder=True) is not config:
        yield "only text was read: images and the like were not asked about."
    tokens = run.ids.shape[1]
    if run.swapped < tokens:
        yield f"a sample of {run.swapped} of {tokens} positions was swapped: --budget allows more."
    for reason, left_out in run.left_out.items():
        if isinstance(run.loaded.model, StandIn):
            if reason != THEIRS:  # what cannot be given cannot be missed
                yield f"not asked, {reason}: {_conditions(left_out)}."
            continue
        yield f"not asked, {reason}: {_listed(run, left_out)}."
    narrow = [one.size for one in run.declared if one.narrow]
    if narrow and tokens <= max(narrow):
        longer = 2 * max(narrow) + 5
        yield (
            f"{tokens} tokens do not reach beyond the window of {max(narrow)}:"
            f" --length {longer} would."
        )
    if run.loaded.unused_weights:
        yield f"{len(run.loaded.unused_weights)} stored weights have no place in this model."
