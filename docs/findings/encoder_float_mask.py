import torch
from torch import nn

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
x, time = torch.randn(1, 7, 16), torch.arange(7)
causal = torch.zeros(7, 7).masked_fill(time[:, None] < time, -torch.inf)
biased = causal - 0.5 * (time[:, None] - time).clamp(min=0)


def run(mask, fast):
    torch.backends.mha.set_fastpath_enabled(fast)
    with torch.no_grad():
        return layer(x, src_mask=mask)


for name, mask in (("apart", biased), ("control, the same mask of 0 and -inf", causal)):
    gap = (run(mask, fast=True) - run(mask, fast=False)).abs().max().item()
    print(f"{name}: {0 if gap < 1e-5 else gap:.2g}")
itself = torch.zeros(7, 7).masked_fill(~torch.eye(7, dtype=torch.bool), -torch.inf)
gap = (run(biased, fast=True) - run(itself, fast=True)).abs().max().item()
print(f"from a mask that leaves each token itself: {gap:.2g}")
