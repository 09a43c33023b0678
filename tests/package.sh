#!/bin/sh
# Builds the Debian packages as Debian builds programs, hardened, and tries them in a fresh Debian 12: installs them with apt,
# lists devices, generates text, builds and runs the examples in C, C++ and Python, and asks the installed heed serve with curl.
# usage: sh tests/package.sh
#
# Needs root, debootstrap, dpkg-dev, and the Debian mirror that apt knows; what is missing is named, and skipped. The packages
# are build-package/heed*.deb.
set -eu
cd "$(dirname "$0")/.."
build=$PWD/build-package
suite=bookworm
skip() { echo "SKIPPED: $1"; exit 0; }
fail() { echo "FAILED: $1" >&2; exit 1; }
expect() { echo "$1" | grep -q "$2" || { echo "$1"; fail "expected $2"; }; }

command -v dpkg-buildflags >/dev/null || skip "no dpkg-buildflags (Debian: dpkg-dev)"
# shellcheck disable=SC1091
. /etc/os-release
[ "${VERSION_CODENAME:-}" = "$suite" ] || skip "the packages are for Debian 12, and this is ${PRETTY_NAME:-another system}"

echo "== build, with Debian's flags"
export DEB_BUILD_MAINT_OPTIONS=hardening=+all
flags="$(dpkg-buildflags --get CXXFLAGS | sed 's/-g //; s/-O2 //') $(dpkg-buildflags --get CPPFLAGS)"
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON -DHEED_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
  -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_EXE_LINKER_FLAGS="$(dpkg-buildflags --get LDFLAGS)" \
  -DCMAKE_SHARED_LINKER_FLAGS="$(dpkg-buildflags --get LDFLAGS)" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" >"$build/configure.log" || { cat "$build/configure.log"; exit 1; }
cmake --build "$build" --parallel "$(nproc)"
for binary in "$build/heed" "$build/libheed.so"; do
  headers=$(readelf -ldW "$binary")
  expect "$headers" GNU_RELRO
  expect "$headers" 'BIND_NOW\|FLAGS.*NOW'
done

echo "== packages"
rm -f "$build"/*.deb
(cd "$build" && cpack >cpack.log) || { cat "$build/cpack.log"; fail cpack; }
program=$(ls "$build"/heed_*.deb)
development=$(ls "$build"/heed-dev_*.deb)
dpkg-deb --info "$program"
depends=$(dpkg-deb -f "$program" Depends)
for library in libc6 libstdc++6 libfmt9 libvulkan1 libonig5; do expect "$depends" "$library"; done
expect "$(dpkg-deb -f "$program" Recommends)" mesa-vulkan-drivers
expect "$(dpkg-deb -c "$program")" './etc/default/heed$'
expect "$(dpkg-deb -c "$program")" 'dist-packages/heed/__init__.py$'
expect "$(dpkg-deb -c "$development")" 'heedConfig.cmake$'

echo "== a fresh Debian 12"
[ "$(id -u)" = 0 ] || skip "a system to install them on needs root"
command -v debootstrap >/dev/null || skip "no debootstrap"
# shellcheck disable=SC2016  # apt fills them in
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | sed -n "s/ $suite\$//p" | head -n 1)
[ -n "$mirror" ] || skip "apt knows no mirror of Debian 12"
root=$build/root
rm -rf "$root"
if [ ! -e "$build/debian.tar" ]; then
  debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$build/debootstrap.log" 2>&1 || {
    tail -n 5 "$build/debootstrap.log"
    skip "debootstrap cannot make a Debian 12, see $build/debootstrap.log"
  }
  tar -C "$root" -cf "$build/debian.tar.part" .
  mv "$build/debian.tar.part" "$build/debian.tar"
else
  mkdir "$root"
  tar -C "$root" -xf "$build/debian.tar"
fi
trap 'rm -rf "$root"' EXIT
cp "$program" "$development" "$root/tmp"
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
apt_install() { inside apt-get install -y -q -o APT::Sandbox::User=root "$@" >>"$build/apt.log" 2>&1 || { tail -n 20 "$build/apt.log"; fail "apt-get install $*"; }; }
: >"$build/apt.log"
inside apt-get update -q -o APT::Sandbox::User=root >>"$build/apt.log" 2>&1 || skip "the mirror cannot be read, see $build/apt.log"

apt_install "/tmp/$(basename "$program")"
expect "$(inside heed devices)" llvmpipe
models=/usr/share/heed/models
printed=$(inside heed generate $models/shakespeare.heed "ROMEO:" -n 20 --temperature 0)
expect "$printed" 'The state is'
expect "$(inside heed translate $models/dates.heed 19.08.2030)" '^2030-08-19$'
[ -e "$root/usr/share/man/man1/heed-generate.1" ] || [ -e "$root/usr/share/man/man1/heed-generate.1.gz" ] || fail "no manual page"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/heed.service" ] || fail "the service is enabled"

echo "== examples"
apt_install --no-install-recommends python3 python3-numpy
examples=/usr/share/doc/heed/examples
apt_install --no-install-recommends "/tmp/$(basename "$development")" g++ cmake make pkg-config
expect "$(inside python3 $examples/stream.py $models/shakespeare.heed ROMEO:)" '60 tokens, max_tokens'
expect "$(inside python3 -c 'import heed; print(heed.load("/usr/share/heed/models/fashion-tokens.heed").draw("a boot")[0].shape)')" '(32, 32, 1)'
inside sh -c "cmake -S $examples -B /tmp/examples && cmake --build /tmp/examples" >"$build/examples.log" 2>&1 || {
  cat "$build/examples.log"
  fail "the examples cannot be built"
}
expect "$(inside /tmp/examples/generate $models/shakespeare.heed ROMEO:)" 'tokens, [a-z_]*\]'
expect "$(echo 19.08.2030 | inside /tmp/examples/translate $models/dates.heed)" '^2030-08-19$'
inside sh -c "cc $examples/generate.c \$(pkg-config --cflags --libs heed) -o /tmp/generate"
expect "$(inside /tmp/generate $models/shakespeare.heed ROMEO:)" 'tokens, [a-z_]*\]'

echo "== heed serve"
apt_install --no-install-recommends curl
# shellcheck disable=SC2016  # for the shell inside
inside sh -c 'heed serve "$0/shakespeare.heed" "$0/dates.heed" --port 0 2>/tmp/serve.log & echo $! >/tmp/serve.pid; wait $!; echo $? >/tmp/serve.code' \
  $models &
waited=0
until base=$(sed -n 's/^heed serves on //p' "$root/tmp/serve.log" 2>/dev/null) && [ -n "$base" ]; do
  [ ! -e "$root/tmp/serve.code" ] && [ $waited -lt 120 ] || { cat "$root/tmp/serve.log"; fail "heed serve does not begin"; }
  waited=$((waited + 1))
  sleep 1
done
trap 'kill -KILL "$(cat "$root/tmp/serve.pid")" 2>/dev/null || :; rm -rf "$root"' EXIT
ask() { inside curl -sS --max-time 120 "$@"; }
post() { ask -H 'Content-Type: application/json' -d "$2" "$base$1"; }
expect "$(ask "$base/health")" '"status":"ok"'
expect "$(ask "$base/v1/models")" '"id":"shakespeare".*"id":"dates"'
asked='{"model":"shakespeare","prompt":"ROMEO:","max_tokens":20,"temperature":0}'
expect "$(post /v1/completions "$asked")" 'The state is'
expect "$(post /translate '{"q":"19.08.2030","model":"dates"}')" '2030-08-19'
expect "$(ask -o /dev/null -w '%{http_code} %header{allow}' "$base/v1/completions")" '^405 POST$'
# Several at a time, one of which goes: each text is what it is alone.
for client in 1 2 3 4 5 6; do post /v1/completions "$asked" >"$root/tmp/client.$client" & done
inside curl -sS --max-time 0.2 -N -d '{"prompt":"ROMEO:","max_tokens":400,"stream":true}' -H 'Content-Type: application/json' "$base/v1/completions" >"$root/tmp/gone" 2>&1 || :
for client in 1 2 3 4 5 6; do
  waited=0
  until grep -q usage "$root/tmp/client.$client"; do
    [ $waited -lt 120 ] || fail "client $client of heed serve has no answer"
    waited=$((waited + 1))
    sleep 1
  done
  expect "$(cat "$root/tmp/client.$client")" 'The state is'
done
kill -TERM "$(cat "$root/tmp/serve.pid")"
waited=0
until [ -e "$root/tmp/serve.code" ]; do
  [ $waited -lt 60 ] || fail "heed serve does not end on SIGTERM"
  waited=$((waited + 1))
  sleep 1
done
[ "$(cat "$root/tmp/serve.code")" = 0 ] || { cat "$root/tmp/serve.log"; fail "heed serve ends on SIGTERM with $(cat "$root/tmp/serve.code")"; }

inside apt-get purge -y -q heed heed-dev >>"$build/apt.log" 2>&1 || fail "apt-get purge"
left=$(find "$root/usr" "$root/etc" -path '*heed*' ! -path '*/.cache/*' | head -n 5)
[ -z "$left" ] || fail "purging leaves $left"
echo "the packages install, run and go away: $program $development"
