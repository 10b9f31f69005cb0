"""Where a model runs."""

from __future__ import annotations

import torch

from attnscope.errors import LoadError


def choose_device(name: str) -> torch.device:
    """The device called `name`; `auto` is cuda, then mps, then cpu.

    Raises `LoadError` for a name that torch does not know and for a device that is not here.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
        "meta": False,  # holds shapes without numbers: nothing could be measured
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in here.items() if found))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        hint = "Use auto, cpu, cuda, cuda:1 or mps."
        raise LoadError(f"--device {name} is unknown.", hint) from error
    if not here.get(device.type, True):
        raise LoadError(
            f"--device {name}: PyTorch {torch.__version__} finds no such device here.",
            "Use --device cpu, or install a PyTorch built for it.",
        )
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise LoadError(
            f"--device {name}: there are {count} GPUs here.", "They are counted from cuda:0."
        )
    return device
