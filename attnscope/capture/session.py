"""The capture: a context in which a model's attention calls are recorded.

Rule: transformers is patched for the whole process, so one capture runs at a time and a second one
says so; calls made by other threads meanwhile run untouched and are not recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from attnscope.capture.fused import paths_kept
from attnscope.capture.interface import Attention, InterfaceCall, interface_calls
from attnscope.capture.kernels import flash_calls, flex_calls, own_flex_calls
from attnscope.capture.modules import ModuleStack
from attnscope.capture.received import Received
from attnscope.capture.resolve import at_interface, outside
from attnscope.capture.torch_calls import TorchCalls
from attnscope.errors import CaptureError
from attnscope.records import AttentionCall, Unseen

OnCall = Callable[[AttentionCall], None]
OnUnseen = Callable[[Unseen], None]

_one_at_a_time = threading.Lock()


@contextmanager
def capture(model: nn.Module, on_call: OnCall, on_unseen: OnUnseen | None = None) -> Iterator[None]:
    """Hand every attention call that `model` makes inside the context to `on_call`, in order.

    Attention that begins and cannot be followed to its end goes to `on_unseen`, at the latest when
    the context is left: it was not checked.

    The model's outputs stay bit-identical. A record that `on_call` does not keep is freed before
    the next layer runs, so memory is the caller's choice. Exceptions of `on_call` end the forward
    pass. Whatever happens, hooks and patches are gone afterwards.

    Raises CaptureError if another capture is running in this process, and for a compiled model.
    """
    _require_uncompiled(model)
    if not _one_at_a_time.acquire(blocking=False):
        raise CaptureError(
            "Another capture is running in this process.",
            "A capture patches transformers for the whole process: run one after the other.",
        )
    try:
        with _Session(model, on_call, on_unseen).recording():
            yield
    finally:
        _one_at_a_time.release()


class _Session:
    def __init__(self, model: nn.Module, on_call: OnCall, on_unseen: OnUnseen | None) -> None:
        self._on_call = on_call
        self._on_unseen = on_unseen
        self._model = model
        self._modules = ModuleStack(model)
        self._thread = threading.get_ident()
        self._open: list[list[Received]] = []
        self._count = 0
        self._busy = False
        # torch.compile would trace through an active torch-function mode, so a model on flex,
        # which compiles its kernel and its block masks, is watched at the interface only.
        self._own_flex = bool(getattr(model, "calls_flex", False))
        self._everywhere = not self._own_flex and not _runs_flex(model)

    @contextmanager
    def recording(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(paths_kept(self._model))
            if self._own_flex:
                stack.enter_context(own_flex_calls(self._received))
            stack.enter_context(flex_calls(self._received, self._deaf))
            stack.enter_context(flash_calls(self._received, self._deaf))
            stack.enter_context(interface_calls(self._around))
            stack.enter_context(self._modules.watching())
            if self._everywhere:
                stack.enter_context(self._spy())
            yield

    def _spy(self) -> TorchCalls:
        return TorchCalls(self._received, self._unseen, self._place)

    def _around(self, attention: Attention, call: InterfaceCall) -> tuple[Tensor, Tensor | None]:
        if self._busy or threading.get_ident() != self._thread:
            return attention(*call.args, **call.kwargs)
        received: list[Received] = []
        self._open.append(received)
        try:
            with self._torch_calls(call.offered.implementation):
                result = attention(*call.args, **call.kwargs)
        finally:
            self._open.pop()
        module = self._modules.name(call.module)
        self._emit(at_interface(self._count, self._layer(module), module, call, received, result))
        return result

    def _torch_calls(self, implementation: str) -> AbstractContextManager[object]:
        if self._everywhere or "flex" in implementation:
            return nullcontext()
        return self._spy()

    def _received(self, received: Received) -> None:
        if self._busy or threading.get_ident() != self._thread:
            return
        if self._open:
            self._open[-1].append(received)
            return
        module = self._modules.name()
        self._emit(outside(self._count, self._layer(module), module, received))

    def _unseen(self, unseen: Unseen) -> None:
        if self._on_unseen is not None:
            self._on_unseen(unseen)

    def _place(self) -> str | None:
        """The module that is running; None inside an interface call, which is judged as a whole."""
        return None if self._busy or self._open else self._modules.name()

    def _layer(self, module: str) -> int:
        layer = self._modules.layer(module)
        return self._count if layer is None else layer

    def _emit(self, record: AttentionCall) -> None:
        self._count += 1
        # the consumer's own tensor work is not the model's, and is not slowed by our watching
        with self._deaf(), torch._C.DisableTorchFunction():
            self._on_call(record)

    @contextmanager
    def _deaf(self) -> Iterator[None]:
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before


def _require_uncompiled(model: nn.Module) -> None:
    for module in model.modules():
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            name = getattr(model, "called", type(model).__name__)
            raise CaptureError(
                f"{name} is compiled: its attention calls cannot be seen.",
                "Capture the model as it was before compiling.",
            )


def _runs_flex(model: nn.Module) -> bool:
    configs = (getattr(module, "config", None) for module in model.modules())
    return any("flex" in str(getattr(config, "_attn_implementation", "")) for config in configs)
