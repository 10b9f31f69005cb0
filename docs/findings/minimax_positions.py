import torch
from transformers import MiniMaxConfig, MiniMaxForCausalLM

torch.set_grad_enabled(False)


def drift(*kinds):
    """One cached step without position_ids against one pass."""
    torch.manual_seed(0)
    config = MiniMaxConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2, vocab_size=97, layer_types=[*kinds],
    )  # fmt: skip
    model = MiniMaxForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.randint(5, 90, (1, 9))
    store = model(ids[:, :8], use_cache=True).past_key_values
    step = model(ids[:, 8:], past_key_values=store).logits[0, -1]
    return (step - model(ids, use_cache=False).logits[0, -1]).abs().max().item()


print(f"drift: {drift('linear_attention', 'full_attention'):.2g}")
print(f"control, attention first: {drift('full_attention', 'linear_attention'):.2g}")
