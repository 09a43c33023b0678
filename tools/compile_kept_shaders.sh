#!/bin/sh
# Compiles the shaders that older glslang versions do not know (`// needs` in their heads) to shaders/compiled/KEY.spv, from
# which builds with such a version take them (cmake/shaders.cmake). Run it after changing one of them, or what it
# includes, with a glslang that knows GL_KHR_cooperative_matrix (13 or later; GLSLANG names the program), from the
# source folder. With --check nothing is written: tells whether what is kept is what the sources give.
#
# shaders/compiled/KEY.sources holds a checksum of the sources of each, without comments, and the compiler's version, so that
# what is stale is found without a compiler, and other versions' code is not taken for other sources.
set -eu
glslang=${GLSLANG:-glslangValidator}
check=0
[ "${1-}" = --check ] && check=1
cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# All that a shader includes, in order, as one text. Not what the compiler's preprocessor makes of it: that is newer too.
sources() {
  awk -v folder=shaders/include/ '
    function show(file,   line, name) {
      if (file in seen) return
      seen[file] = 1
      while ((getline line < file) > 0) {
        if (line ~ /^#include "/) { name = line; sub(/^#include "/, "", name); sub(/".*/, "", name); show(folder name); continue }
        sub(/ *\/\/.*/, "", line)
        if (line != "") print line
      }
    }
    BEGIN { show(ARGV[1]) }' "$1"
}

# The variants of a shader, as lines `KEY DEFINE...`; see cmake/shaders.cmake. (None of these shaders leaves some out.)
variants() {
  awk -v stem="$(basename "$1" .comp)" '
    /^\/\/ variant / {
      name = $3; sub(/:$/, "", name)
      last = count; count = 0
      if (last == 0) { last = 1; keys[0] = stem; defines[0] = "" }
      for (i = 0; i < last; ++i) {
        for (field = 4; field <= NF; ++field) {
          grown[count] = keys[i] "-" $field
          grown_defines[count++] = defines[i] " -D" name "_" $field
        }
      }
      for (i = 0; i < count; ++i) { keys[i] = grown[i]; defines[i] = grown_defines[i] }
    }
    END { for (i = 0; i < count; ++i) print keys[i] defines[i] }' "$1"
}

known=0
printf '#version 450\n#extension GL_KHR_cooperative_matrix : require\nvoid main() {}\n' > "$temporary/probe.comp"
"$glslang" -V --target-env vulkan1.1 -o "$temporary/probe.spv" "$temporary/probe.comp" > /dev/null 2>&1 && known=1
version=$("$glslang" --version 2> /dev/null | sed -n 's/^Glslang Version: *//p')

failed=0
for shader in $(grep -l '^// needs ' shaders/*.comp); do
  stem=$(basename "$shader" .comp)
  sum=$(sources "$shader" | sha256sum | cut -d' ' -f1)
  variants "$shader" > "$temporary/variants"
  while read -r key defines; do
    key=shaders/compiled/$key
    if [ "$check" = 1 ] && [ "$(sed -n 's/^sources //p' "$key.sources")" != "$sum" ]; then
      echo "$key.spv is not of these sources: run tools/compile_kept_shaders.sh"
      failed=1
      continue
    fi
    if [ "$known" = 0 ]; then
      [ "$check" = 1 ] || { echo "$glslang does not know GL_KHR_cooperative_matrix" >&2; exit 1; }
      echo "SKIPPED: $key.spv is not compiled again: $glslang does not know GL_KHR_cooperative_matrix"
      continue
    fi
    # Without names, which only people read. (Debuggers of SPIR-V get them from builds with a newer compiler.)
    # shellcheck disable=SC2086  # several words
    "$glslang" -V -g0 --quiet --target-env vulkan1.1 -Ishaders/include $defines -o "$temporary/new.spv" "$shader"
    if [ "$check" = 0 ]; then
      mkdir -p shaders/compiled
      cp "$temporary/new.spv" "$key.spv"
      printf 'sources %s\nglslang %s\n' "$sum" "$version" > "$key.sources"
    elif [ "$(sed -n 's/^glslang //p' "$key.sources")" != "$version" ]; then
      echo "SKIPPED: $key.spv compiles, but is not compared: it is of another version than $version"
    elif ! cmp -s "$temporary/new.spv" "$key.spv"; then
      echo "$key.spv is not what $glslang $version makes of its sources"
      failed=1
    fi
  done < "$temporary/variants"
  # What is no variant any more.
  for kept in shaders/compiled/"$stem"-*.spv; do
    [ -e "$kept" ] || continue
    cut -d' ' -f1 "$temporary/variants" | grep -qxF "$(basename "$kept" .spv)" && continue
    if [ "$check" = 1 ]; then
      echo "$kept is of no variant of $shader"
      failed=1
    else
      rm -f "$kept" "${kept%.spv}.sources"
    fi
  done
done
exit "$failed"
