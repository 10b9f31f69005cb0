import subprocess
import sys

import torch
from torch.nn.attention.flex_attention import flex_attention

MODS = {
    "bias[i, j]": lambda bias: lambda score, b, h, i, j: score + bias[i, j],
    "bias[i][j]": lambda bias: lambda score, b, h, i, j: score + bias[i][j],
}


def drift(name):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 1, 16, 16).unbind(0)
    bias = torch.randn(16, 16)
    found = torch.compile(flex_attention)(query, key, value, score_mod=MODS[name](bias))
    weights = (query @ key.mT / 4 + bias).softmax(-1)
    return (found - weights @ value).abs().max().item()


if len(sys.argv) > 1:
    print(f"drift, {sys.argv[1]}: {drift(sys.argv[1]):.2g}")
else:
    for name in MODS:
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        ended = "by a signal" if done.returncode < 0 else "otherwise"  # 6 or 11, as it happens
        print(done.stdout.strip() or f"{name}: its process ended {ended}", flush=True)
