import os
import time

from attnscope.records.census import Row


def sleepy(case, ask):
    open(f"/tmp/triage/r/pid.{case.model_type}", "w").write(str(os.getpid()))
    time.sleep(300)
    return Row(model_type=case.model_type, state="pass")


def big(case, ask):
    return Row(model_type=case.model_type, state="pass", reason="x" * 3_000_000)


def midsend(case, ask):
    # dies while sending: reason of 3 MB, a thread kills
    class R:
        pass

    return Row(model_type=case.model_type, state="pass", reason="x" * 300_000_000)
