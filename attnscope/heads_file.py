"""What `heads` found as one safetensors file: read again without the model, and nothing is run.

Tensors hold the numbers, JSON in the file's metadata the words. A file that is written by a newer
format, damaged or something else altogether is refused in one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from math import nan
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from attnscope.errors import LoadError
from attnscope.files import write
from attnscope.records import HeadFocus, Heads, HeadView, ModelInfo, Role, Tokens

FORMAT, VERSION = "attnscope-heads", 1
"""What the metadata's `format` and `version` say."""
_LONGEST_HEADER = 100_000_000
"""Bytes: safetensors' own limit."""
_KINDS = {"int": torch.int64, "bool": torch.bool}
_DTYPES: dict[str, torch.dtype] = {
    one.name: _KINDS.get(str(one.type), torch.float64)
    for one in fields(HeadFocus)
    if one.name != "role"
}
"""Of the columns of `focus`: one entry a head; words are elsewhere."""
_OPTIONAL = tuple(one.name for one in fields(HeadFocus) if "None" in str(one.type))
_PLACE = ("layer", "head", "pool", "first query", "first key")
"""Columns of `views`."""


def save_heads(heads: Heads, path: str | Path) -> None:
    """Write everything that `heads` found to `path`, all or nothing.

    Raises OutputError when it cannot be written.
    """
    tensors = {
        **_focus_columns(heads.focus),
        "tokens.id": torch.tensor(heads.tokens.ids, dtype=torch.int64),
        "tokens.special": torch.tensor(heads.tokens.special, dtype=torch.bool),
        "windows": torch.tensor(heads.windows, dtype=torch.int64).reshape(-1, 2),
        "layers": torch.tensor(heads.layers, dtype=torch.int64),
        "received": heads.received.float(),
        "seconds": torch.tensor(heads.seconds, dtype=torch.float64),
        **_view_tensors(heads.views),
    }
    spelled = list(zip(heads.tokens.texts, heads.tokens.labels, strict=True))
    pieces = {piece: index for index, piece in enumerate(dict.fromkeys(spelled))}
    tensors["tokens.piece"] = torch.tensor([pieces[one] for one in spelled], dtype=torch.int64)
    words = {
        "model": asdict(heads.model),
        "pieces": list(pieces),
        "roles": [one.role for one in heads.focus],
        "reasons": [view.reason for view in heads.views],
        "notes": heads.notes,
        "unchecked": heads.unchecked,
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "words": json.dumps(words)}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(Path(path), safetensors_bytes(plain, metadata))


def load_heads(path: str | Path) -> Heads:
    """What `save_heads` wrote, equal in every field. Needs no model and runs no code.

    Raises LoadError when it cannot be read or is no such file.
    """
    try:
        with Path(path).open("rb") as stream:
            header = stream.read(8)
            header += stream.read(min(int.from_bytes(header, "little"), _LONGEST_HEADER))
            words = _words(header[8:], str(path))  # before gigabytes of something else are read
            content = header + stream.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LoadError(f"{str(path)!r} cannot be read: {reason}.") from error
    try:
        return _restored(_Tensors(parse_tensors(content)), words)
    except (_DamageError, SafetensorError, KeyError, TypeError, ValueError) as error:
        told = f"it holds no {error}" if isinstance(error, KeyError) else str(error)
        raise LoadError(f"{str(path)!r} is damaged: {told}.", "Save it again.") from error


class _DamageError(Exception):
    """What does not fit, in words."""


def _require(fits: bool, told: str) -> None:
    if not fits:
        raise _DamageError(told)


class _Tensors:
    """The file's tensors, each asked for with the dtype and shape that it must have."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def get(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """The tensor; a size of -1 is free."""
        tensor = self._tensors[name]
        _require(tensor.dtype == dtype, f"{name!r} holds {tensor.dtype}, not {dtype}")
        same = len(shape) == tensor.ndim and all(
            size in (-1, real) for size, real in zip(shape, tensor.shape, strict=True)
        )
        _require(same, f"{name!r} has the shape {tuple(tensor.shape)}")
        return tensor


def _focus_columns(focus: tuple[HeadFocus, ...]) -> dict[str, Tensor]:
    columns = {}
    for name, dtype in _DTYPES.items():
        values = [getattr(one, name) for one in focus]
        known = [nan if value is None else value for value in values]
        columns[f"focus.{name}"] = torch.tensor(known, dtype=dtype)
        if name in _OPTIONAL:  # a measured NaN is something else than no value
            columns[f"focus.{name}.none"] = torch.tensor([one is None for one in values]).bool()
    return columns


def _view_tensors(views: tuple[HeadView, ...]) -> dict[str, Tensor]:
    place = [(view.layer, view.head, view.pool, *view.origin) for view in views]
    tensors = {
        "views": torch.tensor(place, dtype=torch.int64).reshape(-1, len(_PLACE)),
        "views.verified": torch.tensor([view.verified for view in views], dtype=torch.bool),
        "views.difference": torch.tensor([view.difference for view in views], dtype=torch.float64),
    }
    for index, view in enumerate(views):
        tensors[f"view.{index}.weights"] = view.weights.double()
        tensors[f"view.{index}.future"] = view.future
    return tensors


def _words(header: bytes, path: str) -> Any:
    """The metadata's JSON, once it is clear that the file is one of ours."""
    metadata = _object(header, path).get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise LoadError(
            f"{path!r} holds tensors, but nothing that `attnscope heads --save` wrote.",
            "Give the file that was saved.",
        )
    version = str(metadata.get("version"))
    if version != str(VERSION):
        newer = version.isascii() and version.isdigit() and int(version[:9]) > VERSION
        raise LoadError(
            f"{path!r} is of format {version[:9]!r}, and this attnscope reads {VERSION}.",
            "Update attnscope." if newer else "Save it again.",
        )
    try:
        return json.loads(str(metadata.get("words")))
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path!r} is damaged: its words are no JSON.", "Save it again.") from error


def _object(header: bytes, path: str) -> dict[str, Any]:
    """The JSON that stands before a safetensors file's tensors."""
    try:
        found = json.loads(header.decode())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise LoadError(
            f"{path!r} is no safetensors file, or only the beginning of one.",
            "Give a file that `attnscope heads --save` wrote.",
        )
    return found


def _restored(tensors: _Tensors, words: Any) -> Heads:
    _require(isinstance(words, dict), "its words are no object")
    tokens = _tokens(tensors, words["pieces"])
    layers = tensors.get("layers", torch.int64, -1).tolist()
    return Heads(
        model=_model(words["model"]),
        tokens=tokens,
        windows=_windows(tensors.get("windows", torch.int64, -1, 2), len(tokens)),
        focus=_focus(tensors, words["roles"], len(tokens)),
        layers=tuple(layers),
        received=tensors.get("received", torch.float32, len(layers), len(tokens)),
        views=_views(tensors, words["reasons"]),
        seconds=float(tensors.get("seconds", torch.float64)),
        notes=_sentences(words["notes"], "notes"),
        unchecked=_sentences(words["unchecked"], "unchecked"),
    )


def _sentences(words: Any, name: str) -> tuple[str, ...]:
    fits = isinstance(words, list) and all(isinstance(one, str) for one in words)
    _require(fits, f"its {name} are no list of words")
    return tuple(words)


def _model(told: Any) -> ModelInfo:
    _require(isinstance(told, dict), "its model is no object")
    for one in fields(ModelInfo):
        fits = type(told[one.name]).__name__ == one.type
        _require(fits, f"the model's {one.name} is no {one.type}")
    return ModelInfo(**told)


def _tokens(tensors: _Tensors, pieces: Any) -> Tokens:
    ids = tensors.get("tokens.id", torch.int64, -1).tolist()
    places = tensors.get("tokens.piece", torch.int64, len(ids)).tolist()
    fits = isinstance(pieces, list) and all(len(_sentences(one, "tokens")) == 2 for one in pieces)
    _require(fits, "its tokens are no list of texts and labels")
    _require(all(0 <= one < len(pieces) for one in places), "a token has no text")
    return Tokens(
        ids=tuple(ids),
        texts=tuple(pieces[one][0] for one in places),
        labels=tuple(pieces[one][1] for one in places),
        special=tuple(tensors.get("tokens.special", torch.bool, len(ids)).tolist()),
    )


def _windows(table: Tensor, tokens: int) -> tuple[tuple[int, int], ...]:
    windows = tuple((first, stop) for first, stop in table.tolist())
    ends = [0, *(stop for _, stop in windows)]
    fits = ends[-1] == tokens and all(
        first == end and stop > first for (first, stop), end in zip(windows, ends, strict=False)
    )
    _require(fits, "its windows do not follow one another over all tokens")
    return windows


def _focus(tensors: _Tensors, roles: Any, tokens: int) -> tuple[HeadFocus, ...]:
    known = get_args(Role)
    _require(all(role in known for role in _sentences(roles, "roles")), "a role has no such name")
    columns: dict[str, list[Any]] = {"role": list(roles)}
    for name, dtype in _DTYPES.items():
        values = tensors.get(f"focus.{name}", dtype, len(roles)).tolist()
        if name in _OPTIONAL:
            none = tensors.get(f"focus.{name}.none", torch.bool, len(roles)).tolist()
            values = [
                None if is_none else value for value, is_none in zip(values, none, strict=True)
            ]
        columns[name] = values
    for name in ("layer", "head", "kv_head", "strongest_key"):
        _require(all(value >= 0 for value in columns[name]), f"a head's {name} is negative")
    _require(all(key < tokens for key in columns["strongest_key"]), "a strongest key is no token")
    rows = zip(*columns.values(), strict=True)
    return tuple(HeadFocus(**dict(zip(columns, row, strict=True))) for row in rows)


def _views(tensors: _Tensors, reasons: Any) -> tuple[HeadView, ...]:
    places = tensors.get("views", torch.int64, len(_sentences(reasons, "reasons")), len(_PLACE))
    verified = tensors.get("views.verified", torch.bool, len(reasons)).tolist()
    difference = tensors.get("views.difference", torch.float64, len(reasons)).tolist()
    views = []
    for index, (layer, head, pool, query, key) in enumerate(places.tolist()):
        weights = tensors.get(f"view.{index}.weights", torch.float64, -1, -1)
        sizes = (pool, *weights.shape)
        fits = min(layer, head, query, key) >= 0 and min(sizes) > 0
        _require(fits, "a view lies nowhere")
        future = tensors.get(f"view.{index}.future", torch.bool, *weights.shape)
        views.append(
            HeadView(
                layer=layer, head=head, reason=reasons[index], verified=verified[index],
                difference=difference[index], weights=weights, future=future, pool=pool,
                origin=(query, key),
            )
        )  # fmt: skip
    return tuple(views)
