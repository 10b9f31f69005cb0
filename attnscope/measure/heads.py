"""Every head over a text of any length: call by call, window by window, nothing kept but sums."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from attnscope.errors import SelectionError
from attnscope.heads_options import HeadsOptions, placed
from attnscope.measure.call_focus import CallFocus
from attnscope.measure.stream_focus import focus_of
from attnscope.measure.workspace import Scratch, Workspace
from attnscope.measure.zoom import Zoom
from attnscope.records import AttentionCall, HeadFocus, Heads, HeadView, ModelInfo, Tokens, Unseen
from attnscope.text import ranges

Windows = tuple[tuple[int, int], ...]


class HeadsTally:
    """Measures the calls of one window after the other; `options` count layers and heads from 0."""

    def __init__(
        self, model: ModelInfo, tokens: Tokens, windows: Windows, options: HeadsOptions
    ) -> None:
        self._model, self._tokens, self._windows = model, tokens, windows
        self._ids = torch.tensor(tokens.ids)
        self._wanted, self._asked = options.layers, options.views
        self._rows = placed(options.rows, len(tokens), "rows")
        self._keys = placed(options.keys, len(tokens), "keys")
        self._window = windows[0]
        self._calls: Counter[int] = Counter()
        self._focus: dict[tuple[int, int], CallFocus] = {}
        self._received: dict[int, Tensor] = {}
        self._zooms: dict[tuple[int, int], Zoom] = {}
        self._unchecked: list[str] = []
        self._scratch = Scratch()
        self._workspaces: dict[torch.device, Workspace] = {}

    def begin(self, window: tuple[int, int]) -> None:
        """The calls that follow read the tokens of this window."""
        self._window = window
        self._calls.clear()
        self._workspaces.clear()

    def add(self, call: AttentionCall) -> None:
        """Measure one call."""
        if self._wanted is not None and call.layer not in self._wanted:
            return
        if problem := self._cannot_measure(call):
            self._unchecked.append(f"{call.module}: {problem}")
            return
        if call.unexplained:
            self._unchecked.append(f"{call.module}: {call.unexplained}")
        start = self._window[0]
        found = focus_of(call, self._workspace(call.output.device))
        place = (call.layer, self._calls[call.layer])
        self._calls[call.layer] += 1
        if place in self._focus:
            self._focus[place].join(found, start)
        else:
            self._focus[place] = found
        self._note_received(call.layer, found.received.mean(dim=0).cpu())
        # one row a head would be too much to keep
        found.received = found.received.new_empty(call.heads, 0)
        for layer, head in self._asked:
            if layer == call.layer and 0 <= head < call.heads:
                self._zoom(layer, head).add(call, start)

    def miss(self, unseen: Unseen) -> None:
        """Note attention that was not seen; softmaxes over something else than tokens are none."""
        if unseen.over(self._window[1] - self._window[0]):
            self._unchecked.append(f"{unseen.module}: {unseen.reason}")

    def _cannot_measure(self, call: AttentionCall) -> str | None:
        size = self._window[1] - self._window[0]
        if call.output.shape[0] != 1:
            return f"a call over a batch of {call.output.shape[0]}"
        if (call.queries, call.keys) != (size, size):
            return f"a call of {call.queries} queries over {call.keys} keys, not {size} over {size}"
        return None

    def _workspace(self, device: torch.device) -> Workspace:
        if device not in self._workspaces:
            ids = self._ids[slice(*self._window)].to(device)
            self._workspaces[device] = Workspace(ids, self._scratch)
        return self._workspaces[device]

    def _note_received(self, layer: int, received: Tensor) -> None:
        start, stop = self._window
        table = self._received.setdefault(layer, torch.zeros(len(self._tokens)))
        calls = self._calls[layer]  # of a layer that attends several times, the mean
        table[start:stop] += (received - table[start:stop]) / calls

    def _zoom(self, layer: int, head: int) -> Zoom:
        place = (layer, head)
        if place not in self._zooms:
            self._zooms[place] = Zoom(head, self._rows, self._keys)
        return self._zooms[place]

    def result(self, seconds: float) -> Heads:
        """Everything that was measured.

        Raises SelectionError when a head that was asked for never came by.
        """
        focus = tuple(head for place in sorted(self._focus) for head in self._focus[place].result())
        layers = sorted(self._received)
        received = [self._received[layer] for layer in layers]
        return Heads(
            model=self._model,
            tokens=self._tokens,
            windows=self._windows,
            focus=focus,
            layers=tuple(layers),
            received=torch.stack(received) if received else torch.zeros(0, len(self._tokens)),
            views=tuple(self._view(place, focus) for place in self._asked),
            seconds=seconds,
            unchecked=tuple(dict.fromkeys([*self._unchecked, *self._silent(focus)])),
        )

    def _view(self, place: tuple[int, int], focus: tuple[HeadFocus, ...]) -> HeadView:
        found = [head for head in focus if (head.layer, head.head) == place]
        if not found or place not in self._zooms:
            layers = ranges(sorted(self._received)) or "none"
            raise SelectionError(
                f"{self._model.name} has no layer {place[0]} head {place[1]} to show.",
                f"Layers that were measured: {layers}.",
            )
        return self._zooms[place].view(found[0])

    def _silent(self, focus: tuple[HeadFocus, ...]) -> list[str]:
        """Layers of which no attention was seen, in a model of which some was."""
        asked = set(range(self._model.layers) if self._wanted is None else self._wanted)
        silent = sorted(asked - {head.layer for head in focus})
        if not focus or not silent:
            return []
        name = "layer" if len(silent) == 1 else "layers"
        return [f"{name} {ranges(silent)}: no attention was seen there"]
