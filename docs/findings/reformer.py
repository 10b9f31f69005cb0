import torch
from transformers import ReformerConfig, ReformerModelWithLMHead
from transformers.models.reformer.modeling_reformer import LSHSelfAttention

torch.set_grad_enabled(False)
hashed = LSHSelfAttention._hash_vectors


def leak(layers, **more):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "feed_forward_size": 128, "vocab_size": 97}
    sizes |= {"num_attention_heads": 4, "attention_head_size": 16}
    sizes |= {"num_buckets": 4, "local_attn_chunk_length": 4}
    sizes |= {"lsh_attn_chunk_length": 4, "axial_pos_embds": False, "max_position_embeddings": 64}
    sizes |= {"is_decoder": True, "hash_seed": 0, "attn_layers": layers} | more
    model = ReformerModelWithLMHead(ReformerConfig(**sizes)).double().eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    torch.manual_seed(1)
    ids = torch.randint(5, 90, (1, 24))
    other = ids.clone()
    other[0, 16] = (ids[0, 16] + 7) % 90
    one, two = (model(each, use_cache=False).logits for each in (ids, other))
    return (one - two)[0, :16].abs().max().item()


print("leak:", f"{leak(['lsh']):.2g}")
print("local attention only:", f"{leak(['local']):.2g}")
print("one chunk for all, so nothing is hashed:", f"{leak(['lsh'], lsh_attn_chunk_length=24):.2g}")
LSHSelfAttention._hash_vectors = lambda self, *rest: hashed(self, *rest) // 4 * 4
print("hashes that do not depend on the tokens:", f"{leak(['lsh']):.2g}")
