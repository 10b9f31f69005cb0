"""`attnscope verify-mask`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.cli import baseline_options, options
from attnscope.cli.accepting import acceptance
from attnscope.cli.exit import Verdict
from attnscope.cli.judging import judge
from attnscope.cli.lists import require_length
from attnscope.cli.output import Answer, deliver, require_place, write
from attnscope.cli.prompt import read_prompt
from attnscope.cli.streams import say
from attnscope.cli.targets import project_here, settings, targets
from attnscope.errors import PromptError

if TYPE_CHECKING:
    from attnscope.report import Report


def verify_mask(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    model: options.ModelArgument = None,
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
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    reproducer: options.Reproducer = None,
    width: options.Width = None,
) -> int:
    """Prove that no token sees what it must not: masks, influence, padding, caches, backends."""
    line = settings(locals())
    for path in filter(None, (output, reproducer)):
        require_place(path)
    require_length(length, prompt, ids)
    text = _text(prompt, ids)
    project = project_here()
    chosen = targets(model, project, line, own_tokens=prompt is not None or ids is not None)
    if baseline is None and project is not None and any(one.root for one in chosen):
        baseline = project.baseline
    accepted = acceptance(baseline, write_baseline, reason)
    reports = judge(chosen, text, go_on=model is None)
    reports = accepted.reports(reports, [one.settings.get("prove", False) for one in chosen])
    deliver(_answer(reports, several=model is None), form, output, width)
    if reproducer is not None:
        _reproduce(reports, reproducer)
    from attnscope.report import worst_exit_code

    return Verdict(worst_exit_code(report.exit_code for report in reports))


def _text(prompt: str | None, ids: str | None) -> str | None:
    if prompt is not None and ids is not None:
        raise PromptError("--prompt and --ids exclude each other.", "Give one of them.")
    return read_prompt(prompt, None, None)


def _answer(reports: Sequence[Report], *, several: bool) -> Answer:
    """`several` is True for the models of a project, however many it lists."""
    from attnscope.render.report_json import report_json, reports_json
    from attnscope.render.verdict import verdict
    from attnscope.render.verdicts import verdicts

    if several:
        return Answer(
            title="attnscope verify-mask",
            page=lambda: verdicts(reports),
            data=lambda: reports_json(reports),
        )
    (report,) = reports
    return Answer(
        title=f"attnscope verify-mask {report.model.name}",
        page=lambda: verdict(report),
        data=lambda: report_json(report),
    )


def _reproduce(reports: Sequence[Report], path: Path) -> None:
    """The script of the first report that has one."""
    from attnscope.text import escape

    place = escape(str(path))
    scripts = [report.reproducer for report in reports if report.reproducer]
    if scripts:
        write(path, scripts[0])
        say(f"attnscope: a script that shows the worst finding is in {place}")
    else:
        failed = any(report.outcome == "fail" for report in reports)
        why = "no script shows this finding" if failed else "there is no finding"
        say(f"attnscope: {why}, so nothing is written to {place}")
