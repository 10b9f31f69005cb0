import torch
from transformers import ProphetNetConfig, ProphetNetForCausalLM
from transformers.models.prophetnet.modeling_prophetnet import ProphetNetNgramSelfAttention

torch.manual_seed(0)
torch.set_grad_enabled(False)
size = {"hidden_size": 64, "vocab_size": 97, "decoder_ffn_dim": 128, "add_cross_attention": False}
config = ProphetNetConfig(num_decoder_layers=2, num_decoder_attention_heads=4, **size)
model = ProphetNetForCausalLM(config).eval().double()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 12))
other = ids.clone()
other[0, 3] = (ids[0, 3] + 7) % 90


def leak():
    return (model(ids).logits - model(other).logits)[0, :3].abs().max().item()


def in_order(self, hidden, weights, positions, buckets):
    found = self.relative_pos_embeddings(hidden.transpose(1, 2))
    found = found.unflatten(-1, (self.num_buckets, self.num_attn_heads)).permute(0, 1, 4, 2, 3)
    return found.gather(-1, buckets.long()[:, None, None].expand(*weights.shape))


print("leak:", f"{leak():.2g}")
ProphetNetNgramSelfAttention.get_predict_relative_pos_embeddings = in_order
print("each query with its own terms:", f"{leak():.2g}")
