#!/usr/bin/env bash
# Runs the fuzz targets guided by coverage, each for a while; it ends at the first input that fails one.
#
#   scripts/fuzz.sh [TARGET…]      all of tests/it/fuzz, or those whose names contain one of the words
#   TIME=10min scripts/fuzz.sh     how long each of them; one minute without it
#
# The engine is libFuzzer through cargo-bolero, on the same Rust as everything else: without a sanitizer, for there is no
# unsafe code of our own, but with checks of overflow. What is built goes to target/fuzz; the first build takes as long as a
# release. Inputs that reach new code are kept in `__fuzz__/…/corpus` (git ignores them), inputs that fail in
# `__fuzz__/…/crashes`: commit those, `make test` passes them again.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.5
root=${XDG_CACHE_HOME:-$HOME/.cache}/gatepost/cargo-bolero-$version
if [[ ! -x $root/bin/cargo-bolero ]]; then
  echo "fuzz: installing cargo-bolero $version into $root" >&2
  cargo install cargo-bolero --version "$version" --locked --no-default-features --features libfuzzer --root "$root"
fi

targets() {
  local file name
  for file in tests/it/fuzz/*.rs; do
    name=$(basename "$file" .rs)
    sed -n "/^#\[test\]/{n;s/^fn \([a-z0-9_]*\)().*/fuzz::$name::\1/p}" "$file"
  done
}

mapfile -t all < <(targets)
ran=0
for target in "${all[@]}"; do
  if (($# > 0)) && ! grep -qF -f <(printf '%s\n' "$@") <<<"$target"; then continue; fi
  echo "fuzz: $target, ${TIME:-1min}" >&2
  "$root/bin/cargo-bolero" bolero test "$target" --package gatepost-tests --engine libfuzzer --sanitizer NONE \
    --profile fuzz --target-dir target/fuzz -T "${TIME:-1min}" --max-input-length 4096
  ran=$((ran + 1))
done
((ran > 0)) || { echo "fuzz: no target is named like $*; there are: ${all[*]}" >&2; exit 2; }
echo "fuzz: $ran targets, nothing found" >&2
