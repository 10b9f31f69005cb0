import torch
from torch.nn.attention.flex_attention import flex_attention
from transformers import DogeConfig, DogeForCausalLM
from transformers.integrations import flex_attention as kernel

torch.set_grad_enabled(False)


def uncompiled(query, key, value, training=False, **more):
    """torch's own plain definition of it: the compiled one aborts on a CPU."""
    return flex_attention(query, key, value, **more)


kernel.compile_friendly_flex_attention = uncompiled


def leak(backend):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 97}
    config = DogeConfig(num_attention_heads=4, **sizes)
    model = DogeForCausalLM._from_config(config, attn_implementation=backend).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.randint(5, 90, (1, 12))
    other = ids.clone()
    other[0, 9] = (ids[0, 9] + 7) % 90
    one, two = (model(each, use_cache=False).logits for each in (ids, other))
    return (one - two)[0, :9].abs().max().item()


for name in ("flex_attention", "eager", "sdpa"):
    print(f"leak, {name}: {leak(name):.2g}")
