#!/usr/bin/env python3
"""Trains heed's Shakespeare model, a character-level Llama of 1.9 million weights, on a CPU in under an hour.

    python3 train.py --text input.txt --out . --threads 2 --minutes 54

The text is "tinyshakespeare": data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn (1,115,394 characters).
The model trains on its first 90 %. The figure printed at the end is the mean negative log likelihood, in nats per
character, of the last 10 %, computed in float32 with the float16 weights that were written.

--out receives a Hugging Face folder (config.json, model.safetensors, tokenizer.json) of the plain Llama architecture:
RMSNorm, half-split rotary positions, SiLU-gated feed-forward, no biases. It is rewritten every 500 steps, so a run
that is cut off leaves a model. --minutes bounds the run by the clock: the learning rate falls to zero by then at the
latest, and the steps that were not reached are left out.

Needs PyTorch 1.13 or later, and NumPy. On Debian install libopenblas0 too: the reference BLAS multiplies these
matrices more than ten times slower.
"""
import argparse
import hashlib
import json
import math
import pathlib
import struct
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
WIDTH, LAYERS, HEADS, FFN, CONTEXT = 160, 6, 5, 432, 256
HEAD_DIM = WIDTH // HEADS
ROPE_THETA, NORM_EPS = 10000.0, 1e-5
BATCH_CHARS = 4096  # characters a step, whatever the sequence length
SHORT = 128  # sequence length of the first SHORT_SHARE of the training; CONTEXT after it
SHORT_SHARE = 0.6
WARMUP_SHARE = 0.02
DROPOUT = 0.1
MATRIX_LR, MATRIX_DECAY = 0.02, 0.1  # Muon
OTHER_LR = 4e-3  # AdamW


# Module and attribute names below are Hugging Face's, so that state_dict() has the names the file needs.
class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS) * self.weight


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        q, k, v = (proj(x).view(batch, length, HEADS, HEAD_DIM).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))  # (batch, heads, length, head_dim)
        q, k = rotate(q, cos, sin) * HEAD_DIM**-0.5, rotate(k, cos, sin)
        weights = (q @ k.transpose(2, 3)).add_(mask).softmax(-1)  # (batch, heads, length, length)
        return self.o_proj((weights @ v).transpose(1, 2).reshape(batch, length, WIDTH))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(WIDTH, FFN, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(FFN, WIDTH, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(), RMSNorm()
        self.self_attn, self.mlp = Attention(), FeedForward()

    def forward(self, x, cos, sin, mask):
        x = x + F.dropout(self.self_attn(self.input_layernorm(x), cos, sin, mask), DROPOUT, self.training)
        return x + F.dropout(self.mlp(self.post_attention_layernorm(x)), DROPOUT, self.training)


class Llama(nn.Module):
    """Characters (batch, length) to logits (batch, length, vocabulary)."""

    def __init__(self, vocabulary):
        super().__init__()
        self.model = nn.ModuleDict({
            "embed_tokens": nn.Embedding(vocabulary, WIDTH),
            "layers": nn.ModuleList(Layer() for _ in range(LAYERS)),
            "norm": RMSNorm(),
        })
        self.lm_head = nn.Linear(WIDTH, vocabulary, bias=False)
        nn.init.zeros_(self.lm_head.weight)
        for name, weight in self.matrices():  # each layer begins as the identity
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)
            else:
                nn.init.normal_(weight, std=0.7 * weight.shape[1]**-0.5)

    def matrices(self):
        return [(name, p) for name, p in self.named_parameters() if "layers" in name and p.dim() == 2]

    def forward(self, ids):
        length = ids.shape[1]
        angles = torch.outer(torch.arange(length), ROPE_THETA**(-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
        cos, sin = angles.cos(), angles.sin()  # (length, head_dim / 2)
        mask = torch.full((length, length), -math.inf).triu(1)
        x = F.dropout(self.model["embed_tokens"](ids), DROPOUT, self.training)
        for layer in self.model["layers"]:
            x = layer(x, cos, sin, mask)
        return self.lm_head(self.model["norm"](x))


def rotate(x, cos, sin):
    """Half-split rotary positions: element i of a head turns with element i + head_dim / 2."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized (Jordan et al., 2024), for matrices."""

    def __init__(self, matrices, lr, decay):
        super().__init__(matrices, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                update = orthogonalize(p.grad.lerp(momentum, 0.95))  # Nesterov's look-ahead
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1])**0.5)


def orthogonalize(matrix):
    """Five Newton-Schulz steps: drives the singular values towards 1."""
    x = matrix.t() if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.t()
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.t() if matrix.shape[0] > matrix.shape[1] else x


@torch.no_grad()
def evaluate(model, ids):
    """Nats per character of ids[1:], each predicted from CONTEXT / 2 to CONTEXT characters (fewer at first)."""
    model.eval()
    stride, count = CONTEXT // 2, len(ids) - 1
    starts = [start for start in range(0, count, stride) if start == 0 or start + stride < count]
    total = 0.0
    for first in range(0, len(starts), 16):
        x = torch.zeros(len(starts[first:first + 16]), CONTEXT, dtype=torch.long)
        y = torch.full_like(x, -100)  # cross_entropy skips -100
        for row, start in enumerate(starts[first:first + 16]):
            length = min(CONTEXT, count - start)
            seen = stride if start else 0  # scored by the window before
            x[row, :length] = ids[start:start + length]
            y[row, seen:length] = ids[start + 1 + seen:start + 1 + length]
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train()
    return total / count


def save(folder, model, characters):
    """Writes the Hugging Face folder, its weights as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(model.state_dict().items()):
        blobs.append(tensor.half().contiguous().numpy().tobytes())
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blobs[-1])]}
        offset += len(blobs[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))

    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(characters),
        "hidden_size": WIDTH, "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "head_dim": HEAD_DIM, "max_position_embeddings": CONTEXT, "hidden_act": "silu",
        "rms_norm_eps": NORM_EPS, "rope_theta": ROPE_THETA, "rope_scaling": None, "attention_bias": False,
        "attention_dropout": 0.0, "mlp_bias": False, "tie_word_embeddings": False, "bos_token_id": None,
        "eos_token_id": None, "pad_token_id": None, "initializer_range": 0.02, "use_cache": True,
        "torch_dtype": "float16",
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    # GPT-2's byte alphabet leaves printable ASCII as it is and moves the bytes below '!' up by 256.
    vocabulary = {c if c > " " else chr(ord(c) + 256): i for i, c in enumerate(characters)}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
                  "merges": []},
    }
    for name, value in (("config.json", config), ("tokenizer.json", tokenizer)):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=pathlib.Path, required=True, help="tinyshakespeare's input.txt")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write the model to")
    parser.add_argument("--steps", type=int, default=5000, help="of 4096 characters each")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, the learning rate at zero")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)

    data = args.text.read_bytes()
    if hashlib.sha256(data).hexdigest() != TEXT_SHA256:
        print(f"train.py: {args.text}: not the expected text (its sha256 differs); results will differ")
    text = data.decode()
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(c) for c in text])
    split = len(ids) * 9 // 10
    train, held_out = ids[:split], ids[split:]

    model = Llama(len(characters))
    matrices = [p for _, p in model.matrices()]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    optimizers = [Muon(matrices, MATRIX_LR, MATRIX_DECAY),
                  torch.optim.AdamW(others, OTHER_LR, betas=(0.9, 0.95), weight_decay=0.0)]
    peaks = [MATRIX_LR, OTHER_LR]
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(train):,} characters to train on", flush=True)

    begun, smooth, step = time.time(), math.log(len(characters)), 0
    while True:
        progress = max(step / args.steps, (time.time() - begun) / (60 * args.minutes))
        if progress >= 1:
            break
        length = SHORT if progress < SHORT_SHARE else CONTEXT
        starts = torch.randint(len(train) - length, (BATCH_CHARS // length, 1))
        window = train[starts + torch.arange(length + 1)]
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        model.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer, peak in zip(optimizers, peaks):
            optimizer.param_groups[0]["lr"] = peak * min(step / (WARMUP_SHARE * args.steps), 1 - progress, 1.0)
            optimizer.step()
        smooth += (loss.item() - smooth) * 0.02
        step += 1
        if step % 50 == 0:
            pace = (time.time() - begun) / step
            print(f"step {step}  {progress:.1%}  train {smooth:.3f}  {pace:.3f} s/step", flush=True)
        if step % 500 == 0:
            save(args.out, model, characters)
            print(f"step {step}  first eighth of the held-out text {evaluate(model, held_out[:14000]):.4f}", flush=True)

    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.half())  # judge the weights as they are written
    save(args.out, model, characters)
    print(f"{step} steps, {step * BATCH_CHARS / 1e6:.1f} million characters, {(time.time() - begun) / 60:.1f} minutes")
    print(f"held-out text: {evaluate(model, held_out):.4f} nats per character", flush=True)


if __name__ == "__main__":
    main()
