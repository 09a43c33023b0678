#!/usr/bin/env python3
"""Makes pre_tokenizers.json: how llama.cpp cuts text for each value of GGUF's tokenizer.ggml.pre.

usage: make_gguf_pre.py FILE.json      (needs tokenizers, llama.cpp's llama-tokenize and its gguf package)

One vocabulary of byte-level BPE whose merges know no borders of words, so that what keeps them apart is the pattern of each
value alone: `tokens`, `merges`, `texts`, and in `cuts` lists of values (`pre`) with the ids (`ids`) that they give all texts,
null where the models' own pattern is known to be another.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import tokenizers

VALUES = [
    "default", "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "dbrx", "smaug-bpe",
    "chatglm-bpe", "glm4", "qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2",
    "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "gigachat", "a.x-4.0", "mellum", "exaone4",
    "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "falcon", "bloom", "poro-chat",
    "gpt3-finnish", "viking", "tekken", "gpt-4o", "llama4", "minimax-m2", "deepseek-v3", "hunyuan-dense", "deepseek-coder",
    "seed-coder", "jina-v5-nano", "f2llmv2", "modern-bert", "mellum2", "kanana2", "talkie", "joyai-llm", "hy_v4", "deepseek-llm",
    "qwen35", "bailingmoe", "bailingmoe2", "llada-moe", "ufakzeka", "laguna", "exaone-moe", "minicpm5", "superbpe",
]  # fmt: skip
TEXTS = [
    "Hello, world! It's John's 3rd try: they'RE here, WE'LL see, I'd've gone.",
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F 2026-11-29 v1.2.3",
    "for (int i = 0; i < 10; ++i) {\n\tx[i] += y->z * 2;  // done\n}\n\n\nreturn a != b ? `c` : $d^2;\n",
    "  leading,   inner    and trailing spaces   ",
    "\n\n \n\t\t\n  \n\r\n x\r\n\r\ny",
    "naïve café Straße ÀÉÎ ŒUVRE Ελληνικά Привет мир",
    "日本語のテキスト、そして漢字。中文字符！한국어 문장입니다",
    "camelCase HTTPServer XMLHttpRequest snake_case SCREAMING_CASE iPhone15Pro",
    "emoji 🚀🚀 (👍🏽) ✅ ½ ² ⅷ ٣٤٥ १२३",
    "...!!!??? ------ ====== <tag attr=\"v\">|pipe|</tag> ~/path/to/file",
    "don't DON'T Don'T 's't're 'quoted' \"double\" (parens)",
    "kap\u0131'daki x'testing don'test 'reading", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0939\u093f\u0928\u094d\u0926\u0940 e\u0301x",
    "a\n\n\nb \n\n c\r\n\r\n\r\nd//\n/", "1234567 12345678 word word word",
    "a", " ", "  ", "\n", "'", "3",
]  # fmt: skip


def main(out: str) -> None:
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=1
    )
    # Pieces of all texts, so that merges cross borders of all kinds.
    model.train_from_iterator([text[i : i + 9] for text in TEXTS for i in range(len(text))], trainer)
    data = json.loads(model.to_str())["model"]
    tokens = sorted(data["vocab"], key=data["vocab"].get)
    merges = [" ".join(pair) for pair in data["merges"]]
    cuts: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "vocab.gguf"))
        for value in VALUES:
            writer = gguf.GGUFWriter(path, "llama")
            writer.add_block_count(1)
            writer.add_context_length(64)
            writer.add_embedding_length(8)
            writer.add_feed_forward_length(8)
            writer.add_head_count(1)
            writer.add_layer_norm_rms_eps(1e-5)
            writer.add_vocab_size(len(tokens))
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(value)
            writer.add_token_list(tokens)
            writer.add_token_types([1] * len(tokens))
            writer.add_token_merges(merges)
            writer.add_add_bos_token(False)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            ids = []
            for text in TEXTS:
                made = subprocess.run(
                    ["llama-tokenize", "-m", path, "--stdin", "--ids", "--no-bos", "--no-parse-special", "--log-disable"],
                    input=text.encode(), capture_output=True,
                )  # fmt: skip
                if made.returncode != 0:
                    sys.exit(f"{value}: {made.stderr.decode()[-500:]}")
                ids.append(json.loads(made.stdout))
            entry = cuts.setdefault(json.dumps(ids), {"pre": [], "ids": ids})
            entry["pre"].append(value)
    for entry in cuts.values():
        print(entry["pre"])
        if entry["pre"][0] in ("tekken", "gpt-4o"):  # llama.cpp's words for these leave marks apart, the models' do not
            entry["ids"] = [None if "\u093f" in text else ids for text, ids in zip(TEXTS, entry["ids"])]
    lines = ["{", f' "tokens": {json.dumps(tokens)},', f' "merges": {json.dumps(merges)},', f' "texts": {json.dumps(TEXTS)},']
    lines += [' "cuts": [', ",\n".join(json.dumps(entry) for entry in cuts.values()), "]}"]
    Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
