"""Token by token: what each step reads, sees, keeps and costs, beside the whole text read again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from attnscope.capture import capture
from attnscope.experiments.caches import Kept, copies, states
from attnscope.experiments.floor import FLOOR_FACTOR, rounding_floor
from attnscope.experiments.new_rows import NewRows, Place
from attnscope.experiments.remask import require_numbers
from attnscope.experiments.subject import Subject
from attnscope.experiments.switches import exact_copy
from attnscope.load.pieces import piece_texts
from attnscope.masks import dense
from attnscope.measure.drift import drift
from attnscope.measure.mask_map import draw
from attnscope.measure.pooling import EXACT_UP_TO
from attnscope.records import Candidate, MaskMap, Step, StepCost
from attnscope.text import label, ranges

HALF = (torch.float16, torch.bfloat16)

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
    """What rounding explains of a step's drift; NaN where it cannot be compared."""
    untold: str
    """Why not, in words."""
    ended: bool
    """True when the model ended the text itself."""
    cached: bool
    """False when it returned no cache."""
    unseen: tuple[str, ...]
    """Attention that was not followed, in words."""


def write(
    subject: Subject, ids: Sequence[int], steps: int, top: int, place: Place | None, names: Names
) -> Written:
    """Generate up to `steps` tokens greedily, with a cache where the model returns one.

    `top` candidates a step are kept; `place` is the head whose newest row is. Raises CaptureError
    when the model does not run or gives no numbers.
    """
    writer = _Writer(subject, ids, place, names, top)
    while len(writer.steps) < steps and not writer.ended:
        writer.step()
    return writer.result()


class _Writer:
    """A text in the making."""

    def __init__(
        self, subject: Subject, ids: Sequence[int], place: Place | None, names: Names, top: int
    ) -> None:
        self._subject, self._place, self._names, self._top = subject, place, names, top
        self._prompt, self._text = len(ids), list(ids)
        self._store: Any = None
        self._kept: dict[int, Kept] = {}
        self._grown: dict[int, list[Tensor]] = {}
        self._cached = True
        self._unseen: dict[str, None] = {}
        self.steps: list[Step] = []

    @property
    def ended(self) -> bool:
        """True when the last token ends the text."""
        return bool(self.steps) and self._text[-1] in _ends(self._subject.model)

    def step(self) -> None:
        """Read what is new, and the whole text beside it; choose the next token."""
        end = len(self._text)
        piece = self._text[-1:] if self.steps and self._cached else self._text
        now, full = NewRows(end, self._place), NewRows(end)
        store = self._store if self._cached else None
        logits, self._store = _read(self._subject, piece, store, now, use_cache=True)
        whole, _ = _read(self._subject, self._text, None, full, use_cache=False)
        require_numbers(logits)
        self._cached &= self._store is not None
        self._note(now, full)
        candidates = self._names(logits, self._top)
        self.steps.append(
            Step(
                read=end - 1,
                candidates=candidates,
                rows=now.newest(),
                weights=now.weights,
                cache=states(self._store, self._kept, end),
                drift=float(drift(logits[None], whole[None])[0]),
                cached=StepCost(tokens=len(piece), products=now.products),
                full=StepCost(tokens=end, products=full.products),
            )
        )
        self._kept = copies(self._store, end)
        self._text.append(candidates[0].token)

    def _note(self, now: NewRows, full: NewRows) -> None:
        """Keep the new rows of the mask, and what was not followed."""
        for words in (*now.unseen, *full.unseen):
            self._unseen[words] = None
        missing = full.layers - now.layers
        if missing:
            self._unseen[f"layers {ranges(missing)} when single tokens are read"] = None
        if len(self._text) > EXACT_UP_TO:
            self._grown.clear()
            return
        for layer, rows in now.rows():
            new = rows if not self.steps or self._cached else rows[-1:]
            self._grown.setdefault(layer, []).extend(new)

    def result(self) -> Written:
        """All of it, both ways compared where they can be."""
        read = self._text[:-1]
        masks = _grown(self._grown, len(read))
        limit, untold = math.nan, self._untold(masks)
        if not untold:
            limit, untold = self._compare(read)
        return Written(
            ids=self._text,
            steps=self.steps,
            masks=masks,
            limit=limit,
            untold=untold,
            ended=self.ended,
            cached=self._cached,
            unseen=tuple(self._unseen),
        )

    def _untold(self, masks: tuple[MaskMap, ...]) -> str:
        if not self._cached:
            return "there is no cache, so there is nothing to compare"
        if any(mask.leaves_open for mask in masks):
            return (
                "its masks show the prompt later tokens, so that the whole text read at once is"
                " another question"
            )
        return ""

    def _compare(self, read: list[int]) -> tuple[float, str]:
        """The limit, or why there is none; in half precision a float32 copy is asked."""
        subject, ids = self._subject, torch.tensor([read])
        if subject.model.dtype in HALF:
            twin = exact_copy(subject.model, torch.float32)
            if twin is None:
                return math.nan, (
                    "rounding in half precision would hide a difference, and there is no room for"
                    " a copy in float32"
                )
            subject = Subject(twin, subject.vocabulary.tolist(), subject.cost)
            drifts = _drifts(subject, read, self._prompt)
            self.steps = [
                replace(step, drift=one) for step, one in zip(self.steps, drifts, strict=True)
            ]
        return FLOOR_FACTOR * rounding_floor(subject, ids, 0), ""


def _drifts(subject: Subject, read: list[int], prompt: int) -> list[float]:
    """How far each cached step is from the whole text read at once, for a text that is written."""
    found, store = [], None
    for end in range(prompt, len(read) + 1):
        piece = read[:end] if store is None else read[end - 1 : end]
        logits, store = _read(subject, piece, store, NewRows(end), use_cache=True)
        whole, _ = _read(subject, read[:end], None, NewRows(end), use_cache=False)
        found.append(float(drift(logits[None], whole[None])[0]))
    return found


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
    subject: Subject, piece: Sequence[int], store: Any, seen: NewRows, *, use_cache: bool
) -> tuple[Tensor, Any]:
    """The last token's logits, and the cache."""
    ids = torch.tensor([list(piece)], device=subject.device)
    given: dict[str, Any] = {"past_key_values": store, "use_cache": use_cache}
    if store is not None:  # some state-space models of transformers 5.3 ask for it
        places = torch.arange(seen.end - len(piece), seen.end, device=subject.device)
        given["cache_position"] = places
    with subject.running(len(piece)), capture(subject.model, seen.add, seen.miss):
        ran = subject(ids, **given)
    return ran.logits[0, -1], ran.past_key_values


def _grown(rows: dict[int, list[Tensor]], tokens: int) -> tuple[MaskMap, ...]:
    """One map for layers whose rows are the same."""
    found: dict[bytes, tuple[Tensor, list[int]]] = {}
    for layer, each in rows.items():
        if len(each) != tokens:
            continue
        cells = torch.stack([pad(row[:tokens], (0, max(tokens - len(row), 0))) for row in each])
        found.setdefault(cells.numpy().tobytes(), (cells, []))[1].append(layer)
    drawn = [(draw(dense(cells), tokens, GROWN), layers) for cells, layers in found.values()]
    return tuple(replace(one, layers=tuple(layers)) for one, layers in drawn)


def _ends(model: Any) -> set[int]:
    """Token ids that end a text."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if ends is None:
        return set()
    return set(ends) if isinstance(ends, list | tuple) else {int(ends)}
