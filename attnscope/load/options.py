"""What can be asked for when a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("auto", "float32", "bfloat16", "float16")
BACKENDS = ("auto", "eager", "sdpa", "flex_attention", "flash_attention_2")
WEIGHTS = ("real", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Which model, and how. The defaults need no network and no GPU."""

    model: str = "fable"
    """A bundled name, a local directory, a Hugging Face hub id, or `package.module:factory`."""
    device: str = "auto"
    """A torch device, or `auto`: cuda, then mps, then cpu."""
    dtype: str = "auto"
    """One of `DTYPES`; `auto` is what the checkpoint says, and float32 for random weights."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    backend: str = "auto"
    """One of `BACKENDS`; `auto` leaves the choice of attention implementation to transformers."""
    device_map: str | None = None
    """How accelerate spreads the model over devices, for example `auto`."""
    tp_plan: str | None = None
    """`auto` shares the model among the processes that torchrun has launched, by transformers' plan
    for its architecture: see `attnscope.load.parallel`."""
    allow_pickle: bool = False
    """Also read `.bin` weights, which are pickles."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    weights: str = "real"
    """One of `WEIGHTS`; `random` builds the model from its config alone, made small where it is
    large, and reads no weights."""
    seed: int = 0
    """Decides random weights."""
    vocab_size: int | None = None
    """For a factory whose model reads token ids and does not say how many there are."""
