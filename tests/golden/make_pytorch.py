#!/usr/bin/env python3
"""Makes the golden data under pytorch/: small files of torch.save, and expected.json, what is in them; a name stands for
what is in the file of that name.

usage: make_pytorch.py FOLDER
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(6, 8, generator=generator)
    return {
        "f32": torch.randn(3, 5, generator=generator),
        "f16": torch.randn(2, 3, generator=generator).half(),
        "bf16": torch.randn(7, generator=generator).bfloat16(),
        "f64": torch.randn(2, 2, generator=generator).double(),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "shared": base,
        "row": base[2],
        "columns": base[:, 3:5],
        "transposed": base.t(),
        "stepped": base[1::2, ::3],
        "expanded": torch.arange(3.0).expand(2, 3),
        "count": torch.tensor(12),
        "mask": torch.tensor([True, False]),
    }


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.embedding = torch.nn.Embedding(5, 4)
        self.gru = torch.nn.GRU(4, 4, batch_first=True)
        self.norm = torch.nn.BatchNorm1d(4)
        self.out = torch.nn.Linear(4, 5)
        self.out.weight = self.embedding.weight


def flat(prefix: str, value) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: tensor for name, item in items for key, tensor in flat(f"{prefix}.{name}" if prefix else str(name), item).items()}


def described(tensors: dict[str, torch.Tensor]) -> dict:
    return {name: {"shape": list(t.shape), "values": t.detach().float().flatten().tolist()} for name, t in tensors.items()}


def gpt2() -> dict[str, torch.Tensor]:
    """One layer of width 8, vocabulary 6, context 16, as transformers names its tensors."""
    shapes = {"wte.weight": (6, 8), "wpe.weight": (16, 8), "ln_f.weight": (8,), "ln_f.bias": (8,)}
    layer = {"ln_1": (8,), "ln_2": (8,), "attn.c_attn": (8, 24), "attn.c_proj": (8, 8), "mlp.c_fc": (8, 32), "mlp.c_proj": (32, 8)}
    for name, shape in layer.items():
        shapes |= {f"h.0.{name}.weight": shape, f"h.0.{name}.bias": shape[-1:]}
    generator = torch.Generator().manual_seed(3)
    return {f"transformer.{name}": torch.randint(-8, 8, shape, generator=generator) / 8 for name, shape in shapes.items()}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters())
    model.out(model.gru(model.embedding(torch.tensor([[1, 2]])))[0]).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "loss": 0.25, "model_state_dict": model.state_dict(), "optimizer_state_dict": optimizer.state_dict()}
    parts = {"encoder": {"weight": torch.ones(2, 2)}, "decoder": {"layers": [torch.zeros(2), torch.ones(1)]}, "epoch": 7, "name": "x", "best": None}
    parameters = {"weight": torch.nn.Parameter(torch.arange(4.0)), "size": torch.Size([1, 2])}
    files = {
        "state.pth": (state(), {}, state()),
        "state_4.pth": (state(), {"pickle_protocol": 4}, state()),
        "state_legacy.pth": (state(), {"_use_new_zipfile_serialization": False}, state()),
        "model.pth": (model.state_dict(), {}, model.state_dict()),
        "model_legacy.pth": (model.state_dict(), {"_use_new_zipfile_serialization": False}, model.state_dict()),
        "checkpoint.pt": (checkpoint, {}, model.state_dict()),
        "parts.pt": (parts, {}, {name: parts[name] for name in ("encoder", "decoder")}),
        "gpt2.bin": (gpt2(), {}, gpt2()),
        "parameters.pt": (parameters, {}, {"weight": parameters["weight"]}),
        # Refused, each with its own words.
        "module.pt": (model, {}, None),
        "numpy.pt": ({"weight": torch.ones(1), "loss": np.float64(1.5)}, {}, None),
        "tensor.pt": (torch.ones(2), {}, None),
        "quantised.pt": ({"q": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, {}, None),
    }
    expected = {}
    for name, (content, options, tensors) in files.items():
        torch.save(content, folder / name, **options)
        same = name.replace("_legacy", "").replace("_4", "")
        expected[name] = None if tensors is None else same if same != name else described(flat("", tensors))
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(folder / "script.pt"))
    with zipfile.ZipFile(folder / "script.pt") as whole, zipfile.ZipFile(folder / "small.pt", "w") as small:
        for entry in whole.namelist():
            if entry.endswith(".pkl"):
                small.writestr(entry, whole.read(entry))
    (folder / "small.pt").rename(folder / "script.pt")
    expected["script.pt"] = None
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


main()
