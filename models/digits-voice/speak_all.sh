#!/bin/sh
# Has heed say the ten digits five times in each voice, VOICE_SEED.wav each: 200 clips for train.py --judge.
# usage: speak_all.sh HEED MODEL.heed FOLDER [OPTION...]      options of heed sound, such as --temperature 0.8
set -eu
heed=$1 model=$2 folder=$3
shift 3
mkdir -p "$folder"
for voice in anna bella carl edward; do
  for seed in 0 1 2 3 4; do
    "$heed" sound "$model" --text 0123456789 --voice $voice --seed $seed -o "$folder/${voice}_$seed.wav" "$@" 2>/dev/null
  done
done
