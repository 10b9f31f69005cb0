"""One pass over the attention calls of a run: everything that `trace` shows.

Calls come one by one as the model runs, are measured and dropped; only the most telling one so far
is kept, for its heatmap and hand trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from attnscope.errors import SelectionError
from attnscope.measure.focus import tally
from attnscope.measure.mask_map import MaskMaps
from attnscope.measure.proof import ProofTally
from attnscope.measure.roles import reason, telling
from attnscope.measure.trace import hand_trace, head_vectors, head_view
from attnscope.records import AttentionCall, HeadFocus, ModelInfo, Tokens, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to look at closely. None leaves the choice to attnscope."""

    layer: int | None = None
    """Decoder layer, from 0; negative counts from the last."""
    head: int | None = None
    """Query head, from 0; negative counts from the last."""
    query: int | str | None = None
    """A position (negative counts from the end) or a token's text; by default the last token."""


class RunTally:
    """Measures the calls of one run, in order."""

    def __init__(self, model: ModelInfo, tokens: Tokens, selection: Selection) -> None:
        self._model = model
        self._tokens = tokens
        self._selection = selection
        self._query = find_query(tokens, selection.query)
        self._ids = torch.tensor(tokens.ids)
        self._masks = MaskMaps()
        self._proof = ProofTally()
        self._focus: list[HeadFocus] = []
        self._notes: list[str] = []
        self._best: tuple[AttentionCall, HeadFocus] | None = None

    def note(self, words: str) -> None:
        """Add a remark to the result."""
        self._notes.append(words)

    def add(self, call: AttentionCall) -> None:
        """Measure one call."""
        if call.keys != len(self._tokens):
            self.note(
                f"{call.module}: a call over {call.keys} keys is not over the prompt's"
                f" {len(self._tokens)} tokens and was left out."
            )
            return
        counted = tally(call, self._ids)
        heads = counted.result()
        self._masks.add(call)
        self._proof.add(call, counted, heads)
        self._focus.extend(heads)
        if call.unexplained:
            self.note(f"{call.module}: {call.unexplained}.")
        self._consider(call, heads)

    def _consider(self, call: AttentionCall, heads: tuple[HeadFocus, ...]) -> None:
        wanted = [head for head in heads if self._asked_for(head, len(heads))]
        if not wanted:
            return
        best = max(wanted, key=telling)
        if self._best is None or telling(best) > telling(self._best[1]):
            self._best = (replace(call, weights=None) if call.query is not None else call, best)

    def _asked_for(self, head: HeadFocus, heads: int) -> bool:
        return _matches(self._selection.layer, head.layer, self._model.layers) and _matches(
            self._selection.head, head.head, heads
        )

    def result(self) -> Trace:
        """The whole trace.

        Raises SelectionError when the layer or head that was asked for never came by.
        """
        view = hand = vectors = None
        if self._best is not None:
            call, best = self._best
            view = head_view(call, best, self._reason(best))
            hand = hand_trace(call, best, self._query)
            vectors = head_vectors(call, best.head)
        elif self._focus:
            raise SelectionError(*self._nothing_there())
        else:
            self.note(self._no_attention())
        return Trace(
            model=self._model,
            tokens=self._tokens,
            masks=self._masks.result(),
            focus=tuple(self._focus),
            view=view,
            hand=hand,
            vectors=vectors,
            proof=self._proof.result(),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def _reason(self, best: HeadFocus) -> str:
        if len(self._focus) == 1:
            return "the only head"
        chosen = self._selection.layer is not None and self._selection.head is not None
        return "the head that was asked for" if chosen else reason(best)

    def _nothing_there(self) -> tuple[str, str]:
        layers = sorted({head.layer for head in self._focus})
        heads = max(head.head for head in self._focus) + 1
        asked = [
            f"{name} {value}"
            for name, value in (("layer", self._selection.layer), ("head", self._selection.head))
            if value is not None
        ]
        return (
            f"{self._model.name} has no {' '.join(asked)}.",
            f"Its attention layers are {_ranges(layers)}, with heads 0-{heads - 1}.",
        )

    def _no_attention(self) -> str:
        if not self._model.heads:
            return f"{self._model.architecture} has no attention: nothing to show."
        return (
            f"The config of {self._model.architecture} names {self._model.heads} heads, but no"
            " attention call was seen: nothing was checked."
        )


def find_query(tokens: Tokens, query: int | str | None) -> int:
    """The position of a query given by position or by token; of equal tokens the last.

    Raises SelectionError when there is none such.
    """
    if query is None:
        return len(tokens) - 1
    if isinstance(query, str) and query.strip().lstrip("+-").isdigit():
        query = int(query)
    if isinstance(query, int):
        if -len(tokens) <= query < len(tokens):
            return query % len(tokens)
        raise SelectionError(
            f"There is no query {query}.", f"The prompt has positions 0 to {len(tokens) - 1}."
        )
    places = [
        place
        for place, text in enumerate(tokens.texts)
        if query and query in (text, text.strip(), tokens.labels[place])
    ]
    if not places:
        shown = " ".join(label.strip() for label in tokens.labels[:12])
        more = " …" if len(tokens) > 12 else ""
        raise SelectionError(f"No token reads {query!r}.", f"The tokens are: {shown}{more}")
    return places[-1]


def _matches(wanted: int | None, value: int, count: int) -> bool:
    return wanted is None or value == (wanted + count if wanted < 0 else wanted)


def _ranges(numbers: list[int]) -> str:
    """0-3, 5 for [0, 1, 2, 3, 5]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
