"""One model shared by several processes: tensor parallelism under torchrun.

Each process, a rank, holds a share of every layer and computes its own heads; transformers adds
up what they find within the forward pass. The ranks meet before the model is loaded, and the first
that fails ends all.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

import torch
import transformers
from torch import distributed
from transformers import PreTrainedConfig
from transformers.distributed.configuration_utils import DistributedConfig

from attnscope import ranks
from attnscope.errors import AttnscopeError, LoadError, RankError, ToldError
from attnscope.load.describe import attention_heads, key_value_heads
from attnscope.load.failures import one_line
from attnscope.load.options import LoadOptions
from attnscope.records import ModelInfo

PLANS = ("auto",)

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher tells each process."""

LAUNCH = "torchrun --nproc-per-node 2 -m attnscope heads --tp-plan auto"

TIMEOUT = timedelta(hours=2)
"""How long a rank waits for the others, as in transformers: ranks may load at very different speed.
A rank that fails ends the others at once, by its closed connections and by its launcher."""

SHARE = "colwise"
"""transformers' name for giving each rank its own heads; in other styles each rank has all."""

OF_QUERIES = ("q_proj", "q_b_proj", "qkv_proj", "query_key_value")
OF_KEYS = ("k_proj", "kv_b_proj", "qkv_proj", "query_key_value")
"""The modules whose outputs are cut into heads."""


def is_shared(options: LoadOptions) -> bool:
    """True when the model is to be shared by several processes; a single one loads it as always.

    Raises LoadError when nothing has launched this process as one of several.
    """
    if options.tp_plan is None:
        return False
    if absent := [name for name in LAUNCHED if name not in os.environ]:
        raise LoadError(
            f"--tp-plan shares a model among processes, and none were launched: {absent[0]} is not"
            " set.",
            f"Run `{LAUNCH}`.",
        )
    if not distributed.is_available():
        raise LoadError(f"--tp-plan: PyTorch {torch.__version__} is built without distributed.", "")
    return ranks.world() > 1


def require_alone(options: LoadOptions) -> None:
    """Raise LoadError for an option that makes no sense for a shared model."""
    if options.tp_plan is None:
        return
    if options.tp_plan not in PLANS:
        raise LoadError(f"--tp-plan {options.tp_plan} is unknown.", "Choose auto.")
    for option, given in (
        ("--device-map", options.device_map is not None),
        ("--device", options.device != "auto"),
        ("--weights random", options.weights == "random"),
    ):
        if given:
            raise LoadError(f"{option} and --tp-plan exclude each other.", "Leave one out.")


def require_shares(config: PreTrainedConfig, name: str) -> None:
    """Raise LoadError when transformers cannot share this model evenly among the processes."""
    text = config.get_text_config(decoder=True)
    plan = getattr(text, "base_model_tp_plan", None) or {}
    if not plan:
        raise LoadError(
            f"{name} cannot be shared: transformers {transformers.__version__} has no plan for"
            f" tensor parallelism of {text.model_type}.",
            "Use --device-map auto instead, without torchrun.",
        )
    for what, modules, number in (
        ("head", OF_QUERIES, attention_heads(text)),
        ("key/value head", OF_KEYS, key_value_heads(text)),
    ):
        if shares_heads(config, modules) and number % ranks.world():
            raise LoadError(
                f"{name} has {number} {what}{'s' * (number != 1)}, which {ranks.world()} processes"
                " cannot share evenly.",
                "Launch a number of processes that divides it, or use --device-map auto instead.",
            )


def shares_heads(config: Any, modules: Collection[str] = OF_QUERIES) -> bool:
    """True when the plan gives each rank heads of its own, and does not leave attention whole."""
    plan = getattr(config.get_text_config(decoder=True), "base_model_tp_plan", None) or {}
    cut = {rule.rsplit(".", 1)[-1] for rule, style in plan.items() if style == SHARE}
    return not cut.isdisjoint(modules)


def sharing_arguments() -> dict[str, Any]:
    """What `from_pretrained` is told to share a model, in this transformers' words."""
    if "tp_plan" in {one.name for one in fields(DistributedConfig)}:
        return {"distributed_config": DistributedConfig(tp_plan="auto")}
    return {"tp_plan": "auto"}  # before 5.17


def shared_info(info: ModelInfo, config: PreTrainedConfig, auto_model: Any) -> ModelInfo:
    """What the ranks hold together: some releases count a rank's own parameters only."""
    with torch.device("meta"):
        whole = auto_model.from_config(config)
    kind = info.device.partition(":")[0]
    return replace(
        info, parameters=whole.num_parameters(), device=f"{kind}, {ranks.world()} processes"
    )


def shared_by(model: Any) -> int:
    """How many processes share a live model; 1 for one that is whole."""
    return int(getattr(model, "_tp_size", None) or 1)


def require_whole(model: Any, name: str) -> None:
    """Raise LoadError for a shared model, of which this process would see its own heads only."""
    if shared_by(model) > 1:
        raise LoadError(
            f"{name} is shared by {shared_by(model)} processes, and only `heads` puts together what"
            " they see.",
            "Load it without a tp_plan.",
        )


def gathered(mine: Any) -> list[Any]:
    """What every rank found, in order of ranks, on each of them. All ranks must call this."""
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, mine)
    return parts


_MEETINGS = count()
"""So that a second group of processes finds no words of the first."""


@contextmanager
def together(tp_plan: str | None) -> Iterator[None]:
    """The processes that share a model: they meet here, and part on every way out.

    Does nothing without a plan, in a single process, and where a process group exists already: that
    is somebody else's. An error is raised on the first rank that fails; the others, which fail too
    because it is gone, raise ToldError, so that one line is printed.

    Raises LoadError without a launcher, RankError for what fails on another rank than 0.
    """
    if not is_shared(LoadOptions(tp_plan=tp_plan)) or distributed.is_initialized():
        yield
        return
    store = _store()
    done = False
    try:
        _meet(store)
        yield
        done = True
    except Exception as error:
        if not _fails_first(store):
            raise ToldError from error
        if not ranks.prints():
            raise _of_rank(error) from error
        raise
    finally:
        # After a failure NCCL would wait for the others; this process ends now anyway.
        if distributed.is_initialized() and (done or not torch.cuda.is_available()):
            distributed.destroy_process_group()


def _store() -> Any:
    """Keys and values that all ranks see, empty for each meeting."""
    from torch.distributed.distributed_c10d import PrefixStore  # some builds of torch have none

    return PrefixStore(f"attnscope/{next(_MEETINGS)}", _launchers_store())


@cache
def _launchers_store() -> Any:
    """The same of the whole run, kept by the launcher or by rank 0."""
    from torch.distributed.rendezvous import rendezvous

    return next(rendezvous("env://"))[0]


def _meet(store: Any) -> None:
    backend = "gloo"
    if torch.cuda.is_available():
        place, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= here:
            raise LoadError(
                f"More processes were launched here than there are GPUs ({here}).",
                f"Use --nproc-per-node {here}.",
            )
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(
        backend, store=store, rank=ranks.rank(), world_size=ranks.world(), timeout=TIMEOUT
    )


def _fails_first(store: Any) -> bool:
    try:
        return bool(store.add("attnscope/failed", 1) == 1)
    except RuntimeError:  # whoever kept the store is gone, and has told why
        return False


def _of_rank(error: Exception) -> RankError:
    """The same error with the rank that it happened on, which no other rank knows."""
    place = f"rank {ranks.rank()} of {ranks.world()}"
    if isinstance(error, AttnscopeError):
        return RankError(f"{place}: {error.message}", error.hint)
    return RankError(
        f"{place}: {type(error).__name__}: {one_line(error)}",
        "Set ATTNSCOPE_TRACEBACK=1 for the traceback.",
    )
