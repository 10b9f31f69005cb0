import torch
from transformers import Zamba2Config, Zamba2ForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 97}
mamba = {"mamba_d_state": 8, "n_mamba_heads": 8, "mamba_ngroups": 1, "chunk_size": 8}
kinds = {"num_hidden_layers": 2, "layers_block_type": ["mamba", "hybrid"], "num_mem_blocks": 1}
config = Zamba2Config(**sizes, **mamba, **kinds, adapter_rank=8)
model = Zamba2ForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.3) if parameter.dim() > 1 else None
model = model.double()
ids = torch.randint(5, 90, (1, 24))


def drift(limit):
    for layer in model.model.layers:
        getattr(layer, "mamba_decoder", layer).mamba.time_step_limit = (limit, float("inf"))
    plain = model(ids, use_cache=False).logits
    out = model(ids[:, :8], use_cache=True)
    steps = [out.logits]
    for at in range(8, 24):
        out = model(ids[:, at : at + 1], past_key_values=out.past_key_values, use_cache=True)
        steps.append(out.logits)
    return (torch.cat(steps, 1) - plain).abs().max().item()


print("drift:", f"{drift(config.time_step_min):.2g}")
print("control, no lower limit:", f"{drift(0.0):.2g}")
