"""`attnscope verify-mask`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.cli import baseline_options, options, reports
from attnscope.cli.exit import Verdict
from attnscope.cli.lists import require_length
from attnscope.cli.output import Answer
from attnscope.cli.prompt import read_prompt
from attnscope.cli.streams import say
from attnscope.errors import PromptError
from attnscope.files import write

if TYPE_CHECKING:
    from attnscope.report import Report


def verify_mask(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    model: options.ModelArguments = None,
    expect: options.Expect = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    quick: options.Quick = None,
    length: options.Length = None,
    seed: options.Seed = None,
    budget: options.Budget = None,
    prompt: options.RealPrompt = None,
    ids: options.RealIds = None,
    prove: options.Prove = None,
    backend: options.Backends = None,
    weights: options.AskedWeights = None,
    device: options.AskedDevice = None,
    dtype: options.AskedDtype = None,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    vocab_size: options.VocabSize = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    baseline: baseline_options.Baseline = None,
    write_baseline: baseline_options.WriteBaseline = None,
    reason: baseline_options.Reason = None,
    form: reports.FormOption = reports.Form.table,
    output: reports.Output = None,
    report: reports.ReportOption = None,
    sarif_anchor: reports.AnchorOption = reports.ANCHOR,
    reproducer: options.Reproducer = None,
    width: options.Width = None,
) -> int:
    """Prove that no token sees what it must not: masks, influence, padding, caches, backends."""
    from attnscope.cli.accepting import acceptance
    from attnscope.cli.judging import judge
    from attnscope.cli.targets import project_here, settings, targets

    line = settings(locals())
    others = (reproducer, write_baseline)
    planned = reports.plan(form, output, width, report, sarif_anchor, others)
    require_length(length, prompt, ids)
    text = _text(prompt, ids)
    project = project_here()
    named = tuple(model or ())
    chosen = targets(named, project, line, own_tokens=prompt is not None or ids is not None)
    if baseline is None and project is not None and any(one.root for one in chosen):
        baseline = project.baseline
    reports.require_apart(planned, baseline)
    accepted = acceptance(baseline, write_baseline, reason)
    several = len(named) != 1
    found = judge(chosen, text, go_on=several)
    found = accepted.reports(found, [one.settings.get("prove", False) for one in chosen])
    code = _deliver(found, planned, several=several)
    if reproducer is not None:
        _reproduce(found, reproducer)
    return code


def _text(prompt: str | None, ids: str | None) -> str | None:
    if prompt is not None and ids is not None:
        raise PromptError("--prompt and --ids exclude each other.", "Give one of them.")
    return read_prompt(prompt, None, None)


def _deliver(found: Sequence[Report], planned: reports.Plan, *, several: bool) -> Verdict:
    """`several` is True for the models of a project too, however many it lists."""
    from attnscope.render.report_json import reports_json
    from attnscope.render.reports import of_reports
    from attnscope.render.verdict import verdict
    from attnscope.render.verdicts import verdicts
    from attnscope.report import exit_code

    title = f"attnscope verify-mask {', '.join(each.model.name for each in found)}"
    code = exit_code(found)
    answer = Answer(
        title=title,
        page=lambda: verdicts(found) if several else verdict(found[0]),
        data=lambda: reports_json(found),
    )
    made = reports.texts(of_reports(found), planned, title, code)
    return reports.settle(planned, answer, made, code)


def _reproduce(found: Sequence[Report], path: Path) -> None:
    """The script of the first report that has one."""
    from attnscope.text import escape

    place = escape(str(path))
    scripts = [report.reproducer for report in found if report.reproducer]
    if scripts:
        write(path, scripts[0])
        say(f"attnscope: a script that shows the worst finding is in {place}")
    else:
        failed = any(report.outcome == "fail" for report in found)
        why = "no script shows this finding" if failed else "there is no finding"
        say(f"attnscope: {why}, so nothing is written to {place}")
