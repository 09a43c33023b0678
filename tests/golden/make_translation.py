#!/usr/bin/env python3
"""Makes tests/golden/translation: tiny encoder-decoder models with random weights, and what PyTorch computes with them.

    python3 tests/golden/make_translation.py tests/golden [NAME...]

Hugging Face's models are saved with save_pretrained; an nn.Transformer and recurrent models, as PyTorch's tutorials have
them, as a state dict with heed's config.json. README.md says what golden.json and golden.npz hold. Weights are taken as
saved, after rounding to float16; arithmetic is float64.
"""
import argparse
import json
import math
import shutil
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers import (BartConfig, BartForConditionalGeneration, GenerationConfig, M2M100Config,
                          M2M100ForConditionalGeneration, MarianConfig, MarianMTModel, MBartConfig,
                          MBartForConditionalGeneration, MT5Config, MT5ForConditionalGeneration, T5Config,
                          T5ForConditionalGeneration, UMT5Config, UMT5ForConditionalGeneration)

LENGTHS = [7, 1, 11, 4]  # of the sources, without the end token
STEPS = 6  # of the targets whose logits are kept, behind the decoder's start
MADE = 12  # most tokens that a search makes
EVERY = 4  # tokens of the longest translations where all are listed


def fill(model, seed, gain=1.7):
    """Weights that make states and logits of ordinary size; those of transformers' own are all alike."""
    torch.manual_seed(seed)
    for name, tensor in list(model.named_parameters()) + [(n, b) for n, b in model.named_buffers() if "bias" in n]:
        if "embed_positions" in name and tensor.requires_grad is False:
            continue  # sinusoids
        values = torch.randn_like(tensor)
        if "norm" in name and name.endswith("weight"):
            # Of either sign: tied to the embedding, an output would else repeat its input.
            values = values.sign() * (1 + 0.2 * torch.randn_like(tensor))
        elif "relative_attention_bias" in name or "positions" in name or "pos_emb" in name:
            values *= 0.7
        elif "bias" in name:
            values *= 0.15
        elif any(part in name for part in ("shared", "embed", "tok_emb")):
            values *= getattr(model, "embedding_std", 1.0)
        else:
            values *= gain / math.sqrt(tensor.shape[-1])
            if "Attention.q." in name:
                values /= math.sqrt(model.config.d_kv)
            if any(part in name for part in ("fc2", "linear2", "out_proj")):
                values *= 0.4  # without this what all rows have in common prevails
        tensor.data = values.half().to(tensor.dtype)


@dataclass
class HuggingFace:
    name: str
    model: type
    config: object
    generation: dict = field(default_factory=dict)
    embedding_std: float = 1.0
    gain: float = 1.7


BART = dict(encoder_layers=2, decoder_layers=2, encoder_ffn_dim=40, decoder_ffn_dim=36, max_position_embeddings=32)
T5 = dict(d_model=24, d_kv=10, d_ff=36, num_layers=2, num_decoder_layers=2, num_heads=3,
          relative_attention_num_buckets=8, relative_attention_max_distance=10, decoder_start_token_id=0, vocab_size=83)

HUGGING_FACE = [
    HuggingFace("marian", MarianMTModel,
                MarianConfig(**BART, vocab_size=97, decoder_vocab_size=97, d_model=24, encoder_attention_heads=4,
                             decoder_attention_heads=3, activation_function="swish", scale_embedding=True,
                             pad_token_id=96, decoder_start_token_id=96, eos_token_id=0, forced_eos_token_id=0),
                dict(bad_words_ids=[[96]], num_beams=4, renormalize_logits=True), embedding_std=2 * 24**-0.5),
    HuggingFace("marian_two", MarianMTModel,
                MarianConfig(**BART, vocab_size=89, decoder_vocab_size=89, share_encoder_decoder_embeddings=False,
                             tie_word_embeddings=False, d_model=20, encoder_attention_heads=2, decoder_attention_heads=4,
                             activation_function="relu", pad_token_id=88, decoder_start_token_id=88, eos_token_id=0,
                             forced_eos_token_id=0),
                dict(num_beams=4, early_stopping=True)),
    HuggingFace("m2m100", M2M100ForConditionalGeneration,
                M2M100Config(**BART, vocab_size=91, d_model=24, encoder_attention_heads=3, decoder_attention_heads=3),
                dict(num_beams=4, early_stopping=True, length_penalty=0.6), embedding_std=2 * 24**-0.5),
    HuggingFace("bart", BartForConditionalGeneration,
                BartConfig(**BART, vocab_size=79, d_model=24, encoder_attention_heads=4, decoder_attention_heads=4,
                           decoder_start_token_id=2),
                dict(forced_bos_token_id=0, num_beams=4, no_repeat_ngram_size=2, length_penalty=2.0, min_length=5)),
    HuggingFace("mbart", MBartForConditionalGeneration,
                MBartConfig(**BART, vocab_size=77, d_model=20, encoder_attention_heads=2, decoder_attention_heads=2,
                            scale_embedding=True, decoder_start_token_id=75, activation_function="gelu"),
                dict(num_beams=4, repetition_penalty=1.3), embedding_std=20**-0.5),
    HuggingFace("t5", T5ForConditionalGeneration, T5Config(**T5), dict(num_beams=4), gain=2.0),
    HuggingFace("t5_v1_1", T5ForConditionalGeneration,
                T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
                dict(num_beams=4, early_stopping="never", length_penalty=0.4)),
    HuggingFace("mt5", MT5ForConditionalGeneration,
                MT5Config(**T5, feed_forward_proj="gated-gelu"), dict(num_beams=4, early_stopping=True)),
    HuggingFace("umt5", UMT5ForConditionalGeneration, UMT5Config(**T5, feed_forward_proj="gated-silu"),
                dict(num_beams=4), gain=2.0),
]


def sources_and_targets(rng, source_vocabulary, vocabulary, ends, start, first=3):
    sources = [rng.integers(first, source_vocabulary - 3, n).tolist() + ends for n in LENGTHS]
    targets = [start + rng.integers(first, vocabulary - 3, STEPS - i).tolist() for i in range(len(LENGTHS))]
    return sources, targets


def save_golden(folder, fields, arrays):
    lines = [f'  "{key}": {json.dumps(value)}' for key, value in fields.items()]
    (folder / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    np.savez_compressed(folder / "golden.npz", **{k: np.asarray(v, dtype=np.float32) for k, v in arrays.items()})


class Unsuitable(Exception):
    """Random weights that tests would learn little from; others are tried."""


def check_logits(name, arrays):
    logits = np.concatenate([v.ravel() for k, v in arrays.items() if k.startswith("logits")])
    memory = np.concatenate([v.ravel() for k, v in arrays.items() if k.startswith("memory")])
    best = {int(row.argmax()) for k, v in arrays.items() if k.startswith("logits") for row in v}
    print(f"{name}: memory within {np.abs(memory).max():.2f}, logits {logits.min():.2f} to {logits.max():.2f}, "
          f"{len(best)} different best tokens")
    if len(best) < 6:
        raise Unsuitable("degenerate")


def searched(model, sources, beams):
    """Greedy, or the n-best of beam search with their scores, as the folder's generation_config.json sets them."""
    results = []
    for source in sources:
        more = dict(num_beams=1, early_stopping=False, length_penalty=1.0) if beams == 1 else dict(
            num_beams=beams, num_return_sequences=beams)
        made = model.generate(torch.tensor([source]), max_new_tokens=MADE, do_sample=False, output_scores=True,
                              return_dict_in_generate=True, **more)
        rows = []
        for i, sequence in enumerate(made.sequences.tolist()):
            while len(sequence) > 1 and sequence[-1] == model.config.pad_token_id != model.config.eos_token_id:
                sequence.pop()  # what fills shorter ones up
            rows.append({"tokens": sequence[1:]} | ({"score": made.sequences_scores[i].item()} if beams > 1 else {}))
        results.append(rows)
    return results


def make_hugging_face(golden, folder, seed):
    config = golden.config
    vocabulary = getattr(config, "decoder_vocab_size", None) or config.vocab_size
    model = golden.model(config)
    model.embedding_std = golden.embedding_std
    fill(model, seed, golden.gain)
    if golden.name == "t5_v1_1":
        model.lm_head.weight = nn.Parameter((torch.randn(vocabulary, config.d_model) * 0.3).half().float())
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias[0, config.eos_token_id] = 3  # some translations shall end
    model.generation_config = GenerationConfig(
        **{k: getattr(config, k) for k in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id",
                                           "forced_eos_token_id")
           if getattr(config, k, None) is not None},
        max_length=MADE + 1, **golden.generation)
    model.half().save_pretrained(folder)
    model = golden.model.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    for module in model.modules():  # Sinusoids are made in float32; what heed computes is closer to this.
        if type(module).__name__ == "MarianSinusoidalPositionalEmbedding":
            module.weight.data = module.create_weight().double()

    rng = np.random.default_rng(seed)
    start = model.generation_config.decoder_start_token_id
    end = model.generation_config.eos_token_id
    sources, targets = sources_and_targets(rng, vocabulary, vocabulary, [end], [start])
    arrays = {}
    with torch.no_grad():
        for i, (source, target) in enumerate(zip(sources, targets)):
            out = model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target]),
                        output_attentions=True)
            arrays[f"memory.{i}"] = out.encoder_last_hidden_state[0].numpy()
            arrays[f"logits.{i}"] = out.logits[0].numpy()
            # (layers, heads, steps, source)
            arrays[f"cross.{i}"] = torch.stack([a[0] for a in out.cross_attentions]).numpy()
    check_logits(golden.name, arrays)
    greedy = searched(model, sources, 1)
    beam = searched(model, sources, 4)
    single = golden.model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for mine, theirs in ((greedy, searched(single, sources, 1)), (beam, searched(single, sources, 4))):
        same = [[row["tokens"] for row in rows] for rows in mine] == [[row["tokens"] for row in rows] for rows in theirs]
        if not same:
            raise Unsuitable("margins too small")
    fields = {"sources": sources, "targets": targets, "max_new_tokens": MADE, "greedy": [rows[0] for rows in greedy],
              "beam": beam}
    save_golden(folder, fields, arrays)


# ---- models of one's own

def half(model):
    for tensor in model.state_dict().values():
        tensor.data.copy_(tensor.half().to(tensor.dtype))


class TokenEmbedding(nn.Module):
    def __init__(self, vocabulary, width):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.width = width

    def forward(self, tokens):
        return self.embedding(tokens) * math.sqrt(self.width)


class PositionalEncoding(nn.Module):
    """Of PyTorch's tutorial "Language translation with nn.Transformer", which keeps the table among its tensors."""

    def __init__(self, width, longest, kept):
        super().__init__()
        rates = torch.exp(-torch.arange(0, width, 2) * math.log(10000) / width)
        angles = torch.arange(longest, dtype=torch.float64).unsqueeze(1) * rates
        table = torch.zeros(longest, width)
        table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
        self.register_buffer("pos_embedding", table.unsqueeze(-2), persistent=kept)


class Seq2SeqTransformer(nn.Module):
    def __init__(self, width, heads, layers, ffn, source_vocabulary, vocabulary, longest, *, learned=False, kept=False,
                 tied=False, **more):
        super().__init__()
        self.transformer = nn.Transformer(width, heads, *layers, ffn, 0.0, batch_first=True, **more)
        self.src_tok_emb = TokenEmbedding(source_vocabulary, width)
        self.tgt_tok_emb = TokenEmbedding(vocabulary, width)
        self.generator = nn.Linear(width, vocabulary)
        if tied:
            self.generator.weight = self.tgt_tok_emb.embedding.weight
        if learned:
            self.src_pos_emb, self.tgt_pos_emb = nn.Embedding(longest, width), nn.Embedding(longest, width)
        else:
            self.positional_encoding = PositionalEncoding(width, longest, kept)
        self.learned = learned
        self.embedding_std = 2 * width**-0.5

    def embed(self, tokens, source):
        table = ((self.src_pos_emb if source else self.tgt_pos_emb).weight if self.learned
                 else self.positional_encoding.pos_embedding[:, 0])
        x = (self.src_tok_emb if source else self.tgt_tok_emb)(tokens)
        return x + table[: tokens.shape[1]]

    def forward(self, source, target):
        memory = self.transformer.encoder(self.embed(source, True))
        causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        return memory, self.generator(self.transformer.decoder(self.embed(target, False), memory, tgt_mask=causal)), None


def transformer_config(width, heads, layers, ffn, longest, **more):
    return {"model_type": "transformer-translation", "d_model": width, "nhead": heads, "num_encoder_layers": layers[0],
            "num_decoder_layers": layers[1], "dim_feedforward": ffn, "positions": "sinusoidal",
            "max_positions": longest, "scale_embedding": True, "pad_token_id": 1, "bos_token_id": 2,
            "eos_token_id": 3} | more


class EncoderRNN(nn.Module):
    def __init__(self, cell, vocabulary, embedding, hidden, layers=1, both=False, bridge=0, summed=False):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.cell = cell
        setattr(self, cell, (nn.LSTM if cell == "lstm" else nn.GRU)(embedding, hidden, layers, batch_first=True,
                                                                    bidirectional=both))
        if bridge:
            self.bridge_h = nn.Linear(hidden * (1 + both), bridge)
            self.bridge_c = nn.Linear(hidden * (1 + both), bridge)
        self.hidden, self.summed = hidden, summed

    def forward(self, source):
        states, last = getattr(self, self.cell)(self.embedding(source))
        if self.summed:
            states = states[:, :, : self.hidden] + states[:, :, self.hidden:]
        return states, last


class BahdanauAttention(nn.Module):
    def __init__(self, query, keys, width):
        super().__init__()
        self.Wa, self.Ua, self.Va = nn.Linear(query, width), nn.Linear(keys, width), nn.Linear(width, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys))).squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class LuongAttention(nn.Module):
    def __init__(self, query, keys):
        super().__init__()
        self.Wa = nn.Linear(query, keys, bias=False)

    def forward(self, query, keys):
        weights = F.softmax(torch.bmm(self.Wa(query), keys.transpose(1, 2)), dim=-1)
        return torch.bmm(weights, keys), weights


class DecoderRNN(nn.Module):
    """The tutorial's AttnDecoderRNN (attention from the previous state), its DecoderRNN (none), and Luong's (current)."""

    def __init__(self, cell, vocabulary, embedding, hidden, *, attention=None, context=0, current=False, layers=1,
                 relu=False, parts=("hidden",), concat=0):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.cell, self.current, self.relu, self.parts = cell, current, relu, parts
        if attention is not None:
            self.attention = attention
        inputs = embedding + (context if attention is not None and not current else 0)
        setattr(self, cell, (nn.LSTM if cell == "lstm" else nn.GRU)(inputs, hidden, layers, batch_first=True))
        read = {"hidden": hidden, "context": context, "embedding": embedding}
        width = sum(read[part] for part in parts)
        if concat:
            self.concat = nn.Linear(width, concat)
        self.out = nn.Linear(concat or width, vocabulary)

    def step(self, token, state, states):
        embedded = self.embedding(token)
        if self.relu:
            embedded = F.relu(embedded)
        top = (state[0] if self.cell == "lstm" else state)[-1].unsqueeze(1)
        context, weights = None, None
        x = embedded
        if hasattr(self, "attention") and not self.current:
            context, weights = self.attention(top, states)
            x = torch.cat((embedded, context), 2)
        hidden, state = getattr(self, self.cell)(x, state)
        if hasattr(self, "attention") and self.current:
            context, weights = self.attention(hidden, states)
        read = {"hidden": hidden, "context": context, "embedding": embedded}
        y = torch.cat([read[part] for part in self.parts], 2)
        if hasattr(self, "concat"):
            y = torch.tanh(self.concat(y))
        return self.out(y), state, weights


class Seq2SeqRNN(nn.Module):
    def __init__(self, encoder, decoder, bridge):
        super().__init__()
        self.encoder, self.decoder, self.bridge = encoder, decoder, bridge

    def first(self, last):
        """The decoder's first state."""
        layers = getattr(self.decoder, self.decoder.cell).num_layers

        def one(state, linear, tanh):
            if self.bridge == "copy":
                return state
            if self.bridge == "first":
                return state[:layers]
            directions = state.view(-1, 2, 1, state.shape[-1])[-layers:]  # (layers, 2, batch, hidden)
            if self.bridge == "sum":
                return directions.sum(1)
            both = torch.cat([directions[:, 0], directions[:, 1]], -1)
            if self.bridge == "concat":
                return both
            return torch.tanh(linear(both)) if tanh else linear(both)

        linear_h, linear_c = getattr(self.encoder, "bridge_h", None), getattr(self.encoder, "bridge_c", None)
        if self.decoder.cell == "gru":
            return one(last, linear_h, self.bridge.startswith("linear_tanh"))
        return (one(last[0], linear_h, self.bridge.startswith("linear_tanh")),
                one(last[1], linear_c, self.bridge == "linear_tanh"))

    def forward(self, source, target):
        states, last = self.encoder(source)
        state, logits, weights = self.first(last), [], []
        for t in range(target.shape[1]):
            y, state, w = self.decoder.step(target[:, t:t + 1], state, states)
            logits.append(y)
            weights.append(w)
        return states, torch.cat(logits, 1), None if weights[0] is None else torch.cat(weights, 1)


def recurrent_config(**more):
    return {"model_type": "recurrent-translation", "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2} | more


def own_models():
    """Name, model, config.json, sizes of both vocabularies."""
    yield ("torch_post_norm", Seq2SeqTransformer(24, 3, (2, 3), 40, 61, 73, 32, kept=True),
           transformer_config(24, 3, (2, 3), 40, 32, activation="relu"), 61, 73)
    yield ("torch_pre_norm",
           Seq2SeqTransformer(20, 2, (3, 2), 36, 67, 59, 24, tied=True, norm_first=True, activation="gelu",
                              layer_norm_eps=1e-6),
           transformer_config(20, 2, (3, 2), 36, 24, activation="gelu", norm_first=True, layer_norm_eps=1e-6), 67, 59)
    yield ("torch_learned", Seq2SeqTransformer(16, 4, (1, 1), 24, 53, 53, 20, learned=True, bias=False),
           transformer_config(16, 4, (1, 1), 24, 20, positions="learned"), 53, 53)
    # So few tokens that all translations of some length can be listed.
    yield ("torch_every", Seq2SeqTransformer(16, 2, (1, 2), 24, 23, 4, 20), transformer_config(16, 2, (1, 2), 24, 20),
           23, 4)
    yield ("rnn_tutorial",
           Seq2SeqRNN(EncoderRNN("gru", 61, 28, 28), DecoderRNN("gru", 57, 28, 28, context=28,
                                                               attention=BahdanauAttention(28, 28, 28)), "copy"),
           recurrent_config(), 61, 57)
    yield ("rnn_plain", Seq2SeqRNN(EncoderRNN("gru", 43, 20, 24, 2), DecoderRNN("gru", 47, 16, 24, layers=2, relu=True),
                                   "copy"),
           recurrent_config(embedding_activation="relu"), 43, 47)
    yield ("rnn_previous",
           Seq2SeqRNN(EncoderRNN("lstm", 41, 12, 14, 2, both=True, bridge=26),
                      DecoderRNN("lstm", 31, 10, 26, context=28, attention=BahdanauAttention(26, 28, 18), layers=2),
                      "linear_tanh_h"),
           recurrent_config(bridge="linear_tanh_h", attention="additive", attention_from="previous", cell="lstm",
                            output_from=["hidden"], encoder_layers=2, decoder_layers=2, bidirectional=True,
                            encoder_hidden=14, decoder_hidden=26, attention_width=18), 41, 31)
    yield ("rnn_luong",
           Seq2SeqRNN(EncoderRNN("lstm", 37, 12, 18, 1, both=True, summed=True),
                      DecoderRNN("lstm", 39, 14, 18, context=18, attention=LuongAttention(18, 18), current=True,
                                 parts=("hidden", "context"), concat=22, layers=2), "first"),
           recurrent_config(bridge="first", encoder_outputs="sum"), 37, 39)
    yield ("rnn_deep_output",
           Seq2SeqRNN(EncoderRNN("gru", 37, 12, 10, 1, both=True),
                      DecoderRNN("gru", 39, 14, 10, context=20, attention=BahdanauAttention(10, 20, 16),
                                 parts=("hidden", "context", "embedding")), "sum"),
           recurrent_config(bridge="sum"), 37, 39)
    yield ("rnn_dot",
           Seq2SeqRNN(EncoderRNN("gru", 37, 12, 11, 2, both=True),
                      DecoderRNN("gru", 39, 14, 22, context=22, attention=LuongAttention(22, 22), current=True,
                                 parts=("hidden", "context")), "concat"),
           recurrent_config(bridge="concat", attention="dot"), 37, 39)


@torch.no_grad()
def every_translation(model, source, vocabulary, start, end):
    """All that end within EVERY tokens, or have as many: their tokens, and the sum of the tokens' log probabilities."""
    found, open_ones = [], [([start], 0.0)]
    for _ in range(EVERY):
        grown = []
        for tokens, total in open_ones:
            logits = model(torch.tensor([source]), torch.tensor([tokens]))[1][0, -1].log_softmax(-1)
            grown += [(tokens + [token], total + logits[token].item()) for token in range(vocabulary)]
        found += [one for one in grown if one[0][-1] == end]
        open_ones = [one for one in grown if one[0][-1] != end]
    return [{"tokens": tokens[1:], "sum": total} for tokens, total in found + open_ones]


@torch.no_grad()
def greedy_of(model, source, start, end):
    tokens = [start]
    for _ in range(MADE):
        logits = model(torch.tensor([source]), torch.tensor([tokens]))[1][0, -1]
        tokens.append(int(logits.argmax()))
        if tokens[-1] == end:
            break
    return tokens[1:]


def make_own(name, model, config, source_vocabulary, vocabulary, folder, seed):
    if name == "rnn_dot":  # plain dot scores: the projection is none
        model.decoder.attention.Wa = nn.Identity()
    model.float()
    fill(model, seed, 2.2 if name.startswith("rnn") else 1.7)
    half(model)
    model.eval()
    state = {k: v.half().contiguous() for k, v in model.state_dict().items()}
    if name == "torch_pre_norm":
        del state["generator.weight"]
    if name == "torch_post_norm":
        state["positional_encoding.pos_embedding"] = model.positional_encoding.pos_embedding.float()
    if name == "rnn_plain":  # a file a side
        for side in ("encoder", "decoder"):
            save_file({k[len(side) + 1:]: v for k, v in state.items() if k.startswith(side)},
                      folder / f"{side}.safetensors")
    else:
        save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    model.double()
    rng = np.random.default_rng(zlib.crc32(name.encode()) + seed)
    start, end = config["bos_token_id"], config["eos_token_id"]
    sources, targets = sources_and_targets(rng, source_vocabulary, max(vocabulary, 9), [end], [start], 4)
    targets = [[token % vocabulary for token in target] for target in targets]
    arrays = {}
    with torch.no_grad():
        for i, (source, target) in enumerate(zip(sources, targets)):
            memory, logits, weights = model(torch.tensor([source]), torch.tensor([target]))
            arrays[f"memory.{i}"] = memory[0].numpy()
            arrays[f"logits.{i}"] = logits[0].numpy()
            if weights is not None:
                arrays[f"attention.{i}"] = weights[0].numpy()  # (steps, source)
    every = {}
    if name == "torch_every":
        every = {"every": [every_translation(model, source, vocabulary, start, end) for source in sources],
                 "every_to": EVERY}
        sums = np.sort([one["sum"] for one in every["every"][0]])
        if np.diff(sums).min() < 1e-5 or len({len(max(all_of, key=lambda one: one["sum"])["tokens"])
                                              for all_of in every["every"]}) < 2:
            raise Unsuitable("margins too small, or best translations of one length")
    else:
        check_logits(name, arrays)
    greedy = [greedy_of(model, source, start, end) for source in sources]
    save_golden(folder, {"sources": sources, "targets": targets, "max_new_tokens": MADE,
                         "greedy": [{"tokens": row} for row in greedy]} | every, arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, numpy {np.__version__}")
    root = args.folder / "translation"

    def fresh(name):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
        return root / name

    def suitable(name, make):
        if args.names and name not in args.names:
            return
        for seed in range(1, 50):
            try:
                return make(fresh(name), seed)
            except Unsuitable as reason:
                print(f"  {name}, seed {seed}: {reason}")
        raise SystemExit(f"{name}: no suitable weights")

    for golden in HUGGING_FACE:
        suitable(golden.name, lambda folder, seed: make_hugging_face(golden, folder, seed))
    for name, *rest in own_models():
        suitable(name, lambda folder, seed: make_own(name, *rest, folder, seed))
    for path in root.glob("*/*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
