"""Writes tests/golden/attention.npz: systems of attention in small, and what PyTorch computes of them.

usage: python3 tests/golden/make_attention.py tests/golden

README.md lists them. Inputs and parameters are float32 as saved; arithmetic is float64. Where PyTorch has a function or
a module for a system, it computes the output, and the formula that gives the weights has to agree with it.
"""
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEED = 20261128
INFINITY = float("inf")
generator = torch.Generator().manual_seed(SEED)
saved = {}


def noise(*shape, scale=1.0):
    return (torch.randn(*shape, generator=generator) * scale).double()


def randomised(module):
    """Parameters that matter, norms' and biases' too, with values that float32 holds."""
    module = module.double()
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() > 1:
                value.copy_(noise(*value.shape, scale=1.5 / math.sqrt(value.shape[-1])))
            else:
                middle = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                value.copy_((noise(*value.shape, scale=0.3) + middle).float())
    return module.requires_grad_(False)


def linear(inputs, outputs, bias=True):
    return randomised(nn.Linear(inputs, outputs, bias=bias))


def parameters_of(**layers):
    """NAME.weight and NAME.bias of linear layers and norms."""
    return {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()}


def save(system, **arrays):
    for name, value in arrays.items():
        assert not value.is_floating_point() or not torch.isnan(value).any(), (system, name)
        saved[f"{system}.{name}"] = value


def split(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, T, H d) to (B, H, T, d)


def joined(x):
    return x.transpose(1, 2).flatten(2)


def same(a, b):
    assert a.shape == b.shape and torch.allclose(a, b, rtol=1e-12, atol=1e-12), (a - b).abs().max()
    return b


def softmax(scores):
    """Over the last dimension; zeros where all is dropped."""
    return torch.nan_to_num(torch.softmax(scores, -1), nan=0.0)


def attended(scores, v):
    """Of scores (B, H, T, S): y and weights."""
    weights = softmax(scores)
    return {"y": joined(weights @ v), "weights": weights}


def of_sdpa(q, k, v, keep=None, add=None, scale=None, **how):
    """The same of F.scaled_dot_product_attention, whose masks `keep` and `add` are. is_causal is another."""
    shared = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(shared, 1).transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    mask = add if keep is None else keep
    if how.get("is_causal"):
        keep = torch.ones(q.shape[2], k.shape[2]).tril().bool()
    if keep is not None:
        scores = scores.masked_fill(~keep, -INFINITY)
    if add is not None:
        scores = scores + add
    result = attended(scores, v.repeat_interleave(shared, 1))
    same(joined(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, **how)), result["y"])
    return result


def padding(lengths, size):
    return torch.arange(size) < lengths[:, None]  # (B, S), True is kept


# A1: softmax(q k^T / sqrt(d)) v.
def scaled_dot_product():
    q, k, v = noise(2, 5, 3 * 8), noise(2, 7, 3 * 8), noise(2, 7, 3 * 6)
    save("a1", q=q, k=k, v=v, **of_sdpa(split(q, 3), split(k, 3), split(v, 3)))


# A2: masks.
def masks():
    heads, batch, length = 2, 3, 6
    q, k, v = noise(batch, length, heads * 4), noise(batch, length, heads * 4), noise(batch, length, heads * 4)
    qkv = split(q, heads), split(k, heads), split(v, heads)
    save("a2", q=q, k=k, v=v)

    def random(*shape):
        return torch.rand(*shape, generator=generator) < 0.6

    keep = random(length, length)
    keep[:, 0] = True
    keep[2] = False  # a row that sees nothing
    save("a2.boolean", keep=keep, **of_sdpa(*qkv, keep=keep))
    keep = random(batch, heads, length, length)
    keep[1, :, 4] = False
    save("a2.boolean_each", keep=keep, **of_sdpa(*qkv, keep=keep))
    add = noise(heads, length, length, scale=2.0).masked_fill(~random(heads, length, length), -INFINITY)
    add[1, 3] = -INFINITY
    save("a2.additive", mask=add, **of_sdpa(*qkv, add=add))
    save("a2.causal", **of_sdpa(*qkv, is_causal=True))
    few = noise(batch, 4, heads * 4)
    save("a2.causal_few", few=few, **of_sdpa(split(few, heads), *qkv[1:], is_causal=True))  # row t sees keys 0 to t
    at, to = torch.arange(length)[:, None], torch.arange(length)[None]
    save("a2.window", **of_sdpa(*qkv, keep=(to <= at) & (to > at - 3)))
    save("a2.window_around", keep=(to - at).abs() <= 1, **of_sdpa(*qkv, keep=(to - at).abs() <= 1))
    lengths = torch.tensor([6, 1, 4])
    save("a2.lengths", lengths=lengths, **of_sdpa(*qkv, keep=padding(lengths, length)[:, None, None]))
    # All together. The second row of the batch has no key, and the window of the last rows of the third has none either.
    lengths = torch.tensor([6, 0, 2])
    keep = padding(lengths, length)[:, None, None] & (to <= at) & (to > at - 3)
    add = noise(batch, 1, length, length)
    save("a2.all", lengths=lengths, mask=add, **of_sdpa(*qkv, add=add.masked_fill(~keep, -INFINITY)))


# A3: score functions.
def scores():
    heads = 2
    q, k, v = noise(2, 4, heads * 5), noise(2, 7, heads * 5), noise(2, 7, heads * 3)
    q_, k_, v_ = split(q, heads), split(k, heads), split(v, heads)
    save("a3", q=q, k=k, v=v)
    save("a3.scaled_dot", **of_sdpa(q_, k_, v_))
    save("a3.dot", **of_sdpa(q_, k_, v_, scale=1.0))
    save("a3.cosine", **attended(F.cosine_similarity(q_.unsqueeze(3), k_.unsqueeze(2), dim=-1), v_))
    save("a3.distance", **attended(-torch.cdist(q_, k_, compute_mode="donot_use_mm_for_euclid_dist"), v_))

    # Luong's general: q^T W k, of queries and keys of different widths; Bahdanau's additive: v^T tanh(W q + U k).
    def one_head(scores):
        return attended(scores.unsqueeze(1), memory.unsqueeze(1))

    query, memory = noise(2, 4, 6), noise(2, 7, 9)
    w = linear(9, 6, bias=False)
    save("a3.general", q=query, memory=memory, **parameters_of(w=w), **one_head(query @ w(memory).transpose(1, 2)))
    w, u, score = linear(6, 8), linear(9, 8), linear(8, 1, bias=False)
    additive = score(torch.tanh(w(query).unsqueeze(2) + u(memory).unsqueeze(1))).squeeze(-1)
    save("a3.additive", q=query, memory=memory, **parameters_of(w=w, u=u), score=score.weight[0], **one_head(additive))


# A4: a = softmax(s(x)), y = sum of a_j x_j; a row without any element gives zeros. A5: summed self-attention.
def pooling():
    x, s, lengths = noise(3, 7, 10), linear(10, 1), torch.tensor([7, 3, 0])
    weights = softmax(s(x).squeeze(-1).masked_fill(~padding(lengths, 7), -INFINITY))
    save("a4", x=x, lengths=lengths, **parameters_of(s=s), y=(weights.unsqueeze(-1) * x).sum(1), weights=weights)
    x = noise(3, 7, 10, scale=0.4)
    weights = softmax((x @ x.transpose(1, 2)).sum(1))
    save("a5", x=x, y=(weights.unsqueeze(-1) * x).sum(1), weights=weights)


# A6: h = x W, softmax(h h^T / sqrt(2 pi)) h.
def projected():
    x, w = noise(2, 6, 9), linear(9, 7, bias=False)
    h = split(w(x), 1)
    save("a6", x=x, **parameters_of(w=w), **of_sdpa(h, h, h, scale=1 / math.sqrt(2 * math.pi)))


def projections(attention):
    """q, k, v and out of an nn.MultiheadAttention."""
    arrays = {}
    together = attention.in_proj_weight
    weights = together.chunk(3) if together is not None else [getattr(attention, f"{n}_proj_weight") for n in "qkv"]
    for name, weight, bias in zip("qkv", weights, attention.in_proj_bias.chunk(3)):
        arrays |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return arrays | parameters_of(out=attention.out_proj)


def of_module(attention, query, key, value, lengths=None, keep=None):
    if lengths is not None:
        keep = padding(lengths, key.shape[1])
    y, weights = attention(query, key, value, key_padding_mask=None if keep is None else ~keep, need_weights=True,
                           average_attn_weights=False)
    return {"y": y, "weights": weights}


# A7: nn.MultiheadAttention, self and cross; grouped-query and multi-query.
def multi_head():
    x, lengths = noise(2, 6, 12), torch.tensor([6, 4])
    attention = randomised(nn.MultiheadAttention(12, 3, batch_first=True))
    save("a7.self", x=x, lengths=lengths, **projections(attention), **of_module(attention, x, x, x, lengths))
    attention = randomised(nn.MultiheadAttention(12, 3, kdim=10, vdim=7, batch_first=True))
    key, value = noise(2, 5, 10), noise(2, 5, 7)
    save("a7.cross", x=x, key=key, value=value, **projections(attention), **of_module(attention, x, key, value))
    for name, shared in (("grouped", 2), ("multi_query", 1)):
        q, k, v, out = linear(12, 4 * 6), linear(12, shared * 6), linear(12, shared * 6), linear(4 * 6, 12)
        result = of_sdpa(split(q(x), 4), split(k(x), shared), split(v(x), shared), is_causal=True, enable_gqa=True)
        save(f"a7.{name}", x=x, **parameters_of(q=q, k=k, v=v, out=out), y=out(result["y"]), weights=result["weights"])


# A8: a decoder that attends to a text and to a picture. Joined, each memory with a mask of its own; or apart and
# summed, where a row of the batch has no picture.
def modalities():
    x, text, image = noise(3, 4, 12), noise(3, 5, 10), noise(3, 6, 7)
    keep_text = padding(torch.tensor([5, 2, 3]), 5)
    keep_image = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()
    of_text, of_image = linear(10, 12), linear(7, 12)
    attention = randomised(nn.MultiheadAttention(12, 3, batch_first=True))
    memory = torch.cat([of_text(text), of_image(image)], 1)
    made = of_module(attention, x, memory, memory, keep=torch.cat([keep_text, keep_image], 1))
    save("a8", x=x, text=text, image=image, keep_text=keep_text, keep_image=keep_image)
    save("a8.joined", **parameters_of(text_in=of_text, image_in=of_image), **projections(attention), **made)

    lengths, arrays, y = torch.tensor([5, 2, 3]), {}, x
    for name, memory, keep in (("text", text, keep_text), ("image", image, keep_image)):
        q, k, v, out = linear(12, 12), linear(memory.shape[2], 12), linear(memory.shape[2], 12), linear(12, 12)
        result = of_sdpa(split(q(x), 3), split(k(memory), 3), split(v(memory), 3), keep=keep[:, None, None])
        arrays |= parameters_of(**{f"{name}.q": q, f"{name}.k": k, f"{name}.v": v, f"{name}.out": out})
        arrays[f"weights.{name}"] = result["weights"]
        y = y + out(result["y"])
    norm = nn.LayerNorm(12).double().requires_grad_(False)
    norm.weight.copy_((1 + noise(12, scale=0.3)).float())
    norm.bias.copy_(noise(12, scale=0.3))
    save("a8.apart", lengths=lengths, **arrays, **parameters_of(norm=norm), y=norm(y))


class Gated(nn.Module):
    """The feed-forward of Shazeer 2020 (SwiGLU), called as nn.TransformerEncoderLayer calls its own."""

    def __init__(self, width, hidden):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, hidden), nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GatedLayer(nn.TransformerEncoderLayer):
    def __init__(self, width, heads, hidden, **how):
        super().__init__(width, heads, hidden, **how)
        self.linear1 = self.linear2 = None
        self.feed_forward = Gated(width, hidden)

    def _ff_block(self, x):
        return self.feed_forward(x)


# S1: two layers of nn.TransformerEncoder, the sentences of a batch of different lengths.
def encoders():
    x, lengths = noise(3, 6, 12), torch.tensor([6, 2, 5])
    save("s1", x=x, lengths=lengths)
    for norm_first in (False, True):
        for activation in ("relu", "gelu", "silu_gated"):
            how = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
            if activation == "silu_gated":
                layer = GatedLayer(12, 3, 20, **how)
            else:
                layer = nn.TransformerEncoderLayer(12, 3, 20, activation=activation, **how)
            norm = nn.LayerNorm(12) if norm_first else None
            encoder = randomised(nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False))
            weights = []
            for layer in encoder.layers:  # the module itself does not ask for them
                attend = layer.self_attn.forward

                def watched(*given, attend=attend, **more):
                    y, seen = attend(*given, **(more | {"need_weights": True, "average_attn_weights": False}))
                    weights.append(seen)
                    return y, seen

                layer.self_attn.forward = watched
            arrays = {"y": encoder(x, src_key_padding_mask=~padding(lengths, 6))}
            for i, layer in enumerate(encoder.layers):
                gated = activation == "silu_gated"
                two = {"up": layer.linear1, "down": layer.linear2}
                ffn = dict(layer.feed_forward.named_children()) if gated else two
                parts = projections(layer.self_attn) | parameters_of(norm1=layer.norm1, norm2=layer.norm2, **ffn)
                arrays |= {f"layer{i}.{name}": value for name, value in parts.items()} | {f"weights.{i}": weights[i]}
            if norm_first:
                arrays |= parameters_of(norm=norm)
            assert len(weights) == 2
            save(f"s1.{'pre' if norm_first else 'post'}_norm_{activation}", **arrays)


def main():
    for make in (scaled_dot_product, masks, scores, pooling, projected, multi_head, modalities, encoders):
        make()
    def array(value):
        kind = np.float32 if value.is_floating_point() else bool if value.dtype == torch.bool else np.int32
        return value.numpy().astype(kind)

    path = pathlib.Path(sys.argv[1]) / "attention.npz"
    np.savez_compressed(path, **{name: array(value) for name, value in saved.items()})
    print(f"{len(saved)} arrays, {path.stat().st_size} bytes")


main()
