"""`attnscope.verify` on models that transformers does not know."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attnscope
from attnscope.errors import CaptureError, LoadError, SelectionError
from attnscope.report import Report
from tests.own import zoo

IDS = {"vocab_size": 50}
SERIES = {"example": torch.randn(8, 31, 4, generator=torch.Generator().manual_seed(1)).cumsum(1)}
FRAMES = {"example": torch.randn(1, 29, 3, generator=torch.Generator().manual_seed(1))}
STEPS = {**IDS, "prefill": zoo.Recurrent.prefill, "step": zoo.Recurrent.step}
OPEN = torch.zeros(100, 100)

CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], dict[str, Any], str]] = {
    "fast path": (zoo.Attending, lambda: zoo.Attending(ahead=1), IDS, "layers.1.attn"),
    "weights": (
        lambda: zoo.Attending(weights=True), lambda: zoo.Attending(ahead=1, weights=True), IDS,
        "layers.1.attn",
    ),
    "time first": (
        lambda: zoo.Attending(batch_first=False),
        lambda: zoo.Attending(ahead=2, batch_first=False), IDS, "layers.1.attn",
    ),
    "encoder": (zoo.Encoder, lambda: zoo.Encoder(mask=OPEN), IDS, "encoder.layers.0"),
    "encoder, is_causal": (
        lambda: zoo.Encoder(is_causal=True), lambda: zoo.Encoder(mask=None, is_causal=True), IDS,
        "encoder.layers.0",
    ),
    "pre-norm encoder": (
        lambda: zoo.Encoder(norm_first=True, activation="gelu"),
        lambda: zoo.Encoder(norm_first=True, mask=OPEN), IDS, "encoder.layers.0",
    ),
    "convolution": (zoo.Convolving, lambda: zoo.Convolving(2), FRAMES, "blocks.1"),
    "recurrent": (zoo.Recurrent, lambda: zoo.Recurrent(both=True), STEPS, "second"),
    "state space": (zoo.StateSpace, lambda: zoo.StateSpace(pad=False), IDS, "mixers.1"),
    "upcast": (
        lambda: zoo.StateSpace(upcast=True), lambda: zoo.StateSpace(pad=False, upcast=True), IDS,
        "mixers.1",
    ),
    "forecaster": (zoo.Forecasting, lambda: zoo.Forecasting(whole=True), SERIES, "scale"),
}  # fmt: skip
"""Kind to a clean model, one with a bug, how it is fed, and the module of the bug."""


LONGER = frozenset({"weights", "time first", "encoder, is_causal", "pre-norm encoder", "upcast"})
"""Close relatives of the others; CI asks them."""

KINDS = [pytest.param(kind, marks=pytest.mark.slow) if kind in LONGER else kind for kind in CASES]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def modules(report: Report, *codes: str) -> set[str]:
    """Where the findings of some checks enter."""
    return {finding.module for result, finding in report.findings if result.code in codes}


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_model_passes(kind: str) -> None:
    clean, _, fed, _ = CASES[kind]
    report = attnscope.verify(clean(), **fed)
    assert report.outcome == "pass", str(report)
    left = {result.condition for result in report.results if result.outcome != "pass"}
    # heads and rows of a batch are one axis there
    assert left <= ({"batch of 2, second row"} if kind == "weights" else set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_bug_fails_at_its_module(kind: str) -> None:
    _, wrong, fed, module = CASES[kind]
    model = wrong()
    report = attnscope.verify(model, **fed)
    assert report.outcome == "fail"
    place = f"{type(model).__name__}.{module}"
    plain = {place, f"{place}.self_attn"} if kind.endswith("encoder") else {place}
    found = modules(report, "ATN301")
    assert place in found  # and without the fused kernel the attention inside
    assert found <= plain


def test_every_leaking_layer_is_named() -> None:
    report = attnscope.verify(zoo.Encoder(mask=OPEN), **IDS)
    layers = {f"Encoder.encoder.layers.{one}" for one in (0, 1)}
    inside = {f"{one}.self_attn" for one in layers}
    assert modules(report, "ATN302") == layers | inside


def test_a_step_that_forgets_its_state_is_found() -> None:
    report = attnscope.verify(zoo.Recurrent(forgets=True), **STEPS)
    assert {result.code for result, _ in report.findings} == {"ATN401"}


def test_half_precision_is_judged_with_a_float32_copy() -> None:
    assert attnscope.verify(zoo.Attending().bfloat16(), **IDS).outcome == "pass"
    report = attnscope.verify(zoo.Attending(ahead=1).bfloat16(), **IDS)
    assert modules(report, "ATN301") == {"Attending.layers.1.attn"}


def test_kernels_are_compared_where_torch_picks_among_them() -> None:
    """The fused encoder layer reads a float mask as a boolean one: biases close cells."""
    time = torch.arange(100)
    slopes = -0.5 * (time[:, None] - time - 3).clamp(min=0)
    mask = slopes.masked_fill(zoo.lower(100), -torch.inf)
    report = attnscope.verify(zoo.Encoder(mask=mask), **IDS)
    assert report.backends == ("torch", "math")
    assert {result.code for result, _ in report.findings} == {"ATN501"}


def test_a_kernel_that_does_not_run_is_left_out_and_said() -> None:
    report = attnscope.verify(zoo.Encoder(mask=None, is_causal=True), **IDS)
    assert report.backends == ("torch",)
    assert any(
        note.startswith("math was left out: Encoder failed on math") for note in report.notes
    )


def embedded(ids: Tensor, table: Tensor) -> Tensor:
    return table[ids]


def test_functions_methods_and_partials() -> None:
    net = zoo.Attending()
    method = attnscope.verify(net.forward, **IDS)
    partial = attnscope.verify(functools.partial(net), **IDS)
    function = attnscope.verify(lambda ids: {"logits": net(ids)}, **IDS)
    assert [one.outcome for one in (method, partial, function)] == ["pass"] * 3
    assert [one.model.architecture for one in (method, function)] == ["Attending", "function"]
    wrong = zoo.Attending(ahead=1)
    report = attnscope.verify(lambda ids: wrong(ids) * 2, **IDS)
    assert modules(report, "ATN301") == {"Function.wrong.layers.1.attn"}


def test_a_module_alone_reads_embeddings() -> None:
    report = attnscope.verify(zoo.Mixing(), example=torch.randn(2, 23, 32))
    assert report.outcome == "pass"
    assert report.labels[:2] == ("t0", "t1")
    wrong = attnscope.verify(zoo.Mixing(ahead=1), example=torch.randn(2, 23, 32))
    assert modules(wrong, "ATN301") == {"Mixing.attn"}


def test_scalars_over_time() -> None:
    class Running(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(1)

    class Whole(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(1, keepdim=True)

    example = torch.randn(1, 23)
    assert attnscope.verify(Running(), example=example).outcome == "pass"
    assert modules(attnscope.verify(Whole(), example=example), "ATN301") == {"Whole"}


def test_a_model_that_shifts_its_inputs_is_seen_through() -> None:
    class Shifted(zoo.Attending):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(nn.functional.pad(ids, (1, 0))[:, :-1])

    assert attnscope.verify(Shifted(), **IDS).outcome == "pass"


def test_nothing_that_moves_is_no_pass() -> None:
    class Deaf(nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return torch.zeros(*ids.shape, 3)

    report = attnscope.verify(Deaf(), **IDS)
    assert report.outcome == "skip"
    with pytest.raises(attnscope.AttnscopeError, match="could not be checked"):
        report.raise_for_leaks()


def test_an_expectation() -> None:
    class Prefixed(zoo.Encoder):
        def forward(self, ids: Tensor) -> Tensor:
            self.mask = zoo.lower(100)
            self.mask[:, :4] = False
            return super().forward(ids)

    assert attnscope.verify(Prefixed(), expect="prefix:4", **IDS).outcome == "pass"
    assert attnscope.verify(Prefixed(), **IDS).outcome == "fail"
    report = attnscope.verify(zoo.Attending(), expect="sliding:5", **IDS)
    assert {"ATN202", "ATN303"} <= {result.code for result, _ in report.findings}


def padded(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Right padding needs nothing from a causal model; left padding shifts nothing here."""
    x = model.embed(ids)  # type: ignore[operator]
    for layer in model.layers:  # type: ignore[union-attr]
        n = layer.norm(x)  # type: ignore[union-attr, operator]
        closed = zoo.lower(ids.shape[1]) | ~mask[:, None, :]
        closed &= ~torch.eye(ids.shape[1], dtype=torch.bool)
        closed = closed.repeat_interleave(4, dim=0)
        x = x + layer.attn(n, n, n, attn_mask=closed, need_weights=False)[0]  # type: ignore[union-attr, operator]
    return model.head(x)  # type: ignore[operator]


def test_padding_with_a_hook() -> None:
    report = attnscope.verify(zoo.Attending(), padded=padded, **IDS)
    asked = {result.condition for result in report.results}
    assert {"left padding", "right padding", "batch of 2, left padding"} <= asked
    assert report.outcome == "pass", str(report)
    wrong = attnscope.verify(zoo.Attending(), padded=lambda model, ids, mask: model(ids), **IDS)
    assert {"ATN306", "ATN404"} <= {result.code for result, _ in wrong.findings}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "not known what Attending reads"),
        ({"vocab_size": 1}, "one token id only"),
        ({"example": torch.randn(5)}, "no batch of sequences"),
        ({"vocab_size": 50, "step": zoo.Recurrent.step}, "prefill and step go together"),
    ],
)
def test_what_is_missing_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        attnscope.verify(zoo.Attending(), **given)


def test_outputs_without_a_row_a_position() -> None:
    class Last(zoo.Attending):
        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids)[:, -1:]

    with pytest.raises(CaptureError, match=r"returned \(1, 1, 50\) for 21 positions\. Say how"):
        attnscope.verify(Last(), **IDS)


def test_a_model_that_fails_says_its_own_reason() -> None:
    with pytest.raises(CaptureError, match="Attending failed on torch: IndexError"):
        attnscope.verify(zoo.Attending(), vocab_size=1000)


def test_a_misspelt_keyword_is_told() -> None:
    with pytest.raises(TypeError, match=r"'vocabsize'.*mean 'vocab_size'"):
        attnscope.verify(zoo.Attending(), vocabsize=50)  # type: ignore[call-arg]


def test_hooks_are_for_models_of_your_own() -> None:
    with pytest.raises(LoadError, match="vocab_size= is for models of your own"):
        attnscope.verify("textbook", vocab_size=50)
    with pytest.raises(SelectionError, match="made for models of transformers"):
        attnscope.verify(zoo.Attending(), prove=True, **IDS)


def test_a_model_of_transformers_in_memory() -> None:
    from attnscope import LoadOptions
    from attnscope.load import load

    model = load(LoadOptions(model="textbook")).model.train()
    report = attnscope.verify(model, quick=True)
    assert report.outcome == "pass"
    assert report.model.architecture == type(model).__name__
    assert model.training


def test_trace_and_heads_on_a_model_of_your_own() -> None:
    own = attnscope.OwnModel(model=zoo.Attending(), vocab_size=50)
    heads = attnscope.heads([3, 1, 4, 1, 5, 9, 2, 6], model=own)
    table = heads.table("entropy")
    assert table.shape == (2, 4)
    assert (table > 0).all()
    assert all(one.verified for one in heads.focus)
    assert heads.table("future_weight").max() == 0
    trace = attnscope.trace([3, 1, 4, 1, 5], model=own, layer=1, head=2)
    assert trace.hand is not None
    assert float(trace.hand.weights.sum()) == pytest.approx(1)
    with pytest.raises(attnscope.AttnscopeError, match="has no tokenizer"):
        attnscope.trace("hello", model=own)
