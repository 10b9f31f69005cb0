"""What each of two processes runs in test_parallel.py: like a command.

two_ranks.py MODEL JOB FILE
"""

from __future__ import annotations

import os
import sys

import torch

from attnscope import LoadOptions, ranks
from attnscope.api import heads_of
from attnscope.cli.exit import told
from attnscope.cli.options import Format
from attnscope.cli.output import Answer, deliver
from attnscope.heads_options import HeadsOptions
from attnscope.load import load, tokens_from_ids
from attnscope.load.parallel import together

IDS = [5, 9, 23, 5, 9, 23, 40, 1, 2, 5, 9, 40]


def main(model: str, job: str, file: str) -> None:
    with together("auto"):
        loaded = load(LoadOptions(model=model, tp_plan="auto"))
        if job == "fail" and ranks.rank() == 1:
            raise torch.OutOfMemoryError("no room")
        tokens = tokens_from_ids(loaded, IDS)
        found = heads_of(loaded, tokens, HeadsOptions(views=((0, 1), (1, 6))))
    assert not torch.distributed.is_initialized()
    torch.save(found, f"{file}{ranks.rank()}.pt")
    title = "two ranks"
    data = {"rank": ranks.rank(), "heads": len(found.focus)}
    deliver(Answer(title=title, page=lambda: title, data=lambda: data), Format.json, None, None)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(told(error))
