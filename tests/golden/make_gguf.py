#!/usr/bin/env python3
"""Makes small GGUF files in quantised types as llama-quantize mixes them, and what they compute.

usage: make_gguf.py STORIES260K-F32.gguf OUTPUT_FOLDER    (needs numpy, llama.cpp's programs and its gguf package)

MODEL.gguf and MODEL.npz of each: `tokens`, float64 `logits` after each of them, computed with the weights as gguf
dequantises them, `greedy` (the tokens that follow by argmax) and `margin` (the least lead of one of them over the next, in
logits); for models that have a vocabulary also `llama_cpp`, the greedy text of llama.cpp as bytes.
"""

import os
import subprocess
import sys

import gguf
import numpy as np

PROMPT = "Lily and Ben went to the park"
PROMPT_TOKENS = 12
GREEDY = 60


def dequantised(path):
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        tensors[tensor.name] = np.asarray(values, np.float64).reshape([int(n) for n in tensor.shape[::-1]])
    return fields, tensors


class Llama:
    """In double precision, token by token."""

    def __init__(self, path):
        fields, self.w = dequantised(path)
        self.layers = fields["llama.block_count"]
        self.heads = fields["llama.attention.head_count"]
        self.kv_heads = fields["llama.attention.head_count_kv"]
        self.d = fields["llama.embedding_length"] // self.heads
        self.eps = float(str(np.float32(fields["llama.attention.layer_norm_rms_epsilon"])))
        self.base = fields.get("llama.rope.freq_base", 10000.0)
        self.keys = [[] for _ in range(self.layers)]
        self.values = [[] for _ in range(self.layers)]

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x * x) + self.eps) * self.w[name]

    def turn(self, x, position):
        x = x.reshape(-1, self.d // 2, 2)
        angle = position * self.base ** (-2.0 * np.arange(self.d // 2) / self.d)
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([x[..., 0] * c - x[..., 1] * s, x[..., 0] * s + x[..., 1] * c], -1).reshape(-1, self.d)

    def step(self, token):
        w = self.w
        position = len(self.keys[0])
        x = w["token_embd.weight"][token].copy()
        for layer in range(self.layers):
            p = "blk.%d." % layer
            h = self.norm(x, p + "attn_norm.weight")
            q = self.turn(w[p + "attn_q.weight"] @ h, position)
            self.keys[layer].append(self.turn(w[p + "attn_k.weight"] @ h, position))
            self.values[layer].append((w[p + "attn_v.weight"] @ h).reshape(-1, self.d))
            keys, values = np.stack(self.keys[layer]), np.stack(self.values[layer])
            out = []
            for head in range(self.heads):
                kv = head // (self.heads // self.kv_heads)
                score = keys[:, kv] @ q[head] / np.sqrt(self.d)
                weight = np.exp(score - score.max())
                out.append(weight / weight.sum() @ values[:, kv])
            x = x + w[p + "attn_output.weight"] @ np.concatenate(out)
            h = self.norm(x, p + "ffn_norm.weight")
            gate = w[p + "ffn_gate.weight"] @ h
            x = x + w[p + "ffn_down.weight"] @ (gate / (1 + np.exp(-gate)) * (w[p + "ffn_up.weight"] @ h))
        return w.get("output.weight", w["token_embd.weight"]) @ self.norm(x, "output_norm.weight")


def run(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout


def write_expected(path, tokens, has_text):
    model = Llama(path)
    logits = np.stack([model.step(int(token)) for token in tokens])
    greedy, margins, last = [], [], logits[-1]
    while len(greedy) < GREEDY:
        order = np.argsort(last)
        greedy.append(int(order[-1]))
        margins.append(last[order[-1]] - last[order[-2]])
        last = model.step(greedy[-1])
    arrays = {"tokens": np.asarray(tokens, np.int32), "logits": logits, "greedy": np.asarray(greedy, np.int32)}
    arrays["margin"] = np.asarray([[min(margins)]])
    if has_text:
        text = run("llama-completion", "-m", path, "-p", PROMPT, "-n", str(GREEDY), "--temp", "0", "-no-cnv",
                   "--no-display-prompt", "-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "2", "-ngl", "0")  # fmt: skip
        arrays["llama_cpp"] = np.frombuffer(text.rstrip(b"\n"), np.uint8).astype(np.int32)
    np.savez_compressed(path.replace(".gguf", ".npz"), **arrays)
    print(path, "least margin", min(margins), "range", np.ptp(logits))


def random_model(path):
    """One layer of width 256 with its keys and values, a hidden width of 256, in f32."""
    random = np.random.default_rng(5)
    width, vocabulary = 256, 96
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random 256")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(32)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>"] + ["t%d" % i for i in range(3, vocabulary)])
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types([2, 3, 3] + [1] * (vocabulary - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def add(name, *shape):
        values = 1 + 0.1 * random.standard_normal(shape) if len(shape) == 1 else random.standard_normal(shape) * 0.08
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", vocabulary, width)
    add("blk.0.attn_norm.weight", width)
    add("blk.0.attn_q.weight", width, width)
    add("blk.0.attn_k.weight", 64, width)
    add("blk.0.attn_v.weight", 64, width)
    add("blk.0.attn_output.weight", width, width)
    add("blk.0.ffn_norm.weight", width)
    add("blk.0.ffn_gate.weight", 256, width)
    add("blk.0.ffn_up.weight", 256, width)
    add("blk.0.ffn_down.weight", width, 256)
    add("output_norm.weight", width)
    add("output.weight", vocabulary, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(stories, folder):
    os.makedirs(folder, exist_ok=True)
    tokens = [int(t) for t in run("llama-tokenize", "-m", stories, "-p", PROMPT, "--ids", "--log-disable").decode()
              .strip(" \n[]").split(",")]  # fmt: skip
    assert len(tokens) == PROMPT_TOKENS, tokens
    path = os.path.join(folder, "stories-q4_k_m.gguf")
    run("llama-quantize", stories, path, "Q4_K_M")
    write_expected(path, tokens, True)
    path = os.path.join(folder, "stories-mixed.gguf")
    types = {"attn_q": "q5_1", "attn_k": "q5_1", "attn_v": "q5_1", "attn_output": "q4_1", "ffn_gate": "iq4_nl",
             "ffn_up": "iq4_nl"}  # fmt: skip
    run("llama-quantize", *[a for t in types.items() for a in ("--tensor-type", "%s=%s" % t)], stories, path, "Q5_0")
    write_expected(path, tokens, True)

    random = os.path.join(folder, "random.f32")
    random_model(random)
    mixes = {"k_mixed": {"attn_q": "q4_k", "attn_k": "q4_k", "attn_v": "q6_k", "attn_output": "q3_k", "ffn_gate": "q5_k",
                         "ffn_up": "q5_k", "ffn_down": "q2_k"}}  # fmt: skip
    for name, types in mixes.items():
        path = os.path.join(folder, "random-%s.gguf" % name)
        run("llama-quantize", *[a for t in types.items() for a in ("--tensor-type", "%s=%s" % t)], random, path, "Q4_K_M")
        write_expected(path, [1, 5, 90, 17, 33, 64, 8, 95, 40, 41, 42, 3], False)
    os.remove(random)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
