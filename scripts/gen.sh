#!/usr/bin/env bash
# Writes all generated files anew.
#
#   scripts/gen.sh           write them
#   scripts/gen.sh --check   write them and fail when one of them was out of date
#
# The dump of the PostgreSQL schema is written only where a PostgreSQL answers; else the file stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

generated=(
  openapi/openapi.json
  openapi/problems.md
  openapi/jobs.schema.json
  docs/acceptance.md
  migrations/schema.sqlite.sql
  migrations/schema.postgres.sql
)

generate() { cargo run -q --locked -p gatepost-tests --bin gen; }

case ${1:-} in
'')
  generate
  ;;
--check)
  before=$(mktemp -d)
  trap 'rm -rf "$before"' EXIT
  for file in "${generated[@]}"; do
    if [[ -f $file ]]; then cp --parents "$file" "$before"; fi
  done
  generate
  stale=0
  for file in "${generated[@]}"; do
    [[ -f $file || -f $before/$file ]] || continue
    if ! diff -uN --label "$file (as found)" --label "$file (generated)" "$before/$file" "$file"; then
      stale=1
    fi
  done
  # A file that git does not know would be missing from everyone else's checkout.
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1 && git rev-parse -q --verify HEAD >/dev/null; then
    untracked=$(git ls-files --others --exclude-standard -- "${generated[@]}")
    if [[ -n $untracked ]]; then
      echo "gen: generated but not in git: $untracked" >&2
      stale=1
    fi
  fi
  if ((stale)); then
    echo "gen: generated files were out of date; they are right now, please commit them" >&2
    exit 1
  fi
  echo "gen: all generated files are up to date"
  ;;
*)
  echo "usage: scripts/gen.sh [--check]" >&2
  exit 2
  ;;
esac
