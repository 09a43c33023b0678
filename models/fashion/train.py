#!/usr/bin/env python3
"""Trains heed's fashion model, a class-conditional generator of 32x32 grey pictures, on a CPU in under an hour.

    OPENBLAS_NUM_THREADS=1 python3 train.py --out . --minutes 38 --bfloat16

The data is Fashion-MNIST (MIT licence) as Debian packages it, dataset-fashion-mnist, padded from 28x28. Generator and
discriminator play the hinge game. The discriminator judges pictures together with their classes (projection) and learns
to name the classes of real ones, which the generator is asked to satisfy a little as well. The weights written are a
running mean of the generator's. A classifier, trained on the real pictures alone and no part of the game, then counts
the samples of those weights, as rounded to float16, that show the class asked for.

--out receives config.json, model.safetensors, samples.png (a class a row) and golden.safetensors (reference values).
They are rewritten with every checkpoint, which lies beside that folder as NAME.checkpoint; --resume continues from it.
--minutes bounds the whole run, earlier parts included: the learning rates fall to zero by then. Needs PyTorch 1.13 or
later, and NumPy; on Debian libopenblas0 too.
"""
import argparse
import gzip
import json
import pathlib
import struct
import time
import zlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import spectral_norm

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
LATENT, EMBEDDING = 64, 32
NORM, RELU = {"type": "batch_norm"}, {"type": "relu"}


def conv(out, kind="conv", kernel=3, stride=1):
    return {"type": kind, "out": out, "kernel": kernel, "stride": stride, "padding": 1}


CONFIG = {
    "model_type": "generator", "name": "fashion", "latent": LATENT, "classes": CLASSES, "class_embedding": EMBEDDING,
    "image": {"channels": "gray", "range": [-1, 1]}, "layers": [
        {"type": "linear", "out": 256 * 4 * 4}, {"type": "reshape", "shape": [256, 4, 4]}, NORM, RELU,
        conv(128, "conv_transpose", 4, 2), NORM, RELU,  # 8x8
        conv(128), NORM, {"type": "silu"},
        {"type": "upsample", "scale": 2, "mode": "nearest"}, conv(64), NORM, {"type": "leaky_relu", "slope": 0.2},
        {"type": "self_attention", "inner": 8},  # 16x16
        conv(24, "conv_transpose", 4, 2), NORM, RELU,  # 32x32
        {"type": "attention_map", "inner": 8, "kernel": 3, "padding": 1, "out": 24},
        conv(1), {"type": "tanh"},
    ],
}
BATCH = 64
G_RATE, D_RATE, C_RATE, BETAS = 4e-4, 6e-4, 2e-3, (0.0, 0.99)  # Adam
CLASS_WEIGHT = 0.2  # of the auxiliary classifier in the generator's loss
MEAN_DECAY = 0.998  # of the running mean of the generator's weights
CLASSIFIER_STEPS = 2500


class ConvTranspose(nn.ConvTranspose2d):
    """For kernel 4, stride 2, padding 1: a convolution of kernel 3, many times faster in PyTorch 1.13 on a CPU."""

    def forward(self, x):
        taps = F.pad(self.weight.transpose(0, 1), (1, 1, 1, 1)).flip(2, 3)  # (out, channels, 6, 6)
        # Even and odd rows of the result have kernels of their own, and so have even and odd columns.
        kernels = [taps[:, :, 1 - row::2, 1 - column::2][:, :, :3, :3] for row in (0, 1) for column in (0, 1)]
        kernel = torch.stack(kernels, 1).flatten(0, 1)
        return F.pixel_shuffle(F.conv2d(x, kernel, self.bias.repeat_interleave(4), padding=1), 2)


class SelfAttention(nn.Module):
    """SAGAN's block (Zhang et al., 2018): position j reads the positions i, weighted by softmax over i of f_i . g_j."""

    def __init__(self, channels, inner):
        super().__init__()
        self.f, self.g, self.h = (nn.Conv2d(channels, out, 1) for out in (inner, inner, channels))
        self.gamma = nn.Parameter(torch.tensor([0.5]))

    def weights(self, x):
        """(batch, j, i): what position j reads of every position i; a row adds up to one."""
        return (self.g(x).flatten(2).transpose(1, 2) @ self.f(x).flatten(2)).softmax(-1)

    def forward(self, x):
        read = self.h(x).flatten(2) @ self.weights(x).transpose(1, 2)  # (batch, channels, j)
        return x + self.gamma * read.view_as(x)


class AttentionMap(nn.Module):
    """Strengthens every position by a map of one channel that three convolutions compute, then convolves."""

    def __init__(self, channels, inner, kernel, padding, out):
        super().__init__()
        shapes = ((channels, inner), (inner, inner), (inner, 1), (channels, out))
        self.conv1, self.conv2, self.conv3, self.out = (nn.Conv2d(i, o, kernel, 1, padding) for i, o in shapes)

    def map(self, x):
        return torch.sigmoid(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))

    def forward(self, x):
        return F.relu(self.out(x * self.map(x) + x))


class Generator(nn.Module):
    """What CONFIG describes. Its parameters have the names that the file needs."""

    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Embedding(len(CLASSES), EMBEDDING)
        self.layers, size = nn.Sequential(), LATENT + EMBEDDING
        for o in CONFIG["layers"]:
            self.layers.append({
                "linear": lambda: nn.Linear(size, o["out"]),
                "reshape": lambda: nn.Unflatten(1, o["shape"]),
                "conv": lambda: nn.Conv2d(size, o["out"], o["kernel"], o["stride"], o["padding"]),
                "conv_transpose": lambda: ConvTranspose(size, o["out"], o["kernel"], o["stride"], o["padding"]),
                "batch_norm": lambda: nn.BatchNorm2d(size),
                "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "leaky_relu": lambda: nn.LeakyReLU(o["slope"]),
                "upsample": lambda: nn.Upsample(scale_factor=o["scale"], mode=o["mode"]),
                "self_attention": lambda: SelfAttention(size, o["inner"]),
                "attention_map": lambda: AttentionMap(size, o["inner"], o["kernel"], o["padding"], o["out"]),
            }[o["type"]]())
            size = o["shape"][0] if "shape" in o else o.get("out", size)

    def forward(self, latent, label):
        return self.layers(torch.cat((latent, self.class_embedding(label)), 1))


class Discriminator(nn.Module):
    """Pictures and their classes to a score by projection (Miyato and Koyama, 2018), and to logits of the class."""

    def __init__(self):
        super().__init__()
        shapes = [(1, 32, 4, 2), (32, 48, 3, 1), (48, 96, 4, 2), (96, 128, 3, 1), (128, 192, 4, 2)]
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(i, o, k, s, 1)) for i, o, k, s in shapes)
        self.score = spectral_norm(nn.Linear(192 * 16 + 1, 1))
        self.projection = spectral_norm(nn.Embedding(len(CLASSES), 192 * 16))
        self.classes = spectral_norm(nn.Linear(192 * 16, len(CLASSES)))

    def forward(self, x, label):
        for layer in self.convs:
            x = F.leaky_relu(layer(x), 0.2)
        x = x.flatten(1).float()
        spread = x.std(0).mean().expand(len(x), 1)  # a batch of samples that are all alike gives itself away
        score = self.score(torch.cat((x, spread), 1)).squeeze(1) + (self.projection(label) * x).sum(1)
        return score.float(), self.classes(x).float()


def classifier_network():
    shapes = ((1, 32, 2), (32, 64, 2), (64, 128, 1), (128, 128, 2))
    layers = [m for i, o, s in shapes for m in (nn.Conv2d(i, o, 3, s, 1), nn.BatchNorm2d(o), nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, len(CLASSES)))


def load(part):
    """Pictures (count, 1, 32, 32) from -1 to 1, and their classes; part is "train" or "t10k"."""
    images, labels = (np.frombuffer(gzip.open(DATA / f"{part}-{kind}-ubyte.gz").read(), np.uint8, offset=offset)
                      for kind, offset in (("images-idx3", 16), ("labels-idx1", 8)))
    images = torch.tensor(images.reshape(-1, 1, 28, 28)) / 127.5 - 1
    return F.pad(images, (2, 2, 2, 2), value=-1.0), torch.tensor(labels.astype(np.int64))


def descend(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def write_tensors(path, tensors):
    kinds = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(tensors.items()):
        blobs.append(tensor.detach().contiguous().numpy().tobytes())
        begin, offset = offset, offset + len(blobs[-1])
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, offset]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_png(path, pixels):
    """A grey picture (height, width) of bytes."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@torch.no_grad()
def export(folder, mean, classifier):
    """Writes the folder. Returns, for each class, how many of its 100 samples the classifier recognises."""
    model = Generator()
    model.load_state_dict(mean)
    for norm in filter(lambda module: isinstance(module, nn.BatchNorm2d), model.layers):
        norm.reset_running_stats()
        norm.momentum = None  # measured anew: a plain mean over the batches that follow
    noise, order = torch.Generator().manual_seed(2), torch.arange(250) % len(CLASSES)
    for _ in range(16):
        model(torch.randn(250, LATENT, generator=noise), order)
    weights = {name: tensor.half() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    model.load_state_dict(weights, strict=False)  # from here on it is what the file holds
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", weights)
    layers = ",\n".join("    " + json.dumps(layer) for layer in CONFIG["layers"])
    config = json.dumps({**CONFIG, "layers": []}, indent=2).replace("[]", f"[\n{layers}\n  ]")
    (folder / "config.json").write_text(config + "\n")

    noise, order = torch.Generator().manual_seed(3), order[:100]
    images = torch.stack([model(torch.randn(100, LATENT, generator=noise), order) for _ in range(10)])
    found = torch.stack([classifier(part).argmax(1) for part in images])
    grid = ((images[0] + 1) * 127.5).round().byte().view(10, 10, 32, 32).permute(1, 2, 0, 3).reshape(320, 320)
    write_png(folder / "samples.png", grid.repeat_interleave(2, 0).repeat_interleave(2, 1).numpy())

    latent, label = torch.randn(2, LATENT, generator=noise), torch.tensor([3, 9])
    golden, x = {"latent": latent, "label": label}, torch.cat((latent, model.class_embedding(label)), 1)
    for layer in model.layers:
        if isinstance(layer, SelfAttention):
            rows = torch.tensor([0, 37, 119, 136, 255])  # positions j, counted row by row
            golden.update(attention_rows=rows, attention=layer.weights(x)[:, rows])
        elif isinstance(layer, AttentionMap):
            golden["m"] = layer.map(x)
        x = layer(x)
    write_tensors(folder / "golden.safetensors", {**golden, "image": x})
    return (found == order).sum(0).view(10, 10).sum(0).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write the model to")
    parser.add_argument("--minutes", type=float, default=50, help="of the whole run, earlier parts included")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint beside the folder")
    parser.add_argument("--bfloat16", action="store_true", help="train in bfloat16: faster on CPUs that multiply it")
    args = parser.parse_args()
    torch.set_num_threads(1)  # on a busy machine two are slower
    torch.manual_seed(1)
    checkpoint, begun = args.out.resolve().with_suffix(".checkpoint"), time.time()
    images, labels = load("train")
    generator, discriminator, classifier = Generator(), Discriminator(), classifier_network()
    g_optimizer = torch.optim.Adam(generator.parameters(), G_RATE, BETAS)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), D_RATE, BETAS)
    parts = {"generator": generator, "discriminator": discriminator, "classifier": classifier,
             "g_optimizer": g_optimizer, "d_optimizer": d_optimizer}
    if args.resume:
        state = torch.load(checkpoint)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        mean, step, begun = state["mean"], state["step"], begun - state["seconds"]
        torch.set_rng_state(state["random"])
    else:
        c_optimizer = torch.optim.Adam(classifier.parameters())
        for step in range(CLASSIFIER_STEPS):
            c_optimizer.param_groups[0]["lr"] = C_RATE * (1 - step / CLASSIFIER_STEPS)
            pick = torch.randint(len(images), (BATCH,))
            descend(c_optimizer, F.cross_entropy(classifier(images[pick]), labels[pick]))
        mean, step = {name: tensor.clone() for name, tensor in generator.state_dict().items()}, 0
    classifier.eval()
    with torch.no_grad():
        right = sum((classifier(x).argmax(1) == y).sum() for x, y in zip(*(part.split(500) for part in load("t10k"))))
    print(f"{sum(p.numel() for p in generator.parameters()):,} weights, {(time.time() - begun) / 60:.1f} minutes; the "
          f"classifier is right about {right / 1e4:.2%} of the test pictures", flush=True)
    saved = time.time()
    while (progress := (time.time() - begun) / (60 * args.minutes)) < 1:
        for optimizer, rate in ((g_optimizer, G_RATE), (d_optimizer, D_RATE)):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - progress))
        pick = torch.randint(len(images), (BATCH,))
        real, label = images[pick], labels[pick]
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            fake = generator(torch.randn(BATCH, LATENT), label)
            score, logits = discriminator(real, label)
            fake_score, _ = discriminator(fake.detach(), label)
        d_loss = F.relu(1 - score).mean() + F.relu(1 + fake_score).mean() + F.cross_entropy(logits, label)
        descend(d_optimizer, d_loss)
        discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            fake_score, logits = discriminator(fake, label)
        class_loss = F.cross_entropy(logits, label)
        descend(g_optimizer, CLASS_WEIGHT * class_loss - fake_score.mean())
        discriminator.requires_grad_(True)

        step += 1
        for name, tensor in generator.named_parameters():
            mean[name].lerp_(tensor.detach(), max(1 - MEAN_DECAY, 1 / step))
        if step % 50 == 0:
            print(f"step {step}  {progress:.1%}  discriminator {d_loss:.3f}  class {class_loss:.3f}", flush=True)
        if time.time() - saved > 300:
            saved = time.time()
            torch.save({**{name: part.state_dict() for name, part in parts.items()}, "mean": mean, "step": step,
                        "seconds": saved - begun, "random": torch.get_rng_state()}, checkpoint)
            counts = export(args.out, mean, classifier)
            print(f"step {step}  {sum(counts)} of 1000 samples recognised, by class {counts}", flush=True)

    counts = export(args.out, mean, classifier)
    print(f"{step} steps of {BATCH} pictures, {(time.time() - begun) / 60:.1f} minutes: {sum(counts)} of 1000 samples "
          f"recognised as the class asked for, by class {counts}", flush=True)


if __name__ == "__main__":
    main()
