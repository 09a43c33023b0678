"""Writes tests/golden/pictures: tiny picture generators with random weights, and what PyTorch computes with them.

usage: python3 tests/golden/make_pictures.py tests/golden

Each folder holds config.json and model.safetensors (models/generator.h), or model.onnx, and golden.npz with arrays
GRAPH.NAME of inputs and outputs. Weights are f32 as saved; arithmetic is float64. The rows are those of the support table.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

SEED = 20261121


def rounded(module):
    """Random weights, running statistics and biases that matter, in double but with values that f32 holds."""
    generator = torch.Generator().manual_seed(SEED)
    for name, value in list(module.named_parameters()) + list(module.named_buffers()):
        if not value.is_floating_point() or "weight_u" in name or "weight_v" in name or name.endswith(("_u", "_v")):
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            noise = 0.5 + noise.abs()
        elif value.dim() <= 1:
            noise = noise * 0.3 + (1.0 if name.endswith("weight") else 0.0)
        else:
            noise = noise * (1.4 / math.sqrt(max(1, value[0].numel())))
        with torch.no_grad():
            value.copy_(noise)
    return module


def as_double(module):
    return module.float().double().eval()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(SEED + 1)).double()


def write_arrays(folder, arrays):
    np.savez(folder / "golden.npz", **{
        name: value.numpy().astype(np.float32 if value.is_floating_point() else np.int32) for name, value in arrays.items()})


def write_generator(root, name, config, module, arrays):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model_type": "generator", "name": name, **config}, indent=2)
    (folder / "config.json").write_text(text + "\n")
    tensors = {key: (value.float() if value.is_floating_point() else value).contiguous().clone()
               for key, value in module.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    write_arrays(folder, arrays)


def write_onnx(root, name, module, inputs, outputs, dynamic=None):
    """Exports in single precision, compares in double."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        made = module(*inputs.values())
    made = made if isinstance(made, tuple) else (made,)
    arrays = {f"main.{key}": value for key, value in list(inputs.items()) + list(zip(outputs, made))}
    write_arrays(folder, arrays)
    single = module.float()
    torch.onnx.export(single, tuple(value.float() for value in inputs.values()), folder / "model.onnx",
                      input_names=list(inputs), output_names=outputs, dynamic_axes=dynamic, opset_version=17,
                      dynamo=False)


# I1: m = sigmoid(conv(relu(conv(relu(conv(x)))))), resized to x; y = relu(conv(x m + x)).
class AttentionMap(nn.Module):
    def __init__(self, channels, inner, out, kernel, stride, padding, last=None):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, kernel, stride, padding)
        self.conv2 = nn.Conv2d(inner, inner, kernel, stride, padding)
        self.conv3 = nn.Conv2d(inner, 1, kernel, stride, padding)
        self.out = nn.Conv2d(channels, out, *(last or (kernel, stride, padding)))

    def forward(self, x):
        m = torch.sigmoid(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))
        resized = m
        if m.shape[2:] != x.shape[2:]:
            resized = F.interpolate(m, size=x.shape[2:], mode="bilinear", align_corners=False)
        return F.relu(self.out(x * resized + x)), m


class AttentionMaps(nn.Module):
    """One after the other: kernel, stride, padding, and those of the last convolution where they are others."""
    SIZES = [(3, 1, 1, None), (5, 2, 2, (3, 1, 1)), (7, 1, 3, None), (4, 2, 2, (2, 1, 1)), (1, 1, 0, None),
             (3, 3, 2, (5, 1, 2)), (3, 1, 0, None), (2, 2, 1, (4, 2, 1))]

    def __init__(self):
        super().__init__()
        width = 5
        self.layers = nn.ModuleList()
        for kernel, stride, padding, last in self.SIZES:
            self.layers.append(AttentionMap(width, 4, 6, kernel, stride, padding, last))
            width = 6
        self.layers.append(nn.Conv2d(6, 3, 1))

    def forward(self, x):
        maps = []
        for layer in self.layers[:-1]:
            x, m = layer(x)
            maps.append(m)
        return torch.tanh(self.layers[-1](x)), maps

    @classmethod
    def config(cls):
        layers = []
        for kernel, stride, padding, last in cls.SIZES:
            layer = {"type": "attention_map", "inner": 4, "out": 6, "kernel": kernel, "padding": padding}
            if stride != 1:
                layer["stride"] = stride
            if last:
                layer.update({"out_kernel": last[0], "out_stride": last[1], "out_padding": last[2]})
            layers.append(layer)
        layers += [{"type": "conv", "out": 3, "kernel": 1, "stride": 1, "padding": 0}, {"type": "tanh"}]
        return {"latent": [5, 22, 19], "image": {"range": [-1, 1]}, "layers": layers}


def make_attention_maps(root):
    module = as_double(rounded(AttentionMaps()))
    x = noise(2, 5, 22, 19)
    with torch.no_grad():
        image, maps = module(x)
    arrays = {"draw.latent": x, "draw.image": image}
    arrays.update({f"draw.map.{i}": m for i, m in enumerate(maps)})
    write_generator(root, "i1_attention_map", AttentionMaps.config(), module, arrays)


# I2, as PyTorch's tutorial has it, smaller.
class Dcgan(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(12, 16, 4, 1, 0, bias=False), nn.BatchNorm2d(16), nn.ReLU(True),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
            nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1, groups=2), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z)


def make_dcgan(root):
    module = as_double(rounded(Dcgan()))
    z = noise(3, 12, 1, 1)
    with torch.no_grad():
        image = module(z)
    up = {"type": "conv_transpose", "kernel": 4, "stride": 2, "padding": 1}
    config = {
        "latent": [12, 1, 1], "image": {"channels": "rgb", "range": [-1, 1]}, "prefix": "main",
        "layers": [
            {"type": "conv_transpose", "out": 16, "kernel": 4, "stride": 1, "padding": 0}, {"type": "batch_norm"},
            {"type": "relu"}, {**up, "out": 8}, {"type": "batch_norm"}, {"type": "relu"},
            {**up, "out": 8, "kernel": 3, "output_padding": 1, "groups": 2}, {"type": "batch_norm"},
            {"type": "leaky_relu", "slope": 0.2}, {**up, "out": 3}, {"type": "tanh"}]}
    write_generator(root, "i2_dcgan", config, module, {"draw.latent": z, "draw.image": image})


# I3, the class first by its embedding, as in the conditional GAN of fully connected layers; and one-hot, as planes too.
class ConditionalGan(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_emb = nn.Embedding(5, 7)
        self.model = nn.Sequential(nn.Linear(6 + 7, 24), nn.BatchNorm1d(24), nn.LeakyReLU(0.2), nn.Dropout(0.3),
                                   nn.Linear(24, 64), nn.Tanh())

    def forward(self, z, label):
        return self.model(torch.cat((self.label_emb(label), z), -1)).view(-1, 1, 8, 8)


class OneHotGan(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.ConvTranspose2d(6 + 4, 8, 4, 1, 0)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.ConvTranspose2d(8 + 4, 1, 4, 2, 1)

    def forward(self, z, label):
        code = F.one_hot(label, 4).double()[:, :, None, None]
        x = F.relu(self.norm(self.first(torch.cat((z, code), 1))))
        return torch.sigmoid(self.last(torch.cat((x, code.expand(-1, -1, 4, 4)), 1)))


def make_conditional(root):
    module = as_double(rounded(ConditionalGan()))
    z, label = noise(3, 6), torch.tensor([4, 0, 2])
    with torch.no_grad():
        image = module(z, label)
    layers = [{"type": "class", "encoding": "embedding", "width": 7, "first": True, "name": "label_emb"},
              {"type": "linear", "out": 24, "name": "model.0"}, {"type": "batch_norm", "name": "model.1"},
              {"type": "leaky_relu", "slope": 0.2}, {"type": "dropout", "p": 0.3},
              {"type": "linear", "out": 64, "name": "model.4"}, {"type": "tanh"},
              {"type": "reshape", "shape": [1, 8, 8]}]
    config = {"latent": 6, "classes": ["a", "b", "c", "d", "e"], "image": {"range": [-1, 1]}, "layers": layers}
    write_generator(root, "i3_conditional", config, module,
                    {"draw.latent": z, "draw.label": label, "draw.image": image})

    module = as_double(rounded(OneHotGan()))
    z, label = noise(3, 6, 1, 1), torch.tensor([3, 0, 1])
    with torch.no_grad():
        image = module(z, label)
    one_hot = {"type": "class", "encoding": "one_hot"}
    layers = [one_hot, {"type": "conv_transpose", "out": 8, "kernel": 4, "stride": 1, "padding": 0, "name": "first"},
              {"type": "batch_norm", "name": "norm"}, {"type": "relu"}, one_hot,
              {"type": "conv_transpose", "out": 1, "kernel": 4, "stride": 2, "padding": 1, "name": "last"},
              {"type": "sigmoid"}]
    config = {"latent": [6, 1, 1], "classes": ["a", "b", "c", "d"], "layers": layers}
    write_generator(root, "i3_one_hot", config, module, {"draw.latent": z, "draw.label": label, "draw.image": image})


# I4: both halves of a conditional VAE.
class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.GroupNorm(3, 6), nn.SiLU(), nn.MaxPool2d(2, 2),
                                     nn.Conv2d(6, 8, 3, 1, 1), nn.GELU(), nn.AvgPool2d(2, 2), nn.Flatten())
        self.mean = nn.Linear(32 + 3, 5)
        self.log_variance = nn.Linear(32 + 3, 5)
        self.decoder = nn.ModuleList([nn.Linear(5 + 3, 32), nn.Conv2d(8, 12, 3, 1, 1), nn.InstanceNorm2d(12, affine=True),
                                      nn.ConvTranspose2d(12, 8, 3, 2, 1, output_padding=1),
                                      nn.Conv2d(8, 16, 3, 1, 1), nn.Conv2d(4, 1, 3, 1, 1)])

    def encode(self, image, label):
        x = torch.cat((self.encoder(image), F.one_hot(label, 3).double()), 1)
        return self.mean(x), self.log_variance(x)

    def decode(self, z, label):
        d = self.decoder
        x = F.relu(d[0](torch.cat((z, F.one_hot(label, 3).double()), 1))).view(-1, 8, 2, 2)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = F.silu(d[2](d[1](x)))
        x = F.gelu(d[3](x))
        x = F.pixel_shuffle(d[4](x), 2)
        return torch.sigmoid(d[5](x))


def make_vae(root):
    module = as_double(rounded(Vae()))
    image, label, z = noise(2, 1, 16, 16).abs(), torch.tensor([2, 0]), noise(2, 5)
    with torch.no_grad():
        mean, log_variance = module.encode(image, label)
        made = module.decode(z, label)
    one_hot = {"type": "class", "encoding": "one_hot"}
    conv = {"type": "conv", "kernel": 3, "stride": 1, "padding": 1}
    encoder = [{**conv, "out": 6, "stride": 2}, {"type": "group_norm", "groups": 3}, {"type": "silu"},
               {"type": "max_pool", "kernel": 2, "stride": 2}, {**conv, "out": 8}, {"type": "gelu"},
               {"type": "average_pool", "kernel": 2, "stride": 2}, {"type": "flatten"}, one_hot,
               {"type": "mean_and_log_variance", "out": 5, "mean": "mean", "log_variance": "log_variance"}]
    layers = [one_hot, {"type": "linear", "out": 32, "name": "decoder.0"}, {"type": "relu"},
              {"type": "reshape", "shape": [8, 2, 2]}, {"type": "upsample", "scale": 2, "mode": "linear"},
              {**conv, "out": 12, "name": "decoder.1"}, {"type": "instance_norm", "name": "decoder.2"}, {"type": "silu"},
              {"type": "conv_transpose", "out": 8, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1,
               "name": "decoder.3"}, {"type": "gelu"}, {**conv, "out": 16, "name": "decoder.4"},
              {"type": "pixel_shuffle", "factor": 2}, {**conv, "out": 1, "name": "decoder.5"}, {"type": "sigmoid"}]
    config = {"latent": 5, "classes": ["a", "b", "c"],
              "encoder": {"image": [1, 16, 16], "prefix": "encoder", "layers": encoder}, "layers": layers}
    write_generator(root, "i4_vae", config, module,
                    {"draw.latent": z, "draw.label": label, "draw.image": made, "encode.image": image,
                     "encode.label": label, "encode.mean": mean, "encode.log_variance": log_variance})


# I5, with spectral norm in both of PyTorch's manners.
class SelfAttention(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.f = nn.utils.spectral_norm(nn.Conv2d(channels, inner, 1))
        self.g = nn.utils.parametrizations.spectral_norm(nn.Conv2d(channels, inner, 1))
        self.h = nn.utils.spectral_norm(nn.Conv2d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        f, g, h = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))
        weights = torch.softmax(f.transpose(1, 2) @ g, 1)
        return x + self.gamma * (h @ weights).view_as(x), weights


class Sagan(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.utils.parametrizations.spectral_norm(nn.Linear(9, 128)), nn.Identity(), nn.BatchNorm2d(8), nn.ReLU(),
            nn.utils.spectral_norm(nn.ConvTranspose2d(8, 8, 4, 2, 1)), nn.BatchNorm2d(8), nn.ReLU(), SelfAttention(8, 3),
            nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(8, 6, 3, 1, 1)), nn.ReLU(),
            nn.utils.spectral_norm(nn.Conv2d(6, 3, 3, 1, 1)), nn.Tanh()])

    def forward(self, x):
        attention = None
        for i, layer in enumerate(self.layers):
            if i == 1:
                x = x.view(-1, 8, 4, 4)
            elif isinstance(layer, SelfAttention):
                x, attention = layer(x)
            else:
                x = layer(x)
        return x, attention


def make_sagan(root):
    torch.manual_seed(SEED)
    module = rounded(Sagan())
    with torch.no_grad():
        module.layers[7].gamma.fill_(0.7)
        module.train()
        for _ in range(3):  # u and v follow the weights
            module(noise(4, 9).float())
        for layer in module.modules():  # and the statistics are not those of the last batches
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.mul_(0.8)
    module = as_double(module)
    z = noise(2, 9)
    with torch.no_grad():
        image, attention = module(z)
    layers = [{"type": "linear", "out": 128}, {"type": "reshape", "shape": [8, 4, 4]}, {"type": "batch_norm"},
              {"type": "relu"}, {"type": "conv_transpose", "out": 8, "kernel": 4, "stride": 2, "padding": 1},
              {"type": "batch_norm"}, {"type": "relu"}, {"type": "self_attention", "inner": 3},
              {"type": "conv_transpose", "out": 6, "kernel": 3, "stride": 1, "padding": 1}, {"type": "relu"},
              {"type": "conv", "out": 3, "kernel": 3, "stride": 1, "padding": 1}, {"type": "tanh"}]
    config = {"latent": 9, "image": {"range": [-1, 1]}, "layers": layers}
    write_generator(root, "i5_sagan", config, module,
                    {"draw.latent": z, "draw.image": image, "draw.attention.7": attention})


# I6: pix2pix's U-Net (Isola et al. 2017), with instance norm.
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [3, 4, 6, 8, 8]
        self.down = nn.ModuleList([nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:])])
        self.down_norm = nn.ModuleList([nn.InstanceNorm2d(w, affine=True) for w in widths[2:4]])
        ups = [(8, 8), (16, 6), (12, 4), (8, 3)]
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in ups])
        self.up_norm = nn.ModuleList([nn.InstanceNorm2d(b) for _, b in ups[:-1]])

    def forward(self, x):
        skips = []
        for i, layer in enumerate(self.down):
            x = layer(F.leaky_relu(x, 0.2) if i else x)
            if 0 < i < 3:
                x = self.down_norm[i - 1](x)
            skips.append(x)
        for i, layer in enumerate(self.up):
            x = layer(F.relu(x if i == 0 else torch.cat((x, skips[-1 - i]), 1)))
            if i < 3:
                x = self.up_norm[i](x)
        return torch.tanh(x)


# I6: the transformer network of Johnson et al. 2016, smaller.
class StyleTransfer(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 6, 5), nn.Conv2d(6, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3),
                                    nn.Conv2d(8, 6, 3), nn.Conv2d(6, 3, 5)])
        self.norms = nn.ModuleList([nn.InstanceNorm2d(w, affine=True) for w in (6, 8, 8, 8, 6)])

    def forward(self, x):
        def conv(i, x):
            pad = self.convs[i].kernel_size[0] // 2
            return self.convs[i](F.pad(x, (pad,) * 4, mode="reflect"))
        x = F.relu(self.norms[0](conv(0, x)))
        x = F.relu(self.norms[1](conv(1, x)))
        x = x + self.norms[3](conv(3, F.relu(self.norms[2](conv(2, x)))))
        x = F.relu(self.norms[4](conv(4, F.interpolate(x, scale_factor=2.0, mode="nearest"))))
        return conv(5, x)


# I7: the generator of StyleGAN 2 (Karras et al. 2020).
class ModulatedConv(nn.Module):
    def __init__(self, channels, out, kernel, style, demodulate=True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, channels, kernel, kernel))
        self.style = nn.Linear(style, channels)
        self.demodulate = demodulate

    def forward(self, x, w):
        batch, channels, height, width = x.shape
        kernel = self.weight * self.style(w)[:, None, :, None, None]
        if self.demodulate:
            kernel = kernel * torch.rsqrt(kernel.pow(2).sum((2, 3, 4), keepdim=True) + 1e-8)
        y = F.conv2d(x.reshape(1, batch * channels, height, width), kernel.flatten(0, 1),
                     padding=self.weight.shape[-1] // 2, groups=batch)
        return y.reshape(batch, -1, height, width)


class StyleGan(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.const = nn.Parameter(torch.zeros(1, 6, 4, 4))
        self.convs = nn.ModuleList([ModulatedConv(6, 6, 3, 8), ModulatedConv(6, 5, 3, 8), ModulatedConv(5, 5, 3, 8)])
        self.to_rgb = nn.ModuleList([ModulatedConv(6, 3, 1, 8, False), ModulatedConv(5, 3, 1, 8, False)])
        self.strengths = nn.Parameter(torch.zeros(3))
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(1, w, 1, 1)) for w in (6, 5, 5)])
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("fir", (torch.outer(taps, taps) / 16)[None, None])

    def upsample(self, x):
        """Zeros between, then the FIR filter."""
        _, channels, height, width = x.shape
        x = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1)).reshape(-1, channels, 2 * height, 2 * width)
        return F.conv2d(F.pad(x, (2, 1, 2, 1)), self.fir.expand(channels, -1, -1, -1), groups=channels)

    def layer(self, i, x, w, noise_map):
        x = self.convs[i](x, w) + self.strengths[i] * noise_map
        return F.leaky_relu(x + self.biases[i], 0.2) * math.sqrt(2)

    def forward(self, z, noise0, noise1, noise2):
        w = z * torch.rsqrt(z.pow(2).mean(1, keepdim=True) + 1e-8)
        for linear in self.mapping:
            w = F.leaky_relu(linear(w), 0.2)
        x = self.layer(0, self.const.expand(z.shape[0], -1, -1, -1), w, noise0)
        rgb = self.to_rgb[0](x, w)
        x = self.layer(1, self.upsample(x), w, noise1)
        x = self.layer(2, x, w, noise2)
        return self.upsample(rgb) + self.to_rgb[1](x, w), w


# I9: a classifier with squeeze-and-excite (Hu et al. 2018) and CBAM's channel and spatial attention (Woo et al. 2018).
class AttentionClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.body, self.body_norm = nn.Conv2d(8, 8, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(8)
        self.shared = nn.Sequential(nn.Linear(8, 3), nn.ReLU(), nn.Linear(3, 8))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 3, 2, 1)
        gates = torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = x + F.hardswish(self.body_norm(self.body(x * gates)))
        channels = torch.sigmoid(self.shared(x.mean((2, 3))) + self.shared(x.amax((2, 3))))
        x = x * channels[:, :, None, None]
        places = torch.sigmoid(self.spatial(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)))
        return torch.softmax(self.head((x * places).mean((2, 3))), 1), gates, places


# I9: super-resolution with pixel attention (Zhao et al. 2020) and residual channel attention (Zhang et al. 2018).
class SuperResolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, 1, 1)
        self.body = nn.ModuleList([nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)])
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())
        self.pixel = nn.Conv2d(8, 8, 1)
        self.tail = nn.Conv2d(8, 27, 3, 1, 1)

    def forward(self, x):
        y = self.head(x)
        z = self.body[1](F.relu(self.body[0](y)))
        y = y + z * self.gate(z)
        y = y * torch.sigmoid(self.pixel(y))
        wide = F.interpolate(x, scale_factor=3.0, mode="bicubic", align_corners=False)
        return F.pixel_shuffle(self.tail(y), 3) + wide


def make_exported(root):
    sizes = {0: "batch", 2: "height", 3: "width"}
    write_onnx(root, "i6_unet", as_double(rounded(UNet())), {"x": noise(2, 3, 32, 48)}, ["y"], {"x": sizes, "y": sizes})
    write_onnx(root, "i6_style", as_double(rounded(StyleTransfer())), {"x": noise(1, 3, 24, 20)}, ["y"],
               {"x": sizes, "y": sizes})
    # The batch is the number of groups, which ONNX fixes.
    inputs = {"z": noise(2, 8), "noise0": noise(2, 1, 4, 4), "noise1": noise(2, 1, 8, 8), "noise2": noise(1, 1, 8, 8)}
    write_onnx(root, "i7_style_gan", as_double(rounded(StyleGan())), inputs, ["image", "w"])
    write_onnx(root, "i9_classifier", as_double(rounded(AttentionClassifier())), {"x": noise(2, 3, 33, 29)},
               ["probabilities", "gates", "places"], {"x": sizes})
    write_onnx(root, "i9_super_resolution", as_double(rounded(SuperResolution())), {"x": noise(2, 3, 9, 14)}, ["y"],
               {"x": sizes, "y": sizes})


def main():
    root = pathlib.Path(sys.argv[1]) / "pictures"
    make_attention_maps(root)
    make_dcgan(root)
    make_conditional(root)
    make_vae(root)
    make_sagan(root)
    make_exported(root)


if __name__ == "__main__":
    main()
