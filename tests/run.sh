#!/bin/sh
# Installs what is missing, builds heed and runs every test there is; safe to repeat.
# usage: sh tests/run.sh
#
# In order: op cases and goldens, under Vulkan's validation layer, and the program, with a Release build; every driver at
# hand, briefly (tests/drivers.sh); the units that need no device, and the program on bad input, under the address and
# undefined-behaviour sanitizers; every fuzz target for HEED_FUZZ_SECONDS (default 3); formatting. What cannot run here is
# named and skipped. The last line is `N passed, N failed`; the exit code is 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
jobs=$(nproc)
passed=0
failed=0
skipped=0
# Tests leave the user's caches alone, and are not changed by them.
export HEED_CACHE_DIR="$PWD/build/test-cache"

headline() { printf '\n== %s\n' "$1"; }

skip() {
  skipped=$((skipped + 1))
  echo "SKIPPED: $1"
}

# shellcheck disable=SC2317  # functions that are called by name
# Runs a step: a name, then the command.
step() {
  name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "passed: $name"
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

finish() {
  printf '\n'
  [ "$skipped" = 0 ] || echo "$skipped skipped, see SKIPPED above"
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
}

# The number in attribute $1 of the report that ctest wrote to file $2.
report() { sed -n "/<testsuite /,/>/s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1; }

# Runs ctest in a build folder with the other arguments and adds up its tests.
run_ctest() {
  folder=$1
  shift
  rm -f "$folder/ctest.xml"
  ctest --test-dir "$folder" --output-on-failure --no-tests=error --output-junit ctest.xml "$@"
  code=$?
  # What a test skipped inside itself, which ctest shows only when the test fails.
  grep -hE 'SKIPPED' "$folder/Testing/Temporary/LastTest.log" | sort -u
  if [ ! -e "$folder/ctest.xml" ]; then
    failed=$((failed + 1))
    echo "FAILED: ctest in $folder"
    return
  fi
  all=$(report tests "$folder/ctest.xml")
  bad=$(report failures "$folder/ctest.xml")
  not_run=$(($(report skipped "$folder/ctest.xml") + $(report disabled "$folder/ctest.xml")))
  passed=$((passed + all - bad - not_run))
  skipped=$((skipped + not_run))
  # A test whose program is missing counts as not run, but ctest's exit code tells.
  [ "$code" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  failed=$((failed + bad))
}

headline "set-up and build"
if ! sh tools/setup.sh --tests ||
  ! cmake --build build --parallel "$jobs" --target heed op_cases unit_devices unit_formats unit_vulkan unit_runtime golden end_to_end heed_bindings_tests; then
  failed=1
  echo "FAILED: build"
  finish
fi

# Only sanitized, or they would have to be built twice.
device_free='unit_graph unit_file unit_tokenizer unit_chat unit_grammar unit_serve unit_convert unit_sentencepiece unit_ops unit_plan unit_planner'
device_free_tests="^($(echo "$device_free" | tr ' ' '|')|no_test_case_fails)\$"

can_fuzz() {
  command -v clang++ >/dev/null || return 1
  echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' >build/can_fuzz.cpp
  clang++ -fsanitize=fuzzer,address,undefined build/can_fuzz.cpp -o build/can_fuzz >/dev/null 2>&1
}
# Clang alone checks conversions (CMakeLists.txt).
# One folder serves both the sanitized tests and the fuzzers. No unity build: each file of engine, models and tools alone.
if can_fuzz; then
  checked=build-fuzz
  compiler=clang++
  fuzz=ON
else
  checked=build-sanitize
  compiler=g++
  fuzz=OFF
fi
targets="$device_free heed"
[ "$fuzz" = OFF ] || targets="$targets fuzz_targets implicit_conversion"
generator=
[ -e "$checked/CMakeCache.txt" ] || generator='-G Ninja'
configure_checked() {
  # shellcheck disable=SC2086  # lists of words
  exec cmake -S . -B "$checked" $generator -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG='-O0 -g1' -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" \
    -DHEED_SANITIZE=ON -DHEED_FUZZ="$fuzz" -DHEED_BUILT="$PWD/build" >"$checked/configure.log" 2>&1
}
build_checked() {
  wait "$configuring"
  configured=$?
  trap - INT TERM
  [ "$configured" = 0 ] || {
    cat "$checked/configure.log"
    return 1
  }
  # shellcheck disable=SC2086
  cmake --build "$checked" --parallel "$jobs" --target $targets
}
mkdir -p "$checked"
configure_checked &  # beside the tests: it compiles the headers of libraries, on one core
configuring=$!
trap 'kill "$configuring" 2>/dev/null; exit 130' INT TERM

headline "tests"
run_ctest build -j "$jobs" -E "$device_free_tests"

headline "drivers"
# The drivers at hand, each briefly, and what compiles for those of GPU vendors. What it skips counts; 77: all of it.
rm -f build/drivers.code
{
  sh tests/drivers.sh --quick
  echo $? >build/drivers.code
} 2>&1 | tee build/drivers.log
skipped=$((skipped + $(grep -c '^SKIPPED:' build/drivers.log)))
drivers_code=$(cat build/drivers.code)
[ "$drivers_code" = 77 ] || step "tests/drivers.sh --quick" [ "$drivers_code" = 0 ]

headline "sanitizers"
if build_checked; then
  # Of the program what bad input reaches; the others say the same of the same code.
  run_ctest "$checked" -j "$jobs" -R "$device_free_tests|^implicit_conversion\$|^end_to_end_(files|generate|program)\$"
else
  failed=$((failed + 1))
  echo "FAILED: build with sanitizers"
  fuzz=FAILED
fi

headline "fuzzers"
export HEED_FUZZ_SECONDS="${HEED_FUZZ_SECONDS:-3}"
# Runs fuzz target $2 of build folder $1 and leaves its exit code in a file. Inputs that were interesting are kept in the
# build folder, so that the next run begins where this one ended.
# shellcheck disable=SC2016  # the inner shell expands it
fuzz_one='
  mkdir -p "$1/corpus/$2" "$1/crashes"
  seeds=
  [ ! -d "tests/fuzz/corpus/$2" ] || seeds=tests/fuzz/corpus/$2
  "$1/tests/fuzz/$2" -max_total_time="$HEED_FUZZ_SECONDS" -timeout=10 -rss_limit_mb=4096 -malloc_limit_mb=6144 -close_fd_mask=1 -print_final_stats=1 \
    -artifact_prefix="$1/crashes/$2-" "$1/corpus/$2" $seeds >"$1/$2.log" 2>&1 </dev/null
  echo $? >"$1/$2.code"'
fuzz_passed() {
  [ "$(cat "$checked/$1.code")" = 0 ] || { tail -n 40 "$checked/$1.log"; return 1; }
  grep number_of_executed_units "$checked/$1.log"
}
if [ "$fuzz" = ON ]; then
  stems=$(for source in tests/fuzz/fuzz_*.cpp; do basename "$source" .cpp; done)
  for stem in $stems; do echo 255 >"$checked/$stem.code"; done
  echo "$stems" | xargs -P "$jobs" -I '{}' sh -c "$fuzz_one" fuzz "$checked" '{}'
  for stem in $stems; do step "$stem, $HEED_FUZZ_SECONDS s" fuzz_passed "$stem"; done
elif [ "$fuzz" = OFF ]; then
  skip "fuzz targets: clang++ with libFuzzer is not here"
fi

headline "formatting"
formatter=$(command -v clang-format-14 || command -v clang-format || true)
check_format() {
  find engine formats models tools tests bindings examples \( -name '*.h' -o -name '*.cpp' -o -name '*.c' \) -print0 | xargs -0 "$formatter" --dry-run -Werror
}
# Versions differ in what they call well formatted; 14 is the project's.
if [ -n "$formatter" ] && "$formatter" --version | grep -q 'version 14\.'; then
  step "clang-format" check_format
else
  skip "clang-format: version 14 is not here"
fi

finish
