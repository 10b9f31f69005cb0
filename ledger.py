import json
import os
from pathlib import Path

from attnscope.census.ledger import Heading, Ledger, read
from attnscope.records.census import Row

h = Heading(versions=(("a", "1"),), date="2026-11-22", quick=True, backends=("eager",), seed=0)
d = Path("/tmp/triage/r/led")
d.mkdir(exist_ok=True)
# symlink
(d / "real.jsonl").write_text("")
if (d / "link.jsonl").is_symlink() or (d / "link.jsonl").exists():
    (d / "link.jsonl").unlink()
(d / "link.jsonl").symlink_to("real.jsonl")
L = Ledger(d / "link.jsonl", h)
L.add(Row(model_type="x", state="pass"))
L.close()
print(
    "symlink kept:", (d / "link.jsonl").is_symlink(), "real size", (d / "real.jsonl").stat().st_size
)
# device
try:
    p = d / "null"
    if p.exists():
        p.unlink()
    os.mknod(p, 0o666 | 0o020000, os.makedev(1, 3))
    L = Ledger(p, h)
    L.close()
    import stat

    print("device still device:", stat.S_ISCHR(p.stat().st_mode))
except Exception as e:
    print("dev", type(e), e)
# U+2028
p = d / "u.jsonl"
p.unlink(missing_ok=True)
L = Ledger(p, h)
L.add(Row(model_type="x", state="fail", reason="a\u2028b"))
L.close()
try:
    print(read(p).rows)
except Exception as e:
    print("u2028:", e)
# no newline at end
p = d / "n.jsonl"
p.unlink(missing_ok=True)
L = Ledger(p, h)
L.add(Row(model_type="x", state="pass"))
L.add(Row(model_type="y", state="fail"))
L.close()
p.write_text(p.read_text().rstrip("\n"))
print("rows without final newline:", [r.key for r in read(p).rows])
# two at once
p = d / "two.jsonl"
p.unlink(missing_ok=True)
A = Ledger(p, h)
A.add(Row(model_type="a1", state="fail"))
B = Ledger(p, h)
A.add(Row(model_type="a2", state="fail"))
B.add(Row(model_type="b1", state="pass"))
A.close()
B.close()
print("two at once:", [r.key for r in read(p).rows])
# bad rows
p = d / "bad.jsonl"
base = (d / "two.jsonl").read_text().splitlines()
r = json.loads(base[1])
r["state"] = "banana"
r["seconds"] = "x"
p.write_text(base[0] + "\n" + json.dumps(r) + "\n")
r["seconds"] = 1.0
(d / "bad2.jsonl").write_text(base[0] + "\n" + json.dumps(r) + "\n")
r["state"] = "pass"
r["families"] = [["influence", "zzz"]]
(d / "bad3.jsonl").write_text(base[0] + "\n" + json.dumps(r) + "\n")
