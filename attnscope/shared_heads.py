"""The heads of a model that several processes share: each measures its own."""

from __future__ import annotations

from collections.abc import Callable

from attnscope import ranks
from attnscope.heads_options import HeadsOptions
from attnscope.load import LoadedModel
from attnscope.load.parallel import gathered, shared_by, shares_heads
from attnscope.measure.ranks import joined, local_options
from attnscope.records import Heads


def of_all_ranks(
    loaded: LoadedModel, options: HeadsOptions, measure: Callable[[HeadsOptions], Heads]
) -> Heads:
    """What `measure` finds in the heads of all processes that share the model, on each of them.

    `measure` is called once, with the options as they are for this process's own heads; of a model
    that is not shared its answer is returned as it is. Raises what it raises, and CaptureError
    when the processes have not seen the same calls.
    """
    world = shared_by(loaded.model)
    if world == 1:
        return measure(options)
    if shares_heads(loaded.model.config):
        options = local_options(options, loaded.info.heads, ranks.rank(), world)
    return joined(gathered(measure(options)))
