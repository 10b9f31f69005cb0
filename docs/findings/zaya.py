import torch
from transformers import ZayaConfig, ZayaForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = ZayaConfig(
    vocab_size=97, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, num_experts=2, moe_intermediate_size=32,
    router_hidden_size=16, eos_token_id=None,
)  # fmt: skip
model = ZayaForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
places = torch.tensor([[*range(6), *range(9)]])
first, other, second = (torch.randint(5, 90, (1, length)) for length in (6, 6, 9))


def apart(run):
    """The projection of each document on its own."""

    def forward(states, store, mask):
        parts = [run(part, store, mask) for part in states.split([6, 9], 1)]
        return [torch.cat(part, 1) for part in zip(*parts)]

    return forward


def leak():
    """The second document after one document, and after another."""
    one, two = (
        model(torch.cat([before, second], 1), position_ids=places, use_cache=False).logits[0, 6:]
        for before in (first, other)
    )
    return (one - two).abs().max().item()


print(f"leak: {leak():.2g}")
for layer in model.model.layers:
    layer.self_attn.qkv_proj.forward = apart(layer.self_attn.qkv_proj.forward)
print(f"control, qkv_proj run on each document alone: {leak():.2g}")
