#!/bin/sh
# Installs what is missing, builds heed, draws a grid of pictures with the model in models/fashion, translates dates and
# English with the models in models/dates and models/en-ja and shows what they looked at, and generates text from the model
# in models/shakespeare.
# For Debian 12, Debian 13 and Ubuntu 24.04, as root or with sudo; safe to repeat.
# usage: sh tools/demo.sh [options of heed generate, which replace those below]
set -eu
cd "$(dirname "$0")/.."

sh tools/setup.sh
cmake --build build --target heed --parallel "$(nproc)"

# Converts a model of models/ unless build/ has it already, from this program and these files.
convert() {
  model=build/$1.heed
  if [ ! -e "$model" ] || find "models/$1" build/heed -type f -newer "$model" | grep -q .; then
    build/heed convert "models/$1" -o "$model"
  fi
}
convert fashion
build/heed draw "$model" -o build/fashion.png --count 50 --grid --seed 1
convert dates
printf '%s\n' "the 3rd of may, 2008" "sunday, december 25 1994" "19.08.2030" |
  build/heed translate "$model"
build/heed translate "$model" "saturday the 3rd of may, 2008" --attention build/attention.png
echo "what it looked at: build/attention.png"
convert en-ja
printf '%s\n' "He plays the guitar." "What time is it now?" "My father is a teacher of English." |
  build/heed translate "$model"
build/heed translate "$model" "I can't swim." --attention build/en-ja.html
echo "what it looked at, layer by layer: build/en-ja.html"
convert shakespeare
# What is for standard error comes after the text, on lines of its own wherever both go; Ctrl-C ends heed, which then still
# has its statistics to tell.
trap : INT
status=0
build/heed generate "$model" "ROMEO:" -n 240 --echo "$@" 2>build/demo.log || status=$?
[ -t 1 ] || echo
cat build/demo.log >&2
exit "$status"
