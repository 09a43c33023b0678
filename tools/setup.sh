#!/bin/sh
# Makes a machine ready to build heed and configures the folder build/ (Release).
# usage: sh tools/setup.sh [--tests]     --tests: also what only tests/run.sh uses
#
# For Debian 12, Debian 13 and Ubuntu 24.04, as root or with sudo. What is missing is named and installed with apt-get;
# where nothing is missing apt-get is not called at all. On another system it names what it cannot find and goes on.
set -eu
cd "$(dirname "$0")/.."

# One requirement a line: packages that serve it, best first, then a word on what it is for.
required='
g++                  C++20 compiler
cmake                build
ninja-build          build
pkg-config|pkgconf   build
libvulkan-dev        Vulkan headers
libvulkan1           Vulkan loader
libvulkan-volk-dev   Vulkan loader, opened at run time
mesa-vulkan-drivers  Vulkan drivers, with one for the CPU
glslang-tools        shader compiler
glslang-dev          shader compiler
nlohmann-json3-dev   JSON
libcli11-dev         command line
libfmt-dev           text formatting
libxxhash-dev        checksums
libonig-dev          tokenizers
libutf8proc-dev      tokenizers
libonnx-dev          ONNX models
libprotobuf-dev      ONNX models
libzip-dev           checkpoints of PyTorch, arrays of attention
libpango1.0-dev      labels of pictures of attention
libcairo2-dev        pictures of attention
libstb-dev           PNG and JPEG files
zlib1g-dev           what PNG files unpack to
libsndfile1-dev      WAV files
libedit-dev          lines typed in heed chat
libcpp-httplib-dev   heed serve
'
test_required='
doctest-dev          unit tests
libsentencepiece-dev the tokenizer that ours is compared with
'
# Installed where the system has it, for the demo: without a font of its script a label is drawn as boxes.
optional='
fonts-ipafont-gothic|fonts-vlgothic|fonts-noto-cjk   Japanese labels of pictures
'
# Tests that need these are skipped, visibly, where a system does not have them.
# The browser is the largest: with what it needs, 110 MB to fetch and 420 MB on the disk.
test_optional='
vulkan-validationlayers                    Vulkan validation
chromium-common                            SwiftShader, a second Vulkan driver for the CPU
chromium                                   a browser for the page of heed serve
clang                                      fuzzers
libclang-rt-dev|libclang-rt-14-dev         fuzzers, sanitizers
clang-format-14                            formatting
python3-jsonschema                         texts of JSON schemas
python3                                    the Python package
python3-numpy                              arrays of the Python package
mandoc                                     manual pages
'

tests=no
for argument in "$@"; do
  case $argument in
    --tests) tests=yes ;;
    *) echo "setup.sh: unknown argument '$argument', expected --tests or nothing" >&2; exit 2 ;;
  esac
done
export LC_ALL=C  # apt-cache's words are read below

installed() { dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed$'; }
known() { apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'; }

# Prints the lines of $1 that no installed package serves.
missing() {
  echo "$1" | while read -r packages purpose; do
    [ -n "$packages" ] || continue
    for package in $(echo "$packages" | tr '|' ' '); do
      ! installed "$package" || continue 2
    done
    echo "$packages $purpose"
  done
}

# Prints the packages to install for the lines of $1; what apt does not know is left out and named in the file $unknown.
choose() {
  echo "$1" | while read -r packages purpose; do
    [ -n "$packages" ] || continue
    for package in $(echo "$packages" | tr '|' ' '); do
      if known "$package"; then
        echo "$package"
        continue 2
      fi
    done
    echo "$packages ($purpose)" >>"$unknown"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "setup.sh: installing packages needs root, and there is no sudo; run this as root" >&2
    exit 1
  fi
}

updated=no
update() {
  [ "$updated" = no ] || return 0
  updated=yes
  echo "setup: reading the package lists"
  as_root apt-get update -qq || echo "setup: apt-get update had problems; going on with the lists there are" >&2
}

install_missing() {
  needed=$(missing "$required")
  wanted=$(missing "$optional")
  if [ "$tests" = yes ]; then
    needed=$(printf '%s\n%s' "$needed" "$(missing "$test_required")")
    wanted=$(printf '%s\n%s' "$wanted" "$(missing "$test_optional")" | sed '/^$/d')
  fi
  needed=$(echo "$needed" | sed '/^$/d')
  [ -n "$needed$wanted" ] || return 0

  unknown=$(mktemp)
  trap 'rm -f "$unknown"' EXIT
  # Without lists apt knows nothing; with them, a package that this system does not have costs no second look.
  if [ -n "$needed" ] || ! ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then update; fi
  chosen=$(choose "$needed" | tr '\n' ' ')
  if [ -s "$unknown" ]; then
    echo "setup.sh: apt has no package for what heed needs:" >&2
    sed 's/^/  /' "$unknown" >&2
    echo "On Ubuntu these are in the component 'universe'." >&2
    exit 1
  fi
  extras=$(choose "$wanted" | tr '\n' ' ')
  sed 's/^/setup: not on this system, done without (tests that need it are skipped): /' "$unknown"
  [ -n "$chosen$extras" ] || return 0
  update
  echo "setup: installing $chosen$extras"
  # shellcheck disable=SC2086  # lists of words
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 $chosen $extras >build/setup.log 2>&1 || {
    tail -n 20 build/setup.log >&2
    echo "setup.sh: apt-get install failed, see above and build/setup.log" >&2
    exit 1
  }
}

mkdir -p build
if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_missing
else
  echo "setup: no apt-get here; what CMake does not find below must be installed by hand:"
  echo "$required$test_required" | sed '/^$/d; s/^/  /'
fi

# What was chosen for a build folder that is there stays.
options=
# Unity: a file at a time takes twice as long to build from nothing.
[ -e build/CMakeCache.txt ] || options='-G Ninja -DHEED_TESTS=OFF -DCMAKE_UNITY_BUILD=ON'
[ "$tests" = no ] || options="$options -DHEED_TESTS=ON"
# shellcheck disable=SC2086
cmake -S . -B build $options -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" >build/configure.log 2>&1 || {
  cat build/configure.log >&2
  exit 1
}
sed -n 's/^-- \(tests\|shader\)/SKIPPED: \1/p' build/configure.log
