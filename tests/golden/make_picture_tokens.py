#!/usr/bin/env python3
"""Makes the golden data under picture_tokens/: tiny models of pictures as tokens with random weights, and what PyTorch
and transformers compute of them in double precision from the weights as they are stored.

usage: make_picture_tokens.py FOLDER

axial    PyTorch's layers, positions by row and column; a VQ-VAE with an encoder, grey
learned  PyTorch's layers, one table of positions; codes first in the vocabulary; VQ-GAN's blocks under names of their
         own, colours
gpt2     GPT2LMHeadModel in a folder of its own, codes in the middle of the vocabulary
llama    LlamaForCausalLM, tied, with two key-value heads for four
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

ROWS, COLUMNS, COUNT, ENTRY = 3, 4, 11, 6  # of codes, of the codebook
CODES = ROWS * COLUMNS
GUIDANCE = 2.5


def conv(out, kernel=3, stride=1, padding=1, kind="conv", **more):
    return {"type": kind, "out": out, "kernel": kernel, "stride": stride, "padding": padding, **more}


NORM, RELU, SILU = {"type": "batch_norm"}, {"type": "relu"}, {"type": "silu"}


class Residual(nn.Module):
    def __init__(self, layers, size, shortcut):
        super().__init__()
        names, modules, out = build(layers, size)
        for name, module in zip(names, modules):
            put(self, name, module)
        self.modules_in_order = modules
        self.shortcut_name = shortcut
        if shortcut:
            put(self, shortcut, nn.Conv2d(size, out, 1))
            self.short = get(self, shortcut)
        self.out = out

    def forward(self, x):
        y = x
        for module in self.modules_in_order:
            y = module(y)
        return (self.short(x) if self.shortcut_name else x) + y


class AttentionBlock(nn.Module):
    """VQ-GAN's: taming-transformers, modules/diffusionmodules/model.py, AttnBlock."""

    def __init__(self, size, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, size, 1e-6)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(size, size, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (part(h).flatten(2) for part in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k / q.shape[1]**0.5).softmax(-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view_as(x))


def put(owner, path, module):
    """Sets owner.a.b.c, with plain modules between."""
    *outer, last = path.split(".")
    for part in outer:
        if not hasattr(owner, part):
            owner.add_module(part, nn.Module())
        owner = getattr(owner, part)
    owner.add_module(last, module)


def get(owner, path):
    for part in path.split("."):
        owner = getattr(owner, part)
    return owner


def build(layers, size, prefix="layers"):
    """Names, modules, channels."""
    names, modules = [], []
    for i, o in enumerate(layers):
        kind = o["type"]
        module = {
            "conv": lambda: nn.Conv2d(size, o["out"], o["kernel"], o["stride"], o["padding"]),
            "conv_transpose": lambda: nn.ConvTranspose2d(size, o["out"], o["kernel"], o["stride"], o["padding"]),
            "batch_norm": lambda: nn.BatchNorm2d(size),
            "group_norm": lambda: nn.GroupNorm(o["groups"], size, o.get("eps", 1e-5)),
            "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh,
            "upsample": lambda: nn.Upsample(scale_factor=o["scale"], mode=o["mode"]),
            "residual": lambda: Residual(o["layers"], size, o.get("shortcut")),
            "attention_block": lambda: AttentionBlock(size, o["groups"]),
        }[kind]()
        size = module.out if kind == "residual" else o.get("out", size)
        names.append(o.get("name", f"{prefix}.{i}"))
        modules.append(module)
    return names, modules, size


class Pictures(nn.Module):
    def __init__(self, config):
        super().__init__()
        put(self, config["pixels"].get("tensor", "codebook.weight").removesuffix(".weight"), nn.Embedding(COUNT, ENTRY))
        self.book = get(self, config["pixels"].get("tensor", "codebook.weight").removesuffix(".weight"))
        self.lists = {}
        for key, default, size in (("pixels", "pixels", ENTRY), ("encoder", "encoder", 1)):
            if key not in config:
                continue
            names, modules, _ = build(config[key]["layers"], size, config[key].get("prefix", default))
            for name, module in zip(names, modules):
                put(self, name, module)
            self.lists[key] = modules

    def state(self):
        return {name: tensor for name, tensor in self.state_dict().items()
                if not name.startswith("book.") and ".short." not in name and "num_batches_tracked" not in name}

    def draw(self, codes):
        x = self.book(codes.view(-1, ROWS, COLUMNS)).permute(0, 3, 1, 2)
        for module in self.lists["pixels"]:
            x = module(x)
        return x

    def encode(self, image):
        x = image
        for module in self.lists["encoder"]:
            x = module(x)
        distances = (x.permute(0, 2, 3, 1).unsqueeze(-2) - self.book.weight).square().sum(-1)
        nearest = distances.topk(2, largest=False).values
        print(f"    encoder: least lead {float((nearest[..., 1] - nearest[..., 0]).min()):.3g}")
        return distances.argmin(-1).flatten(1)


class Torch(nn.Module):
    """The decoder that is PyTorch's layers."""

    def __init__(self, width, heads, layers, vocabulary, text, axial, tied):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        if axial:
            self.text_positions = nn.Embedding(text, width)
            self.row_positions, self.column_positions = nn.Embedding(ROWS, width), nn.Embedding(COLUMNS, width)
        else:
            self.positions = nn.Embedding(text + CODES, width)
        layer = nn.TransformerEncoderLayer(width, heads, 3 * width, 0.0, "gelu" if axial else "relu", batch_first=True,
                                           norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.axial = axial
        if not tied:
            self.output = nn.Linear(width, vocabulary, bias=False)

    def table(self):
        if not self.axial:
            return self.positions.weight
        axial = (self.row_positions.weight.unsqueeze(1) + self.column_positions.weight).flatten(0, 1)
        return torch.cat((self.text_positions.weight, axial))

    def forward(self, tokens):
        """Logits (n, vocabulary), and weights of attention (layers, heads, n, n)."""
        n = len(tokens)
        causal = torch.ones(n, n, dtype=torch.bool).triu(1)
        x = (self.embedding(tokens) + self.table()[:n]).unsqueeze(0)
        weights = []
        for layer in self.transformer.layers:
            h = layer.norm1(x)
            y, w = layer.self_attn(h, h, h, attn_mask=causal, need_weights=True, average_attn_weights=False)
            x = layer(x, causal)
            weights.append(w[0])
        x = self.transformer.norm(x)
        output = self.output if hasattr(self, "output") else (lambda h: h @ self.embedding.weight.t())
        return output(x)[0], torch.stack(weights)


class HuggingFace(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        result = self.model(tokens.unsqueeze(0), output_attentions=True)
        return result.logits[0], torch.cat(result.attentions)


def randomize(module, generator, deviation):
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        # Positions count for much, so that codes differ from place to place.
        far = "position" in name or "wpe" in name
        values = torch.randn(tensor.shape, generator=generator) * (3 * deviation if far else deviation)
        if name.endswith("running_var"):
            values = 0.5 + values.abs()
        elif "norm" in name.lower() and name.endswith("weight"):
            values = 1 + values
        tensor.copy_(values.to(tensor.dtype))


def prefix(config, caption):
    text = config["text"]
    return caption + [text["pad"]] * (text["places"] - len(caption)) + text["begin"]


@torch.no_grad()
def drawn(decoder, config, caption, guidance, given):
    """Greedy codes behind a caption and given codes, and the least lead of one."""
    first, lead = config["codes"]["first"], float("inf")
    rows = [prefix(config, c) + [first + c for c in given] for c in (caption, [])]
    while len(rows[0]) < len(prefix(config, caption)) + CODES:
        with_text, without = (decoder(torch.tensor(row))[0][-1, first:first + COUNT] for row in rows)
        logits = without + guidance * (with_text - without)
        best = logits.topk(2)
        lead = min(lead, float(best.values[0] - best.values[1]))
        for row in rows:
            row.append(first + int(best.indices[0]))
    return rows[0], [t - first for t in rows[0][-CODES:]], lead


@torch.no_grad()
def golden(folder, config, decoder, pictures, caption):
    decoder.double(), pictures.double()
    decoder.eval(), pictures.eval()
    first = config["codes"]["first"]
    row, codes, lead = drawn(decoder, config, caption, 1.0, [])
    _, guided, guided_lead = drawn(decoder, config, caption, GUIDANCE, [])
    if min(len(set(codes)), len(set(guided))) < 4 or min(lead, guided_lead) < 0.02 or codes == guided:
        return False  # would show little; other weights do better
    logits, weights = decoder(torch.tensor(row[:-1]))
    before = len(row) - CODES
    maps = weights.flatten(0, 1).mean(0)[before - 1:, :before].t()
    arrays = {"caption": np.array(caption), "tokens": np.array(row[:-1]), "logits": logits.numpy(),
              "greedy": np.array(codes), "guided": np.array(guided), "maps": maps.numpy(),
              "greedy_image": pictures.draw(torch.tensor([codes])).numpy()}
    print(f"  {folder.name}: least lead {lead:.3g}, guided {guided_lead:.3g}, {len(set(codes))} and {len(set(guided))} "
          f"codes in use")
    if "encoder" in config:
        image = (torch.rand(1, *config["encoder"]["image"], generator=torch.Generator().manual_seed(9)) * 255).round()
        image = (image / 127.5 - 1).double()
        of_image = pictures.encode(image)[0].tolist()
        _, completed, completed_lead = drawn(decoder, config, caption, GUIDANCE, of_image[:ROWS // 2 * COLUMNS])
        print(f"    completed: least lead {completed_lead:.3g}")
        arrays |= {"image": image.numpy(), "image_codes": np.array(of_image), "completed": np.array(completed)}
    np.savez_compressed(folder / "golden.npz", **{
        k: np.ascontiguousarray(v.astype(np.float64 if v.dtype.kind == "f" else np.int32)) for k, v in arrays.items()})
    return True


def main():
    out = Path(sys.argv[1])
    residual = {"type": "residual", "layers": [RELU, conv(6), NORM, RELU, conv(6, 1, 1, 0)]}
    grey = {"pixels": {"codebook": ENTRY, "layers": [conv(6), residual, RELU, conv(5, 4, 2, 1, "conv_transpose"), NORM,
                                                     RELU, conv(1), {"type": "tanh"}]},
            "encoder": {"image": [1, 2 * ROWS, 2 * COLUMNS], "layers": [conv(6, 4, 2), NORM, residual, RELU,
                                                                        conv(ENTRY, 1, 1, 0)]},
            "image": {"channels": "gray", "range": [-1, 1]}}
    group = {"type": "group_norm", "groups": 2, "eps": 1e-6}
    block = lambda name, out, **more: {"type": "residual", "name": name, "layers": [
        {**group, "name": "norm1"}, SILU, conv(out, name="conv1"), {**group, "name": "norm2"}, SILU,
        conv(out, name="conv2")], **more}
    colour = {"pixels": {"codebook": ENTRY, "tensor": "quantize.embedding.weight", "layers": [
        conv(8, name="decoder.conv_in"), block("decoder.mid.block_1", 8),
        {"type": "attention_block", "groups": 2, "eps": 1e-6, "name": "decoder.mid.attn_1"},
        block("decoder.up.0.block.0", 4, shortcut="nin_shortcut"), {"type": "upsample", "scale": 2, "mode": "nearest"},
        conv(4, name="decoder.up.0.upsample.conv"), {**group, "name": "decoder.norm_out"}, SILU,
        conv(3, name="decoder.conv_out")]}, "image": {"channels": "rgb", "range": [-4, 4]}}
    codes = {"count": COUNT, "rows": ROWS, "columns": COLUMNS}
    head = {"model_type": "picture-tokens"}
    cases = {
        "axial": ({**head, "text": {"places": 3, "pad": 0, "begin": [1]}, "codes": {"first": 7, **codes},
                   "decoder": {"type": "transformer", "width": 16, "layers": 2, "heads": 2, "ffn_width": 48,
                               "activation": "gelu", "positions": "axial"},
                   "tokenizer": "words.json", "defaults": {"guidance": GUIDANCE}, **grey},
                  lambda: Torch(16, 2, 2, 18, 4, True, False), [3, 5]),
        "learned": ({**head, "text": {"places": 2, "pad": 15, "begin": [11, 12]}, "codes": {"first": 0, **codes},
                     "decoder": {"type": "transformer", "width": 12, "layers": 1, "heads": 3, "ffn_width": 36,
                                 "activation": "relu", "positions": "learned"}, **colour},
                    lambda: Torch(12, 3, 1, 16, 4, False, True), [13, 14]),
        "gpt2": ({**head, "text": {"places": 4, "pad": 1, "begin": [2]}, "codes": {"first": 5, **codes},
                  "decoder": {"folder": "decoder"}, **grey},
                 lambda: HuggingFace(GPT2LMHeadModel(GPT2Config(
                     vocab_size=21, n_positions=20, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
                     attn_implementation="eager"))), [18, 3, 20]),
        "llama": ({**head, "text": {"places": 3, "pad": 0, "begin": [1]}, "codes": {"first": 6, **codes},
                   "decoder": {"folder": "decoder"}, **colour},
                  lambda: HuggingFace(LlamaForCausalLM(LlamaConfig(
                      vocab_size=17, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=True, bos_token_id=0,
                      eos_token_id=0, attn_implementation="eager"))), [4]),
    }
    for name, (config, make, caption) in cases.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(200):
            generator = torch.Generator().manual_seed(seed)
            torch.manual_seed(seed)
            decoder, pictures = make(), Pictures(config)
            randomize(decoder, generator, 0.5)
            randomize(pictures, generator, 0.4)
            if golden(folder, config, decoder, pictures, caption):
                break
        else:
            sys.exit(f"{name}: no weights that show anything")
        decoder.float(), pictures.float()
        state = {n: t.contiguous() for n, t in pictures.state().items()}
        if isinstance(decoder, HuggingFace):
            decoder.model.save_pretrained(folder / "decoder")
            (folder / "decoder" / "generation_config.json").unlink(missing_ok=True)
        else:
            state |= {n: t.contiguous() for n, t in decoder.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        if "tokenizer" in config:
            words = ["<pad>", "<picture>", "<unk>", "red", "a", "coat", "dark"]
            (folder / "words.json").write_text(json.dumps({
                "type": "words", "tokens": words, "pad": "<pad>", "begin": "<picture>", "unknown": "<unk>",
                "lower_case": True}) + "\n")


if __name__ == "__main__":
    main()
