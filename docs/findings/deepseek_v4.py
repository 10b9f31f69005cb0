import torch
from transformers import DeepseekV4Config, DeepseekV4ForCausalLM

torch.set_grad_enabled(False)
sizes = {"hidden_size": 64, "num_attention_heads": 4, "head_dim": 32, "vocab_size": 97}
ranks = {"q_lora_rank": 32, "o_groups": 2, "o_lora_rank": 16, "moe_intermediate_size": 32}
index = {"index_n_heads": 2, "index_head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}
more = {"sliding_window": 8, "hc_mult": 2, "partial_rotary_factor": 0.25, "num_hidden_layers": 1}
rates = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 4}


def run(kind, pads):
    torch.manual_seed(0)
    kinds = {"layer_types": [kind], "mlp_layer_types": ["moe"], "compress_rates": rates}
    config = DeepseekV4Config(**sizes, **ranks, **index, **more, **kinds)
    model = DeepseekV4ForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    mask = torch.cat([torch.zeros_like(pads), torch.ones_like(ids)], 1)
    given = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    return model(torch.cat([pads, ids], 1), use_cache=False, **given).logits[0, 3:]


ids, pads = torch.arange(20, 40)[None], torch.tensor([[1, 1, 1]])
for kind in (*rates, "sliding_attention"):
    leak = (run(kind, pads) - run(kind, pads + 5)).abs().max().item()
    print("leak," if kind in rates else "control,", f"{kind}: {leak:.2g}")
