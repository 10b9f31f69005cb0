import torch
from torch import nn

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
x = torch.randn(1, 7, 16)
other = x.clone()
other[0, 6] += 1
mask = nn.Transformer.generate_square_subsequent_mask(7)


def moved(**given):
    with torch.no_grad():
        return (layer(x, **given) - layer(other, **given))[0, :6].abs().max().item()


print(f"leak: {moved(is_causal=True):.2g}")
print(f"control, with the mask: {moved(src_mask=mask, is_causal=True):.2g}")
torch.backends.mha.set_fastpath_enabled(False)
try:
    moved(is_causal=True)
except RuntimeError as error:
    print("control, without the fast path:", str(error).split(".")[0])
