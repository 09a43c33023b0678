#!/usr/bin/env python3
"""Trains heed's English to Japanese model, a small Transformer, on two CPU cores in about two hours.

    python3 train.py --data small_parallel_enja/ --out .

--data is a folder with train, dev and test in .en and .ja, a sentence a line, words separated by spaces. Half of the
English sentences of each epoch are written as people write them ("i can't swim." in place of "i can 't swim ."), so
that the model reads both. The weights written are the mean of those at the ends of the last epochs.

--out receives config.json, model.safetensors (float16), source.model and target.model (SentencePiece, unigram). Every
epoch leaves a checkpoint beside that folder as NAME.checkpoint; --resume continues from it, towards --epochs in all.
The learning rate falls to zero by then. --evaluate only computes BLEU of the files in --out on the test pairs, and
writes test.tsv: source, reference and translation. Needs PyTorch 2 and SentencePiece's Python module.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import struct
import time

import sentencepiece
import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH, HEADS, LAYERS, FEED_FORWARD, DROPOUT = 128, 4, 3, 512, 0.15
SOURCE_PIECES, TARGET_PIECES = 2800, 3200
UNKNOWN, BEGIN, END, PAD = 0, 1, 2, 3
BATCH_TOKENS, RATE, MATRIX_RATE, MATRIX_DECAY, WARM_UP, SMOOTHING = 4096, 3e-3, 0.02, 0.01, 150, 0.1
MEAN_OF = 6  # epochs whose weights are averaged
LONGEST = 128  # positions


class TokenEmbedding(nn.Module):
    def __init__(self, pieces):
        super().__init__()
        self.embedding = nn.Embedding(pieces, WIDTH)
        nn.init.normal_(self.embedding.weight, std=WIDTH**-0.5)

    def forward(self, tokens):
        return self.embedding(tokens) * math.sqrt(WIDTH)


def sinusoids(length):
    """(length, WIDTH): sine and cosine in turns, of Vaswani et al., 2017, section 3.5."""
    rates = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(10000.0) / WIDTH))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Translator(nn.Module):
    """An nn.Transformer with embeddings before and a matrix to the vocabulary behind, the target's embedding."""

    def __init__(self):
        super().__init__()
        self.src_tok_emb = TokenEmbedding(SOURCE_PIECES)
        self.tgt_tok_emb = TokenEmbedding(TARGET_PIECES)
        self.transformer = nn.Transformer(WIDTH, HEADS, LAYERS, LAYERS, FEED_FORWARD, DROPOUT, batch_first=True,
                                          norm_first=True)
        self.generator = nn.Linear(WIDTH, TARGET_PIECES)
        self.generator.weight = self.tgt_tok_emb.embedding.weight
        self.dropout = nn.Dropout(DROPOUT)
        self.register_buffer("positions", sinusoids(LONGEST), persistent=False)

    def encode(self, source):
        x = self.dropout(self.src_tok_emb(source) + self.positions[:source.shape[1]])
        return self.transformer.encoder(x, src_key_padding_mask=source == PAD)

    def decode(self, target, memory, source):
        x = self.dropout(self.tgt_tok_emb(target) + self.positions[:target.shape[1]])
        causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        return self.transformer.decoder(x, memory, tgt_mask=causal, tgt_is_causal=True,
                                        memory_key_padding_mask=source == PAD)

    def forward(self, source, target):
        return self.generator(self.decode(target, self.encode(source), source))


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalized (Jordan et al., 2024), for matrices. Stacked ones are taken apart."""

    def __init__(self, matrices, lr, decay):
        super().__init__(matrices, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                look_ahead = p.grad.lerp(momentum, 0.95)  # Nesterov's
                parts = look_ahead.split(WIDTH) if p.shape[0] == 3 * WIDTH else [look_ahead]
                p.mul_(1 - group["lr"] * group["decay"])
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


def as_written(line):
    """Joins what the corpus took apart: "i can 't swim ." becomes "i can't swim."."""
    for mark in ("'", ".", ",", "?", "!", ";", ":"):
        line = line.replace(" " + mark, mark)
    return line


def train_pieces(lines, pieces, rule, path):
    """Trains a SentencePiece model over lines and writes it to path."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(path.with_suffix("")), vocab_size=pieces, model_type="unigram",
        character_coverage=1.0, normalization_rule_name=rule, unk_id=UNKNOWN, bos_id=BEGIN, eos_id=END, pad_id=PAD,
        num_threads=1, minloglevel=2)
    path.with_suffix(".vocab").unlink()


def pad(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def batches(source, target, rng):
    """Pairs of like length together, BATCH_TOKENS of both sides in a batch, batches in random order."""
    order = sorted(range(len(source)), key=lambda i: (len(target[i]), len(source[i]), rng.random()))
    result, batch, longest = [], [], 0
    for i in order:
        longest = max(longest, len(source[i]) + len(target[i]))
        if batch and longest * (len(batch) + 1) > BATCH_TOKENS:
            result.append(batch)
            batch, longest = [], len(source[i]) + len(target[i])
        batch.append(i)
    result.append(batch)
    rng.shuffle(result)
    return [(pad([source[i] for i in batch]), pad([target[i] for i in batch])) for batch in result]


@torch.no_grad()
def translate(model, rows, beams, longest=64):
    """Each row's translations, the best first, as pairs of score and token ids: beam search as heed does it, a hypothesis
    scored by its mean log probability, END counted. The search of 64 rows ends when each has as many hypotheses as beams
    and none can improve."""
    results = []
    for begin in range(0, len(rows), 64):
        part = rows[begin:begin + 64]
        source = pad(part).repeat_interleave(beams, 0)
        memory = model.encode(source)
        target = torch.full((len(part), beams, 1), BEGIN)
        sums = torch.full((len(part), beams), -1e9)
        sums[:, 0] = 0
        done = [[] for _ in part]
        for length in range(1, longest + 1):
            hidden = model.decode(target.flatten(0, 1), memory, source)[:, -1]
            scores = sums.unsqueeze(-1) + model.generator(hidden).log_softmax(-1).view(len(part), beams, -1)
            best, where = scores.flatten(1).topk(2 * beams)
            beam, token = where // TARGET_PIECES, where % TARGET_PIECES
            keep_beam, keep_token, keep_sum = [], [], []
            for i in range(len(part)):
                live = [k for k in range(2 * beams) if token[i, k] != END][:beams]
                for k in range(beams):
                    if token[i, k] == END:
                        done[i].append((best[i, k].item() / length, target[i, beam[i, k], 1:].tolist()))
                done[i] = sorted(done[i], key=lambda h: -h[0])[:beams]
                keep_beam.append(beam[i, live])
                keep_token.append(token[i, live])
                keep_sum.append(best[i, live])
            keep_beam, sums = torch.stack(keep_beam), torch.stack(keep_sum)
            target = torch.cat([target.gather(1, keep_beam.unsqueeze(-1).expand(-1, -1, length)),
                                torch.stack(keep_token).unsqueeze(-1)], -1)
            if all(len(d) == beams and s[0].item() / length <= d[-1][0] for d, s in zip(done, sums)):
                break
        for i in range(len(part)):
            if not done[i]:
                done[i] = [(0, target[i, 0, 1:].tolist())]
        results += done
    return results


def bleu(hypotheses, references):
    """Corpus BLEU of Papineni et al., 2002, in percent, on lists of words, to four words, with brevity penalty."""
    matches, totals, length, wanted = [0] * 4, [0] * 4, 0, 0
    for hypothesis, reference in zip(hypotheses, references):
        length += len(hypothesis)
        wanted += len(reference)
        for n in range(1, 5):
            have = collections.Counter(tuple(hypothesis[i:i + n]) for i in range(len(hypothesis) - n + 1))
            want = collections.Counter(tuple(reference[i:i + n]) for i in range(len(reference) - n + 1))
            matches[n - 1] += sum(min(count, want[gram]) for gram, count in have.items())
            totals[n - 1] += sum(have.values())
    if min(matches) == 0:
        return 0.0
    return 100 * min(1.0, math.exp(1 - wanted / length)) * math.exp(
        sum(math.log(m / t) for m, t in zip(matches, totals)) / 4)


def evaluate(model, data, part, pieces, beams):
    """BLEU on the words of a part of the data, in percent; with it sources, references and translations."""
    english = (data / f"{part}.en").read_text().splitlines()
    source = [pieces[0].encode(line) + [END] for line in english]
    made = [pieces[1].decode(best[0][1]) for best in translate(model.eval(), source, beams)]
    japanese = (data / f"{part}.ja").read_text().splitlines()
    return bleu([line.split() for line in made], [line.split() for line in japanese]), zip(english, japanese, made)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.to(torch.float16).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    data = bytearray(raw[8 + size:])
    return {name: torch.frombuffer(data, dtype=torch.float16, offset=entry["data_offsets"][0],
                                   count=math.prod(entry["shape"])).view(entry["shape"]).float()
            for name, entry in header.items() if name != "__metadata__"}


CONFIG = {
    "model_type": "transformer-translation", "name": "en-ja", "d_model": WIDTH, "nhead": HEADS,
    "num_encoder_layers": LAYERS, "num_decoder_layers": LAYERS, "dim_feedforward": FEED_FORWARD, "activation": "relu",
    "norm_first": True, "positions": "sinusoidal", "max_positions": LONGEST, "scale_embedding": True,
    "pad_token_id": PAD, "bos_token_id": BEGIN, "eos_token_id": END, "source_tokenizer": "source.model",
    "target_tokenizer": "target.model",
}


def write(out, weights):
    (out / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    write_safetensors(out / "model.safetensors", {k: v for k, v in weights.items() if k != "generator.weight"})


def mean_weights(ends):
    return {k: torch.stack([w[k].float() for w in ends]).mean(0) for k in ends[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--beams", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out.resolve().parent / (args.out.resolve().name + ".checkpoint")
    models = [args.out / "source.model", args.out / "target.model"]

    english = (args.data / "train.en").read_text().splitlines()
    japanese = (args.data / "train.ja").read_text().splitlines()
    if not (args.resume or args.evaluate):
        train_pieces(english + [as_written(line) for line in english], SOURCE_PIECES, "nmt_nfkc_cf", models[0])
        train_pieces(japanese, TARGET_PIECES, "identity", models[1])
    pieces = [sentencepiece.SentencePieceProcessor(model_file=str(m)) for m in models]

    model = Translator()
    if args.evaluate:
        weights = read_safetensors(args.out / "model.safetensors")
        model.load_state_dict(weights | {"generator.weight": weights["tgt_tok_emb.embedding.weight"]})
        score, lines = evaluate(model, args.data, "test", pieces, args.beams)
        print(f"BLEU {score:.2f} on the test pairs, {args.beams} beams")
        (args.out / "test.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
        return

    print(sum(p.numel() for p in model.parameters()), "weights", flush=True)
    spaced = [pieces[0].encode(line) + [END] for line in english]
    joined = [pieces[0].encode(as_written(line)) + [END] for line in english]
    target = [[BEGIN] + pieces[1].encode(line) + [END] for line in japanese]
    matrices = [p for p in model.transformer.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    optimizers = [Muon(matrices, 0, MATRIX_DECAY),
                  torch.optim.AdamW(others, lr=0, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01)]
    step, epoch, ends = 0, 0, []
    if args.resume:
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        step, epoch, ends = saved["step"], saved["epoch"], saved["ends"]
    start = time.time()
    while epoch < args.epochs:
        rng = random.Random(epoch)
        source = [s if rng.random() < 0.5 else j for s, j in zip(spaced, joined)]
        model.train()
        losses = []
        order = batches(source, target, rng)
        for i, (english_ids, japanese_ids) in enumerate(order):
            left = 1 - (epoch + i / len(order)) / args.epochs
            step += 1
            for optimizer, rate in zip(optimizers, (MATRIX_RATE, RATE)):
                optimizer.param_groups[0]["lr"] = rate * min(1, step / WARM_UP) * min(1, max(0.02, left * 1.25))
            logits = model(english_ids, japanese_ids[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), japanese_ids[:, 1:].flatten(), ignore_index=PAD,
                                   label_smoothing=SMOOTHING)
            model.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
            if step % 50 == 0:
                minutes = (time.time() - start) / 60
                print(f"step {step}, {minutes:.1f} min, loss {sum(losses[-50:]) / 50:.3f}", flush=True)
        epoch += 1
        ends = (ends + [{k: v.half() for k, v in model.state_dict().items()}])[-MEAN_OF:]
        torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step,
                    "epoch": epoch, "ends": ends}, checkpoint)
        score = ""
        if epoch % 3 == 0:
            score = f", dev BLEU {evaluate(model, args.data, 'dev', pieces, 1)[0]:.2f}"
        minutes = (time.time() - start) / 60
        print(f"epoch {epoch}, step {step}, {minutes:.1f} min, loss {sum(losses) / len(losses):.3f}{score}", flush=True)
        write(args.out, mean_weights(ends))
    weights = {k: v.half().float() for k, v in mean_weights(ends).items()}
    model.load_state_dict(weights)
    write(args.out, weights)
    for part in ("dev", "test"):
        score = evaluate(model, args.data, part, pieces, args.beams)[0]
        print(f"BLEU {score:.2f} on {part}, {args.beams} beams", flush=True)


if __name__ == "__main__":
    main()
