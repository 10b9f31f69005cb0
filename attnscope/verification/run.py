"""One verification under way: the model, the tokens, and what has been found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attnscope.capture.traits import routes
from attnscope.checks import CHECKS
from attnscope.declared import Declared, declare, parse_expect
from attnscope.errors import CaptureError, SelectionError
from attnscope.experiments import lengths
from attnscope.experiments.laboratory import Laboratory
from attnscope.experiments.own_kernels import settle
from attnscope.experiments.subject import Cost, Subject, subject_of
from attnscope.experiments.switches import attention
from attnscope.load import LoadedModel, LoadOptions, Progress
from attnscope.load.stand_in import StandIn
from attnscope.report import CheckResult
from attnscope.verification.options import BUDGET, VerifyOptions, require_checks

Reload = Callable[[str], LoadedModel]
"""A backend's name to the same model, loaded for it."""

Logits = tuple[Tensor, float]
"""Plain logits, and the limit of what rounding explains in them."""


@dataclass(slots=True)
class Run:
    """What is verified, and the findings so far."""

    loaded: LoadedModel
    options: VerifyOptions
    origin: LoadOptions | None
    """What it was loaded from; None for a model in memory."""
    reload: Reload | None
    """Gives the same model on another backend; None for a model in memory."""
    cost: Cost
    ids: Tensor
    """The tokens in question, (1, token)."""
    declared: tuple[Declared, ...]
    """What each layer may see."""
    widest: Declared
    """What may be seen anywhere in the model."""
    backends: tuple[str, ...]
    tell: Progress
    cause: str
    """Why the model may be bidirectional, as its config says; empty when it does not."""
    results: list[CheckResult] = field(default_factory=list)
    left_out: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """Reason to the checks that are beside the point for it, each with its backends."""
    swapped: int = 0
    """Positions that sweeps changed, at least on one backend."""
    notes: list[str] = field(default_factory=list)
    floors: list[str] = field(default_factory=list)
    smallest: list[float | None] = field(default_factory=list)
    """Smallest leak seen, a backend each."""
    first_position: int = 0
    """See `Subject.first_position`."""
    plain: dict[str, list[Logits]] = field(default_factory=dict)
    """Of each backend, and of its float32 copy if it has one."""

    def leave_out(self, reason: str, code: str, condition: str, backend: str) -> None:
        """Note that a check is beside the point."""
        what = f"{code} ({condition})" if condition else code
        self.left_out.setdefault(reason, {}).setdefault(what, set()).add(backend)

    @property
    def routed(self) -> bool:
        """True for models with experts."""
        return routes(self.loaded.model)

    def laboratory(self, subject: Subject) -> Laboratory:
        """A fresh one, with positions sampled as the budget allows."""
        asked = [
            check for check in CHECKS if check.evidence == "sweep" and self.options.asks(check)
        ]
        sweeps = sum(len(self.options.keys(check, self.backends[0])) for check in asked)
        budget = BUDGET if self.options.budget is None else self.options.budget
        each = budget // (max(sweeps, 1) * self.ids.shape[1] * len(self.backends))
        return Laboratory(
            subject, ids=self.ids, seed=self.options.seed, declared=self.declared,
            widest=self.widest, per_sweep=max(2, each),
        )  # fmt: skip


def prepare(
    loaded: LoadedModel,
    options: VerifyOptions,
    tell: Progress,
    origin: LoadOptions | None,
    reload: Reload | None,
) -> Run:
    """Choose tokens and backends, and read what the config declares.

    Raises SelectionError and PromptError for options that do not fit the model.
    """
    require_checks((*options.select, *options.ignore))
    if options.prove and isinstance(loaded.model, StandIn):
        raise SelectionError(
            "The leaks that prove plants are made for models of transformers.", "Leave it out."
        )
    _require_numbers(loaded)
    text: Any = loaded.model.config.get_text_config(decoder=True)
    expected = None if options.expect is None else parse_expect(options.expect)
    layers = max(loaded.info.layers, 1)
    declared = _declared(loaded, layers) if expected is None else (expected,) * layers

    def count(forwards: int) -> None:
        if forwards % 25 == 0:
            tell(f"verifying {loaded.info.name}: {forwards:,} forwards")

    cost = Cost(count)
    subject = subject_of(loaded, cost)
    ids = lengths.choose_ids(subject, loaded, declared, options.length, options.ids, options.seed)
    free = options.length is None and options.ids is None
    ids = settle(subject, ids, shorten=free)
    return Run(
        loaded=loaded, options=options, origin=origin, reload=reload, cost=cost, ids=ids,
        declared=declared, widest=_widest(expected, declared), tell=tell, cause=_cause(text),
        backends=lengths.choose_backends(loaded.model, options.backends, reloads=bool(reload)),
    )  # fmt: skip


def _declared(loaded: LoadedModel, layers: int) -> tuple[Declared, ...]:
    """What the config says; without one, causal or less by design."""
    if isinstance(loaded.model, StandIn):
        return (Declared(exact=False),) * layers
    return declare(loaded.model.config.get_text_config(decoder=True), layers)


def _require_numbers(loaded: LoadedModel) -> None:
    """A weight that is no number makes everything one: CaptureError names it."""
    for name, weights in loaded.model.named_parameters():
        here = not weights.is_meta  # where accelerate has offloaded it, there is nothing to read
        if here and weights.is_floating_point() and bool(weights.isnan().any()):
            raise CaptureError(
                f"The weights of {loaded.info.name} hold NaN, first in {name}.",
                "Nothing can be judged before they are repaired.",
            )


@contextmanager
def switched(run: Run, backend: str) -> Iterator[Subject]:
    """The model on a backend, loaded anew where it cannot be switched.

    Raises CaptureError or LoadError where neither is possible.
    """
    with ExitStack() as stack:
        loaded = run.loaded
        try:
            stack.enter_context(attention(loaded.model, backend))
        except CaptureError:
            if run.reload is None:
                raise
            run.tell(f"loading {loaded.info.name} for {backend}")
            loaded = run.reload(backend)
        yield subject_of(loaded, run.cost)


def _widest(expected: Declared | None, declared: Sequence[Declared]) -> Declared:
    """What the whole model may see: windows reach further layer by layer, up to causal."""
    if expected is not None and not expected.narrow:
        return expected
    both = bool(declared) and all(one.kind == "bidirectional" for one in declared)
    return Declared(kind="bidirectional") if both else Declared()


def _cause(config: Any) -> str:
    for name in ("is_decoder", "is_causal"):
        if getattr(config, name, None) is False:
            return (
                f"it was loaded as a causal language model, but its config says {name}=False, which"
                " makes its attention bidirectional"
            )
    return ""
