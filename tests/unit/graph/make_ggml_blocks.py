#!/usr/bin/env python3
"""Makes ggml_blocks.json: blocks of every quantised type and what ggml decodes them to.

usage: make_ggml_blocks.py LIBGGML_BASE OUTPUT      (a libggml-base.so; needs numpy and llama.cpp's gguf package)

Of each type there are blocks of random bytes, whose f16 scales are made ordinary numbers, and some that ggml quantised
itself. What is expected is what ggml's C functions decode, and gguf's Python must agree to the bit. `original` holds 2048
normally distributed floats, and `error` is how far ggml's own blocks of them are off: root mean square, relative.
"""

import ctypes
import json
import sys

import gguf
import numpy as np

# Name, ggml's C name, where f16 factors lie in a block
TYPES = [
    ("q8_0", "q8_0", [0]), ("q4_0", "q4_0", [0]), ("q4_1", "q4_1", [0, 2]), ("q5_0", "q5_0", [0]),
    ("q5_1", "q5_1", [0, 2]), ("iq4_nl", "iq4_nl", [0]), ("q2_k", "q2_K", [80, 82]), ("q3_k", "q3_K", [108]),
    ("q4_k", "q4_K", [0, 2]), ("q5_k", "q5_K", [0, 2]), ("q6_k", "q6_K", [208]),
]  # fmt: skip
RANDOM_BLOCKS = 3


def main(library, output):
    ggml = ctypes.CDLL(library)
    random = np.random.default_rng(7)
    original = random.standard_normal(2048).astype(np.float32)
    types = {}
    for name, c_name, factors in TYPES:
        kind = gguf.GGMLQuantizationType[name.upper()]
        elements, size = gguf.GGML_QUANT_SIZES[kind]

        def decode(blocks):
            values = np.zeros(len(blocks) * elements, np.float32)
            getattr(ggml, "dequantize_row_" + c_name)(
                blocks.ctypes.data_as(ctypes.c_void_p), values.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_int64(values.size))  # fmt: skip
            again = gguf.quants.dequantize(blocks, kind).reshape(-1)
            assert values.tobytes() == again.astype(np.float32).tobytes(), name
            return values

        made = np.zeros((len(original) // elements, size), np.uint8)
        quantise = getattr(ggml, "quantize_row_" + c_name + "_ref")
        quantise(original.ctypes.data_as(ctypes.c_void_p), made.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(2048))
        error = float(np.sqrt(np.mean((decode(made) - original) ** 2) / np.mean(original**2)))

        blocks = random.integers(0, 256, (RANDOM_BLOCKS, size), dtype=np.uint8)
        for at in factors:
            halves = (random.standard_normal(RANDOM_BLOCKS) * 0.1).astype(np.float16)
            blocks[:, at : at + 2] = halves.view(np.uint8).reshape(-1, 2)
        blocks = np.concatenate([blocks, made[:1]])
        types[name] = {"blocks": blocks.tobytes().hex(), "values": decode(blocks).tobytes().hex(), "error": error}
    with open(output, "w") as file:
        json.dump({"original": original.tobytes().hex(), "types": types}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
