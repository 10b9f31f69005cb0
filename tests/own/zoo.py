"""Models that transformers does not know, each with a bug that can be planted; see docs/examples.md
for the ones that people write.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def lower(tokens: int, ahead: int = 0) -> Tensor:
    """True where a query may not see a key; `ahead` keys more are open."""
    return torch.ones(tokens, tokens, dtype=torch.bool).triu(1 + ahead)


class Mixing(nn.Module):
    """A pre-norm block around `nn.MultiheadAttention`."""

    def __init__(self, *, ahead: int = 0, weights: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(32, 4, batch_first=batch_first)
        self.norm = nn.LayerNorm(32)
        self.ahead, self.weights = ahead, weights

    def forward(self, x: Tensor) -> Tensor:
        time = x.shape[1] if self.attn.batch_first else x.shape[0]
        n = self.norm(x)
        return (
            x + self.attn(n, n, n, attn_mask=lower(time, self.ahead), need_weights=self.weights)[0]
        )


class Attending(nn.Module):
    """Token ids through two blocks; the second one may look ahead."""

    def __init__(self, *, ahead: int = 0, weights: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.layers = nn.ModuleList(
            Mixing(ahead=each, weights=weights, batch_first=batch_first) for each in (0, ahead)
        )
        self.head = nn.Linear(32, 50)
        self.batch_first = batch_first

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        x = x if self.batch_first else x.transpose(0, 1)
        for layer in self.layers:
            x = layer(x)
        x = x if self.batch_first else x.transpose(0, 1)
        return self.head(x)


class Encoder(nn.Module):
    """`nn.TransformerEncoder` as a decoder."""

    def __init__(
        self, *, mask: Tensor | str | None = "causal", is_causal: bool = False, **layer: object
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        made = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, **layer)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(made, 2, enable_nested_tensor=False)
        self.mask, self.is_causal = mask, is_causal

    def forward(self, ids: Tensor) -> Tensor:
        time = ids.shape[1]
        mask = self.mask
        if isinstance(mask, str):
            mask = nn.Transformer.generate_square_subsequent_mask(time)
        elif mask is not None:
            mask = mask[:time, :time]
        return self.encoder(self.embed(ids), mask=mask, is_causal=self.is_causal)


class Dilated(nn.Module):
    """One causal convolution; with `shift` its window reaches that far ahead."""

    def __init__(self, dilation: int, shift: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(16, 16, 3, dilation=dilation)
        self.left, self.shift = 2 * dilation - shift, shift

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.conv(functional.pad(x, (self.left, self.shift))))


class Convolving(nn.Module):
    """Numbers (batch, time, 3) through channels-first convolutions."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.into = nn.Conv1d(3, 16, 1)
        self.blocks = nn.Sequential(Dilated(1), Dilated(2, shift), Dilated(4))
        self.out = nn.Conv1d(16, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks(self.into(x.transpose(1, 2)))).transpose(1, 2)


class Recurrent(nn.Module):
    """Two LSTMs with cached steps; `both` lets the second one read backwards as well."""

    def __init__(self, *, both: bool = False, forgets: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.first = nn.LSTM(16, 16, batch_first=True)
        self.second = nn.LSTM(16, 16, batch_first=True, bidirectional=both)
        self.head = nn.Linear(32 if both else 16, 50)
        self.forgets = forgets

    def forward(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, object]:
        return self.step(ids, (None, None))

    def step(self, ids: Tensor, state: tuple[object, object]) -> tuple[Tensor, object]:
        x, first = self.first(self.embed(ids), state[0])
        x, second = self.second(x, None if self.forgets else state[1])
        return self.head(x), (first, second)


class LongConvolution(nn.Module):
    """A state space as one long convolution; without `pad` the end wraps around to the start."""

    def __init__(self, *, pad: bool = True, upcast: bool = False) -> None:
        super().__init__()
        self.decay = nn.Parameter(-torch.rand(16) - 0.1)
        self.gain = nn.Parameter(torch.randn(16))
        self.pad, self.upcast = pad, upcast

    def forward(self, x: Tensor) -> Tensor:
        time = x.shape[1]
        size = 2 * time if self.pad else time
        kernel = self.gain * torch.exp(self.decay * torch.arange(time)[:, None])
        if self.upcast:
            x, kernel = x.float(), kernel.to(torch.float32)
        product = torch.fft.rfft(x, size, dim=1) * torch.fft.rfft(kernel, size, dim=0)
        return torch.fft.irfft(product, size, dim=1)[:, :time]


class StateSpace(nn.Module):
    """Two long convolutions; the second one may wrap around."""

    def __init__(self, *, pad: bool = True, upcast: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.mixers = nn.ModuleList(
            LongConvolution(pad=each, upcast=upcast) for each in (True, pad)
        )
        self.head = nn.Linear(16, 50)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for mixer in self.mixers:
            x = x + torch.tanh(mixer(x))
        return self.head(x)


class Scaling(nn.Module):
    """Mean 0 and spread 1, over what was seen so far or, with `whole`, over everything."""

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        if self.whole:
            return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5)
        count = torch.arange(1, x.shape[1] + 1)[:, None]
        mean = x.cumsum(1) / count
        variance = (x.square().cumsum(1) / count - mean.square()).clamp(min=0)
        return (x - mean) / (variance.sqrt() + 1e-5)


class Forecasting(nn.Module):
    """Numbers (batch, time, 4) to (batch, time, 6)."""

    def __init__(self, *, whole: bool = False) -> None:
        super().__init__()
        self.scale = Scaling(whole=whole)
        self.cells = nn.GRU(4, 24, batch_first=True)
        self.head = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(self.scale(x))[0])
