#!/usr/bin/env python3
"""Makes tests/golden/wavenet: tiny WaveNets with random weights, and what PyTorch computes from them in float64.

    python3 tests/golden/make_wavenet.py tests/golden/wavenet

Each folder has config.json and model.safetensors, as heed reads them (tools/convert/wavenet_model.h), and golden.json:

  inputs         what the sound depends on: voice, frames (ids) or features
  given, logits  the outputs after each of these samples
  greedy         the likeliest samples, from -1 to 1, one after the other; greedy_margin: the least lead of one
  drawn          samples drawn with the seed and temperature of golden.json, from the numbers that heed's generator gives

Generation is the slow one: for every sample the whole network is computed over all samples so far, by nn.Conv1d with
zeros before the first. Needs PyTorch and NumPy.
"""
import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED, TEMPERATURE, LENGTH = 1234567890123, 0.8, 40

MODELS = {
    "mu_law": dict(output="mu_law", levels=32, residual=6, gate=7, skip=9, hidden=5, kernel=2, input_kernel=2,
                   dilations=[1, 2, 4, 8], voices=["a", "b", "c"], global_width=4, ids=5, local_width=3,
                   local_channels=4, local_kernel=3, hop=4),
    "mu_law_plain": dict(output="mu_law", levels=17, residual=4, gate=4, skip=8, hidden=4, kernel=3, input_kernel=1,
                         dilations=[1, 3], seed=4),
    "logistics": dict(output="mixture_of_logistics", mixtures=3, residual=5, gate=6, skip=4, hidden=7, kernel=2,
                      input_kernel=1, dilations=[1, 2, 1, 2], features=3, hop=8, residual_scale=math.sqrt(0.5),
                      skip_scale=0.5, weight_norm=True),
    "logistics_classes": dict(output="mixture_of_logistics", mixtures=1, residual=4, gate=4, skip=4, hidden=4, kernel=2,
                              input_kernel=3, dilations=[1, 5], classes=["low", "high"], global_width=2),
}


class WaveNet(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        levels = c.get("levels", 0)
        outputs = levels or 3 * c["mixtures"]
        conv = nn.Conv1d
        self.input = conv(levels or 1, c["residual"], c["input_kernel"])
        self.layers = nn.ModuleList()
        channels = c.get("local_channels", c.get("features", 0))
        for i, _ in enumerate(c["dilations"]):
            layer = nn.Module()
            layer.dilated = conv(c["residual"], 2 * c["gate"], c["kernel"], dilation=c["dilations"][i])
            layer.skip = conv(c["gate"], c["skip"], 1)
            if i + 1 < len(c["dilations"]) or c.get("weight_norm"):
                layer.residual = conv(c["gate"], c["residual"], 1)
            if "global_width" in c:
                layer.add_module("global", nn.Linear(c["global_width"], 2 * c["gate"], bias=False))
            if channels:
                layer.local = conv(channels, 2 * c["gate"], 1, bias="features" in c)
            self.layers.append(layer)
        self.hidden, self.output = conv(c["skip"], c["hidden"], 1), conv(c["hidden"], outputs, 1)
        if "global_width" in c:
            self.global_embedding = nn.Embedding(len(c.get("voices", c.get("classes"))), c["global_width"])
        if "ids" in c:
            self.local_embedding = nn.Embedding(c["ids"], c["local_width"])
            self.local_conv = conv(c["local_width"], c["local_channels"], c["local_kernel"], padding="same")

    def forward(self, samples, number=None, frames=None):
        """(length, outputs) of `samples` (length): levels or values."""
        c, length = self.c, len(samples)
        x = F.one_hot(samples, c["levels"]).double().T[None] if "levels" in c else samples[None, None]
        x = self.input(F.pad(x, (c["input_kernel"] - 1, 0)))
        local = None
        if "ids" in c:
            local = F.relu(self.local_conv(self.local_embedding(frames).T[None]))
        elif frames is not None:
            local = frames.T[None]
        skips = 0
        for layer, dilation in zip(self.layers, c["dilations"]):
            z = layer.dilated(F.pad(x, ((c["kernel"] - 1) * dilation, 0)))
            if number is not None:
                z = z + getattr(layer, "global")(self.global_embedding(torch.tensor([number])))[:, :, None]
            if local is not None:
                z = z + layer.local(local).repeat_interleave(c["hop"], 2)[:, :, :length]
            a, b = z.chunk(2, 1)
            z = torch.tanh(a) * torch.sigmoid(b)
            skips = skips + layer.skip(z)
            if hasattr(layer, "residual"):
                x = (x + layer.residual(z)) * c.get("residual_scale", 1.0)
        skips = skips * c.get("skip_scale", 1.0)
        return self.output(F.relu(self.hidden(F.relu(skips))))[0].T


def philox(counter, key):
    counter, key = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [b >> 32 ^ counter[1] ^ key[0], b & 0xFFFFFFFF, a >> 32 ^ counter[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return [(word >> 8) / 16777216 for word in counter]


def choose(c, outputs, step, temperature):
    """The next sample and how sure it is."""
    count = c.get("levels") or c["mixtures"]
    logits = outputs[:count]
    if temperature == 0:
        chosen = int(logits.argmax())
        top = logits.sort(descending=True).values
        margin = float(top[0] - top[1]) if count > 1 else 1e9
    else:
        uniform = philox((step, 0, 0, 0), (SEED & 0xFFFFFFFF, SEED >> 32))
        weights = ((logits - logits.max()) / temperature).exp()
        bounds = weights.cumsum(0) / weights.sum()
        chosen = min(int((bounds <= uniform[0]).sum()), count - 1)
        margin = float((bounds - uniform[0]).abs().min())
    if "levels" in c:
        return chosen, margin
    value = float(outputs[count + chosen])
    if temperature > 0:
        u = min(max(uniform[1], 1e-5), 1 - 1e-5)
        scale = math.exp(max(float(outputs[2 * count + chosen]), -7.0))
        value += scale * temperature * (math.log(u) - math.log1p(-u))
    return min(max(value, -1.0), 1.0), margin


def value_of(c, level):
    """From -1 to 1."""
    if "levels" not in c:
        return level
    mu = c["levels"] - 1
    x = 2 * level / mu - 1
    return math.copysign(math.expm1(abs(x) * math.log1p(mu)) / mu, x)


def write_tensors(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, tensor in sorted(tensors.items()):
        blobs.append(tensor.detach().float().contiguous().numpy().tobytes())
        begin, offset = offset, offset + len(blobs[-1])
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, offset]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def config_of(c):
    config = {"model_type": "wavenet", "sample_rate": 8000, "output": c["output"], "dilations": c["dilations"]}
    for key in ("residual_scale", "skip_scale", "voices", "classes"):
        if key in c:
            config[key] = c[key]
    if "hop" in c:
        config["local_hop"] = c["hop"]
    if "ids" in c:
        config["classes"] = [{"name": "one", "also": ["1"], "frames": [0, 1, 1, 2]},
                             {"name": "two", "also": ["2"], "frames": [3, 4, 0]}]
    return config


@torch.no_grad()
def make(folder, name, c):
    torch.manual_seed(c.get("seed", 1))
    model = WaveNet(c)
    for parameter in model.parameters():  # larger than PyTorch's, so that samples differ
        parameter.copy_((parameter * 2.5).float())
    if "levels" in c:
        model.output.weight.copy_((model.output.weight * 1.5).float())
    else:  # not all of them at the ends of what a sample may be
        model.output.weight.copy_((model.output.weight * 0.4).float())
        model.output.bias[c["mixtures"] :] *= 0.25
        model.output.bias[2 * c["mixtures"] :] -= 2.5
    state = model.state_dict()
    if c.get("weight_norm"):
        # As PyTorch keeps weights under weight norm, by both of its functions.
        for number, key in enumerate(sorted(k for k in state if k.endswith(".weight"))):
            v = state.pop(key)
            g = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
            layer, v = key[: -len(".weight")], v * 0.7
            names = (".weight_g", ".weight_v") if number % 2 else (
                ".parametrizations.weight.original0", ".parametrizations.weight.original1")
            state[layer + names[0]], state[layer + names[1]] = g, v
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", state)
    config = json.dumps(config_of(c), indent=1)
    (folder / "config.json").write_text(config + "\n")
    model.double()

    inputs, arguments, length = {}, {}, LENGTH
    if "global_width" in c:
        arguments["number"] = inputs["number"] = 1
    if "ids" in c:
        inputs["classes"], ids = [0, 1, 0], [0, 1, 1, 2, 3, 4, 0, 0, 1, 1, 2]
        length = len(ids) * c["hop"]
        arguments["frames"] = torch.tensor(ids)
    if "features" in c:
        features = torch.randn(5, c["features"])
        inputs["features"], arguments["frames"] = features.tolist(), features.double()
        length = 5 * c["hop"]
    levels = c.get("levels", 0)
    given = torch.randint(levels, (length,)) if levels else (torch.rand(length) * 2 - 1).double()
    golden = {"inputs": inputs, "length": length, "seed": SEED, "temperature": TEMPERATURE, "given": given.tolist(),
              "logits": [[round(value, 9) for value in row] for row in model(given, **arguments)[:12].tolist()]}
    for kind, temperature in (("greedy", 0), ("drawn", TEMPERATURE)):
        read = [levels // 2 if levels else 0.0]
        made, margin = [], math.inf
        for step in range(length):
            samples = torch.tensor(read, dtype=torch.int64 if levels else torch.float64)
            value, lead = choose(c, model(samples, **arguments)[-1], step, temperature)
            margin = min(margin, lead)
            made.append(value)
            read.append(value)
        golden[kind], golden[kind + "_margin"] = [round(value_of(c, value), 9) for value in made], margin
        assert len(set(made)) > 3 or kind == "greedy", name
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    print(name, {key: golden[key] for key in ("greedy_margin", "drawn_margin")}, golden["greedy"][:8], golden["drawn"][:8])


if __name__ == "__main__":
    for model_name, sizes in MODELS.items():
        make(pathlib.Path(sys.argv[1]) / model_name, model_name, sizes)
