"""What a model is made of, as far as its tokens meet: its token mixers, and where it attends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from attnscope.capture.traits import routes
from attnscope.declared import Declared
from attnscope.experiments import mixers
from attnscope.experiments.attending import attending
from attnscope.experiments.mixers import Asked
from attnscope.experiments.replay import recording
from attnscope.experiments.subject import Subject

KINDS = (
    ("state space", ("mamba", "ssm", "statespace")),
    ("convolution", ("conv",)),
    ("linear", ("delta", "lightning", "linearattention", "recurrent", "lstm", "rwkv", "kda")),
    ("attention", ("attention", "attn")),
)
"""Kind of mixer to what the names of its classes hold; the first that fits counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """How the tokens of a model meet."""

    mixers: tuple[str, ...]
    """Kinds of `KINDS`, the class of a mixer that is none of them, and `experts`."""
    seam: tuple[str, ...]
    """Where attention was seen: `interface`, `torch calls`."""


def anatomy(subject: Subject, ids: Tensor, seed: int) -> Anatomy:
    """Told by one observed run of `ids`, shape (1, token), and replays of each module.

    Raises CaptureError when the model cannot be run.
    """
    seen = attending(subject, ids)
    found = {"attention"} if seen.modules else set()
    found |= set(_mixing(subject, ids, seed, seen.modules))
    found = found or {kind_of(subject.model)}  # no module was given a row a token
    order = ["attention", *(kind for kind, _ in KINDS), *sorted(found)]
    named = tuple(dict.fromkeys(kind for kind in order if kind in found))
    return Anatomy(mixers=(*named, "experts") if routes(subject.model) else named, seam=seen.seam)


def _mixing(subject: Subject, ids: Tensor, seed: int, modules: frozenset[str]) -> list[str]:
    """The kind of each module that moves one position when another one changes."""
    tokens = ids.shape[1]
    with recording(subject.model, tokens) as calls:
        subject.run("plain", ids, ids[:, :0])
    asked = Asked(
        model=subject.model, positions=(0, tokens // 2), seed=seed, attending=modules,
        declared=(), widest=Declared(kind="bidirectional"),
    )  # fmt: skip
    maps = mixers.influences(calls, asked).maps
    names = [one.place.module for one in maps if mixers.mixes(one)]
    alone = [name for name in names if not mixers.attends(name, modules)]
    return [kind_of(subject.model.get_submodule(name)) for name in alone]


def kind_of(module: nn.Module) -> str:
    """The kind of a module that mixes positions without an attention call: by its own class, by its
    transition matrix `A_log`, or by the classes that it is made of.
    """
    classes = [type(one).__name__ for one in module.modules()]
    if kind := _named(classes[:1]):
        return kind
    if any(name.rpartition(".")[2] == "A_log" for name, _ in module.named_parameters()):
        return "state space"
    return _named(classes) or classes[0]


def _named(classes: Sequence[str]) -> str:
    return next(
        (
            kind
            for kind, parts in KINDS
            if any(part in name.lower() for name in classes for part in parts)
        ),
        "",
    )
