import torch
from transformers import XLMConfig, XLMWithLMHeadModel

torch.set_grad_enabled(False)


def leak(**options):
    torch.manual_seed(0)
    config = XLMConfig(vocab_size=97, emb_dim=64, n_heads=4, n_layers=2, **options)
    model = XLMWithLMHeadModel(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.randint(10, 90, (1, 12))
    other = ids.clone()
    other[0, 9] = (ids[0, 9] - 10 + 7) % 80 + 10
    return (model(ids).logits - model(other).logits)[0, :9].abs().max().item()


print("leak:", f"{leak():.2g}")
print("with causal=True:", f"{leak(causal=True):.2g}")
