#!/usr/bin/env python3
"""Transformer-base with random weights, and how fast PyTorch translates with it: the peer of `heed bench`.

    python3 transformer_base.py make base/     writes a Marian folder for `heed convert` (242 MB)
    python3 transformer_base.py time base/     prints tokens/s of transformers' generate on 2 threads

6+6 layers of 512, 8 heads, 2,048 between the products, 32,000 pieces, f32. 32 lines of 20 random tokens, 4 beams, 16 new
tokens each, keys and values cached; the median of 3 runs after one without the clock. Needs PyTorch and transformers.
"""
import sys
import time

import torch
import transformers

LINES, SOURCE_TOKENS, BEAMS, NEW_TOKENS, PIECES = 32, 20, 4, 16, 32000


def make(folder):
    torch.manual_seed(0)
    config = transformers.MarianConfig(
        vocab_size=PIECES, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        activation_function="relu", pad_token_id=PIECES - 1, eos_token_id=0, decoder_start_token_id=PIECES - 1,
        bos_token_id=None, forced_eos_token_id=None, scale_embedding=True)
    transformers.MarianMTModel(config).save_pretrained(folder)


def measure(folder):
    torch.set_num_threads(2)
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    times = []
    for i in range(4):
        source = torch.randint(1, PIECES - 1, (LINES, SOURCE_TOKENS), generator=torch.Generator().manual_seed(i))
        begin = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(source, num_beams=BEAMS, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS,
                                  do_sample=False, use_cache=True)
        times.append(time.perf_counter() - begin)
        assert made.shape == (LINES, 1 + NEW_TOKENS)
    seconds = sorted(times[1:])[1]
    print(f"{LINES * NEW_TOKENS / seconds:.1f} tokens/s, PyTorch {torch.__version__}, transformers "
          f"{transformers.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    {"make": make, "time": measure}[sys.argv[1]](sys.argv[2])
