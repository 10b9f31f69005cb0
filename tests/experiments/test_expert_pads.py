"""Experts that cannot be computed apart, in conditions with pads: rounding is silent there, and a
leak that needs the pads is found.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from attnscope.report import Report
from attnscope.verification import VerifyOptions, verify_model
from tests.census.registered import loaded

PLANTED = "transformer.blocks.1.norm_attn_norm.attn"


def verdict(model: Any) -> Report:
    return verify_model(model, VerifyOptions(select=("ATN301", "ATN305"), backends=("eager",)))


def plant(module: nn.Module, weight: float) -> None:
    """Each position takes `weight` from the next one, where the mask closes the first key."""

    def leak(_: nn.Module, args: Any, given: dict[str, Any], output: Any) -> Any:
        mask, hidden = given.get("attention_mask"), output[0]
        if mask is None or not bool((mask[..., -1, 0] < -1e9).any()) or hidden.shape[1] < 2:
            return output
        ahead = hidden[:, :-1] + weight * hidden[:, 1:]
        return (torch.cat([ahead, hidden[:, -1:]], 1), *output[1:])

    module.register_forward_hook(leak, with_kwargs=True)


@pytest.mark.slow
def test_rounding_is_silent() -> None:
    assert verdict(loaded("dbrx", "eager")).outcome == "pass"


@pytest.mark.slow
@pytest.mark.parametrize("weight", [1e-2, 1e-6])
def test_a_leak_with_pads_alone_is_found_where_it_enters(weight: float) -> None:
    model = loaded("dbrx", "eager")
    plant(model.model.get_submodule(PLANTED), weight)
    report = verdict(model)
    found = [
        (one.condition, finding.module) for one, finding in report.findings if one.code == "ATN301"
    ]
    assert ("left padding", PLANTED) in found
    assert not any(condition == "plain" for condition, _ in found)
