"""Where a model comes from: bundled with the package, a local directory, or the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from attnscope.errors import LoadError

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


def find_source(name: str, *, allow_pickle: bool = False) -> Source:
    """Decide what `name` means: a bundled model, else an existing directory, else a hub id.

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
    _require_model_files(name, directory, allow_pickle=allow_pickle)
    return Source(name=name, location=str(directory), local=True, default_prompt=prompt)


def _is_written_as_path(name: str) -> bool:
    parts = name.replace(os.sep, "/").split("/")
    return len(parts) > 2 or parts[0] in {"", ".", "..", "~"} or parts[-1] == ""


def _require_model_files(name: str, directory: Path, *, allow_pickle: bool) -> None:
    if not directory.exists():
        raise LoadError(f"{name}: no such directory.", "Check the path.")
    if not directory.is_dir():
        raise LoadError(f"{name} is a file, not a directory.", "Give the directory that holds it.")
    if not (directory / "config.json").is_file():
        raise LoadError(f"{name} holds no config.json.", _advice_without_config(directory))
    readable = (*SAFETENSORS, *PICKLES) if allow_pickle else SAFETENSORS
    if any((directory / file).is_file() for file in readable):
        return
    pickles = sorted(file.name for file in directory.iterdir() if file.suffix in PICKLE_ENDINGS)
    if pickles and not allow_pickle:
        raise LoadError(
            f"{name} holds only pickled weights ({pickles[0]}), and a pickle can run any code.",
            "Convert them to safetensors, or pass --allow-pickle if you trust them.",
        )
    raise LoadError(f"{name} holds no weights.", f"Looked for {' and '.join(readable)}.")


def _advice_without_config(directory: Path) -> str:
    if (directory / "adapter_config.json").is_file():
        return "It is an adapter: merge it into its base model first."
    nested = sorted(file.parent.name for file in directory.glob("*/config.json"))
    if nested:
        return f"Did you mean {directory / nested[0]}?"
    return "Give the directory that `save_pretrained` wrote."
