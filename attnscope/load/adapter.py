"""An adapter (PEFT): small weights that are put on a base model, which they name."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import PreTrainedModel

from attnscope.errors import LoadError
from attnscope.load.weights import NAMED, WeightReport, and_more

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"

PREFIX = "base_model.model."
"""How PEFT's files begin the name of every parameter."""


def read_base(name: str, directory: Path) -> tuple[str, str | None]:
    """The base model that an adapter names, and its revision.

    Raises `LoadError` where the adapter's config is damaged or names none.
    """
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise LoadError(
            f"The {CONFIG} of {name} is not valid JSON.",
            "Open it in an editor: it may be cut short, or a comma may be missing.",
        ) from error
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not (isinstance(base, str) and base.strip()):
        raise LoadError(
            f"The {CONFIG} of {name} does not name its base model.",
            "Set base_model_name_or_path to the model that the adapter was trained on.",
        )
    revision = config.get("revision")
    return base, revision if isinstance(revision, str) and revision else None


def require_adapter_files(name: str, directory: Path, *, allow_pickle: bool) -> None:
    """Raise `LoadError` without adapter weights that may be read, and without the package peft."""
    pickled = (directory / PICKLE).is_file()
    if not (directory / WEIGHTS).is_file() and not (pickled and allow_pickle):
        if pickled:
            raise LoadError(
                f"{name} holds only pickled adapter weights ({PICKLE}), and a pickle can run any"
                " code.",
                "Convert them to safetensors, or pass --allow-pickle if you trust them.",
            )
        raise LoadError(f"{name} holds no adapter weights.", f"Looked for {WEIGHTS}.")
    if find_spec("peft") is None:
        raise LoadError(
            f"{name} is an adapter, and adapters need the package peft.", "Run `pip install peft`."
        )


def mixed(name: str) -> LoadError:
    """For a whole model with an adapter beside its weights.

    transformers puts such an adapter on the model, or on the base that the adapter names (5.3),
    or leaves it out (without peft), and then no longer tells whether the model is complete.
    """
    return LoadError(
        f"{name} holds both a whole model and an adapter ({CONFIG}).",
        "Move the adapter to a directory of its own, with the model as its base.",
    )


def apply_adapter(model: PreTrainedModel, name: str, directory: Path) -> tuple[str, ...]:
    """Put the adapter on its base model; what it stores and the model has no place for is returned.

    Raises `LoadError` when a stored shape differs from the model's, or a parameter is missing.
    """
    adapted: Any = model
    info = adapted.load_adapter(
        str(directory),
        adapter_kwargs={"local_files_only": True},
        use_safetensors=(directory / WEIGHTS).is_file(),  # None would not find pickles
        # So that misfits are told below by name and shape; they are never ignored.
        ignore_mismatched_sizes=True,
    )
    if info is None:  # older versions of transformers only log what they found out
        report = _compare(adapted, directory)
    else:
        report = WeightReport(info.missing_keys, info.mismatched_keys, info.unexpected_keys)
    _require_fit(name, report)
    return tuple(sorted(report.unused))


def _require_fit(name: str, report: WeightReport) -> None:
    hint = "It was trained on another base model, or its file is incomplete."
    for key, stored, needed in sorted(report.misfits)[:1]:
        raise LoadError(
            f"The adapter {name} does not fit its base model: {key} is stored as {tuple(stored)}"
            f" and needed as {tuple(needed)}{and_more(len(report.misfits) - 1)}.",
            hint,
        )
    if report.missing:
        raise LoadError(
            f"The adapter {name} lacks {', '.join(sorted(report.missing)[:NAMED])}"
            f"{and_more(len(report.missing) - NAMED)}.",
            hint,
        )


def _compare(adapted: Any, directory: Path) -> WeightReport:
    """The adapter's parameters in the model against those in its file."""
    needed = {key: tuple(value.shape) for key, value in adapted.get_adapter_state_dict().items()}
    stored = _stored_shapes(directory) or needed
    misfits = [
        (key, stored[key], shape)
        for key, shape in needed.items()
        if stored.get(key, shape) != shape
    ]
    return WeightReport(needed.keys() - stored.keys(), misfits, stored.keys() - needed.keys())


def _stored_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Parameter to shape; empty for pickles, which are not opened a second time."""
    if not (directory / WEIGHTS).is_file():
        return {}
    with safe_open(directory / WEIGHTS, framework="pt") as file:
        names = file.keys()
        return {
            name.removeprefix(PREFIX): tuple(file.get_slice(name).get_shape()) for name in names
        }
