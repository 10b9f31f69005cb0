"""Forward passes whose attention is measured while they run."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.capture.session import OnCall, OnUnseen
from attnscope.errors import PromptError, SelectionError
from attnscope.experiments.own_kernels import look_at_kernels
from attnscope.experiments.subject import subject_of
from attnscope.heads_options import HeadsOptions
from attnscope.load import LoadedModel, Progress
from attnscope.load.describe import longest_prompt
from attnscope.load.quiet import quiet
from attnscope.load.stand_in import StandIn
from attnscope.measure.heads import HeadsTally
from attnscope.measure.windows import in_windows
from attnscope.records import AttentionCall, Heads, Tokens
from attnscope.shared_heads import of_all_ranks


def run_once(
    loaded: LoadedModel,
    ids: tuple[int, ...],
    add: OnCall,
    miss: OnUnseen | None,
    progress: Progress | None,
) -> None:
    """One forward pass over these tokens; each attention call goes to `add` while it runs."""

    def measure(call: AttentionCall) -> None:
        if progress:
            progress(f"measuring {call.module}")
        add(call)

    if isinstance(loaded.model, StandIn):
        look_at_kernels(subject_of(loaded), torch.tensor([ids]))
    if progress:
        progress(f"running {loaded.info.name}")
    with quiet(bars=False), capture(loaded.model, measure, miss):
        forward(loaded.model, ids)


def heads_of(
    loaded: LoadedModel,
    tokens: Tokens,
    options: HeadsOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Heads:
    """Where every head looks, for a loaded model and a prompt that is tokens already.

    One forward pass a window, over as many tokens as the model has positions for.

    Raises AttnscopeError (PromptError, SelectionError, CaptureError).
    """
    options = options or HeadsOptions()
    read, windows = in_windows(tokens, _window(loaded, len(tokens), options))
    info = loaded.info
    options = options.resolved(info.name, info.layers, info.heads, len(read))

    def measure(asked: HeadsOptions) -> Heads:
        tally = HeadsTally(info, read, windows, asked)
        clock = _Clock(info.layers, len(read), progress)
        for start, stop in windows:
            tally.begin((start, stop))
            clock.begin(start, stop)
            run_once(loaded, read.ids[start:stop], tally.add, tally.miss, clock.tell)
        return replace(tally.result(clock.seconds), notes=(loaded.remark,) if loaded.remark else ())

    return of_all_ranks(loaded, options, measure)


def _window(loaded: LoadedModel, tokens: int, options: HeadsOptions) -> int | None:
    """Tokens to read at once; None for all."""
    limit = longest_prompt(loaded.model)
    if options.window is not None and limit is not None and options.window > limit:
        raise PromptError(
            f"{loaded.info.name} has positions for {limit:,} tokens, not for a window of"
            f" {options.window:,}."
        )
    size = options.window or limit
    if size is not None and tokens > size and not options.windowed:
        raise PromptError(
            f"The text has {tokens:,} tokens, and {size:,} are read at once.",
            "Leave --no-window out to read it in windows.",
        )
    return size


class _Clock:
    """Tells how far a run is, in tokens, and how long the rest will take."""

    def __init__(self, layers: int, tokens: int, progress: Progress | None) -> None:
        self._layers, self._tokens, self._progress = max(layers, 1), tokens, progress
        self._began = time.perf_counter()
        self._window, self._calls = (0, 0), 0

    def begin(self, start: int, stop: int) -> None:
        """A window begins."""
        self._window, self._calls = (start, stop), 0

    def tell(self, words: str) -> None:
        """Say what is done now, and how far that is."""
        if self._progress is None:
            return
        start, stop = self._window
        done = start + (stop - start) * min(self._calls / self._layers, 1.0)
        self._calls += words.startswith("measuring")
        left = self.seconds * (self._tokens - done) / done if done else None
        time_left = "" if left is None else f", {_duration(left)} left"
        self._progress(f"{words}: {int(done):,} of {self._tokens:,} tokens{time_left}")

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._began


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def require_places(loaded: LoadedModel, name: str, asked: tuple[int, ...]) -> None:
    """Tell layers or heads that a model has not; `name` says which of the two.

    Raises SelectionError.
    """
    count = loaded.info.layers if name == "layer" else loaded.info.heads
    wrong = [one for one in asked if count and not -count <= one < count]
    if wrong:
        raise SelectionError(
            f"{loaded.info.name} has no {name} {wrong[0]}.",
            f"Its {name}s are 0 to {count - 1}, or -1 to -{count} from the last.",
        )
