import torch
from transformers import DeepseekV4Config, DeepseekV4ForCausalLM

torch.set_grad_enabled(False)
sizes = {"hidden_size": 64, "num_attention_heads": 4, "head_dim": 32, "vocab_size": 97}
ranks = {"q_lora_rank": 32, "o_groups": 2, "o_lora_rank": 16, "moe_intermediate_size": 32}
index = {"index_n_heads": 2, "index_head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}
more = {"sliding_window": 8, "hc_mult": 2, "partial_rotary_factor": 0.25, "num_hidden_layers": 1}
rates = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 4}


def leak(kind, start):
    torch.manual_seed(0)
    kinds = {"layer_types": [kind], "mlp_layer_types": ["moe"], "compress_rates": rates}
    model = DeepseekV4ForCausalLM(DeepseekV4Config(**sizes, **ranks, **index, **more, **kinds))
    for parameter in model.eval().parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.arange(20, 40)[None]
    other = ids.clone()
    other[0, 14] = 5
    given = {"position_ids": torch.arange(start, start + 20)[None], "use_cache": False}
    return (model(ids, **given).logits - model(other, **given).logits)[0, :14].abs().max().item()


for kind in rates:
    print(f"leak, {kind}, positions from 10:", f"{leak(kind, 10):.2g}")
    print("control, positions from 0:", f"{leak(kind, 0):.2g}")
print("control, sliding_attention, positions from 10:", f"{leak('sliding_attention', 10):.2g}")
