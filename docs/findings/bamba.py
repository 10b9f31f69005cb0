import torch
from transformers import BambaConfig, BambaForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 97}
mamba = {"mamba_n_heads": 8, "mamba_d_state": 8, "mamba_chunk_size": 8, "num_key_value_heads": 2}
config = BambaConfig(num_hidden_layers=3, attn_layer_indices=[0], **sizes, **mamba)
model = BambaForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 20))
plain = model(ids).logits


def drift(positions):
    out = model(ids[:, :10], use_cache=True)
    for at in range(10, 20):
        given = {"position_ids": torch.tensor([[at]])} if positions else {}
        out = model(ids[:, at : at + 1], past_key_values=out.past_key_values, **given)
    return (out.logits[:, -1] - plain[:, -1]).abs().max().item()


print("drift:", f"{drift(False):.2g}")
print("control, with position_ids:", f"{drift(True):.2g}")
