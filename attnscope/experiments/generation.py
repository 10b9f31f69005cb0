"""Token by token: what each step reads, sees, keeps and costs, beside the whole text read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from attnscope.capture import capture
from attnscope.experiments.caches import Kept, copies, states
from attnscope.experiments.floor import FLOOR_FACTOR, rounding_floor
from attnscope.experiments.subject import Subject
from attnscope.load.pieces import piece_texts
from attnscope.masks import dense
from attnscope.measure.attention import weight_rows
from attnscope.measure.drift import drift
from attnscope.measure.mask_map import draw
from attnscope.measure.trace import one_head
from attnscope.records import (
    AttentionCall,
    Candidate,
    MaskMap,
    NewRow,
    NewWeights,
    Step,
    StepCost,
)
from attnscope.text import label

Place = tuple[int, int]
"""Layer and head."""

GROWN = "row by row, as the kernels were handed it"
"""How the mask of a text that was written arrived."""

Names = Callable[[Tensor, int], tuple[Candidate, ...]]
"""From logits, shape (vocab,), to so many of the likeliest tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What generating gave."""

    ids: list[int]
    """The prompt's ids and the new ones."""
    steps: list[Step]
    """One a new token."""
    masks: tuple[MaskMap, ...]
    """As they grew."""
    limit: float
    """What rounding explains of a difference between logits."""
    ended: bool
    """True when the model ended the text itself."""
    cached: bool
    """False when it returned no cache."""


@dataclass(slots=True)
class _Seen:
    """What the attention calls of one forward show."""

    end: int
    """Tokens read so far, these included."""
    place: Place | None = None
    products: int = 0
    weights: NewWeights | None = None
    rows: dict[int, list[Tensor]] = field(default_factory=dict)
    """For each layer the new queries' rows, over the keys from position 0 on."""
    first_keys: dict[int, int] = field(default_factory=dict)

    def add(self, call: AttentionCall) -> None:
        """Count one call and keep its new rows."""
        self.products += call.output.shape[0] * call.heads * call.queries * call.keys
        first = max(self.end - call.keys, 0)
        if call.layer not in self.rows:
            allowed = call.mask.rows(0, call.queries, call.keys, call.output.device)[0]
            cells = allowed.any(dim=0).cpu()
            self.rows[call.layer] = list(torch.nn.functional.pad(cells, (first, 0)))
            self.first_keys[call.layer] = first
        if self.place and self.weights is None and call.layer == self.place[0]:
            self.weights = _newest(call, self.place, first)

    def newest(self) -> tuple[NewRow, ...]:
        """The last query's row, layers with the same one together."""
        found: dict[tuple[int, bytes], NewRow] = {}
        for layer, rows in self.rows.items():
            first = self.first_keys[layer]
            allowed = rows[-1][first:]
            alike = (first, allowed.numpy().tobytes())
            layers = (*found[alike].layers, layer) if alike in found else (layer,)
            found[alike] = NewRow(layers=layers, first_key=first, allowed=allowed)
        return tuple(found.values())


def write(
    subject: Subject, ids: Sequence[int], steps: int, top: int, place: Place | None, names: Names
) -> Written:
    """Generate up to `steps` tokens greedily, with a cache where the model returns one.

    `top` candidates a step are kept; `place` is the head whose newest row is. Raises CaptureError
    when the model does not run.
    """
    done: list[Step] = []
    grown: dict[int, list[Tensor]] = {}
    text, store, kept = list(ids), None, dict[int, Kept]()
    cached = True
    while len(done) < steps:
        piece = text[len(ids) + len(done) - 1 :] if done and cached else text
        now, full = _Seen(len(text), place), _Seen(len(text))
        logits, store = _read(subject, piece, store if cached else None, now, use_cache=True)
        whole, _ = _read(subject, text, None, full, use_cache=False)
        cached = cached and store is not None
        candidates = names(logits, top)
        for layer, rows in now.rows.items():
            grown.setdefault(layer, []).extend(rows if not done or cached else rows[-1:])
        done.append(
            Step(
                read=len(text) - 1,
                candidates=candidates,
                rows=now.newest(),
                weights=now.weights,
                cache=states(store, kept, len(text)),
                drift=float(drift(logits[None], whole[None])[0]),
                cached=StepCost(tokens=len(piece), products=now.products),
                full=StepCost(tokens=len(text), products=full.products),
            )
        )
        kept = copies(store, len(text))
        text.append(candidates[0].token)
        if candidates[0].token in _ends(subject.model):
            break
    prompt = torch.tensor([text])
    return Written(
        ids=text,
        steps=done,
        masks=_grown(grown, len(text) - 1),
        limit=FLOOR_FACTOR * rounding_floor(subject, prompt, 0),
        ended=text[-1] in _ends(subject.model),
        cached=cached,
    )


def namer(tokenizer: object) -> Names:
    """Names candidates with a tokenizer's words."""

    def names(logits: Tensor, top: int) -> tuple[Candidate, ...]:
        chances = torch.softmax(logits.double().cpu(), dim=-1)
        best = chances.topk(min(top, len(chances)))
        texts = piece_texts(tokenizer, best.indices.tolist())
        return tuple(
            Candidate(token=token, label=label(text), probability=chance)
            for token, text, chance in zip(
                best.indices.tolist(), texts, best.values.tolist(), strict=True
            )
        )

    return names


def _read(
    subject: Subject, piece: Sequence[int], store: Any, seen: _Seen, *, use_cache: bool
) -> tuple[Tensor, Any]:
    """The last token's logits, and the cache."""
    ids = torch.tensor([list(piece)], device=subject.device)
    given: dict[str, Any] = {"past_key_values": store, "use_cache": use_cache}
    if store is not None:  # some state-space models of transformers 5.3 ask for it
        places = torch.arange(seen.end - len(piece), seen.end, device=subject.device)
        given["cache_position"] = places
    with subject.running(len(piece)), capture(subject.model, seen.add):
        ran = subject(ids, **given)
    return ran.logits[0, -1], ran.past_key_values


def _newest(call: AttentionCall, place: Place, first: int) -> NewWeights | None:
    layer, head = place
    if head >= call.heads:
        return None
    single = one_head(call, head)
    rows = weight_rows(single, call.queries - 1, call.queries)
    weights = torch.zeros(call.keys, dtype=torch.float64)
    weights[: rows.columns] = rows.weights[0, 0].cpu()
    return NewWeights(layer=layer, head=head, first_key=first, weights=weights)


def _grown(rows: dict[int, list[Tensor]], tokens: int) -> tuple[MaskMap, ...]:
    """One map for layers whose rows are the same."""
    found: dict[bytes, tuple[Tensor, list[int]]] = {}
    for layer, each in rows.items():
        if len(each) != tokens:
            continue
        cells = torch.stack([torch.nn.functional.pad(row, (0, tokens - len(row))) for row in each])
        found.setdefault(cells.numpy().tobytes(), (cells, []))[1].append(layer)
    drawn = [(draw(dense(cells), tokens, GROWN), layers) for cells, layers in found.values()]
    return tuple(replace(one, layers=tuple(layers)) for one, layers in drawn)


def _ends(model: Any) -> set[int]:
    """Token ids that end a text."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if ends is None:
        return set()
    return set(ends) if isinstance(ends, list | tuple) else {int(ends)}
