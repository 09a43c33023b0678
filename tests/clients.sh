#!/bin/sh
# Programs that others wrote, as clients of `heed serve`: sh tests/clients.sh [CLIENT...], with HEED_PROGRAM for another
# heed than build/heed. They come from npm's registry; where there is no npm or no network they are skipped, visibly.
set -eu
cd "$(dirname "$0")/.."
heed=${HEED_PROGRAM:-$PWD/build/heed}
clients="$PWD/tests/clients"
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || :; fi; rm -rf "$work"' EXIT
failed=0 passed=0 skipped=0

skip() {
  echo "SKIPPED: $1: $2"
  skipped=$((skipped + 1))
}

# get PACKAGE@VERSION...: into $work/node_modules.
get() {
  command -v npm >"$work/npm.log" 2>&1 || { echo "there is no npm" >"$work/npm.log"; return 1; }
  (cd "$work" && npm install --silent --no-audit --no-fund --ignore-scripts "$@") >"$work/npm.log" 2>&1
}

# chat_model: $work/chat.heed, models/shakespeare with a template for chats. It writes letters, and answers as a play goes on.
chat_model() {
  [ ! -e "$work/chat.heed" ] || return 0
  cp -R models/shakespeare "$work/romeo"
  cat >"$work/romeo/tokenizer_config.json" <<'END'
{"chat_template": "{% for m in messages %}{{ m.role | upper }}:\n{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}ROMEO:\n{% endif %}"}
END
  "$heed" convert "$work/romeo" -o "$work/chat.heed" >"$work/convert.log"
}

# serve MODEL...: folders of models/, or what is in $work, served until the next; its address is in $base.
serve() {
  if [ -n "$server" ]; then kill "$server"; wait "$server" || :; server=; fi
  files=
  for model in "$@"; do
    [ -e "$work/$model.heed" ] || "$heed" convert "models/$model" -o "$work/$model.heed" >"$work/convert.log"
    files="$files $work/$model.heed"
  done
  # shellcheck disable=SC2086  # several files
  "$heed" serve --port 0 $files 2>"$work/serve.log" &
  server=$!
  base=
  while [ -z "$base" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/serve.log"; exit 1; }
    sleep 0.2
    base=$(sed -n 's/^heed serves on //p' "$work/serve.log")
  done
}

# run CLIENT ARGUMENTS...: its script of tests/clients, beside what get() brought, where node finds it.
run() {
  name=$1
  shift
  cp "$clients/$name" "$work"
  echo "== $name"
  if (cd "$work" && node "$name" "$@"); then passed=$((passed + 1)); else echo "FAILED: $name"; failed=$((failed + 1)); fi
}

client_translate() {
  get libretranslate@1.0.1 translate@3.1.0 || { skip translate "$(tail -n 1 "$work/npm.log")"; return; }
  serve en-ja
  run translate.mjs "$base"
}

client_openai_images() {
  get openai@6 || { skip openai_images "$(tail -n 1 "$work/npm.log")"; return; }
  serve fashion fashion-tokens
  run openai_images.mjs "$base"
}

# HEED_CHAT_MODEL: a .heed file of another model that has a chat template.
client_openai() {
  get openai@6 || { skip openai "$(tail -n 1 "$work/npm.log")"; return; }
  if [ -n "${HEED_CHAT_MODEL:-}" ]; then cp "$HEED_CHAT_MODEL" "$work/chat.heed"; else chat_model; fi
  serve chat
  run openai.mjs "$base" chat
}

[ "$#" -gt 0 ] || set -- openai openai_images translate
for client in "$@"; do "client_$client"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
