#!/usr/bin/env python3
"""Makes tiny GGUF files of llama.cpp's architectures with its own converter, and what transformers computes of them.

usage: make_gguf_families.py FOLDER [--only NAME ...]     (needs what make_hf.py needs, and llama.cpp's converter)

For each model below a checkpoint of random weights as in make_hf.py is saved by transformers, converted by llama.cpp's
convert_hf_to_gguf to f16 and written to FOLDER/gguf/families/NAME.gguf, beside NAME.json with what transformers computes in
double of those weights (fields as of golden.json, README.md). `--converter` says where llama.cpp's package `conversion` is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

import make_hf
from make_hf import GPT_SIZES, MIN_EFFECT, MIN_MARGIN, WITHOUT_GROUPS, Golden, family, rope

PROMPT_LENGTH = 12
# What the architectures' files do not say must be what llama.cpp takes for granted.
SMALL = {"vocab_size": 64, "intermediate_size": 64}
SLIDING = ["sliding_attention", "full_attention"]
SIX = ["sliding_attention"] * 5 + ["full_attention"]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 10000.0}
LONG = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.5], "long_factor": [1.0, 1.5, 3.0, 6.0], "rope_theta": 10000.0}
FALCON = {"intermediate_size": "none", "vocab_size": 64, **WITHOUT_GROUPS}


def small(name: str, **changes):
    return family(name, **(SMALL | changes))


MODELS = [
    Golden("llama", 3, small("llama", head_dim=12), torch.float16, None),
    Golden("llama_yarn", 4, small("llama", rope_parameters=YARN), torch.float16, None,
           variants={"no yarn": {"rope_parameters": rope(10000.0)}}),
    Golden("qwen2", 1, small("qwen2"), torch.float16, None),
    Golden("qwen3", 1, small("qwen3", head_dim=12), torch.float16, None),
    Golden("gemma", 4, small("gemma", head_dim=12), torch.float16, None),
    Golden("gemma2", 1, small("gemma2", head_dim=12, sliding_window=6, query_pre_attn_scalar=12, attn_logit_softcapping=2.0,
                              final_logit_softcapping=3.0), torch.float16, None,
           variants={"sliding_window": {"sliding_window": 7}}),
    Golden("gemma3", 5, small("gemma3_text", num_hidden_layers=6, intermediate_size=32, head_dim=8, sliding_window=6,
                              query_pre_attn_scalar=8, layer_types=SIX,
                              rope_parameters={"sliding_attention": rope(10000.0), "full_attention":
                                               {**rope(50000.0), "rope_type": "linear", "factor": 4.0}}), torch.float16, None,
           variants={"sliding_window": {"sliding_window": 7}}),
    Golden("olmo2", 1, small("olmo2"), torch.float16, None),
    Golden("granite", 2, small("granite", embedding_multiplier=6.0, attention_multiplier=0.5, residual_multiplier=0.4,
                               logits_scaling=3.0), torch.float16, None),
    Golden("stablelm", 1, small("stablelm", hidden_size=64, use_qkv_bias=True), torch.float16, None),
    Golden("stablelm_parallel", 5, small("stablelm", hidden_size=64, use_parallel_residual=True), torch.float16, None),
    Golden("phi3", 2, small("phi3", sliding_window=7, original_max_position_embeddings=make_hf.CONTEXT), torch.float16, None,
           variants={"sliding_window": {"sliding_window": 8}}),
    # Quantised by llama-quantize, packed matrices too.
    Golden("phi3_q8_0", 1, small("phi3", sliding_window=7, original_max_position_embeddings=make_hf.CONTEXT), torch.float16,
           None, variants={"sliding_window": {"sliding_window": 8}}),
    Golden("phi3_longrope", 2, small("phi3", sliding_window=None, original_max_position_embeddings=16, rope_parameters=LONG),
           torch.float16, None),
    Golden("phi2", 1, small("phi", intermediate_size=128, **WITHOUT_GROUPS), torch.float16, None),
    Golden("starcoder2", 1, small("starcoder2", sliding_window=None), torch.float16, None),
    Golden("gptneox", 1, small("gpt_neox", hidden_size=64, **WITHOUT_GROUPS), torch.float16, None),
    Golden("gptneox_serial", 7, small("gpt_neox", hidden_size=64, use_parallel_residual=False, **WITHOUT_GROUPS), torch.float16,
           None),
    Golden("falcon", 4, family("falcon", multi_query=True, num_kv_heads=1, **FALCON), torch.float16, None),
    Golden("falcon_groups", 7, family("falcon", new_decoder_architecture=True, num_kv_heads=2, **FALCON), torch.float16, None),
    Golden("llama_experts", 1, small("mixtral", num_local_experts=5, num_experts_per_tok=2), torch.float16, None,
           variants={"experts_used": {"num_experts_per_tok": 1}}),
    Golden("qwen2moe", 1, small("qwen2_moe", num_experts=6, num_experts_per_tok=3, moe_intermediate_size=32,
                                shared_expert_intermediate_size=48), torch.float16, None,
           variants={"experts_used": {"num_experts_per_tok": 2}}),
    Golden("qwen3moe", 4, small("qwen3_moe", head_dim=12, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32,
                                norm_topk_prob=True), torch.float16, None, variants={"experts_used": {"num_experts_per_tok": 2}}),
    Golden("olmoe", 2, small("olmoe", num_experts=6, num_experts_per_tok=2), torch.float16, None,
           variants={"experts_used": {"num_experts_per_tok": 1}}),
    Golden("granitemoe", 1, small("granitemoe", num_local_experts=5, num_experts_per_tok=2, embedding_multiplier=6.0,
                                  attention_multiplier=0.5, residual_multiplier=0.4, logits_scaling=3.0), torch.float16, None,
           variants={"experts_used": {"num_experts_per_tok": 1}}),
    Golden("granitemoe_shared", 1, small("granitemoeshared", num_local_experts=4, num_experts_per_tok=2,
                                         shared_intermediate_size=48), torch.float16, None,
           variants={"experts_used": {"num_experts_per_tok": 1}}),
    # Weights of all that is near: the file does not say what is, so the model has the published threshold.
    Golden("phimoe", 1, small("phimoe", num_local_experts=5, num_experts_per_tok=2, attention_bias=True, lm_head_bias=True,
                              original_max_position_embeddings=make_hf.CONTEXT), torch.float16, None,
           variants={"router_jitter_noise": {"router_jitter_noise": 0.3}}),
    Golden("gpt2", 2, family("gpt2", **(GPT_SIZES | {"vocab_size": 64})), torch.float16, None),
    Golden("bloom", 115, family("bloom", n_layer=2, n_head=6, hidden_size=48, seq_length=make_hf.CONTEXT, num_hidden_layers="none",
                              num_attention_heads="none", max_position_embeddings="none", **FALCON), torch.float16, None),
]  # fmt: skip


def good(golden: Golden, folder: Path, prompt: list[int]) -> dict | str:
    """The golden's fields, or what is wrong with this seed."""
    model = make_hf.open_model(folder, torch.float64)
    logits = make_hf.logits_of(model, prompt)
    spread = float(np.ptp(logits))
    # A text of a model with long factors stays below the switch.
    make_hf.GREEDY_LENGTH = 4 if golden.name == "phi3_longrope" else 24
    tokens, margin = make_hf.greedy(model, prompt)
    if margin < 0.4 * MIN_MARGIN * spread:
        return f"margin {margin / spread}"
    if len(set(tokens)) < min(6, len(tokens) - 1):
        return "repetitive"
    if 2 in tokens:
        return "the end token"
    unseen = [name for name, effect in make_hf.effects(golden, folder, prompt, logits).items() if effect < MIN_EFFECT]
    if unseen:
        return f"no visible effect: {unseen}"
    return {"prompt_tokens": prompt, "greedy_tokens": tokens, "min_margin": margin, "logit_range": spread, "logits": logits}


def save(golden: Golden, folder: Path, seed: int) -> list[int]:
    config = golden.config()
    model = AutoModelForCausalLM.from_config(config)
    make_hf.fill(model, seed)
    # Values of f16 in files of f32: the converter adds 1 to Gemma's norms in the type of the file.
    model.to(golden.dtype).float().save_pretrained(folder)
    return np.random.RandomState(seed).randint(3, config.vocab_size, PROMPT_LENGTH).tolist()


def convert(folder: Path, out: Path, converter: str, outtype: str = "f16") -> None:
    """llama.cpp's converter, with a vocabulary of none: these models have no tokenizer."""
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "falcon" and not config["new_decoder_architecture"]:
        config["num_kv_heads"] = 1  # transformers writes the number of heads, which published ones do not name
    if config["model_type"] == "gpt_neox":
        config["rotary_pct"] = config["rope_parameters"]["partial_rotary_factor"]
    if config["model_type"] == "phimoe":
        config["architectures"] = ["PhiMoEForCausalLM"]  # as published ones have it
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]
    (folder / "config.json").write_text(json.dumps(config))
    # Gemma 3's counts the rows of the embedding by it.
    (folder / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": {f"t{i}": i for i in range(config["vocab_size"])}}, "added_tokens": []})
    )
    code = f"""
import json
import sys
from pathlib import Path
sys.path.insert(1, {converter!r})
import gguf, torch
from conversion import ModelBase, get_model_class
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
hparams = ModelBase.load_hparams(folder, False)
made = get_model_class(hparams["architectures"][0])
made.set_vocab = lambda self: self._set_vocab_none()
types = {{"f16": gguf.LlamaFileType.MOSTLY_F16, "f32": gguf.LlamaFileType.ALL_F32}}
with torch.inference_mode():
    model = made(folder, types[{outtype!r}], out, model_name="tiny")
    # Names of transformers 4, which the converter asks for and transformers 5 takes out.
    for key, value in json.loads((folder / "config.json").read_text()).items():
        model.hparams.setdefault(key, value)
    model.write()
"""
    made = subprocess.run([sys.executable, "-c", code, folder, out], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(made.stderr)


PHI3_NAMES = {
    "token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm", "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def quantise(golden: Golden, folder: Path, out: Path, converter: str) -> None:
    """Phi-3 as q8_0, and the checkpoint as the values that gguf reads of it."""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as plain:
        convert(folder, Path(plain.name), converter)
        subprocess.run(["llama-quantize", plain.name, out, "q8_0"], check=True, capture_output=True)
    state = {}
    for tensor in gguf.GGUFReader(out).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape([int(n) for n in tensor.shape[::-1]])
        parts = tensor.name.split(".")
        layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        state[f"{layer}{PHI3_NAMES[parts[-2]]}.{parts[-1]}"] = torch.from_numpy(np.array(values, np.float32))
    model = make_hf.open_model(folder, torch.float32)
    model.load_state_dict(state)
    model.save_pretrained(folder)


def make(golden: Golden, out: Path, converter: str) -> None:
    for seed in range(golden.seed, golden.seed + 200):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prompt = save(golden, folder, seed)
            if golden.name.endswith("_q8_0"):
                quantise(golden, folder, out / f"{golden.name}.gguf", converter)
            fields = good(golden, folder, prompt)
            if isinstance(fields, str):
                continue
            if not golden.name.endswith("_q8_0"):
                convert(folder, out / f"{golden.name}.gguf", converter)
            make_hf.write_golden(out / f"{golden.name}.json", fields)
            print(f"{golden.name}: seed {seed}, {len(set(fields['greedy_tokens']))} different greedy tokens")
            return
    sys.exit(f"{golden.name}: no seed serves")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the golden data under FOLDER/gguf/families.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--converter", default="/usr/share/llama.cpp/llama.cpp-tools")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    make_hf.transformers.logging.set_verbosity_error()
    make_hf.transformers.logging.disable_progress_bar()
    out = arguments.folder / "gguf" / "families"
    out.mkdir(parents=True, exist_ok=True)
    for golden in MODELS:
        if arguments.only is None or golden.name in arguments.only:
            make(golden, out, arguments.converter)


if __name__ == "__main__":
    main()
