import torch
from transformers import XLNetConfig, XLNetLMHeadModel

torch.set_grad_enabled(False)


def leak(attn_type, **inputs):
    torch.manual_seed(0)
    size = {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128, "vocab_size": 97}
    model = XLNetLMHeadModel(XLNetConfig(attn_type=attn_type, **size)).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.randint(5, 90, (1, 12))
    other = ids.clone()
    other[0, 9] = (ids[0, 9] + 7) % 90
    one, two = (model(each, **inputs).logits for each in (ids, other))
    return (one - two)[0, :9].abs().max().item()


print("leak:", f"{leak('bi'):.2g}")
print("bi, a triangular perm_mask:", f"{leak('bi', perm_mask=torch.ones(1, 12, 12).triu(1)):.2g}")
print("uni:", f"{leak('uni'):.2g}")
