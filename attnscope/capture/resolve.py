"""From what was offered and what was received to one record.

The kernel's own arguments are the witness. Where exactly one kernel was not seen inside an
interface call, the offered arguments stand in, the record says so in `kernel` and `mask_form`, and
the recomputation against the kernel's output decides whether they were what it used.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from attnscope.capture.interface import InterfaceCall
from attnscope.capture.received import Received, mask_words
from attnscope.masks import Mask, additive, blocks, causal, dense, everything, padding, sliding
from attnscope.records import AttentionCall, Offered

Result = tuple[Tensor, Tensor | None]


def at_interface(
    index: int, layer: int, module: str, call: InterfaceCall, seen: list[Received], result: Result
) -> AttentionCall:
    """The record of a call that went through transformers' attention interface."""
    queries = call.query.shape[2]
    output = result[0].detach().transpose(1, 2)  # (batch, query, head, d_v) by contract
    if len(seen) == 1 and seen[0].output.shape[2] == queries:
        kernel = _doubted(_grouped(_explained(seen[0], call), call), call)
    else:
        name = " + ".join(one.kernel for one in seen) or "unseen kernel"
        kernel = _from_offer(call, name, output)
    kernel = _finished(kernel, call, output)
    if kernel.weights is None and _is_weights(result[1], kernel):
        kernel = replace(kernel, weights=result[1])
    return outside(index, layer, module, kernel, call.offered)


def outside(
    index: int, layer: int, module: str, kernel: Received, offered: Offered | None = None
) -> AttentionCall:
    """The record of a call that torch's own functions showed."""
    witness: dict[str, Any] = {one.name: getattr(kernel, one.name) for one in fields(kernel)}
    return AttentionCall(index=index, layer=layer, module=module, offered=offered, **witness)


def _explained(kernel: Received, call: InterfaceCall) -> Received:
    """Fill in what the kernel's spy could not see from the interface."""
    if kernel.query is None:  # its softmax was seen, the steps before it were not understood
        query, key, value = call.query.detach(), call.key.detach(), call.value.detach()
        scale = call.offered.scale
        kernel = replace(
            kernel,
            query=query,
            key=key,
            value=value,
            scale=query.shape[-1] ** -0.5 if scale is None else scale,
            softcap=call.offered.softcap,
            unexplained=None,
        )
    return kernel


def _finished(kernel: Received, call: InterfaceCall, output: Tensor) -> Received:
    """With the interface's own output, which is what the model goes on with.

    Where it is not the kernel's, something was done to that: some models, and flex on a GPU, apply
    their sinks there.
    """
    if output.shape != kernel.output.shape:
        return kernel
    sinks = call.offered.sinks
    if kernel.sinks is None and sinks is not None and not torch.equal(output, kernel.output):
        kernel = replace(kernel, sinks=sinks.detach().flatten())
    return replace(kernel, output=output)


def _grouped(kernel: Received, call: InterfaceCall) -> Received:
    """Undo the repetition of key/value heads, which eager and masked sdpa make."""
    repeats, rest = divmod(kernel.value.shape[1], call.value.shape[1])
    if repeats <= 1 or rest or kernel.key is None:
        return kernel
    return replace(kernel, key=kernel.key[:, ::repeats], value=kernel.value[:, ::repeats])


def _doubted(kernel: Received, call: InterfaceCall) -> Received:
    """A kernel that received other keys or values than were offered: positions may have moved."""
    for name, received, offered in (
        ("keys", kernel.key, call.key),
        ("values", kernel.value, call.value),
    ):
        if received is None or received.shape != offered.shape:
            continue
        if not torch.equal(received, offered.to(received.dtype)):
            problem = f"the kernel received other {name} than the model offered"
            return replace(kernel, unexplained=problem)
    return kernel


def _from_offer(call: InterfaceCall, kernel: str, output: Tensor) -> Received:
    offered = call.offered
    mask, form = _offered_mask(call)
    floats = isinstance(offered.mask, Tensor) and offered.mask.is_floating_point()
    bias = (offered.mask.detach(),) if floats else ()
    if offered.position_bias is not None:
        bias = (*bias, offered.position_bias.detach())
    return Received(
        kernel=kernel,
        query=call.query.detach(),
        key=call.key.detach(),
        value=call.value.detach(),
        mask=mask,
        mask_form=f"{form} as offered; the kernel's own call was not seen",
        scale=call.query.shape[-1] ** -0.5 if offered.scale is None else offered.scale,
        softcap=offered.softcap,
        bias=bias,
        sinks=None if offered.sinks is None else offered.sinks.detach().flatten(),
        output=output,
        witnessed=False,
    )


def _offered_mask(call: InterfaceCall) -> tuple[Mask, str]:
    mask, is_causal = call.offered.mask, call.offered.is_causal
    if is_causal is None:
        is_causal = bool(getattr(call.module, "is_causal", True))
    is_causal = is_causal and call.query.shape[2] > 1
    form = mask_words(mask, is_causal)
    if isinstance(mask, Tensor) and mask.ndim > 2:
        return (additive(mask) if mask.is_floating_point() else dense(mask.bool())), form
    if mask is not None and not isinstance(mask, Tensor):
        return blocks(mask), form
    allowed = causal() if is_causal else everything()
    if call.offered.window and is_causal:
        allowed &= sliding(call.offered.window)
    return (allowed if mask is None else allowed & padding(mask.bool())), form


def _is_weights(returned: Tensor | None, kernel: Received) -> bool:
    """Kernels return weights, None, or (flex on a GPU) the log-sum-exp of each row."""
    shape = (*kernel.output.shape[:3], kernel.value.shape[2])
    return returned is not None and tuple(returned.shape) == shape
