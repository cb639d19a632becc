#!/usr/bin/env bash
# Builds the version before this one, with crash points, as target/debug/gatepost-chaos-before: `make chaos` upgrades an
# installation of it.
#
# The version before is the newest release tag; until there is one, the commit before the newest change of the schema, so that
# there is a schema to upgrade.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! git rev-parse --git-dir >/dev/null 2>&1; then
  echo "version-before: this is no git checkout, so there is no version before; no upgrade is tried" >&2
  exit 0
fi
commit=$(git describe --tags --abbrev=0 --match 'v*' HEAD~1 2>/dev/null || true)
if [[ -z $commit ]]; then
  change=$(git log -1 --format=%H -- migrations/src/'m*.rs')
  commit=$(git rev-parse --verify --quiet "$change~1" || true)
fi
if [[ -z $commit ]]; then
  echo "version-before: the history is cut off before the version before (a shallow clone?); no upgrade is tried" >&2
  exit 0
fi
commit=$(git rev-parse "$commit^{commit}")
built=target/debug/gatepost-chaos-before
if [[ -x $built && $(cat "$built.commit" 2>/dev/null) == "$commit" ]]; then
  exit 0
fi

source=target/version-before
git worktree remove --force "$source" 2>/dev/null || rm -rf "$source"
git worktree prune
git worktree add --detach "$source" "$commit"
trap 'git worktree remove --force "$source"' EXIT
# The same folder for what is built, so that the libraries of both are built once. `gatepost-chaos` is built anew afterwards.
cargo build --manifest-path "$source/Cargo.toml" --target-dir target \
  -p gatepost --bin gatepost-chaos --features chaos --locked
cp target/debug/gatepost-chaos "$built"
echo "$commit" >"$built.commit"
