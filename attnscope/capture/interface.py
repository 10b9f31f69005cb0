"""Spy on transformers' attention interface: every backend through one seam.

What `AttentionInterface` hands out is wrapped, so the model keeps its own backend and its own mask
path. (Registering an implementation of one's own would change the mask the model builds.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from transformers.modeling_utils import AttentionInterface

from attnscope.capture.kernels import replaced
from attnscope.records import Offered

Attention = Callable[..., tuple[Tensor, Tensor | None]]
Around = Callable[[Attention, "InterfaceCall"], tuple[Tensor, Tensor | None]]
"""Runs one call of an attention function and returns its result unchanged."""


class InterfaceCall:
    """One call at the interface: who made it, with which arguments."""

    def __init__(self, implementation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        names = ("module", "query", "key", "value", "attention_mask")
        given = dict(zip(names, args, strict=False)) | kwargs
        self.args, self.kwargs = args, kwargs
        self.module: nn.Module = given["module"]
        self.query: Tensor = given["query"]
        self.key: Tensor = given["key"]
        self.value: Tensor = given["value"]
        self.offered = Offered(
            implementation=implementation,
            mask=given.get("attention_mask"),
            is_causal=given.get("is_causal"),
            scale=given.get("scaling"),
            window=given.get("sliding_window"),
            softcap=given.get("softcap"),
            sinks=given.get("s_aux"),
            position_bias=given.get("position_bias"),
        )


@contextmanager
def interface_calls(around: Around) -> Iterator[None]:
    """While entered, every attention function that transformers hands out runs inside `around`."""
    token = object()  # one function may pass through here twice, and through several spies
    known: dict[tuple[str, Attention], Attention] = {}

    def wrap(implementation: str, attention: Attention) -> Attention:
        spies: frozenset[object] = getattr(attention, "attnscope_spies", frozenset())
        if token in spies:
            return attention
        if (implementation, attention) in known:
            return known[implementation, attention]

        @functools.wraps(attention)
        def spy(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
            return around(attention, InterfaceCall(implementation, args, kwargs))

        spy.attnscope_spies = spies | {token}  # type: ignore[attr-defined]
        known[implementation, attention] = spy
        return spy

    get_interface = AttentionInterface.get_interface
    get_item = AttentionInterface.__getitem__

    def spied_interface(self: Any, implementation: str, default: Attention) -> Attention:
        return wrap(implementation, get_interface(self, implementation, default))

    def spied_item(self: Any, implementation: str) -> Attention:
        return wrap(implementation, get_item(self, implementation))  # type: ignore[no-untyped-call]

    with ExitStack() as stack:
        stack.enter_context(replaced(AttentionInterface, "get_interface", spied_interface))
        stack.enter_context(replaced(AttentionInterface, "__getitem__", spied_item))
        yield
