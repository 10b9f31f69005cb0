import torch
from transformers import NemotronHConfig, NemotronHForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = NemotronHConfig(
    vocab_size=97, hidden_size=64, intermediate_size=128, num_attention_heads=4, head_dim=16,
    num_key_value_heads=2, layer_types=["linear_attention", "full_attention"], mamba_num_heads=8,
    mamba_head_dim=16, n_groups=2, ssm_state_size=16, chunk_size=8,
)  # fmt: skip
model = NemotronHForCausalLM(config).double().eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.3) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 24))


def drift():
    """One pass against a prefill of 8 tokens and single steps after it, in float64."""
    store, steps = None, []
    for piece in ids.split([8] + [1] * 16, 1):
        out = model(piece, past_key_values=store, use_cache=True)
        store, steps = out.past_key_values, [*steps, out.logits]
    return (model(ids, use_cache=False).logits - torch.cat(steps, 1)).abs().max().item()


print(f"drift: {drift():.2g}")
model.model.layers[0].mixer.time_step_limit = (0.0, float("inf"))  # as the config's own field says
print(f"control, time_step_limit of the config: {drift():.2g}")
