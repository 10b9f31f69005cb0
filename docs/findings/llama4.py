import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

torch.set_grad_enabled(False)


def drift(tuning):
    """Nine tokens alone, and with three pads before them, as generate() gives positions."""
    torch.manual_seed(0)
    config = Llama4TextConfig(
        vocab_size=97, hidden_size=64, intermediate_size=64, intermediate_size_mlp=128,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        num_local_experts=2, no_rope_layers=[1, 0], floor_scale=4, attn_temperature_tuning=tuning,
    )  # fmt: skip
    model = Llama4ForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    tokens = torch.randint(5, 90, (1, 9))
    mask = torch.tensor([[0] * 3 + [1] * 9])
    places = (mask.cumsum(1) - 1).clamp(min=0)
    both = torch.cat([torch.ones(1, 3, dtype=torch.long), tokens], 1)
    padded = model(both, attention_mask=mask, position_ids=places, use_cache=False).logits[:, 3:]
    return (padded - model(tokens, use_cache=False).logits).abs().max().item()


print(f"drift: {drift(True):.2g}")
print(f"control, attn_temperature_tuning=False: {drift(False):.2g}")
