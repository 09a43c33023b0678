#!/usr/bin/env python3
"""Trains heed's model of pictures as tokens, DALL-E's shape (Ramesh et al., 2021), on a CPU in about 20 minutes.

    OPENBLAS_NUM_THREADS=1 python3 train.py --out .
    python3 train.py --out . --judge drawn/

The data is Fashion-MNIST (MIT licence) as Debian packages it, dataset-fashion-mnist, padded to 32x32. First an
autoencoder (VQ-VAE, van den Oord et al., 2017) learns to write a picture as 8x8 codes of a codebook whose entries are
running means of what they stand for; entries that nothing uses begin anew. Then a decoder-only Transformer learns to
write those codes behind a caption that says truly what is seen: the kind of thing, in one of several words, and often
how bright it is, measured. One caption in ten is left out, for guidance.

--out receives config.json, tokenizer.json, model.safetensors (float16) and golden.safetensors (reference values). Each
part leaves its state in NAME.checkpoint beside that folder, and --resume goes on from there. --minutes bounds the
Transformer's training, --picture-minutes the autoencoder's, in time of the processor: the learning rates fall to zero
by then.

--judge counts: in the folder lie grids of 32x32 pictures, a hundred each, that heed drew for "a t-shirt" (0.png), "a
pair of trousers" (1.png) and so on, and a classifier that was trained on the real pictures, and on nothing else, says
how many show what was asked for. Needs PyTorch 2, NumPy and, for --judge, Pillow; on Debian libopenblas0 too.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "fashion"))
import train as fashion  # the pictures, the classifier, and what writes files

CODES, CODE_WIDTH, SIDE = 128, 32, 8  # a picture is SIDE x SIDE codes
PLACES = 5  # of the caption
WIDTH, HEADS, LAYERS, FEED_FORWARD = 128, 4, 4, 512
BATCH, P_RATE, RATE, MATRIX_RATE, MATRIX_DECAY, WARM_UP = 32, 1e-3, 3e-3, 0.02, 0.01, 50
CODE_DECAY, COMMITMENT, LEAST_USE = 0.99, 0.25, 0.5  # of the codebook
NO_CAPTION = 0.1

PAD, BEGIN, UNKNOWN = "<pad>", "<picture>", "<unk>"
THINGS = [["t-shirt", "tee", "top"], ["pair of trousers", "pair of pants"], ["pullover", "sweater", "jumper"],
          ["dress", "gown"], ["coat", "jacket"], ["sandal"], ["shirt", "blouse"], ["sneaker", "trainer", "running shoe"],
          ["bag", "handbag", "purse"], ["ankle boot", "boot"]]
BRIGHTNESS = ["very dark", "dark", "", "light", "very light"]
QUANTILES = [0.1, 0.35, 0.65, 0.9]  # of the mean brightness of what is not background: where the next word begins
TOKENS = [PAD, BEGIN, UNKNOWN] + sorted({w for text in ["a", *BRIGHTNESS, *sum(THINGS, [])] for w in text.split()})
ID = {token: i for i, token in enumerate(TOKENS)}
FIRST_CODE = len(TOKENS)

NORM, RELU = {"type": "batch_norm"}, {"type": "relu"}


def conv(out, kernel=3, stride=1, padding=1, kind="conv"):
    return {"type": kind, "out": out, "kernel": kernel, "stride": stride, "padding": padding}


RESIDUAL = {"type": "residual", "layers": [RELU, conv(64), NORM, RELU, conv(64, 1, 1, 0), NORM]}
CONFIG = {
    "model_type": "picture-tokens", "name": "fashion-tokens", "image": {"channels": "gray", "range": [-1, 1]},
    "text": {"places": PLACES, "pad": ID[PAD], "begin": [ID[BEGIN]]},
    "codes": {"first": FIRST_CODE, "count": CODES, "rows": SIDE, "columns": SIDE},
    "decoder": {"type": "transformer", "width": WIDTH, "layers": LAYERS, "heads": HEADS, "ffn_width": FEED_FORWARD,
                "activation": "gelu", "norm_eps": 1e-5, "positions": "axial"},
    "tokenizer": "tokenizer.json", "defaults": {"guidance": 2.0, "temperature": 1.0},
    "pixels": {"codebook": CODE_WIDTH, "prefix": "pixels", "layers": [
        conv(64), RESIDUAL, RESIDUAL, RELU, conv(48, 4, 2, 1, "conv_transpose"), NORM, RELU,
        conv(24, 4, 2, 1, "conv_transpose"), NORM, RELU, conv(1), {"type": "tanh"}]},
    "encoder": {"image": [1, 4 * SIDE, 4 * SIDE], "prefix": "encoder", "layers": [
        conv(48, 4, 2), NORM, RELU, conv(64, 4, 2), NORM, RESIDUAL, RESIDUAL, RELU, conv(CODE_WIDTH, 1, 1, 0)]},
}


class Residual(nn.Module):
    def __init__(self, layers, size):
        super().__init__()
        self.layers = sequential(layers, size)

    def forward(self, x):
        return x + self.layers(x)


def sequential(layers, size):
    result = nn.Sequential()
    for o in layers:
        convolution = {"conv": nn.Conv2d, "conv_transpose": fashion.ConvTranspose}.get(o["type"])
        result.append(convolution(size, o["out"], o["kernel"], o["stride"], o["padding"]) if convolution else {
            "batch_norm": lambda: nn.BatchNorm2d(size), "relu": nn.ReLU, "tanh": nn.Tanh,
            "residual": lambda: Residual(o["layers"], size)}[o["type"]]())
        size = o.get("out", size)
    return result


class Pictures(nn.Module):
    """The autoencoder. Its codebook is no parameter: it follows what it is used for."""

    def __init__(self):
        super().__init__()
        self.encoder = sequential(CONFIG["encoder"]["layers"], 1)
        self.codebook = nn.Embedding(CODES, CODE_WIDTH)
        self.codebook.weight.requires_grad_(False)
        self.pixels = sequential(CONFIG["pixels"]["layers"], CODE_WIDTH)
        self.register_buffer("uses", torch.ones(CODES), persistent=False)
        self.register_buffer("sums", torch.zeros(CODES, CODE_WIDTH), persistent=False)

    def nearest(self, x):
        """Codes (batch, SIDE, SIDE) of what the encoder made, (batch, CODE_WIDTH, SIDE, SIDE)."""
        entries = self.codebook.weight
        distances = entries.square().sum(1) - 2 * x.permute(0, 2, 3, 1) @ entries.t()  # but for x's square
        return distances.argmin(-1)

    def entries(self, codes):
        return self.codebook(codes).permute(0, 3, 1, 2)

    @torch.no_grad()
    def follow(self, x, codes):
        x, codes = x.permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH), codes.flatten()
        uses = torch.bincount(codes, minlength=CODES).float()
        self.uses.lerp_(uses, 1 - CODE_DECAY)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, x), 1 - CODE_DECAY)
        unused = self.uses < LEAST_USE
        if count := int(unused.sum()):
            self.sums[unused] = x[torch.randint(len(x), (count,))]
            self.uses[unused] = 1.0
        self.codebook.weight.copy_(self.sums / self.uses.unsqueeze(1))

    def loss(self, pictures):
        x = self.encoder(pictures)
        codes = self.nearest(x.detach())
        entries = self.entries(codes)
        made = self.pixels(x + (entries - x).detach())  # the gradient passes the codebook by
        self.follow(x.detach(), codes)
        return F.mse_loss(made, pictures) + 0.3 * F.l1_loss(made, pictures) + COMMITMENT * F.mse_loss(x, entries)


class Tokens(nn.Module):
    """Captions and codes, one vocabulary. The position of a code is the sum of its row's and its column's."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(FIRST_CODE + CODES, WIDTH)
        self.text_positions = nn.Embedding(PLACES + 1, WIDTH)
        self.row_positions, self.column_positions = nn.Embedding(SIDE, WIDTH), nn.Embedding(SIDE, WIDTH)
        for table in (self.embedding, self.text_positions, self.row_positions, self.column_positions):
            nn.init.normal_(table.weight, std=0.05)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED_FORWARD, 0.0, "gelu", batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.output = nn.Linear(WIDTH, FIRST_CODE + CODES, bias=False)
        nn.init.zeros_(self.output.weight)
        for block in self.transformer.layers:
            nn.init.zeros_(block.linear2.weight)
            nn.init.zeros_(block.self_attn.out_proj.weight)
            for part in block.self_attn.in_proj_weight.detach().split(WIDTH):
                nn.init.xavier_uniform_(part)

    def forward(self, tokens):
        """Logits (batch, n, vocabulary) of what follows each of tokens (batch, n)."""
        axial = (self.row_positions.weight.unsqueeze(1) + self.column_positions.weight).flatten(0, 1)
        n = tokens.shape[1]
        x = self.embedding(tokens) + torch.cat((self.text_positions.weight, axial))[:n]
        causal = torch.ones(n, n, dtype=torch.bool).triu(1)
        return self.output(self.transformer(x, causal, is_causal=True))


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized (Jordan et al., 2024), for matrices. Stacked ones are taken apart."""

    def __init__(self, matrices):
        super().__init__(matrices, {"lr": MATRIX_RATE})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                look_ahead = p.grad.lerp(momentum, 0.95)  # Nesterov's
                parts = look_ahead.split(WIDTH) if p.shape[0] == 3 * WIDTH else [look_ahead]
                p.mul_(1 - group["lr"] * MATRIX_DECAY)
                p.add_(torch.cat([orthogonalize(part) for part in parts]),
                       alpha=-group["lr"] * max(1.0, parts[0].shape[0] / p.shape[1])**0.5)


def orthogonalize(matrix):
    """Five Newton-Schulz steps: drives the singular values towards 1."""
    x = matrix.t() if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.t()
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.t() if matrix.shape[0] > matrix.shape[1] else x


def brightness_of(images):
    """For each picture the number of its word in BRIGHTNESS: of the mean of what is brighter than background."""
    grey = (images.flatten(1) + 1) / 2
    seen = grey > 0.05
    mean = (grey * seen).sum(1) / seen.sum(1).clamp(min=1)
    return torch.bucketize(mean, mean.quantile(torch.tensor(QUANTILES)))


def caption_ids(text):
    return [ID[word] for word in text.split()] + [ID[PAD]] * (PLACES - len(text.split())) + [ID[BEGIN]]


def captions(labels, brightness):
    """Token ids (batch, PLACES + 1): what is seen, in words that vary, or nothing."""
    def one(label, level):
        if torch.rand(()) < NO_CAPTION:
            return ""
        things = THINGS[label]
        thing = things[0 if torch.rand(()) < 0.5 else torch.randint(len(things), ())]
        word = BRIGHTNESS[level] if torch.rand(()) < 0.75 else ""
        if word and thing.startswith("pair of "):
            thing = f"pair of {word} {thing[8:]}" if len(f"a pair of {word} x".split()) <= PLACES else thing
        elif word:
            thing = f"{word} {thing}"
        return f"a {thing}" if torch.rand(()) < 0.8 else thing
    return torch.tensor([caption_ids(one(*pair)) for pair in zip(labels.tolist(), brightness.tolist())])


def train_pictures(images, minutes):
    model, begun, step = Pictures(), time.process_time(), 0
    with torch.no_grad():
        x = model.encoder(images[:64]).permute(0, 2, 3, 1).reshape(-1, CODE_WIDTH)
        model.codebook.weight.copy_(x[torch.randperm(len(x))[:CODES]])
        model.sums.copy_(model.codebook.weight)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], P_RATE, (0.9, 0.99))
    while (progress := (time.process_time() - begun) / (60 * minutes)) < 1:
        optimizer.param_groups[0]["lr"] = P_RATE * min(1.0, 1.5 * (1 - progress))
        loss = model.loss(images[torch.randint(len(images), (BATCH,))])
        fashion.descend(optimizer, loss)
        step += 1
        if step % 50 == 0:
            used = torch.exp(-torch.special.xlogy(p := model.uses / model.uses.sum(), p).sum())
            print(f"pictures {step}  {progress:.1%}  loss {loss:.4f}  {used:.0f} codes in use", flush=True)
    return model.state_dict(), step


def train_tokens(model, codes, labels, brightness, minutes):
    matrices = [p for n, p in model.transformer.named_parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    optimizers = [(Muon(matrices), MATRIX_RATE), (torch.optim.Adam(others, RATE, (0.9, 0.95)), RATE)]
    begun, step, mean, order = time.process_time(), 0, None, []
    while (progress := (time.process_time() - begun) / (60 * minutes)) < 1:
        if len(order) < BATCH:
            order = torch.randperm(len(codes))
        pick, order = order[:BATCH], order[BATCH:]
        row = torch.cat((captions(labels[pick], brightness[pick]), codes[pick] + FIRST_CODE), 1)
        loss = F.cross_entropy(model(row[:, :-1])[:, PLACES:].flatten(0, 1), row[:, PLACES + 1:].flatten())
        for optimizer, rate in optimizers:
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / WARM_UP, 1.5 * (1 - progress))
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
        step += 1
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 50 == 0:
            print(f"tokens {step}  {progress:.1%}  {mean:.4f} nats a code", flush=True)
    return step


@torch.no_grad()
def draw(tokens, pictures, texts, guidance):
    """Pictures for captions, of the most likely codes, as heed draws them at a temperature of 0. Returns the codes too."""
    row = torch.tensor([caption_ids(text) for text in texts + [""] * len(texts)])
    for _ in range(SIDE * SIDE):
        given, free = tokens(row)[:, -1, FIRST_CODE:].chunk(2)
        code = (free + guidance * (given - free)).argmax(1)
        row = torch.cat((row, code.view(-1, 1).repeat(2, 1) + FIRST_CODE), 1)
    codes = row[:len(texts), PLACES + 1:] - FIRST_CODE
    return pictures.pixels(pictures.entries(codes.view(-1, SIDE, SIDE))), codes


@torch.no_grad()
def export(folder, tokens, pictures):
    """Writes the folder."""
    weights = {name: tensor.half() for model in (tokens, pictures) for name, tensor in model.state_dict().items()
               if tensor.is_floating_point()}
    for model in (tokens, pictures):
        model.load_state_dict({name: weights[name].float() for name in model.state_dict() if name in weights}, False)
        model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    fashion.write_tensors(folder / "model.safetensors", weights)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps({
        "type": "words", "tokens": TOKENS, "unknown": UNKNOWN, "begin": BEGIN, "pad": PAD, "lower_case": True}) + "\n")
    texts = ["a dark coat", "running shoe"]
    images, codes = draw(tokens, pictures, texts, 2.0)
    row = torch.cat((torch.tensor([caption_ids(text) for text in texts]), codes + FIRST_CODE), 1)
    fashion.write_tensors(folder / "golden.safetensors", {
        "codes": codes, "logits": tokens(row[:, :-1])[:, PLACES::21, FIRST_CODE:], "image": images})


@torch.no_grad()
def judge(folder, classifier):
    """Counts which of the pictures in folder/0.png to 9.png the classifier takes for what was asked for."""
    import numpy
    from PIL import Image
    found, total = [], 0
    for label in range(10):
        grid = torch.tensor(numpy.asarray(Image.open(folder / f"{label}.png").convert("L"), numpy.float32)) / 127.5 - 1
        grid = grid.unfold(0, 32, 33).unfold(1, 32, 33).reshape(-1, 1, 32, 32)  # a pixel lies between them
        found.append(int((classifier(grid).argmax(1) == label).sum()))
        total += len(grid)
    print(f"{sum(found)} of {total} recognised as what was asked for, by class {found}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write the model to")
    parser.add_argument("--minutes", type=float, default=12, help="of the Transformer's training")
    parser.add_argument("--picture-minutes", type=float, default=4, help="of the autoencoder's training")
    parser.add_argument("--resume", action="store_true", help="keep the parts that are done")
    parser.add_argument("--judge", type=pathlib.Path, help="only count, in the pictures of this folder")
    args = parser.parse_args()
    torch.set_num_threads(1)  # on a busy machine two are slower
    torch.manual_seed(1)
    checkpoint = args.out.resolve().with_suffix(".checkpoint")
    state = torch.load(checkpoint) if args.resume or args.judge else {}
    classifier = fashion.classifier_network()
    if args.judge:  # needs the checkpoint
        classifier.load_state_dict(state["classifier"])
        return judge(args.judge, classifier.eval())
    (images, labels), begun = fashion.load("train"), time.time()
    if "pictures" not in state:
        state["pictures"], steps = train_pictures(images, args.picture_minutes)
        torch.save(state, checkpoint)
        print(f"{steps} steps of {BATCH} pictures", flush=True)
    pictures = Pictures()
    pictures.load_state_dict(state["pictures"])
    pictures.eval()
    with torch.no_grad():
        codes = torch.cat([pictures.nearest(pictures.encoder(part)).flatten(1) for part in images.split(500)])
        tests = fashion.load("t10k")
        again = [pictures.pixels(pictures.entries(pictures.nearest(pictures.encoder(x)))) for x in tests[0].split(500)]
        error = F.mse_loss(torch.cat(again), tests[0])
    print(f"test pictures come back with a mean squared error of {error:.4f}", flush=True)
    if "tokens" not in state:
        tokens = Tokens()
        steps = train_tokens(tokens, codes, labels, brightness_of(images), args.minutes)
        state["tokens"] = tokens.state_dict()
        torch.save(state, checkpoint)
        print(f"{sum(p.numel() for p in tokens.parameters()):,} weights, {steps} steps of {BATCH} pictures", flush=True)
    tokens = Tokens()
    tokens.load_state_dict(state["tokens"])
    if "classifier" not in state:
        optimizer = torch.optim.Adam(classifier.parameters())
        for step in range(fashion.CLASSIFIER_STEPS):
            optimizer.param_groups[0]["lr"] = fashion.C_RATE * (1 - step / fashion.CLASSIFIER_STEPS)
            pick = torch.randint(len(images), (BATCH,))
            fashion.descend(optimizer, F.cross_entropy(classifier(images[pick]), labels[pick]))
        state["classifier"] = classifier.state_dict()
        torch.save(state, checkpoint)
    classifier.load_state_dict(state["classifier"])
    classifier.eval()
    with torch.no_grad():
        for name, pairs in (("test pictures", tests[0].split(500)), ("those written as codes", again)):
            right = sum((classifier(x).argmax(1) == y).sum() for x, y in zip(pairs, tests[1].split(500)))
            print(f"the classifier is right about {right / 1e4:.2%} of the {name}", flush=True)
    export(args.out, tokens, pictures)
    print(f"{(time.time() - begun) / 60:.1f} minutes in all", flush=True)


if __name__ == "__main__":
    main()
