import torch
from transformers import MiniMaxConfig, MiniMaxForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = MiniMaxConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, num_local_experts=2, vocab_size=97,
    layer_types=["full_attention", "linear_attention"],
)  # fmt: skip
model = MiniMaxForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None


def run(one, two, reorder):
    """Both rows are read, the cache keeps the second one twice; row 0 then reads one token."""
    store = model(torch.cat([one, two])[:, :8], use_cache=True).past_key_values
    reorder(store)(torch.tensor([1, 1]))
    return model(torch.cat([two, two])[:, 8:], past_key_values=store).logits[0, -1]


dropped, kept = torch.randint(5, 90, (2, 1, 9))
full = model(kept, use_cache=False).logits[0, -1]
drifts = [
    (run(dropped, kept, reorder) - full).abs().max().item()
    for reorder in (lambda store: store.reorder_cache, lambda store: store.batch_select_indices)
]
print(f"drift: {drifts[0]:.2g}")
print(f"control, with batch_select_indices instead of reorder_cache: {drifts[1]:.2g}")
