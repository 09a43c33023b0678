#!/usr/bin/env python3
"""Makes ropes.json: what transformers computes with other kinds of rotary positions of the models under hf/.

usage: make_ropes.py FOLDER        FOLDER holds hf/; writes FOLDER/ropes.json

A case names a folder of hf/, the keys of its config.json that change, the context that heed is asked for (0: none), tokens,
and the logits after the last four of them, in double. The tokens run through in one pass, so that a rope which depends on
the length of the text is that of all of them.
"""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

import make_hf

ROWS = 4
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 10000.0}
LONG = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.5], "long_factor": [1.0, 1.5, 3.0, 6.0], "rope_theta": 10000.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
OLD_YARN = {"type": "yarn", "factor": 2.5, "original_max_position_embeddings": 20, "beta_fast": 4, "beta_slow": 0.5}

# name, folder, changes, context, how many tokens
CASES = [
    ("yarn", "qwen2", {"rope_parameters": YARN}, 0, 40),
    ("yarn, in the words of transformers 4", "qwen2", {"rope_parameters": None, "rope_scaling": OLD_YARN, "rope_theta": 500.0}, 0, 40),
    ("yarn, bounds that are no whole pairs", "qwen2", {"rope_parameters": YARN | {"truncate": False, "beta_fast": 3.0}}, 0, 40),
    ("yarn, with its own scale", "qwen2", {"rope_parameters": YARN | {"attention_factor": 1.4}}, 0, 40),
    ("yarn, mscale", "qwen2", {"rope_parameters": YARN | {"mscale": 2.0, "mscale_all_dim": 0.5}}, 0, 40),
    ("yarn, of half of a head", "phi", {"rope_parameters": YARN | {"partial_rotary_factor": 0.5}}, 0, 40),
    ("longrope, a short text", "phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 24}, 0, 24),
    ("longrope, a long text", "phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 24}, 64, 40),
    ("longrope, called su", "phi3", {"rope_parameters": None, "rope_theta": 10000.0, "original_max_position_embeddings": 24,
                                     "rope_scaling": {"type": "su", "original_max_position_embeddings": 24, "short_factor": LONG["short_factor"],
                                                      "long_factor": LONG["long_factor"]}}, 0, 24),
    ("longrope, with its own scale", "qwen2",
     {"rope_parameters": LONG | {"attention_factor": 1.7, "original_max_position_embeddings": 24}}, 33, 33),
    ("dynamic, a short text", "qwen2", {"rope_parameters": DYNAMIC, "max_position_embeddings": 32}, 0, 32),
    ("dynamic, a long text", "qwen2", {"rope_parameters": DYNAMIC, "max_position_embeddings": 32}, 48, 48),
    ("dynamic, of half of a head", "phi", {"rope_parameters": DYNAMIC | {"partial_rotary_factor": 0.5},
                                           "max_position_embeddings": 32}, 48, 48),
]  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    cases = []
    for name, base, changes, context, count in CASES:
        config = json.loads((folder / "hf" / base / "config.json").read_text()) | changes
        config = {key: value for key, value in config.items() if value is not None or key not in changes}
        with_config = transformers.AutoConfig.for_model(**copy.deepcopy(config))  # which changes it
        model = make_hf.AutoModelForCausalLM.from_pretrained(
            folder / "hf" / base, config=with_config, dtype=torch.float32, attn_implementation="eager"
        )
        model = model.to(torch.float64).eval()
        tokens = np.random.RandomState(len(cases)).randint(3, config["vocab_size"], count).tolist()
        logits = make_hf.logits_of(model, tokens)
        plain = make_hf.logits_of(make_hf.open_model(folder / "hf" / base, torch.float64), tokens)
        moved = np.abs(logits - plain)[-ROWS:].max() / np.ptp(logits)
        print(f"{name}: moves the logits by {moved:.1e} of their range")
        assert moved > 10 * make_hf.TOLERANCE or (name.startswith("dynamic") and context == 0)
        cases.append({"name": name, "folder": base, "changes": changes, "context": context, "tokens": tokens,
                      "logits": [[float(make_hf.rounded(x)) for x in row] for row in logits[-ROWS:]]})  # fmt: skip
    lines = ",\n".join(json.dumps(case) for case in cases)
    (folder / "ropes.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
