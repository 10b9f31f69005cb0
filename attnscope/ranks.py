"""Which of several processes this is: what launchers such as torchrun put in the environment."""

from __future__ import annotations

import os


def world() -> int:
    """Processes that were launched together; 1 for a command that was started alone."""
    launched = "RANK" in os.environ and os.environ.get("WORLD_SIZE", "").isdigit()
    return int(os.environ["WORLD_SIZE"]) if launched else 1


def rank() -> int:
    """The place of this process among them, from 0."""
    return int(os.environ["RANK"]) if world() > 1 else 0


def prints() -> bool:
    """True for the one process that prints what all have found."""
    return rank() == 0
