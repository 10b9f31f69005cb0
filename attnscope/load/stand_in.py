"""A model that transformers does not know, called and asked as if it were one of theirs.

The experiments swap token ids. Where a model reads numbers instead (embeddings, a time series,
audio frames), ids index an alphabet of feature vectors, so that the same experiments serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnscope.errors import CaptureError

KERNELS = ("torch", "math")
"""`torch`: the kernels that torch picks by itself. `math`: its plain ones, and the slow path of
`nn.MultiheadAttention` and `nn.TransformerEncoderLayer`, which training takes."""

CALL_HINT = (
    "Say how it is called: call=lambda model, inputs: ..., returning (batch, time, ...) with one"
    " row a position."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How a model is called; each is given the module first, because copies of it are made."""

    call: Callable[..., Any]
    """(model, inputs) -> outputs."""
    prefill: Callable[..., Any] | None
    """(model, inputs) -> (outputs, state); None without cached steps."""
    step: Callable[..., Any] | None
    """(model, inputs, state) -> (outputs, state), for one position or several."""
    padded: Callable[..., Any] | None
    """(model, inputs, mask) -> outputs, mask (batch, time) True for real positions."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What the experiments read, under transformers' names."""

    logits: Tensor
    """(batch, time, any)."""
    past_key_values: Any = None
    """The state after a prefill or a step."""


class StandInConfig:
    """What a config says where there is none: nothing but the kernels in use."""

    model_type = "own"
    sub_configs: Mapping[str, Any] = {}

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._attn_implementation_internal = KERNELS[0]

    @property
    def _attn_implementation(self) -> str:
        return self._attn_implementation_internal

    def get_text_config(self, decoder: bool = True) -> StandInConfig:
        """Itself."""
        return self


class StandIn(nn.Module):
    """Holds one model under the name of its class, feeds it and finds its outputs.

    Nothing of the model is changed; copies are made by `copy.deepcopy` like of any module.
    """

    alphabet: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        hooks: Hooks,
        *,
        vocabulary: Sequence[int],
        alphabet: Tensor | None = None,
        example: Tensor | None = None,
    ) -> None:
        """`alphabet` (word, *feature) are the vectors that ids stand for; None: ids are read as
        they are. `example`, ids (time,), are the positions asked about unless others are drawn.
        """
        super().__init__()
        self.called = type(model).__name__
        name = self.called if not hasattr(self, self.called) else "model"
        self.add_module(name, model)
        self._inside, self._hooks = name, hooks
        self.vocabulary, self.example = tuple(vocabulary), example
        self.config = StandInConfig(max(vocabulary) + 1)
        self.takes = _takes(hooks)
        self.calls_flex = False
        """True once FlexAttention was seen to be called; see `attnscope.capture`."""
        self.kernels: tuple[str, ...] = KERNELS[:1]
        """Those that make a difference to it."""
        self.register_buffer("alphabet", alphabet, persistent=False)

    @property
    def inside(self) -> nn.Module:
        """The model itself."""
        return self.get_submodule(self._inside)

    @property
    def device(self) -> torch.device:
        """Of its first parameter or buffer."""
        held = (*self.inside.parameters(), *self.inside.buffers())
        return held[0].device if held else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of its first parameter or buffer that is a number; float32 where there is none."""
        held = (*self.inside.parameters(), *self.inside.buffers())
        return next((one.dtype for one in held if one.is_floating_point()), torch.float32)

    def num_parameters(self) -> int:
        """Shared ones counted once."""
        return sum(one.numel() for one in self.inside.parameters())

    def get_input_embeddings(self) -> None:
        """None: which module embeds is not known."""

    def get_output_embeddings(self) -> None:
        """None: which module gives the logits is not known."""

    def set_attn_implementation(self, name: str) -> None:
        """Choose among `KERNELS`; ValueError for others."""
        if name not in KERNELS:
            raise ValueError(f"a model of your own runs on {' or '.join(KERNELS)}")
        self.config._attn_implementation_internal = name

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]:
        """How positions are called in a report: by id, or by time where numbers are read."""
        if self.alphabet is None:
            return tuple(map(str, ids))
        return tuple(f"t{place}" for place in range(len(ids)))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        use_cache: bool = False,
        past_key_values: Any = None,
    ) -> Returned:
        """One call of the model, `input_ids` (batch, time).

        Raises CaptureError when the outputs have no row a position.
        """
        inputs = input_ids if self.alphabet is None else self.alphabet[input_ids]
        batch, time = input_ids.shape
        state = None
        with kernels(self.config._attn_implementation):
            if past_key_values is not None:
                output, state = self._two(self._hooks.step, inputs, past_key_values)
            elif use_cache and self._hooks.prefill is not None:
                output, state = self._two(self._hooks.prefill, inputs)
            elif attention_mask is not None and self._hooks.padded is not None:
                output = self._hooks.padded(self.inside, inputs, attention_mask.bool())
            else:
                output = self._hooks.call(self.inside, inputs)
        return Returned(_row_a_position(output, batch, time, self.called), state)

    def _two(self, hook: Any, *given: Any) -> tuple[Any, Any]:
        result = hook(self.inside, *given)
        if not isinstance(result, tuple | list) or len(result) != 2:
            name = "prefill" if len(given) == 1 else "step"
            raise CaptureError(
                f"The hook {name} of {self.called} returned no pair.",
                f"Return (outputs, state) from {name}.",
            )
        return result[0], result[1]


@contextmanager
def kernels(name: str) -> Iterator[None]:
    """Run torch's attention on the kernels of that name; see `KERNELS`."""
    if name == KERNELS[0]:
        yield
        return
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _takes(hooks: Hooks) -> frozenset[str]:
    takes = {"input_ids"}
    if hooks.prefill is not None:
        takes |= {"use_cache", "past_key_values"}
    if hooks.padded is not None:
        takes.add("attention_mask")
    return frozenset(takes)


def _row_a_position(output: Any, batch: int, time: int, name: str) -> Tensor:
    """The outputs as (batch, time, any): the first tensor of that shape among what was returned."""
    candidates = list(_tensors(output))
    for one in candidates:
        if one.shape[:2] == (batch, time):
            return one.flatten(2) if one.ndim > 2 else one[..., None]
    shapes = ", ".join(str(tuple(one.shape)) for one in candidates) or "no tensor"
    raise CaptureError(f"{name} returned {shapes} for {time} positions.", CALL_HINT)


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
        return
    if isinstance(output, Mapping):
        named = [output[name] for name in ("logits",) if name in output]
        parts: Sequence[Any] = [*named, *output.values()]
    elif isinstance(output, tuple | list):
        parts = output
    else:
        names = ("logits", "last_hidden_state")
        parts = [getattr(output, name) for name in names if hasattr(output, name)]
    yield from (one for one in parts if isinstance(one, Tensor))
