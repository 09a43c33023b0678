#!/usr/bin/env python3
"""Makes sampling.json: what transformers and llama.cpp make of logits before a token is chosen.

Needs PyTorch, transformers and libllama.so.0 (Debian: python3-torch, python3-transformers, libllama0). Written with
transformers 5.12 and the libllama of Debian testing. The samplers of llama.cpp need no model: they get logits in an array.

Each case has the tokens of a text, the options of heed, logits, and `expected`, null for -infinity. What filters keep is
given as the logits that were there.
"""
import ctypes
import json
import math
import pathlib
import random

VOCABULARY = 40


class TokenData(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float)]


class TokenDataArray(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(TokenData)), ("size", ctypes.c_size_t), ("selected", ctypes.c_int64),
                ("sorted", ctypes.c_bool)]


llama = ctypes.CDLL("libllama.so.0")
f32, i32, size = ctypes.c_float, ctypes.c_int32, ctypes.c_size_t
for name, arguments in {
    "penalties": [i32, i32, f32, f32, f32],
    "typical": [f32, size],
    "xtc": [f32, f32, size, ctypes.c_uint32],
    "dry": [ctypes.c_void_p, f32, f32, i32, i32, ctypes.c_void_p, size],
    "top_k": [i32],
    "top_p": [f32, size],
    "min_p": [f32, size],
    "temp": [f32],
}.items():
    function = getattr(llama, "llama_sampler_init_" + name)
    function.restype, function.argtypes = ctypes.c_void_p, arguments
llama.llama_sampler_accept.argtypes = [ctypes.c_void_p, i32]
llama.llama_sampler_apply.argtypes = [ctypes.c_void_p, ctypes.POINTER(TokenDataArray)]


def by_llama(logits, tokens, samplers):
    """The logits that are left by token after these samplers, each (name, arguments)."""
    data = (TokenData * len(logits))(*[TokenData(i, logit, 0.0) for i, logit in enumerate(logits)])
    array = TokenDataArray(data, len(logits), -1, False)
    for name, arguments in samplers:
        sampler = getattr(llama, "llama_sampler_init_" + name)(*arguments)
        for token in tokens:
            llama.llama_sampler_accept(sampler, token)
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
    left = {array.data[i].id: array.data[i].logit for i in range(array.size)}
    return [left.get(token, -math.inf) for token in range(len(logits))]


def by_transformers(logits, tokens, processors):
    scores = torch.tensor([logits], dtype=torch.float64)
    for processor in processors:
        scores = processor(torch.tensor([tokens]), scores)
    return scores[0].tolist()


def by_formula(logits, tokens, presence, frequency):
    """platform.openai.com/docs/api-reference/parameter-details"""
    return [logit - tokens.count(t) * frequency - (tokens.count(t) > 0) * presence for t, logit in enumerate(logits)]


def kept(logits, filtered):
    return [logit if math.isfinite(f) else -math.inf for logit, f in zip(logits, filtered)]


rng = random.Random(7)
cases = []


def add(source, options, make, filters=False, scale=3.0):
    length = 24 + 5 * (len(cases) % 4)
    expected = logits = None
    while expected == logits or (filters and sum(map(math.isfinite, expected)) < 2):  # until there is something to see
        tokens = [rng.randrange(9) for _ in range(length)]
        tokens[-6:] = tokens[3:9]  # the end was there before
        logits = [ctypes.c_float(rng.gauss(0.0, scale)).value for _ in range(VOCABULARY)]
        expected = make(logits, tokens)
        if filters:
            expected = kept(logits, expected)
    cases.append({"by": source, "options": options, "tokens": tokens, "logits": logits,
                  "expected": [x if math.isfinite(x) else None for x in expected]})


def hugging(options, processors, **more):
    add("transformers", options, lambda logits, tokens: by_transformers(logits, tokens, processors), **more)


def lama(options, samplers, **more):
    add("llama.cpp", options, lambda logits, tokens: by_llama(logits, tokens, samplers), **more)


def neutral(**options):
    return {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **options}


for window in (5, 17, 64):
    lama({"repetition_penalty": 1.2, "frequency_penalty": 0.35, "presence_penalty": 0.8, "penalty_window": window},
         [("penalties", (VOCABULARY, window, 1.2, 0.35, 0.8))])
for p in (0.3, 0.8):
    lama(neutral(typical_p=p), [("typical", (p, 1))], filters=True)
for threshold in (0.02, 0.05, 0.1):
    lama(neutral(xtc_probability=1.0, xtc_threshold=threshold), [("xtc", (1.0, threshold, 1, 5))], filters=True,
         scale=2.0)
lama(neutral(top_k=25, typical_p=0.95, top_p=0.9, min_p=0.02, xtc_probability=1.0, xtc_threshold=0.08),
     [("top_k", (25,)), ("typical", (0.95, 1)), ("top_p", (0.9, 1)), ("min_p", (0.02, 1)), ("xtc", (1.0, 0.08, 1, 5))],
     filters=True, scale=1.5)
for allowed, window in ((2, -1), (1, -1), (4, -1), (2, 20)):
    lama({"dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": allowed, "dry_window": window},
         [("dry", (None, 0.8, 1.75, allowed, 1000 if window < 0 else window, None, 0))])

# Only now, since libllama and PyTorch do not get along in one process.
import torch  # noqa: E402
from transformers.generation import logits_process as hf  # noqa: E402

for penalty in (1.3, 0.75):
    hugging({"repetition_penalty": penalty, "penalty_window": 1000}, [hf.RepetitionPenaltyLogitsProcessor(penalty)])
for n in (1, 2, 3, 5):
    hugging({"no_repeat_ngram": n}, [hf.NoRepeatNGramLogitsProcessor(n)])
hugging({"logit_bias": [[3, 2.5], [17, -4.0], [39, -100.0], [0, 100.0]]},
        [hf.SequenceBiasLogitsProcessor({(3,): 2.5, (17,): -4.0, (39,): -100.0, (0,): 100.0})])
for p in (0.15, 0.5, 0.9):
    for temperature in (1.0, 0.6, 2.0):
        hugging(neutral(typical_p=p, temperature=temperature),
                [hf.TemperatureLogitsWarper(temperature), hf.TypicalLogitsWarper(p)], filters=True)
for temperature in (0.7, 1.8):
    hugging({"temperature": temperature, "top_k": 20, "typical_p": 0.9, "top_p": 0.85, "min_p": 0.05},
            [hf.TemperatureLogitsWarper(temperature), hf.TopKLogitsWarper(20), hf.TypicalLogitsWarper(0.9),
             hf.TopPLogitsWarper(0.85), hf.MinPLogitsWarper(0.05)], filters=True, scale=1.5)
for presence, frequency in ((0.6, 0.0), (0.0, 0.4), (1.5, -0.3)):
    add("formula", {"presence_penalty": presence, "frequency_penalty": frequency, "penalty_window": 1000},
        lambda logits, tokens: by_formula(logits, tokens, presence, frequency))
out = pathlib.Path(__file__).parent / "sampling.json"
lines = ",\n".join(json.dumps(case) for case in cases)
out.write_text("[\n" + lines + "\n]\n")
print(len(cases), "cases")
