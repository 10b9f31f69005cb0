"""Float64 throughout."""

from __future__ import annotations

import torch

from attnscope.experiments.wider import Wider


def test_nothing_is_narrowed() -> None:
    x = torch.randn(4, dtype=torch.float64)
    with Wider():
        made = [
            x.float(), x.half(), x.to(torch.float32), x.type(torch.bfloat16),
            torch.softmax(x, 0, dtype=torch.float32), torch.zeros(2, dtype=torch.float32),
        ]  # fmt: skip
        spectrum = torch.fft.rfft(x.to(torch.float32)).to(torch.complex64)
    assert {one.dtype for one in made} == {torch.float64}
    assert spectrum.dtype == torch.complex128
    assert x.float().dtype == torch.float32


def test_other_arguments_pass() -> None:
    with Wider():
        assert torch.ones(3, dtype=torch.int64).to("cpu").dtype == torch.int64
