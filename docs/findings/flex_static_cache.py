import torch
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = LlamaConfig(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, vocab_size=97
)


def run(backend, ids):
    torch.manual_seed(0)
    model = LlamaForCausalLM._from_config(config, attn_implementation=backend).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    store = StaticCache(config=config, max_cache_len=20)
    model(ids[:, :10], past_key_values=store)
    return model(ids[:, 10:], past_key_values=store).logits


def leak(backend):
    return (run(backend, ids) - run(backend, other))[0, :1].abs().max().item()


ids = torch.randint(5, 90, (1, 13))
other = ids.clone()
other[0, 11] = (ids[0, 11] + 7) % 90
print("leak:", f"{leak('flex_attention'):.2g}")
print("control, sdpa:", f"{leak('sdpa'):.2g}")
