#!/usr/bin/env python3
"""Trains heed's dates model, which turns written dates into ISO 8601, on one CPU core in ten minutes.

    python3 train.py --out . --minutes 9

A date such as "saturday the 3rd of may, 2008" is read character by character by an LSTM in both directions; an LSTM
with attention (Bahdanau et al., 2015; the context comes from the previous hidden state) writes "2008-05-03". The data is
made here: random days from 1900 to 2099 in many ways to write them, numbers alone in the order year-month-day or with
dots day.month.year, since 05/03/2008 is another day in another country. Weekdays are always right. 1,000 dates made
with a seed of their own, whose days training never sees, are the test.

--out receives config.json, model.safetensors (float16), the vocabularies source.json and target.json, and test.tsv, the
1,000 dates of the test with their answers. Needs PyTorch.
"""
import argparse
import datetime
import json
import math
import pathlib
import random
import struct
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

HIDDEN, EMBEDDING, ATTENTION = 128, 48, 96
BATCH, RATE = 128, 3e-3
PAD, BEGIN, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
SOURCE = SPECIAL + list(" abcdefghijklmnopqrstuvwxyz0123456789.,-/'")
TARGET = SPECIAL + list("0123456789-")

MONTHS = ("january february march april may june july august september october november december").split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
ONES = ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth").split()


def ordinal(day):
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def in_words(day):
    if day <= 20:
        return ONES[day - 1]
    return "thirtieth" if day == 30 else ("twenty-" if day < 30 else "thirty-") + ONES[day % 10 - 1]


def write(date, rng):
    """One of the ways to write a day."""
    d, m, y = date.day, date.month, date.year
    month = rng.choice([MONTHS[m - 1], MONTHS[m - 1], MONTHS[m - 1][:3], MONTHS[m - 1][:3] + "."])
    if m == 9 and rng.random() < 0.2:
        month = rng.choice(["sept", "sept."])
    weekday = rng.choice([DAYS[date.weekday()], DAYS[date.weekday()], DAYS[date.weekday()][:3],
                          DAYS[date.weekday()][:3] + "."])
    day = rng.choice([str(d), str(d), f"{d:02}", ordinal(d), ordinal(d), in_words(d)])
    text = rng.choice([
        lambda: f"{day} {month} {y}", lambda: f"{day} {month}, {y}", lambda: f"{month} {day}, {y}",
        lambda: f"{month} {day} {y}", lambda: f"the {rng.choice([ordinal(d), in_words(d)])} of {month}, {y}",
        lambda: f"the {rng.choice([ordinal(d), in_words(d)])} of {month} {y}",
        lambda: f"{rng.choice([ordinal(d), in_words(d)])} of {month} {y}",
        lambda: f"{y} {month} {d}", lambda: f"{y}, {month} {ordinal(d)}",
        lambda: f"{y}-{m:02}-{d:02}", lambda: f"{y}/{m:02}/{d:02}", lambda: f"{y}/{m}/{d}", lambda: f"{y}.{m:02}.{d:02}",
        lambda: f"{d:02}.{m:02}.{y}", lambda: f"{d}.{m}.{y}", lambda: f"{d}. {month} {y}",
        lambda: f"{y}{m:02}{d:02}", lambda: f"{d}-{MONTHS[m - 1][:3]}-{y}", lambda: f"{d:02}/{MONTHS[m - 1][:3]}/{y}",
    ])()
    if not text[0].isdigit() and rng.random() < 0.35 or text[0].isdigit() and " " in text and rng.random() < 0.25:
        text = rng.choice([f"{weekday} {text}", f"{weekday}, {text}"])
    if rng.random() < 0.04:
        text = text.replace(",", "")
    if rng.random() < 0.04:
        text = text.replace(" ", "  ", 1)
    if rng.random() < 0.05:
        text = f"on {text}"
    return text


FIRST, LAST = datetime.date(1900, 1, 1).toordinal(), datetime.date(2099, 12, 31).toordinal()


def is_test_day(number):
    """One day of twenty is kept for the test."""
    return number * 2654435761 % 2**32 % 20 == 0


def pairs(count, rng, test):
    result = []
    while len(result) < count:
        number = rng.randint(FIRST, LAST)
        if is_test_day(number) == test:
            date = datetime.date.fromordinal(number)
            result.append((write(date, rng), date.isoformat()))
    return result


def ids(text, vocabulary):
    places = {c: i for i, c in enumerate(vocabulary)}
    return [places.get(c, UNKNOWN) for c in text] + [END]


def pad(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(SOURCE), EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN // 2, batch_first=True, bidirectional=True)
        self.bridge_h = nn.Linear(HIDDEN, HIDDEN)
        self.bridge_c = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, source):
        lengths = (source != PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(source), lengths, True, False)
        states, (h, c) = self.lstm(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, True, total_length=source.shape[1])
        # The last states of both directions make the decoder's first.
        return states, (torch.tanh(self.bridge_h(torch.cat([h[0], h[1]], -1))).unsqueeze(0),
                        self.bridge_c(torch.cat([c[0], c[1]], -1)).unsqueeze(0))


class Attention(nn.Module):
    """score(q, k) = Va tanh(Wa q + Ua k), Bahdanau et al., 2015."""

    def __init__(self):
        super().__init__()
        self.Wa = nn.Linear(HIDDEN, ATTENTION)
        self.Ua = nn.Linear(HIDDEN, ATTENTION)
        self.Va = nn.Linear(ATTENTION, 1)

    def forward(self, query, states, keys, seen):
        scores = self.Va(torch.tanh(self.Wa(query).unsqueeze(1) + keys)).squeeze(-1)
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
        return (weights.unsqueeze(1) @ states).squeeze(1), weights


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(TARGET), EMBEDDING)
        self.attention = Attention()
        self.lstm = nn.LSTM(EMBEDDING + HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, len(TARGET))

    def step(self, token, state, states, keys, seen):
        context, weights = self.attention(state[0][-1], states, keys, seen)
        x = torch.cat([self.embedding(token), context], -1).unsqueeze(1)
        y, state = self.lstm(x, state)
        return self.out(y.squeeze(1)), state, weights


class Dates(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def start(self, source):
        states, state = self.encoder(source)
        return states, self.decoder.attention.Ua(states), source != PAD, state

    def forward(self, source, target):
        states, keys, seen, state = self.start(source)
        logits = []
        for t in range(target.shape[1]):
            scores, state, _ = self.decoder.step(target[:, t], state, states, keys, seen)
            logits.append(scores)
        return torch.stack(logits, 1)

    @torch.no_grad()
    def greedy(self, source, longest=12):
        states, keys, seen, state = self.start(source)
        token, made = torch.full((source.shape[0],), BEGIN), []
        for _ in range(longest):
            scores, state, _ = self.decoder.step(token, state, states, keys, seen)
            token = scores.argmax(-1)
            made.append(token)
        return torch.stack(made, 1)


def accuracy(model, examples):
    model.eval()
    right = 0
    for begin in range(0, len(examples), 250):
        part = examples[begin:begin + 250]
        made = model.greedy(pad([ids(text, SOURCE) for text, _ in part])).tolist()
        for (_, iso), row in zip(part, made):
            row = row[:row.index(END)] if END in row else row
            right += "".join(TARGET[i] for i in row) == iso
    return right / len(examples)


def write_files(out, weights):
    config = {"model_type": "recurrent-translation", "name": "dates", "cell": "lstm", "embedding": EMBEDDING,
              "encoder_hidden": HIDDEN // 2, "decoder_hidden": HIDDEN, "encoder_layers": 1, "decoder_layers": 1,
              "bidirectional": True, "bridge": "linear_tanh_h", "attention": "additive", "attention_width": ATTENTION,
              "attention_from": "previous", "output_from": ["hidden"], "max_source_length": 64,
              "max_target_length": 16, "pad_token_id": PAD, "bos_token_id": BEGIN, "eos_token_id": END,
              "source_tokenizer": "source.json", "target_tokenizer": "target.json"}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for name, tokens, lower in (("source", SOURCE, True), ("target", TARGET, False)):
        (out / f"{name}.json").write_text(json.dumps({
            "type": "characters", "tokens": tokens, "unknown": "<unk>", "begin": "<s>", "end": "</s>", "pad": "<pad>",
            "lower_case": lower}, ensure_ascii=False) + "\n")
    header, data = {}, b""
    for name, tensor in weights.items():
        raw = tensor.half().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (out / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = random.Random(1)
    args.out.mkdir(parents=True, exist_ok=True)
    model = Dates()
    print(sum(p.numel() for p in model.parameters()), "weights", flush=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    test = pairs(1000, random.Random(2), True)
    validation = pairs(500, random.Random(3), True)
    start, step, left, losses = time.time(), 0, 1.0, []
    while left > 0:
        model.train()
        for _ in range(200):
            left = max(0, 1 - (time.time() - start) / (args.minutes * 60))
            batch = pairs(BATCH, rng, False)
            source = pad([ids(text, SOURCE) for text, _ in batch])
            target = pad([[BEGIN] + ids(iso, TARGET) for _, iso in batch])
            optimizer.param_groups[0]["lr"] = RATE * min(1, max(0.003, left * 1.1))
            loss = F.cross_entropy(model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten(),
                                   ignore_index=PAD)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            step += 1
        print(f"step {step}, {(time.time() - start) / 60:.1f} min, loss {sum(losses[-200:]) / 200:.4f}, "
              f"{100 * accuracy(model, validation):.1f} % of the validation dates exact", flush=True)
    weights = {k: v.half().float() for k, v in model.state_dict().items()}
    model.load_state_dict(weights)
    write_files(args.out, weights)
    (args.out / "test.tsv").write_text("".join(f"{text}\t{iso}\n" for text, iso in test))
    print(f"{100 * accuracy(model, test):.1f} % of the 1,000 test dates exact")


if __name__ == "__main__":
    main()
