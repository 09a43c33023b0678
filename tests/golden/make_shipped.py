#!/usr/bin/env python3
"""Makes tests/golden/shipped: the four best translations of 40 lines by models/en-ja and by models/dates, with their scores.

    python3 tests/golden/make_shipped.py models tests/golden/shipped

Each line is searched alone, by translate() of models/en-ja/train.py, in float64, with the shipped float16 weights.
"""
import importlib.util
import json
import pathlib
import sys

import sentencepiece
import torch

LINES = 40


def module_of(path):
    spec = importlib.util.spec_from_file_location(path.parent.name.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class DatesAsTransformer:
    """The recurrent model as translate() takes one: all of a target is decoded for each step."""

    def __init__(self, model):
        self.model, self.generator = model, torch.nn.Identity()

    def encode(self, source):
        return source

    def decode(self, target, memory, source):
        return self.model(source, target)


def write(out, model, sources):
    lines = []
    for source in sources:
        best = en_ja.translate(model, [source], 4)[0]
        lines.append({"source": source, "best": [{"score": score, "tokens": tokens} for score, tokens in best]})
    out.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")


torch.set_num_threads(1)
models, out = map(pathlib.Path, sys.argv[1:])
out.mkdir(exist_ok=True)


def lines_of(name):
    return [row.split("\t")[0] for row in (models / name / "test.tsv").read_text().splitlines()[:LINES]]


en_ja = module_of(models / "en-ja" / "train.py")
model = en_ja.Translator()
weights = en_ja.read_safetensors(models / "en-ja" / "model.safetensors")
model.load_state_dict(weights | {"generator.weight": weights["tgt_tok_emb.embedding.weight"]})
pieces = sentencepiece.SentencePieceProcessor(model_file=str(models / "en-ja" / "source.model"))
write(out / "en-ja.json", model.double().eval(), [pieces.encode(line) + [en_ja.END] for line in lines_of("en-ja")])

dates = module_of(models / "dates" / "train.py")
model = dates.Dates()
model.load_state_dict(en_ja.read_safetensors(models / "dates" / "model.safetensors"))
for name in ("PAD", "BEGIN", "END"):
    setattr(en_ja, name, getattr(dates, name))
en_ja.TARGET_PIECES = len(dates.TARGET)
sources = [dates.ids(line.lower(), dates.SOURCE) for line in lines_of("dates")]
write(out / "dates.json", DatesAsTransformer(model.double().eval()), sources)
