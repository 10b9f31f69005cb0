"""What real code does to a checker: each of these was judged wrongly once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

import attnscope
from attnscope.errors import CaptureError, LoadError
from attnscope.report import Report
from tests.own import zoo

IDS = {"vocab_size": 50}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def codes(report: Report) -> set[str]:
    return {result.code for result, _ in report.findings}


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GRU(6, 6, batch_first=True),
        lambda: nn.LSTM(6, 6, batch_first=True),
        lambda: nn.RNN(6, 6, batch_first=True),
        lambda: nn.Sequential(nn.Linear(6, 6), zoo.Scaling()),
    ],
)
def test_modules_of_torch_alone(make: Callable[[], nn.Module]) -> None:
    """Their outputs are tuples, and nothing inside is a module: rounding is found all the same."""
    assert attnscope.verify(make(), example=torch.randn(2, 23, 6)).outcome == "pass"


def test_a_layer_alone_with_its_mask() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    masked = lambda model, x: model(x, src_mask=zoo.lower(x.shape[1]))  # noqa: E731
    example = torch.randn(1, 23, 16)
    assert attnscope.verify(layer, example=example, call=masked).outcome == "pass"
    assert attnscope.verify(layer, example=example).outcome == "fail"


class Both(zoo.Attending):
    """Its second output sees everything."""

    kind: type = dict

    def forward(self, ids: Tensor) -> Any:
        clean = super().forward(ids)
        value = clean.mean(1, keepdim=True).expand_as(clean)
        return {"policy": clean, "value": value} if self.kind is dict else (clean, (value,))


@pytest.mark.parametrize("kind", [dict, tuple])
def test_every_output_is_judged(kind: type) -> None:
    model = Both()
    model.kind = kind  # type: ignore[misc]
    assert "ATN301" in codes(attnscope.verify(model, **IDS))


def test_complex_outputs() -> None:
    class Spectrum(nn.Module):
        def __init__(self, leak: bool) -> None:
            super().__init__()
            self.leak = leak

        def forward(self, x: Tensor) -> Tensor:
            return torch.complex(x.cumsum(1), x.flip(1) if self.leak else x)

    example = torch.randn(1, 23, 4)
    assert attnscope.verify(Spectrum(leak=False), example=example).outcome == "pass"
    assert "ATN301" in codes(attnscope.verify(Spectrum(leak=True), example=example))


class Fourier(nn.Module):
    """A long convolution by Fourier transforms that pads by hand, with one leaking position."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(50, 16), nn.Linear(16, 50)
        self.kernel = nn.Parameter(torch.randn(64, 16, dtype=torch.complex64) * 0.3)
        self.weight = weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        time = x.shape[1]
        padded = torch.zeros(len(x), 2 * time, 16)
        padded[:, :time] = x
        kernel = torch.fft.rfft(self.kernel[:time].real, 2 * time, dim=0)
        y = torch.fft.irfft(torch.fft.rfft(padded, dim=1) * kernel, 2 * time, dim=1)[:, :time]
        y = y + self.kernel[:1].imag * x
        return self.head(y + self.weight * x.roll(-1, 1))


def test_rounding_of_fourier_transforms_is_no_leak() -> None:
    report = attnscope.verify(Fourier(), **IDS)
    assert report.outcome == "pass", str(report)
    assert any("in float64" in result.reason for result in report.results)
    assert attnscope.verify(zoo.StateSpace().double(), **IDS).outcome == "pass"


@pytest.mark.parametrize("weight", [1e-5, 1e-6, 1e-7, 1e-8])
def test_a_leak_below_that_rounding_is_one(weight: float) -> None:
    assert "ATN301" in codes(attnscope.verify(Fourier(weight), **IDS))


def test_a_leak_behind_clean_transforms_is_located() -> None:
    class Later(zoo.StateSpace):
        def __init__(self) -> None:
            super().__init__()
            self.mixers.append(zoo.LongConvolution())

        def forward(self, ids: Tensor) -> Tensor:
            return super().forward(ids)

    model = Later()
    model.mixers[2].register_forward_hook(lambda _m, _a, y: y + 3e-4 * y.roll(-1, 1))
    report = attnscope.verify(model, **IDS)
    places = {finding.module for result, finding in report.findings if result.code == "ATN301"}
    assert places == {"Later.mixers.2"}


def test_no_copy_no_verdict_on_rounding() -> None:
    """A function goes on calling its own module: a copy in float64 would tell nothing."""
    net = zoo.StateSpace()
    assert attnscope.verify(lambda ids: net(ids) * 1, **IDS).outcome == "skip"
    assert attnscope.verify(net, call=lambda model, ids: net(ids), **IDS).outcome == "skip"


def test_hooks_that_do_not_run() -> None:
    def missing(model: Any, ids: Tensor, *rest: Any) -> Any:
        return model.typo(ids)

    hooks = {"prefill": zoo.Recurrent.prefill, "step": missing}
    with pytest.raises(CaptureError, match="The hook step fails: Recurrent failed on torch"):
        attnscope.verify(zoo.Recurrent(), **hooks, **IDS)
    with pytest.raises(CaptureError, match="The hook padded fails"):
        attnscope.verify(zoo.Recurrent(), padded=missing, **IDS)
    stateless = {"prefill": lambda model, ids: (model(ids), None), "step": zoo.Recurrent.step}
    with pytest.raises(CaptureError, match="hook prefill of Recurrent returned no outputs with a"):
        attnscope.verify(zoo.Recurrent(), **stateless, **IDS)


class Normed(nn.Module):
    """Batch norm over time: in train mode every position sees every other one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(50, 16), nn.BatchNorm1d(16)
        self.cells = nn.GRU(16, 16, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.cells(self.embed(ids))[0]
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class Trainer:
    """No module itself, and holds one."""

    def __init__(self, net: nn.Module) -> None:
        self.nets = {"main": net}

    def predict(self, ids: Tensor) -> Tensor:
        return self.nets["main"](ids)  # type: ignore[no-any-return]


def through(net: nn.Module, ids: Tensor) -> Tensor:
    return net(ids)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: Trainer(net).predict,
        lambda net: functools.partial(through, net),
        lambda net: lambda ids: through(net, ids),
        lambda net: {"model": zoo.Recurrent(), "call": lambda model, ids: net(ids)},
    ],
)
def test_modules_behind_functions_are_found(wrap: Callable[[nn.Module], Any]) -> None:
    net = Normed().train()
    before = net.norm.running_mean.clone()  # type: ignore[union-attr]
    wrapped = wrap(net)
    given = dict(wrapped) if isinstance(wrapped, dict) else {"model": wrapped}
    report = attnscope.verify(given.pop("model"), **given, **IDS)
    assert report.outcome == "pass", str(report)
    assert net.training
    assert torch.equal(before, net.norm.running_mean)  # type: ignore[arg-type]


class Merging(nn.Linear):
    """Merges its adapter into its weight in eval mode, for good, as LoRA's layers do."""

    merged = False

    def train(self, mode: bool = True) -> Merging:
        super().train(mode)
        if not mode and not self.merged:
            self.weight.data += 1
        self.merged = not mode
        return self


def test_modes_are_set_without_what_train_does_besides() -> None:
    model = nn.Sequential(Merging(6, 6), zoo.Scaling())
    weight = model[0].weight.detach().clone()  # type: ignore[union-attr, operator]
    attnscope.verify(model, example=torch.randn(1, 23, 6), quick=True)
    assert torch.equal(model[0].weight, weight)  # type: ignore[arg-type]
    assert model[0].training
    assert not model[0].merged


def test_buffers_that_are_replaced_and_numbers_of_others() -> None:
    class Averaging(zoo.Attending):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("run", torch.zeros(()))

        def forward(self, ids: Tensor) -> Tensor:
            self.run = self.run * 0.9 + 0.1
            self.register_buffer("late", torch.ones(1))
            numpy.random.rand()
            return super().forward(ids)

    model = Averaging()
    buffer, state = model.run, numpy.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    attnscope.verify(model, quick=True, **IDS)
    assert model.run is buffer
    assert float(buffer) == 0.0
    assert "late" not in model._buffers
    assert (state == numpy.random.get_state()[1]).all()  # type: ignore[index]


@pytest.mark.parametrize(("time", "width"), [(16, 16), (16, 32), (19, 19)])
@pytest.mark.parametrize("shift", [0, 2])
def test_as_many_channels_as_positions(time: int, width: int, shift: int) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Conv1d(width, 16, 1)
            self.blocks = nn.ModuleList([zoo.Dilated(1), zoo.Dilated(2, shift)])

        def forward(self, x: Tensor) -> Tensor:
            x = self.into(x.transpose(1, 2))
            for block in self.blocks:
                x = block(x)
            return x.transpose(1, 2)

    report = attnscope.verify(Net(), example=torch.randn(1, time, width))
    assert report.outcome == ("fail" if shift else "pass"), str(report)
    places = {finding.module for result, finding in report.findings if result.code == "ATN301"}
    assert places == ({"Net.blocks.1"} if shift else set())


def test_a_filter_over_positions_mixes_no_tokens() -> None:
    class Filter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16))

        def forward(self, places: Tensor) -> Tensor:
            h = self.net(places)
            return h / h.abs().sum(1, keepdim=True)

    class Hyena(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.filter = nn.Embedding(50, 16), Filter()

        def forward(self, ids: Tensor) -> Tensor:
            x, time = self.embed(ids), ids.shape[1]
            h = self.filter(torch.linspace(0, 1, 64)[None, :, None])[0, :time]
            lags = torch.arange(time)[:, None] - torch.arange(time)
            kernel = h[lags.clamp(min=0)] * (lags >= 0)[..., None]
            return torch.einsum("qkd,bkd->bqd", kernel, x)

    assert attnscope.verify(Hyena(), **IDS).outcome == "pass"


def test_what_looks_ahead_inside_is_a_finding_that_says_so() -> None:
    """A bias of 0 on the way out hides the leak today."""

    class Gated(zoo.Attending):
        def __init__(self) -> None:
            super().__init__(ahead=1)
            self.gate = nn.Parameter(torch.zeros(()))

        def forward(self, ids: Tensor) -> Tensor:
            x = self.layers[0](self.embed(ids))
            return self.head(x + self.gate * self.layers[1](x))

    report = attnscope.verify(Gated(), **IDS)
    assert {"ATN201", "ATN302"} <= codes(report)
    assert "ATN301" not in codes(report)
    message = next(one.message for result, one in report.findings if result.code == "ATN302")
    assert "hides it as a gate of 0 does" in message


@pytest.mark.parametrize(
    "example",
    [
        torch.cat([torch.randn(1, 11, 3), torch.zeros(1, 12, 3)], 1),
        torch.ones(1, 23, 3),
        (torch.arange(46).reshape(1, 23, 2) % 2).float(),
    ],
)
def test_examples_that_repeat_themselves(example: Tensor) -> None:
    model = nn.GRU(example.shape[2], 8, batch_first=True)
    assert attnscope.verify(model, example=example, quick=True).outcome == "pass"


def test_ids_that_are_written_into() -> None:
    class Writing(zoo.Attending):
        def forward(self, ids: Tensor) -> Tensor:
            ids[:, 0] = 1
            return super().forward(ids)

    report = attnscope.verify(Writing(), **IDS)
    assert not report.findings


def test_outputs_in_a_buffer_that_is_used_again() -> None:
    class Filling(zoo.Attending):
        out: Tensor | None = None

        def forward(self, ids: Tensor) -> Tensor:
            fresh = super().forward(ids)
            if self.out is None or self.out.shape != fresh.shape:
                self.out = torch.empty_like(fresh)
            return self.out.copy_(fresh)

    report = attnscope.verify(Filling(), **IDS)
    assert not report.findings


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (zoo.Attending, IDS, "Attending is a class. Pass an instance"),
        (zoo.Attending(), {"vocab_size": 0}, "vocab_size=0 is no number of token ids"),
        (zoo.Attending(), {"vocab_size": 50, "example": torch.randn(1, 9, 2)}, "holds numbers"),
        (zoo.Attending(), {"example": torch.zeros(0, 9, 2)}, "no batch of sequences"),
        (zoo.Attending(), {"example": torch.ones(1, 9, dtype=torch.bool)}, "example of bool"),
        (nn.Linear(3, 3, device="meta"), {"example": torch.randn(1, 9, 3)}, "holds no numbers"),
        (
            torch.jit.trace(nn.Linear(3, 3), torch.randn(1, 3)),
            {"example": torch.randn(1, 9, 3)},
            "compiled by torch.jit",
        ),
    ],
)
def test_mistakes_are_told(model: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        attnscope.verify(model, **given)


def test_too_many_positions() -> None:
    class Short(zoo.Attending):
        def forward(self, ids: Tensor) -> Tensor:
            assert ids.shape[1] <= 16, "block size"
            return super().forward(ids)

    with pytest.raises(CaptureError, match=r"If 21 positions are too many for it, .* length="):
        attnscope.verify(Short(), **IDS)
    assert attnscope.verify(Short(), length=8, **IDS).outcome == "pass"


@pytest.mark.parametrize("make", [zoo.Attending, zoo.Encoder])
def test_fused_kernels_in_float64(make: Callable[[], nn.Module]) -> None:
    assert attnscope.verify(make().double(), quick=True, **IDS).outcome == "pass"
