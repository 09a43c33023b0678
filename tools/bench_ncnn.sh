#!/bin/sh
# Runs the same convolutional networks in heed and in ncnn's Vulkan backend, on one driver, in turn.
# usage: sh tools/bench_ncnn.sh BENCHNCNN [-n ROUNDS] [-g DEVICE] [NETWORK...]
#
# BENCHNCNN is ncnn's own benchmark, of a build with Vulkan (https://github.com/Tencent/ncnn, see "build and install" there;
# nothing of it is part of heed). NETWORK: squeezenet or resnet, default both (tools/bench_ncnn_graphs.py). ROUNDS, default 5:
# the engines take turns, since machines are shared; figures are medians, and the ratio that of the medians. DEVICE, default
# 0: the number that both programs give the device. HEED names heed's program, default build/heed. On CPU drivers
# LP_NUM_THREADS=0 runs both on one thread. ncnn takes half precision where the driver has it; heed computes in f32.
set -eu
usage() {
  sed -n 's/^# usage: /usage: /p' "$0" >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
heed=${HEED:-$here/../build/heed}
[ $# -ge 1 ] || usage
ncnn=$1
shift
rounds=5 device=0
while getopts n:g: option; do
  case $option in
    n) rounds=$OPTARG ;;
    g) device=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
for program in "$ncnn" "$heed"; do
  [ -x "$program" ] || {
    echo "bench_ncnn: no program '$program'" >&2
    exit 1
  }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

median() {
  sort -n "$1" | awk '{ v[NR] = $1 } END { if (NR == 0) exit 1; print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
# Milliseconds of a run, or nothing.
time_heed() { "$heed" bench "$folder/$1.heed" --device "$device" -r 3 --json 2>"$folder/errors" |
  sed -n 's/^.*"run_seconds": *\([0-9.e+-]*\).*$/\1/p' | awk '{ print $1 * 1000 }'; }
time_ncnn() { "$ncnn" 4 "$(nproc)" 0 "$device" 0 "param=$folder/$1.param" "shape=$2" 2>&1 | tee "$folder/errors" |
  sed -n 's/^.*avg = *\([0-9.]*\).*$/\1/p'; }

[ $# -gt 0 ] || set -- squeezenet resnet
printf '%-12s %12s %12s %8s\n' network "heed ms" "ncnn ms" ratio
for network in "$@"; do
  shape=$(python3 "$here/bench_ncnn_graphs.py" "$network" "$folder")
  "$heed" convert "$folder/$network.onnx" -o "$folder/$network.heed" >/dev/null
  : >"$folder/heed" && : >"$folder/ncnn"
  round=0
  while [ $round -lt "$rounds" ]; do
    for engine in heed ncnn; do
      milliseconds=$("time_$engine" "$network" "$shape")
      [ -n "$milliseconds" ] || {
        echo "bench_ncnn: $engine gave no time for $network:" >&2
        cat "$folder/errors" >&2
        exit 1
      }
      echo "$milliseconds" >>"$folder/$engine"
    done
    round=$((round + 1))
  done
  ours=$(median "$folder/heed")
  theirs=$(median "$folder/ncnn")
  echo "$ours $theirs" | awk -v n="$network" '{ printf "%-12s %12.1f %12.1f %8.1f\n", n, $1, $2, $2 / $1 }'
done
