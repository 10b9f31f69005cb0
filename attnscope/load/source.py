"""Where a model comes from: bundled with the package, a local directory, or the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from attnscope.errors import LoadError
from attnscope.load import adapter

BUNDLED = {
    "fable": "The cat sat on the mat, and the cat sat on the",
    "textbook": "The cat sat on mat",
}
"""The models that ship with the package, and a prompt that suits each."""

DEFAULT_PROMPT = "The cat sat on the mat, and the dog sat on the rug"
"""The prompt for every other model."""

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""File names that transformers looks for; an index names the parts of weights in many files."""

PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that transformers can load from."""

    name: str
    """As asked for."""
    location: str
    """A directory that exists, or a hub id."""
    local: bool
    """True for a directory."""
    default_prompt: str
    """What to read when no prompt is given."""
    adapter: str = ""
    """The directory of an adapter that is put on this model; empty without one."""
    revision: str | None = None
    """The revision that an adapter asks for; None leaves it to the options."""
    online: bool = False
    """True when files may be fetched from the hub; otherwise only its cache is read."""

    @property
    def weight_bytes(self) -> int:
        """Size of a local model's weight files in bytes; 0 for a hub id."""
        if not self.local:
            return 0
        endings = (".safetensors", *PICKLE_ENDINGS)
        files = (file for file in Path(self.location).iterdir() if file.suffix in endings)
        return sum(file.stat().st_size for file in files)


def find_source(name: str, *, allow_pickle: bool = False, weights: bool = True) -> Source:
    """Decide what `name` means: a bundled model, else an existing directory, else a hub id.

    For an adapter's directory it is the source of the base model. With `weights` False, a
    config.json is all that a directory needs.

    Raises `LoadError` for a path that does not exist or holds no complete model.
    """
    if not name.strip():
        raise LoadError("--model is empty.", f"Bundled models: {', '.join(BUNDLED)}.")
    if name in BUNDLED:
        # Not importlib.resources: transformers needs a real directory, not a zip's member.
        directory = Path(__file__).parents[1] / "models" / name / "weights"
        prompt = BUNDLED[name]
    else:
        directory, prompt = Path(name).expanduser(), DEFAULT_PROMPT
        if not directory.exists() and not _is_written_as_path(name):
            return Source(name=name, location=name, local=False, default_prompt=prompt)
    if _is_adapter(name, directory, weights=weights):
        return _base_source(name, directory, allow_pickle=allow_pickle, weights=weights)
    _require_model_files(name, directory, allow_pickle=allow_pickle, weights=weights)
    return Source(name=name, location=str(directory), local=True, default_prompt=prompt)


def _is_adapter(name: str, directory: Path, *, weights: bool) -> bool:
    if not (directory / adapter.CONFIG).is_file():
        return False
    if not weights:
        return not (directory / "config.json").is_file()
    if any((directory / file).is_file() for file in (*SAFETENSORS, *PICKLES)):
        raise adapter.mixed(name)
    return True


def _base_source(name: str, directory: Path, *, allow_pickle: bool, weights: bool) -> Source:
    base, revision = adapter.read_base(name, directory)
    if not weights:
        raise LoadError(
            f"{name} is an adapter, and --weights random needs the config of a whole model.",
            f"Give its base model, {base}.",
        )
    adapter.require_adapter_files(name, directory, allow_pickle=allow_pickle)
    beside = directory / base
    place = str(beside) if beside.is_dir() and not Path(base).exists() else base
    if place not in BUNDLED and _is_adapter(base, Path(place).expanduser(), weights=weights):
        raise LoadError(
            f"{name} is an adapter, and so is its base model {base}.",
            "Merge that one into its own base model first.",
        )
    try:
        source = find_source(place, allow_pickle=allow_pickle)
    except LoadError as error:
        raise LoadError(
            f"{name} is an adapter, and its base model is not here: {error.message}",
            f"base_model_name_or_path in its {adapter.CONFIG} names the base model. {error.hint}",
        ) from error
    return replace(source, adapter=str(directory), revision=None if source.local else revision)


def _is_written_as_path(name: str) -> bool:
    parts = name.replace(os.sep, "/").split("/")
    return len(parts) > 2 or parts[0] in {"", ".", "..", "~"} or parts[-1] == ""


def _require_model_files(name: str, directory: Path, *, allow_pickle: bool, weights: bool) -> None:
    if not directory.exists():
        raise LoadError(f"{name}: no such directory.", "Check the path.")
    if not directory.is_dir():
        raise LoadError(f"{name} is a file, not a directory.", "Give the directory that holds it.")
    if not (directory / "config.json").is_file():
        raise LoadError(f"{name} holds no config.json.", _advice_without_config(directory))
    readable = (*SAFETENSORS, *PICKLES) if allow_pickle else SAFETENSORS
    if not weights or any((directory / file).is_file() for file in readable):
        return
    pickles = sorted(file.name for file in directory.iterdir() if file.suffix in PICKLE_ENDINGS)
    if pickles and not allow_pickle:
        raise LoadError(
            f"{name} holds only pickled weights ({pickles[0]}), and a pickle can run any code.",
            "Convert them to safetensors, or pass --allow-pickle if you trust them.",
        )
    raise LoadError(f"{name} holds no weights.", f"Looked for {' and '.join(readable)}.")


def _advice_without_config(directory: Path) -> str:
    nested = sorted(file.parent.name for file in directory.glob("*/config.json"))
    if nested:
        return f"Did you mean {directory / nested[0]}?"
    return "Give the directory that `save_pretrained` wrote."
