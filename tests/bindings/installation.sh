#!/bin/sh
# Installs a built heed to a folder of its own, and builds the examples with what lies there: by CMake, by pkg-config, and by
# Python beside the library. Manual pages and completions are held against the tools that read them.
# usage: sh tests/bindings/installation.sh BUILD-FOLDER SOURCE-FOLDER
set -eu
build=$1
source=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
say() { printf '== %s\n' "$1"; }
fail() { echo "FAILED: $1" >&2; exit 1; }
# $1 printed what the pattern $2 says.
expect() { echo "$1" | grep -q "$2" || { echo "$1"; fail "expected $2"; }; }

say "install"
cmake --install "$build" --prefix "$root" >"$root/install.log"
library=$(dirname "$(find "$root" -name libheed.so.0)")
for file in bin/heed include/heed.h include/heed/model.h include/heed/text.h share/man/man1/heed-generate.1 \
  share/heed/models/shakespeare.heed lib/systemd/system/heed.service etc/default/heed; do
  [ -e "$root/$file" ] || fail "$file is not installed"
done
models=$root/share/heed/models

say "headers stand alone"
for header in "$root"/include/heed/*.h "$root"/include/heed.h; do
  echo "#include \"$header\"" | ${CXX:-c++} -std=c++20 -Wall -Wextra -Wpedantic -Werror -I"$root/include" -fsyntax-only -x c++ -
done
echo '#include <heed.h>' | ${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$root/include" -fsyntax-only -x c -

say "only heed_ functions are seen of the library"
functions=$(nm -D --defined-only "$library/libheed.so.0" | awk '$2 == "T" { print $3 }' | sed 's/@.*//' | sort)
others=$(nm -D --defined-only "$library/libheed.so.0" | awk '{ print $3 }' | grep -v -e '^heed_' -e '^HEED_0' || true)
[ -z "$others" ] || fail "libheed.so.0 shows $others"
declared=$(sed -n 's/^HEED_API .*[ *]\(heed_[a-z_]*\)(.*/\1/p' "$root/include/heed.h" | sort)
[ "$functions" = "$declared" ] || fail "heed.h declares other functions than the library has"

say "versions agree"
version=$("$root/bin/heed" --version | sed 's/heed //')
expect "$(grep '^version' "$source/bindings/python/pyproject.toml")" "\"$version\""
abi=$(sed -n 's/^#define HEED_ABI_VERSION //p' "$root/include/heed.h")
[ -e "$library/libheed.so.$abi" ] || fail "there is no libheed.so.$abi"
expect "$(readelf -d "$library/libheed.so.0" | grep SONAME)" "libheed.so.$abi"
expect "$(grep '^ABI_VERSION' "$root/lib/python3/dist-packages/heed/_library.py")" "= $abi\$"

say "find_package(heed)"
cmake -S "$source/examples" -B "$root/by-cmake" -DCMAKE_PREFIX_PATH="$root" >"$root/cmake.log" || { cat "$root/cmake.log"; fail "cmake"; }
cmake --build "$root/by-cmake" >>"$root/cmake.log" || { cat "$root/cmake.log"; fail "cmake --build"; }
expect "$("$root/by-cmake/generate" "$models/shakespeare.heed" ROMEO:)" 'tokens, [a-z_]*\]'
expect "$(echo 19.08.2030 | "$root/by-cmake/translate" "$models/dates.heed")" '^2030-08-19$'
# Vulkan drivers mean the C library's regcomp, not oniguruma's.
needed=$(readelf -d "$root/by-cmake/translate" | sed -n 's/.*NEEDED.*\[\(lib[a-z]*\).*/\1/p')
first=$(echo "$needed" | grep -n -m 1 -e '^libc$' -e '^libonig$')
expect "$first" ':libc$'

say "pkg-config"
export PKG_CONFIG_PATH="$library/pkgconfig"
# shellcheck disable=SC2046  # lists of words
${CC:-cc} "$source/examples/generate.c" $(pkg-config --cflags --libs heed) -Wl,-rpath,"$library" -o "$root/generate"
# shellcheck disable=SC2046
${CXX:-c++} -std=c++20 "$source/examples/translate.cpp" $(pkg-config --cflags --libs heed-c++) -o "$root/translate"
expect "$("$root/generate" "$models/shakespeare.heed" ROMEO:)" 'tokens, [a-z_]*\]'
expect "$(echo 19.08.2030 | "$root/translate" "$models/dates.heed")" '^2030-08-19$'
expect "$(pkg-config --modversion heed)" "^$version\$"

say "Python finds the library that it is installed with"
if [ -x /usr/bin/python3 ]; then
  unset HEED_LIBRARY
  printed=$(PYTHONPATH=$root/lib/python3/dist-packages /usr/bin/python3 "$source/examples/stream.py" "$models/shakespeare.heed" ROMEO:)
  expect "$printed" '60 tokens, max_tokens'
  loaded=$(PYTHONPATH=$root/lib/python3/dist-packages /usr/bin/python3 -c 'import heed; print(heed._c.library._name)')
  [ "$(realpath "$loaded")" = "$(realpath "$library/libheed.so.0")" ] || fail "Python loaded $loaded"
else
  echo "SKIPPED: no python3"
fi

say "manual pages"
verbs=$("$root/bin/heed" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$verbs" | wc -l)" -gt 10 ] || fail "verbs are not found in --help"
for verb in $verbs; do
  [ -e "$root/share/man/man1/heed-$verb.1" ] || fail "no page for heed $verb"
  # Every option of --help has its place in the page.
  for option in $("$root/bin/heed" "$verb" --help | grep -o -e '^  -[-a-z]*' -e ',--[-a-z]*' | tr -d ', '); do
    # shellcheck disable=SC1003
    tr -d '\\' <"$root/share/man/man1/heed-$verb.1" | grep -qe "fB${option}fR" || fail "heed-$verb.1 is without $option"
  done
done
for page in "$root"/share/man/man1/*.1; do
  if command -v groff >/dev/null; then
    problems=$(groff -man -wall -Kutf8 -Tutf8 "$page" 2>&1 >/dev/null)
    [ -z "$problems" ] || fail "groff: $problems"
  fi
  if command -v mandoc >/dev/null; then
    problems=$(mandoc -Tlint -Wwarning "$page" | grep -v 'missing date' || true)
    [ -z "$problems" ] || fail "mandoc: $problems"
  fi
done
command -v groff >/dev/null || echo "SKIPPED: groff is not here"
command -v mandoc >/dev/null || echo "SKIPPED: mandoc is not here"

say "completions"
cat >"$root/complete.sh" <<'END'
set -eu
. "$1"
cd "$2"
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _heed || true; echo "${COMPREPLY[*]-}"; }
[ "$(complete_words heed gen)" = generate ]
[ "$(complete_words heed generate --cache '')" = "auto f32 f16" ]
[ "$(complete_words heed generate --cache = f3)" = "f32" ]
[ "$(complete_words heed generate --top-)" = "--top-k --top-p" ]
[ "$(complete_words heed generate --seed '')" = "" ]
[ "$(complete_words heed generate sha)" = "shakespeare.heed" ]
[ "$(complete_words heed translate ./da)" = "./dates.heed" ]
[ "$(complete_words heed --v)" = "--version" ]
[ "$(complete_words heed docu)" = "" ]
END
bash "$root/complete.sh" "$root/share/bash-completion/completions/heed" "$models" || fail "completion for bash"
if command -v zsh >/dev/null; then zsh -n "$root/share/zsh/vendor-completions/_heed"; else echo "SKIPPED: zsh is not here"; fi
if command -v fish >/dev/null; then fish -n "$root/share/fish/vendor_completions.d/heed.fish"; else echo "SKIPPED: fish is not here"; fi

say "service"
if command -v systemd-analyze >/dev/null; then
  sed "s|^ExecStart=[^ ]*/heed|ExecStart=$root/bin/heed|" "$root/lib/systemd/system/heed.service" >"$root/heed.service"
  problems=$(systemd-analyze verify --man=no "$root/heed.service" 2>&1 | grep -i heed || true)
  [ -z "$problems" ] || fail "systemd-analyze: $problems"
else
  echo "SKIPPED: systemd-analyze is not here"
fi
echo "all is as it should be"
