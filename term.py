import sys

sys.path.insert(0, "/tmp/triage/r")
import multiprocessing

from attnscope.census import workers

orig = workers._context


def ctx():
    c = multiprocessing.get_context("forkserver")
    c.set_forkserver_preload(["slow"])
    return c


workers._context = ctx
import slow
from attnscope.census.cases import Case

if __name__ == "__main__":
    mode = sys.argv[1]
    f = getattr(slow, mode)
    lim = float(sys.argv[2])
    for row in workers.judged(
        [Case(model_type="t")], f, None, jobs=1, limit=lim, watch=lambda n: None
    ):
        print(row.state, row.reason[:80], len(row.reason))
