"""A model that transformers does not know, called and asked as if it were one of theirs.

The experiments swap token ids. Where a model reads numbers instead (embeddings, a time series,
audio frames), ids index an alphabet of feature vectors, so that the same experiments serve.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnscope.errors import CaptureError
from attnscope.load.outputs import row_a_position, tensors

KERNELS = ("torch", "math")
"""`torch`: the kernels that torch picks by itself. `math`: its plain ones, and the slow path of
`nn.MultiheadAttention` and `nn.TransformerEncoderLayer`, which training takes."""

HINTS = {
    "call": "Say how it is called: call=lambda model, inputs: ..., returning (batch, time, ...)"
    " with one row a position.",
    "prefill": "Let prefill return outputs (batch, time, ...) for every position that it reads.",
    "step": "Let step return outputs (batch, time, ...) for every position that it reads.",
    "padded": "Let padded return outputs (batch, time, ...) for every position, pads included.",
}
"""What to do about outputs that have no row a position, by the hook that returned them."""


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
        beside: Mapping[str, nn.Module] | None = None,
    ) -> None:
        """`alphabet` (word, *feature) are the vectors that ids stand for; None: ids are read as
        they are. `example`, ids (time,), are the positions asked about unless others are drawn.
        `beside` are modules that the hooks know without being given them; with any, even none,
        the model cannot be copied, for the hooks would go on calling what they know.
        """
        super().__init__()
        self.called = type(model).__name__
        name = self.called if not hasattr(self, self.called) else "model"
        self.add_module(name, model)
        for other, module in (beside or {}).items():
            if not hasattr(self, other):
                self.add_module(other, module)
        self._copies = beside is None
        self._inside, self._hooks = name, hooks
        self.vocabulary, self.example = tuple(vocabulary), example
        self.config = StandInConfig(max(vocabulary) + 1)
        self.takes = _takes(hooks)
        self.calls_flex = False
        """True once FlexAttention was seen to be called; see `attnscope.capture`."""
        self.kernels: tuple[str, ...] = KERNELS[:1]
        """Those that make a difference to it."""
        placed = None if alphabet is None else alphabet.to(self.device)
        self.register_buffer("alphabet", placed, persistent=False)

    def __deepcopy__(self, memo: Any) -> StandIn:
        if not self._copies:
            raise TypeError("its hooks hold modules of their own")
        made = self.__class__.__new__(self.__class__)
        memo[id(self)] = made
        made.__dict__.update({key: copy.deepcopy(one, memo) for key, one in vars(self).items()})
        return made

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
        """Of its first parameter or buffer that is a number, or of what it reads; else float32."""
        held = (*self.inside.parameters(), *self.buffers())
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
        # a copy: some models write into what they are given
        inputs = input_ids.clone() if self.alphabet is None else self.alphabet[input_ids]
        batch, time = input_ids.shape
        state = None
        with kernels(self.config._attn_implementation):
            if past_key_values is not None:
                hook, (output, state) = "step", self._two("step", inputs, past_key_values)
            elif use_cache and self._hooks.prefill is not None:
                hook, (output, state) = "prefill", self._two("prefill", inputs)
            elif attention_mask is not None and self._hooks.padded is not None:
                output = self._hooks.padded(self.inside, inputs, attention_mask.bool())
                hook = "padded"
            else:
                hook, output = "call", self._hooks.call(self.inside, inputs)
        outputs = row_a_position(output, batch, time)
        if outputs is None:
            raise self._shapeless(output, time, hook)
        return Returned(outputs, state)

    def _shapeless(self, output: Any, time: int, hook: str) -> CaptureError:
        shapes = ", ".join(str(tuple(one.shape)) for one in tensors(output)) or "no tensor"
        return CaptureError(f"{self.called} returned {shapes} for {time} positions.", HINTS[hook])

    def _two(self, name: str, *given: Any) -> tuple[Any, Any]:
        result = getattr(self._hooks, name)(self.inside, *given)
        if not isinstance(result, tuple | list) or len(result) != 2 or result[1] is None:
            raise CaptureError(
                f"The hook {name} of {self.called} returned no outputs with a state.",
                f"Return (outputs, state) from {name}; the state is what the next step is given.",
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
