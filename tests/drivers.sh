#!/bin/sh
# Runs `heed conform` and the goldens on every Vulkan device and driver that is here, compiles everything for every GPU
# vendor whose drivers can be had without a GPU, and prints one table. Builds nothing: build/heed and build/tests/golden
# are there.
# usage: sh tests/drivers.sh [--quick]
#
# --quick: one case for each sequence of kernels, no goldens, and the first chip of each vendor. Exit code 1 if anything
# failed, 77 if there was nothing to test.
#
# Tested are each device that `heed devices` lists; lavapipe with subgroups of 4 (LP_NATIVE_VECTOR_WIDTH=128) where it is
# one of them; SwiftShader, where a Chromium package brings it; and what these variables name:
#   HEED_DRIVERS       more drivers, as lines of "NAME ICD-FILE"
#   HEED_LAB_SCRIPTS   a folder with two scripts (default: ../shared/lab). run-in-lab.sh COMMAND runs a command in a root
#                      file system with a newer Mesa, the current folder at /mnt: its lavapipe is tested too.
#                      vendors.sh [-t SECONDS] CHIP -- COMMAND runs one on a GPU vendor's driver that compiles without its
#                      GPU, `vendors.sh list` names the chips. Without them both are skipped.
#   HEED_LAB           that root file system, where it does not lie where the scripts expect it
#   HEED_VENDORS       the chips to compile for, such as "amd-navi31 adreno-750"; "none" for none (default: all)
# `spilled` counts the compiled kernels that have too few registers and keep some elsewhere, as RADV's compiler says; `-`
# where a driver does not say. None of those that a GPU may be offered should: any is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
extent=
[ "${1-}" != --quick ] || extent=--quick
logs=build/drivers
mkdir -p "$logs"
rows="$logs/table"
: >"$rows"
failed=0
tested=0

field() { sed -n "s/^  \"$1\": \([0-9]*\).*/\1/p" "$2" | head -n 1; }

# Ends in the name of a file.
slug() { printf '%s' "$1" | tr -cs 'A-Za-z0-9.' '-'; }

# Of a vendor's log: how many kernels spill registers; - where the driver says nothing of it. Threads write it together,
# so that a 0 may have another number behind it.
spilled() {
  awk '/^\*\*\* SHADER STATS/ { spills = 0 }
    /^Spilled [SV]GPRs:/ { said = 1; if ($3 ~ /^[1-9][0-9]*$/ && !spills) { spills = 1; count++ } }
    END { print said ? count + 0 : "-" }' "$1"
}

# A row of the table: seven cells.
add() {
  printf '%s\t' "$@" >>"$rows"
  echo >>"$rows"
}
add driver passed failed off compiled spilled seconds

# A name, the index of a device, and a command that runs the rest of its arguments there, such as "env NAME=VALUE".
driver() {
  name=$1
  device=$2
  shift 2
  stem="$logs/$(slug "$name")-$device"
  start=$(date +%s)
  code=0
  tested=$((tested + 1))
  # shellcheck disable=SC2086  # a list of options
  HEED_CACHE_DIR="$PWD/$stem-cache" "$@" build/heed conform --device "$device" $extent --json \
    >"$stem.json" 2>"$stem.log" || code=$?
  off=$(sed -n '/"kernels_off": \[$/,/\]/p' "$stem.json" | grep -c '^    "')
  [ "$code" = 0 ] || {
    failed=1
    echo "FAILED: conform on $name, exit code $code, see $stem.json and $stem.log"
    grep -E '"(message|verdict)"' "$stem.json" | head -n 5
    tail -n 3 "$stem.log"
  }
  passed=$(field passed "$stem.json")
  bad=$(field failures "$stem.json")
  add "$name" "${passed:--}" "${bad:--}" "$off" - - $(($(date +%s) - start))
  [ -z "$extent" ] || return 0
  [ -x build/tests/golden ] || {
    failed=1
    echo "FAILED: goldens on $name: build/tests/golden is not built"
    return 0
  }
  if ! HEED_CACHE_DIR="$PWD/$stem-cache" HEED_DEVICE_INDEX="$device" "$@" build/tests/golden >"$stem-golden.log" 2>&1; then
    failed=1
    echo "FAILED: goldens on $name, see $stem-golden.log"
  fi
  sed -n 's/.*SKIPPED:/SKIPPED: goldens on '"$(slug "$name")"':/p' "$stem-golden.log" | sort -u
}

# Lines of "INDEX NAME, DRIVER" of the usable devices in what `heed devices --json` wrote.
devices_in() {
  sed -n 's/^    "\(driver\|index\|name\|unusable\)": "*\(.*[^",]\)"*,*$/\1 \2/p; s/^  },*$/end/p' "$1" |
    awk '{ key = $1; sub(/^[^ ]* ?/, ""); value[key] = $0 }
      key == "end" { if (value["unusable"] == "") print value["index"], value["name"] ", " value["driver"]; delete value }'
}

# Runs a command in the lab, with this system's libraries where the lab lacks them. The sources lie there where they lie
# here, since tests look for them by their full names.
in_lab() {
  # shellcheck disable=SC2016  # the shell within expands it
  LD_LIBRARY_PATH='' "$lab_scripts/run-in-lab.sh" sh -c 'mkdir -p "$1" && mount --bind /mnt "$1" && cd "$1" && shift && exec "$@"' \
    sh "$PWD" env LD_LIBRARY_PATH="$PWD/$logs/libraries" VK_ICD_FILENAMES="$lab_icd" "$@"
}

code=0
build/heed devices --json >"$logs/devices.json" 2>"$logs/devices.log" || code=$?
if [ "$code" = 1 ]; then
  echo "SKIPPED: the devices of this system: $(tail -n 1 "$logs/devices.log")"
elif [ "$code" != 0 ]; then
  failed=1
  echo "FAILED: build/heed devices, exit code $code: $(tail -n 1 "$logs/devices.log")"
else
  devices_in "$logs/devices.json" >"$logs/devices"
  [ -s "$logs/devices" ] || echo "SKIPPED: the devices of this system: none that heed can use"
  while read -r index name; do
    driver "$name" "$index" env </dev/null
    case $name in
      *llvmpipe*) driver "of 4: $name" "$index" env LP_NATIVE_VECTOR_WIDTH=128 </dev/null ;;
    esac
  done <"$logs/devices"
  grep -q llvmpipe "$logs/devices" || echo "SKIPPED: lavapipe with subgroups of 4: this system has no lavapipe"
fi
swiftshader=
for icd in /usr/lib/chromium /usr/lib/chromium-browser /usr/lib64/chromium-browser /opt/google/chrome; do
  [ ! -e "$icd/vk_swiftshader_icd.json" ] || swiftshader="$icd/vk_swiftshader_icd.json"
done
if [ -n "$swiftshader" ]; then
  driver SwiftShader 0 env VK_ICD_FILENAMES="$swiftshader" HEED_GOLDEN_QUICK=1  # its compiler optimises little
else
  echo "SKIPPED: SwiftShader: no Chromium package brings it (Debian: chromium-common)"
fi
echo "${HEED_DRIVERS-}" >"$logs/more"
while read -r name icd; do
  [ -z "$name" ] || driver "$name" 0 env VK_ICD_FILENAMES="$icd" </dev/null
done <"$logs/more"

lab_scripts=${HEED_LAB_SCRIPTS-../shared/lab}
# A lab that is not there takes minutes to make; that is for people to begin.
if [ -x "$lab_scripts/run-in-lab.sh" ] && lab_icd=$("$lab_scripts/run-in-lab.sh" sh -c 'ls /usr/share/vulkan/icd.d/lvp_icd*.json' 2>/dev/null | head -n 1) &&
  [ -n "$lab_icd" ]; then
  mkdir -p "$logs/libraries"
  # All libraries of the programs but those that the drivers use too: there the lab's newer ones serve both.
  for program in build/heed build/tests/golden; do
    [ ! -e "$program" ] || ldd "$program"
  done | awk '$3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|libz|libzstd|libssl|libcrypto|libelf|libxml2|libvulkan)\.so' |
    sort -u | xargs -r -I '{}' cp -uL '{}' "$logs/libraries/"
  in_lab build/heed devices --json >"$logs/lab-devices.json" 2>"$logs/lab-devices.log"
  devices_in "$logs/lab-devices.json" >"$logs/lab-devices"
  if [ -s "$logs/lab-devices" ]; then
    while read -r index name; do driver "lab: $name" "$index" in_lab </dev/null; done <"$logs/lab-devices"
  else
    failed=1
    echo "FAILED: the lab's lavapipe cannot be opened: $(tail -n 1 "$logs/lab-devices.log")"
  fi
  chips=$("$lab_scripts/vendors.sh" list 2>/dev/null) && [ -n "$chips" ] || {
    failed=1
    echo "FAILED: $lab_scripts/vendors.sh list names no chips"
  }
else
  lab_icd=
  chips=
  [ -z "${HEED_LAB_SCRIPTS-}${HEED_LAB-}" ] || {
    failed=1
    echo "FAILED: HEED_LAB_SCRIPTS or HEED_LAB is set, and there is no lab"
  }
  echo "SKIPPED: the newer lavapipe and the drivers of GPU vendors: HEED_LAB_SCRIPTS names no scripts, or there is no lab"
fi

if [ -n "$chips" ]; then
  case ${HEED_VENDORS-} in
    '') [ -z "$extent" ] || chips=$(echo "$chips" | sort -t- -u -k1,1) ;;
    none) chips= ;;
    *)
      for chip in $HEED_VENDORS; do
        echo "$chips" | grep -qxF "$chip" && continue
        failed=1
        echo "FAILED: HEED_VENDORS names '$chip'; there are $(echo "$chips" | tr '\n' ' ')"
      done
      chips=$(for chip in $HEED_VENDORS; do echo "$chips" | grep -xF "$chip"; done)
      ;;
  esac
fi
for chip in $chips; do
  log="$logs/$chip.log"
  start=$(date +%s)
  code=0
  tested=$((tested + 1))
  # Without the driver's own cache: what it holds is not compiled, and nothing is said of it.
  # shellcheck disable=SC2086  # a list of options
  HEED_CACHE_DIR='' MESA_SHADER_CACHE_DISABLE=true RADV_DEBUG=shaderstats "$lab_scripts/vendors.sh" -t 900 "$chip" -- build/heed conform --compile-only $extent \
    >"$log" 2>&1 || code=$?
  # vendors.sh goes on after a command that failed, and says so.
  compiled=$(sed -n 's/^compiles: \([0-9]*\) plans.*/\1/p' "$log")
  if [ "$code" != 0 ] || [ -z "$compiled" ] || grep -q "^$chip: exit code " "$log"; then
    failed=1
    compiled=FAILED
    echo "FAILED: compiling for $chip, see $log"
    tail -n 5 "$log"
  fi
  spills=-
  [ "$compiled" = FAILED ] || spills=$(spilled "$log")
  case $compiled.$chip.$spills in
    FAILED.* | *.0) ;;
    *.amd-*.-)
      failed=1
      echo "FAILED: the driver does not say of $chip how many kernels spill registers, see $log"
      ;;
    *.-) ;;
    *)
      failed=1
      echo "FAILED: $spills kernels spill registers on $chip, see $log"
      ;;
  esac
  add "$chip" - - - "$compiled" "$spills" $(($(date +%s) - start))
done
if [ "$tested" = 0 ] && [ "$failed" = 0 ]; then
  echo "SKIPPED: every driver: there is nothing to test here"
  exit 77
fi
printf '\n'
awk -F '\t' '{ for (i = 1; i < NF; ++i) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
  END { for (row = 1; row <= NR; ++row) {
    line = sprintf("%-" width[1] "s", cell[row, 1])
    for (i = 2; i <= 7; ++i) line = line sprintf("  %" width[i] "s", cell[row, i])
    print line } }' "$rows"
exit "$failed"
