"""Load a model: the only `from_pretrained` in the package."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from attnscope.errors import LoadError
from attnscope.load.adapter import apply_adapter, mixed
from attnscope.load.classes import auto_class, require_text_path, text_part
from attnscope.load.describe import describe
from attnscope.load.device import choose_device
from attnscope.load.factory import load_factory, names_factory
from attnscope.load.failures import explain, one_line
from attnscope.load.loaded import LoadedModel, Progress
from attnscope.load.options import BACKENDS, DTYPES, WEIGHTS, LoadOptions
from attnscope.load.parallel import (
    is_shared,
    require_alone,
    require_shares,
    shared_info,
    sharing_arguments,
)
from attnscope.load.quiet import quiet
from attnscope.load.random_weights import build_random, no_tokenizer, random_remark, reduce
from attnscope.load.reach import hub_answers
from attnscope.load.source import Source, find_source
from attnscope.load.weights import WeightReport, require_every_weight

LARGE = 2**30
"""Bytes of weights from which loading takes long enough to be shown."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)
"""A directory with none of these has no tokenizer; transformers would make up an empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A model with its weights, and what a reader must know about them."""

    model: Any
    unused: tuple[str, ...] = ()
    remark: str = ""
    tokenizer_problem: str = ""


def load(options: LoadOptions, progress: Progress | None = None) -> LoadedModel:
    """Load a bundled model, a local directory, a hub id, or what a `package.module:factory` makes.

    Nothing is written to stdout. Progress bars of the libraries go to stderr, only when `progress`
    is given, stderr is a terminal, and the model is large or comes from the hub.

    Raises `LoadError` whatever goes wrong, a `ValueError` or a missing network included.
    """
    _check_choices(options)
    if names_factory(options.model):
        return load_factory(options)
    source = _locate(options)
    shared = is_shared(options)
    device = None if options.device_map or shared else choose_device(options.device)
    tell = progress or _tell_nobody
    bars = progress is not None and sys.stderr.isatty() and _takes_long(source, options)
    with quiet(bars=bars), _told(options, source, device):
        tell(f"reading the config of {source.name}")
        config, auto_model = _read_config(source, options)
        if shared:
            require_shares(config, source.name)
        tell("" if bars else f"loading {source.name}")
        fill = _draw_model if options.weights == "random" else _read_model
        filled = fill(source, options, config, auto_model)
        require_text_path(filled.model, source.name)
        if device is not None and device.type != "cpu":
            tell(f"moving {source.name} to {device}")
            filled.model.to(device)
        tokenizer, problem = _find_tokenizer(source, options, filled.tokenizer_problem)
        info = describe(filled.model, options.model)
        return LoadedModel(
            model=filled.model.eval(),
            tokenizer=tokenizer,
            tokenizer_problem=problem,
            info=shared_info(info, config, auto_model) if shared else info,
            default_prompt=source.default_prompt,
            unused_weights=filled.unused,
            remark=filled.remark,
        )


def _locate(options: LoadOptions) -> Source:
    source = find_source(
        options.model,
        allow_pickle=options.allow_pickle,
        weights=options.weights == "real",
    )
    if source.local and options.revision:
        raise LoadError(
            f"--revision is for hub models, and {source.name} is a local directory.",
            "Leave it out.",
        )
    # A directory's own code may stand in a repository on the hub.
    return replace(source, online=options.trust_remote_code if source.local else hub_answers())


def _tell_nobody(_: str) -> None:
    pass


def _takes_long(source: Source, options: LoadOptions) -> bool:
    if options.weights == "random":
        return False
    return not source.local or source.weight_bytes >= LARGE


@contextmanager
def _told(options: LoadOptions, source: Source, device: torch.device | None) -> Iterator[None]:
    words: Mapping[str, str] = {
        "model": source.name,
        "place": "on the hub" if source.online else "in the cache, and the hub cannot be reached",
        "device": str(device or "all devices"),
        "backend": options.backend,
        "revision": str(options.revision),
        "transformers": transformers.__version__,
    }
    try:
        yield
    except LoadError:
        raise
    except Exception as error:
        raise explain(error, words) from error


def _check_choices(options: LoadOptions) -> None:
    require_alone(options)
    for option, value, choices in (
        ("--dtype", options.dtype, DTYPES),
        ("--backend", options.backend, BACKENDS),
        ("--weights", options.weights, WEIGHTS),
    ):
        if value not in choices:
            raise LoadError(f"{option} {value} is unknown.", f"Choose from {', '.join(choices)}.")
    if options.vocab_size is not None and not names_factory(options.model):
        raise LoadError(
            f"--vocab-size is for models of your own, and {options.model} says its own.",
            "Leave it out.",
        )
    if options.device_map and options.device != "auto":
        raise LoadError("--device and --device-map exclude each other.", "Leave one out.")
    if options.device_map and options.weights == "random":
        raise LoadError(
            "--weights random and --device-map exclude each other.",
            "A small model needs one device.",
        )
    if options.device_map and find_spec("accelerate") is None:
        raise LoadError(
            "--device-map needs the package accelerate.", "Run `pip install accelerate`."
        )


def _where(source: Source, options: LoadOptions) -> dict[str, Any]:
    """What every `from_pretrained` is told about the place that it loads from."""
    return {
        "revision": options.revision or source.revision,
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": not source.online,
    }


def _read_config(source: Source, options: LoadOptions) -> tuple[PreTrainedConfig, Any]:
    config: PreTrainedConfig = AutoConfig.from_pretrained(
        source.location,
        **_where(source, options),
    )
    return config, auto_class(config, source.name)


def _read_model(
    source: Source, options: LoadOptions, config: PreTrainedConfig, auto_model: Any
) -> _Filled:
    chosen: dict[str, Any] = {}
    if options.backend != "auto":
        chosen["attn_implementation"] = options.backend
    if options.device_map:
        chosen["device_map"] = options.device_map
    if is_shared(options):
        chosen |= sharing_arguments()
    model, loading_info = auto_model.from_pretrained(
        source.location,
        config=config,
        **_where(source, options),
        dtype="auto" if options.dtype == "auto" else getattr(torch, options.dtype),
        use_safetensors=None if options.allow_pickle else True,
        # So that misfits are told below by name and shape; they are never ignored.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **chosen,
    )
    report = WeightReport.read(loading_info)
    require_every_weight(model, source.name, report)
    unused = tuple(sorted(report.unused))
    return _put_adapter_on(_Filled(model=model, unused=unused), source, options)


def _put_adapter_on(filled: _Filled, source: Source, options: LoadOptions) -> _Filled:
    if not source.adapter:
        if getattr(filled.model, "_hf_peft_config_loaded", False):
            raise mixed(source.name)
        return filled
    if is_shared(options):
        raise LoadError(
            f"{options.model} is an adapter, which --tp-plan does not share.",
            "Merge it into its model with peft's merge_and_unload, and save that.",
        )
    with _told(options, replace(source, name=options.model), filled.model.device):
        unused = apply_adapter(filled.model, options.model, Path(source.adapter))
    remark = f"the adapter {options.model} was applied to {source.name}"
    return replace(filled, unused=(*filled.unused, *unused), remark=remark)


def _draw_model(
    source: Source, options: LoadOptions, config: PreTrainedConfig, auto_model: Any
) -> _Filled:
    config = text_part(config)
    small = reduce(config, auto_model, options)
    model = build_random(small, auto_model, options)
    shrunken = small is not config
    return _Filled(
        model=model,
        remark=random_remark(describe(model, source.name).layers, shrunken=shrunken),
        tokenizer_problem=no_tokenizer(source.name) * shrunken,
    )


def _find_tokenizer(
    source: Source, options: LoadOptions, problem: str
) -> tuple[PreTrainedTokenizerBase | None, str]:
    """The adapter's tokenizer where it brings one, else its base's; none if a `problem` forbids."""
    if problem:
        return None, problem
    if source.adapter:
        brought = replace(source, name=options.model, location=source.adapter, local=True)
        tokenizer, _ = _read_tokenizer(brought, options)
        if tokenizer is not None:
            return tokenizer, ""
    return _read_tokenizer(source, options)


def _read_tokenizer(
    source: Source, options: LoadOptions
) -> tuple[PreTrainedTokenizerBase | None, str]:
    directory = Path(source.location)
    if source.local and not any((directory / file).is_file() for file in TOKENIZER_FILES):
        return None, f"{source.name} has no tokenizer"
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.location,
            **_where(source, options),
        )
    except Exception as error:  # a model whose tokenizer is broken can still read --ids
        return None, f"the tokenizer of {source.name} cannot be read ({one_line(error)})"
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # made up by transformers
        return None, f"{source.name} has no tokenizer"
    return tokenizer, ""
