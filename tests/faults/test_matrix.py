"""Every leak of the catalogue, in every architecture that can hold it: is it found, and where?"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import Cache, masking_utils
from transformers.modeling_utils import AttentionInterface

from attnscope.experiments.switches import attention
from attnscope.faults import FAULTS
from tests.faults.planted import ARCHITECTURES, BY_KEY, applying, cases, model, verified

TENSOR_BACKENDS = ("eager", "sdpa")
BEYOND_LLAMA = {
    fault.key
    for fault in FAULTS
    if fault.key not in {key for _, _, key in cases(("llama",), TENSOR_BACKENDS)}
}
"""What needs a window, experts, a convolution, a recurrence."""

SAMPLE = BEYOND_LLAMA | {"dropped-last", "mean-in-mlp"}
"""Planted into the other architectures by default; `-m slow` plants everything everywhere,
on one backend, `-m exhaustive` on all of them."""

ALL = cases(tuple(ARCHITECTURES), TENSOR_BACKENDS)
EAGER = {"gemma2", "gpt_oss", "mamba"}
"""Architectures that run on eager when transformers has the choice."""


ALSO_ON_EAGER = {"bool-added", "one-cell", "inverted", "after-softmax", "overflow", "with-padding"}


def _by_default(architecture: str, backend: str, key: str) -> bool:
    if architecture == "llama":
        return backend == "sdpa" or key in SAMPLE | ALSO_ON_EAGER
    if architecture == "qwen3_next":  # three seconds each; falcon_h1 and mamba are asked instead
        return False
    return key in SAMPLE and backend == ("eager" if architecture in EAGER else "sdpa")


QUICK = [case for case in ALL if _by_default(*case)]
SLOW = [
    (architecture, backend, key)
    for architecture, backend, key in ALL
    if (architecture, backend, key) not in QUICK
    and architecture != "qwen3_next"
    and backend == ("eager" if architecture in EAGER else "sdpa")
]
"""Everything on the backend that each architecture runs by default."""
REST = [case for case in ALL if case not in QUICK and case not in SLOW]


UNASKABLE = {("flex_attention", "ATN304")}
"""Blindness is told in float64, which flex does not compute on a CPU."""


def _is_caught(architecture: str, backend: str, key: str) -> None:
    fault = BY_KEY[key]
    code = next(one for one in fault.caught_by if (backend, one) not in UNASKABLE)
    subject = model(architecture)
    with attention(subject, backend), fault.plant(subject) as module:
        report = verified(architecture, backend, code, quick=fault.quick)
    assert report.outcome == "fail"
    named = {finding.module for result, finding in report.findings if result.code == code}
    assert named, [result for result in report.results if result.code == code]
    if module:
        assert named <= {module, ""}
    assert not [result for result in report.results if result.outcome == "error"]


@pytest.mark.parametrize(("architecture", "backend", "key"), QUICK)
def test_a_leak_is_found_and_located(architecture: str, backend: str, key: str) -> None:
    _is_caught(architecture, backend, key)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backend", "key"), SLOW)
def test_every_leak_is_found_and_located(architecture: str, backend: str, key: str) -> None:
    _is_caught(architecture, backend, key)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("architecture", "backend", "key"), REST)
def test_every_leak_is_found_and_located_on_every_backend(
    architecture: str, backend: str, key: str
) -> None:
    _is_caught(architecture, backend, key)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(
            fault.key,
            marks=pytest.mark.slow if fault.key == "stale-blocks" else pytest.mark.exhaustive,
        )
        for fault in applying("llama", "flex_attention")
    ],
)
def test_a_leak_is_found_in_a_block_mask(key: str) -> None:
    torch._dynamo.reset()
    static = torch._dynamo.config.patch(automatic_dynamic_shapes=False, recompile_limit=64)
    with static:  # inductor's CPU template does not compile with a mask by heads of dynamic shape
        _is_caught("llama", "flex_attention", key)


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ["llama", "mistral", "falcon_h1"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.key)
def test_all_the_checks_named_find_it(architecture: str, fault: Any) -> None:
    subject = model(architecture)
    fitting = [one for one in TENSOR_BACKENDS if fault in applying(architecture, one)]
    if not fitting:
        pytest.skip("cannot be planted there")
    with attention(subject, fitting[0]), fault.plant(subject):
        report = verified(architecture, fitting[0], *fault.caught_by, few=False)
    failed = {result.code for result in report.results if result.outcome == "fail"}
    assert set(fault.caught_by) <= failed


@pytest.mark.parametrize(
    "architecture",
    [
        name if name in {"llama", "mamba"} else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES
    ],
)
def test_everything_is_put_back(architecture: str) -> None:
    """After each leak, also when something breaks while it is planted."""
    subject = model(architecture)
    before, ids = _seams(subject), torch.arange(1, 9)[None]
    with torch.no_grad():
        logits = subject(ids).logits
    for backend in TENSOR_BACKENDS:
        for fault in applying(architecture, backend):
            with attention(subject, backend), pytest.raises(ZeroDivisionError):
                _break_inside(fault, subject, ids)
            assert _seams(subject) == before, fault.key
    with torch.no_grad():
        assert torch.equal(subject(ids).logits, logits)


@pytest.mark.parametrize(
    "architecture",
    [
        one if one in {"llama", "mixtral"} else pytest.param(one, marks=pytest.mark.slow)
        for one in sorted(ARCHITECTURES)
    ],
)
def test_the_model_is_clean_afterwards(architecture: str) -> None:
    subject = model(architecture)
    backend = subject.config._attn_implementation
    with attention(subject, backend):
        for fault in applying(architecture, backend):
            with fault.plant(subject), torch.no_grad():
                subject(torch.arange(1, 5)[None])
    assert verified(architecture, backend, quick=True).outcome == "pass"


def _break_inside(fault: Any, subject: Any, ids: torch.Tensor) -> None:
    with fault.plant(subject), torch.no_grad():
        subject(ids)
        raise ZeroDivisionError


def _seams(subject: Any) -> tuple[Any, ...]:
    """Everything that a leak may be planted through."""
    hooks = [
        (len(one._forward_hooks), len(one._forward_pre_hooks), sorted(vars(one)))
        for one in subject.modules()
    ]
    return (
        hooks,
        AttentionInterface.get_interface,
        AttentionInterface.__getitem__,
        Cache.crop,
        Cache.reorder_cache,
        masking_utils.find_packed_sequence_indices,
        functional.conv1d,
    )


def test_the_catalogue_is_in_order() -> None:
    assert len(BY_KEY) == len(FAULTS) >= 30
    llama = [fault for fault in applying("llama", "sdpa") if fault.prove]
    assert len(llama) >= 12
    assert all(fault.caught_by and fault.words.endswith(".") for fault in FAULTS)
