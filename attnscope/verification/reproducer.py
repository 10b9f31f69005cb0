"""A standalone script that shows a leak with torch and transformers alone.

It holds the source of the very function that found the leak (`attnscope.experiments.ways`), with
its types taken off.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from attnscope.checks import find
from attnscope.conditions import CONDITIONS
from attnscope.experiments import ways
from attnscope.experiments.subject import Subject
from attnscope.load import LoadOptions
from attnscope.load.source import find_source
from attnscope.report import CheckResult, Finding, Report

_ARGUMENTS = ("use_cache", "attention_mask", "position_ids", "output_attentions")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What the script has to show."""

    key: str
    ids: Tensor
    aside: Tensor
    runs: str
    """Lines that make `one` and `two`, the runs that are compared; empty for the plain run."""
    where: str
    """Which positions of the difference count."""
    limit: float


def script(
    subject: Subject, ids: Tensor, seed: int, report: Report, origin: LoadOptions | None
) -> str:
    """The script for the first finding that one can be written for; empty when there is none."""
    if origin is None or origin.weights != "real":
        return ""
    for result, finding in report.findings:
        case = _case(subject, ids, seed, result, finding)
        if case is not None:
            return "\n".join(_lines(subject, case, result, finding, report, origin)) + "\n"
    return ""


def _case(
    subject: Subject, ids: Tensor, seed: int, result: CheckResult, finding: Finding
) -> _Case | None:
    check = find(result.code)
    titles = {condition.title: key for key, condition in CONDITIONS.items()}
    key = titles.get(result.condition, check.conditions[0])
    aside = subject.aside(key, ids.shape[1], seed + 1)
    if check.evidence == "sweep" and finding.key is not None:
        token = int(subject.others(ids, seed)[0, finding.key])
        runs = (
            f"other = ids.clone(); other[0, {finding.key}] = {token}\n"
            f"one, two = {key}(call, ids, aside), {key}(call, other, aside)"
        )
        where = f"[{finding.query}]"
    elif check.evidence == "contents":
        beside = subject.others(aside, seed).tolist()
        each = f"for each in (aside, torch.tensor({beside}))"
        runs, where = f"one, two = ({key}(call, ids, each) {each})", ""
    elif check.evidence == "agreement":
        runs, where = "", ""
    else:
        return None
    return _Case(key=key, ids=ids, aside=aside, runs=runs, where=where, limit=finding.limit)


def _lines(
    subject: Subject,
    case: _Case,
    result: CheckResult,
    finding: Finding,
    report: Report,
    origin: LoadOptions,
) -> Iterator[str]:
    way, plain = _source(case.key, subject), _source("plain", subject)
    remote = origin.trust_remote_code
    name = "AutoModelForCausalLM" if remote else report.model.architecture
    yield heading(result, finding)
    yield "import torch, transformers"
    yield _loading(f"transformers.{name}", result.backend, report, origin)
    yield from _caller(subject, way if case.runs else way + plain)
    yield f"ids, aside = torch.tensor({case.ids.tolist()}), torch.tensor({case.aside.tolist()})"
    yield from way.splitlines()
    if case.runs:
        yield case.runs
    else:
        first = plain.splitlines()[-1].strip().removeprefix("return ").replace("model(", "call(")
        yield f"one, two = {first}, {case.key}(call, ids, aside)"
    yield f"moved = (one.double() - two.double()).abs().amax(-1)[0]{case.where}.max().item()"
    yield f'print("leak:", 0.0 if moved <= {case.limit!r} else moved)'


def heading(result: CheckResult, finding: Finding) -> str:
    """The first line of a script, which says what it shows."""
    where = result.condition or "plain"
    return f"# attnscope {result.code} {result.name}, {where}: {finding.message}"


def _loading(name: str, backend: str, report: Report, origin: LoadOptions) -> str:
    given = {
        "dtype": f"torch.{report.model.dtype}",
        "attn_implementation": repr(backend),
    }
    if origin.revision:
        given["revision"] = repr(origin.revision)
    if origin.trust_remote_code:
        given["trust_remote_code"] = "True"
    location = find_source(origin.model, allow_pickle=origin.allow_pickle).location
    words = ", ".join([repr(str(location)), *(f"{key}={value}" for key, value in given.items())])
    return f"model = {name}.from_pretrained({words}).eval().requires_grad_(False)"


def _caller(subject: Subject, way: str) -> Iterator[str]:
    """The model as the way calls it, without the arguments that it does not take."""
    used = [name for name in _ARGUMENTS if name in way]
    kept = [name for name in used if name in subject.takes]
    stored = subject.cache_name in way and bool(subject.cache_name)
    unmasked = stored and subject.cache_name == "cache_params" and "attention_mask" in kept
    if kept == used and not subject.first_position and not unmasked:
        yield "call = model"
        return
    kept += [subject.cache_name] * stored
    value = "given[name]"
    if subject.first_position and "position_ids" in kept:
        value += f" + {subject.first_position} if name == 'position_ids' else given[name]"
    names = f"given.keys() & {{{', '.join(map(repr, sorted(kept)))}}}" if kept else "()"
    if unmasked:  # as their prepare_inputs_for_generation does
        names += " if name != 'attention_mask' or given.get('cache_params') is None"
    yield f"call = lambda ids, **given: model(ids, **{{name: {value} for name in {names}}})"
    if "model.config" in way:
        yield "call.config = model.config"


def _source(key: str, subject: Subject) -> str:
    """A way's own source, and that of the function it shares, without types."""
    source = inspect.getsource(ways.WAYS[key])
    if "steps(" in source:
        source = inspect.getsource(ways.steps) + source
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
    text = re.sub(r"\b(Dynamic|Static)Cache\(", r"transformers.\1Cache(", ast.unparse(tree))
    text = text.replace("past_key_values", subject.cache_name or "past_key_values")
    return "\n".join(line for line in text.splitlines() if line)
