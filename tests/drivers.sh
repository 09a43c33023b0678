#!/bin/sh
# Runs `heed conform` and the goldens on every Vulkan driver that is here, compiles everything for every GPU vendor whose drivers
# can be had without a GPU, and prints one table. Builds nothing: build/heed and build/tests/golden are there.
# usage: sh tests/drivers.sh [--quick]
#
# Drivers: the default one; lavapipe with subgroups of 4 (LP_NATIVE_VECTOR_WIDTH=128); SwiftShader, where a Chromium package
# brings it; with HEED_DRIVERS more, as lines of "NAME ICD-FILE". Vendors: HEED_VENDORS names a script that runs a command on
# their drivers (`SCRIPT list`; `SCRIPT NAME -- COMMAND`), by default ../shared/lab/vendors.sh; without it they are skipped.
# --quick: one case for each sequence of kernels, no goldens, and the first vendor of each make. Exit code 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
extent=
[ "${1-}" != --quick ] || extent=--quick
logs=build/drivers
mkdir -p "$logs"
rows="$logs/table"
: >"$rows"
failed=0

field() { sed -n "s/^  \"$1\": \([0-9]*\).*/\1/p" "$2" | head -n 1; }

add() { printf '%-24s %8s %8s %8s %8s %8s\n' "$@" >>"$rows"; }
add driver passed failed off compiled seconds

# A name, then variables of the environment.
driver() {
  name=$1
  shift
  report="$logs/$name.json"
  start=$(date +%s)
  code=0
  # shellcheck disable=SC2086  # a list of options
  env "$@" HEED_CACHE_DIR="$PWD/$logs/cache-$name" build/heed conform $extent --json >"$report" 2>"$logs/$name.log" || code=$?
  off=$(sed -n '/"variants_off": \[$/,/\]/p' "$report" | grep -c '^    "')
  [ "$code" = 0 ] || {
    failed=1
    grep '"message"' "$report" | head -n 5
    tail -n 3 "$logs/$name.log"
  }
  add "$name" "$(field passed "$report")" "$(field failures "$report")" "$off" - $(($(date +%s) - start))
  [ -z "$extent" ] || return 0
  if ! env "$@" HEED_CACHE_DIR="$PWD/$logs/cache-$name" build/tests/golden >"$logs/$name-golden.log" 2>&1; then
    failed=1
    echo "FAILED: goldens on $name, see $logs/$name-golden.log"
  fi
}

if build/heed devices >"$logs/devices" 2>&1; then
  driver default X=
  if grep -q llvmpipe "$logs/devices"; then
    driver lavapipe-of-4 LP_NATIVE_VECTOR_WIDTH=128
  else
    echo "SKIPPED: lavapipe with subgroups of 4: the default driver is not lavapipe"
  fi
else
  echo "SKIPPED: the default driver: $(tail -n 1 "$logs/devices")"
fi
swiftshader=
for icd in /usr/lib/chromium /usr/lib/chromium-browser /opt/google/chrome; do
  [ ! -e "$icd/vk_swiftshader_icd.json" ] || swiftshader="$icd/vk_swiftshader_icd.json"
done
if [ -n "$swiftshader" ]; then
  driver swiftshader VK_ICD_FILENAMES="$swiftshader"
else
  echo "SKIPPED: SwiftShader: no Chromium package brings it (Debian: chromium-common)"
fi
echo "${HEED_DRIVERS-}" | while read -r name icd; do
  [ -z "$name" ] || echo "$name $icd"
done >"$logs/more"
while read -r name icd; do driver "$name" VK_ICD_FILENAMES="$icd"; done <"$logs/more"

vendors=${HEED_VENDORS-../shared/lab/vendors.sh}
# The one beside the project runs in a root that takes minutes to build; that is for people to begin.
[ -n "${HEED_VENDORS-}" ] || [ -e "${HEED_LAB:-/opt/heed-lab}/.base" ] || vendors=
if [ -n "$vendors" ] && [ -x "$vendors" ] && chips=$("$vendors" list 2>/dev/null); then
  [ -z "$extent" ] || chips=$(echo "$chips" | sort -t- -u -k1,1)
  for chip in $chips; do
    log="$logs/$chip.log"
    start=$(date +%s)
    HEED_CACHE_DIR='' "$vendors" "$chip" -- build/heed conform --compile-only $extent >"$log" 2>&1
    compiled=$(sed -n 's/^compiles: \([0-9]*\) plans.*/\1/p' "$log")
    if [ -z "$compiled" ]; then
      failed=1
      tail -n 5 "$log"
    fi
    add "$chip" - - - "${compiled:-FAILED}" $(($(date +%s) - start))
  done
else
  echo "SKIPPED: drivers of GPU vendors: HEED_VENDORS names no script that runs them, and there is no lab"
fi
printf '\n'
cat "$rows"
exit "$failed"
