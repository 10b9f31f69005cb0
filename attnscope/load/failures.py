"""What the libraries raise while a model is loaded, told in one line.

The table is read from its top: the first kind that fits any exception in the chain of causes wins,
so the root of a failure is told instead of its symptom.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from huggingface_hub import errors as hub
from safetensors import SafetensorError

from attnscope.errors import LoadError

HTTPError: type[Exception] = hub.HTTPError  # type: ignore[attr-defined]
"""Of the HTTP client that this huggingface_hub uses: httpx, later httpx2."""

LONGEST_REASON = 240
"""Characters of a library's own words that still make one line."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""Terminal colours, which libraries put into messages."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure.

    The texts may use {model}, {place} (where it was looked for), {device}, {backend}, {revision},
    {transformers}, {reason} (the library's own words), {first} (their first sentence) and {found}
    (the pattern's first group).
    """

    raised: type[BaseException] | tuple[type[BaseException], ...]
    message: str
    hint: str
    pattern: str = ""


_DAMAGED = "Download or save it again; a file of a few hundred bytes is a git-lfs pointer."
_OFFLINE = (
    "Check the network, unset HF_HUB_OFFLINE if it is set, or use the bundled fable, which needs"
    " none."
)
_MEMORY = "Try --dtype bfloat16, a smaller model, --device cpu, or --device-map auto."
_PICKLE = "If it has pickles, which can run any code, pass --allow-pickle only if you trust them."

KINDS = (
    Kind(
        hub.GatedRepoError,
        "{model} is gated, and you have not been given access.",
        "Ask for it at https://huggingface.co/{model}, then log in with `hf auth login`.",
    ),
    Kind(
        hub.DisabledRepoError, "{model} has been disabled on the Hugging Face hub.", "Use another."
    ),
    Kind(
        hub.RepositoryNotFoundError,
        "{model} is no bundled model, no directory here and no model on the Hugging Face hub.",
        "Check the spelling (bundled: fable, textbook), or run `hf auth login` if it is private.",
    ),
    Kind(
        hub.RevisionNotFoundError,
        "{model} has no revision {revision}.",
        "See its branches and tags at https://huggingface.co/{model}/tree/main.",
    ),
    Kind(
        hub.HFValidationError,
        "{model} is no bundled model, no directory here and no valid hub id.",
        "Bundled: fable, textbook. A hub id looks like name or owner/name.",
    ),
    Kind(
        (hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError),
        "{model} is no bundled model, no directory here and not in the cache, and the Hugging Face"
        " hub cannot be reached.",
        _OFFLINE,
    ),
    Kind(
        hub.HfHubHTTPError,
        "The Hugging Face hub refused to give {model}: {reason}",
        "Try again later.",
    ),
    Kind(
        (HTTPError, ConnectionError, TimeoutError),
        "The connection to the Hugging Face hub failed while {model} was loaded: {reason}",
        _OFFLINE,
    ),
    Kind(
        (torch.OutOfMemoryError, MemoryError),
        "{model} does not fit into the memory of {device}.",
        _MEMORY,
    ),
    Kind(
        RuntimeError,
        "{model} does not fit into the memory of {device}.",
        _MEMORY,
        pattern=r"not enough memory|can't allocate memory|out of memory",
    ),
    Kind(SafetensorError, "The weights of {model} are damaged: {reason}", _DAMAGED),
    Kind(
        (pickle.UnpicklingError, RuntimeError),
        "The pickled weights of {model} are damaged, or hold more than plain tensors.",
        "Convert them to safetensors.",
        pattern=r"(?i)pickle|PytorchStreamReader|weights.only",
    ),
    Kind(
        OSError,
        "The config.json of {model} is not valid JSON.",
        "Open it in an editor: it may be cut short, or a comma may be missing.",
        pattern=r"config file at .* is not a valid JSON",
    ),
    Kind(
        (json.JSONDecodeError, UnicodeDecodeError),
        "A JSON file of {model} is damaged: {reason}",
        _DAMAGED,
    ),
    Kind(
        Exception,
        "{model} is of the architecture {found}, which transformers {transformers} does not know.",
        "Upgrade with `pip install --upgrade transformers`.",
        pattern=r"model type [`'\"](.+?)[`'\"] but Transformers does not recognize",
    ),
    Kind(
        Exception,
        "The config.json of {model} does not name an architecture.",
        "It needs a `model_type` that transformers knows, for example llama.",
        pattern=r"`model_type` key",
    ),
    Kind(
        hub.StrictDataclassError,
        "The config.json of {model} does not fit its architecture: {reason}",
        "Correct that field.",
    ),
    Kind(
        Exception,
        "{model} brings its own Python code, and loading it would run that code.",
        "Read the code, then pass --trust-remote-code if you trust it.",
        pattern=r"custom code|trust_remote_code",
    ),
    Kind(
        Exception,
        "{model} cannot run on the {backend} backend: {first}.",
        "--backend auto takes one that it supports.",
        pattern=r"(?i)flash.?att|flex.?attention|attn_implementation|scaled_dot_product_attention",
    ),
    Kind(
        (ImportError, ValueError),
        "--device-map needs the package accelerate.",
        "Run `pip install accelerate`.",
        pattern=r"accelerate",
    ),
    Kind(
        ValueError,
        "--device-map is not understood: {reason}",
        "auto spreads the model over all devices.",
        pattern=r"device_map",
    ),
    Kind(ImportError, "{model} needs a package that is not installed: {reason}", "Install it."),
    Kind(
        OSError,
        "{model} has no safetensors weights {place}.",
        _PICKLE,
        pattern=r"use_safetensors",
    ),
    Kind(
        (FileNotFoundError, hub.EntryNotFoundError),
        "A file of {model} is missing: {reason}",
        "Download or save the model again.",
    ),
    Kind(
        OSError,
        "{model} lacks the file {found}.",
        "Is it a model for transformers?",
        pattern=r"file named (\S+\w)",
    ),
    Kind(PermissionError, "A file of {model} may not be read: {reason}", "Check its permissions."),
    Kind(
        RuntimeError,
        "The weights of {model} could not be converted for transformers {transformers}.",
        "They are incomplete, or made for another version of the architecture.",
        pattern=r"conversion of the weights",
    ),
    Kind(OSError, "A file of {model} cannot be read: {reason}", _DAMAGED, pattern=r"^\[Errno"),
)

OTHER = Kind(Exception, "{model} could not be loaded: {reason}", "")


def explain(error: BaseException, words: Mapping[str, str]) -> LoadError:
    """The one line for what a library raised; `words` fill the texts (see `Kind`)."""
    chain = list(_chain(error))
    for kind in KINDS:
        for link in chain:
            if isinstance(link, kind.raised) and (found := re.search(kind.pattern, str(link))):
                return _tell(kind, link, {**words, "found": (found.groups() or ("",))[0]})
    return _tell(OTHER, error, words)


def one_line(error: BaseException) -> str:
    """An exception's own words, shortened to one line."""
    text = " ".join(COLOUR.sub("", str(error)).split()) or type(error).__name__
    if len(text) <= LONGEST_REASON:
        return text
    end = text.rfind(". ", 40, LONGEST_REASON)
    return text[: end + 1] if end > 0 else text[:LONGEST_REASON].rsplit(" ", 1)[0] + " …"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _tell(kind: Kind, error: BaseException, words: Mapping[str, str]) -> LoadError:
    reason = one_line(error)
    first = reason.split(". ")[0].rstrip(".")
    filled = {**words, "first": first, "reason": reason if reason[-1] in ".!?…" else f"{reason}."}
    return LoadError(kind.message.format_map(filled), kind.hint.format_map(filled))
