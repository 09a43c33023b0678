"""Continues a text as it comes, until Ctrl-C or the end: stream.py MODEL.heed PROMPT"""

import sys

import heed

if len(sys.argv) != 3:
    sys.exit(f"usage: {sys.argv[0]} MODEL.heed PROMPT")
try:
    with heed.load(sys.argv[1]) as model:
        stream = model.generate(sys.argv[2], max_tokens=60, temperature=0.7, seed=7, stream=True)
        with stream:
            for piece in stream:
                print(piece, end="", flush=True)
        print(f"\n[{len(stream.generation.tokens)} tokens, {stream.generation.stop_reason}]")
except heed.Error as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    print()
