import torch
from transformers import BltConfig, BltForCausalLM

torch.set_grad_enabled(False)
size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
parts = {f"{name}_config": {**size, "intermediate_size": 64} for name in ("patcher", "encoder")}
parts["global_config"] = {**size, "hidden_size": 64, "intermediate_size": 64}
parts["decoder_config"] = {**size, "hidden_size_global": 64, "intermediate_size": 64}


def run(backend, pads, ids):
    torch.manual_seed(0)
    config = BltConfig(encoder_hash_byte_group_vocab=64, **parts)
    model = BltForCausalLM._from_config(config, attn_implementation=backend).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    mask = torch.cat([torch.zeros_like(pads), torch.ones_like(ids)], 1)
    given = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    logits = model(torch.cat([pads, ids], 1), use_cache=False, **given).logits
    return logits[0, pads.shape[1] :]


ids, pads, none = torch.arange(40, 54)[None], torch.tensor([[1, 1, 1]]), torch.ones(1, 0).long()
late = ids.clone()
late[0, 11] = 99
print(
    "leak of the pads:",
    f"{(run('sdpa', pads, ids) - run('sdpa', pads + 5, ids)).abs().max().item():.2g}",
)
for title, backend, front in (
    ("leak of the future, eager:", "eager", pads),
    ("control, sdpa:", "sdpa", pads),
    ("control, eager without pads:", "eager", none),
):
    print(
        title,
        f"{(run(backend, front, ids) - run(backend, front, late))[:11].abs().max().item():.2g}",
    )
