#!/usr/bin/env bash
# Makes sure that this machine has what a make target needs, and says nothing when it has.
#
#   scripts/setup.sh [run|test|fuzz|full]
#
# run, test   a C compiler with the C library's headers (bundled SQLite, ring), make, git, curl, CA certificates, Rust
# fuzz        additionally a C++ compiler (libFuzzer)
# full        additionally the servers of PostgreSQL and RabbitMQ, Chromium with its driver, faketime, strace, Node, Python,
#             the clients and the provider that tests run, and Schemathesis in a Python environment under ~/.cache/gatepost
#
# Missing Debian/Ubuntu packages are installed with apt-get, through sudo when not root. Into the project go only the
# clients: tests/clients/node_modules and tests/clients/.venv, which git ignores; what is there is not fetched again. No
# OpenSSL, pkg-config, cmake or perl is needed.
set -euo pipefail

mode=${1:-run}
case $mode in
run | test | fuzz | full) ;;
*)
  echo "usage: scripts/setup.sh [run|test|fuzz|full]" >&2
  exit 2
  ;;
esac

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "setup: $*" >&2; }
die() {
  say "$*"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
can_compile() { has cc && echo '#include <stdlib.h>' | cc -E -x c - >/dev/null 2>&1; }
has_postgres_server() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || has postgres; }

packages=()
can_compile || packages+=(gcc libc6-dev)
has make || packages+=(make)
has git || packages+=(git)
has curl || packages+=(curl)
[[ -s /etc/ssl/certs/ca-certificates.crt || -s /etc/pki/tls/certs/ca-bundle.crt || -s /etc/ssl/cert.pem ]] ||
  packages+=(ca-certificates)
if [[ $mode == fuzz ]]; then
  has c++ || packages+=(g++)
fi
if [[ $mode == full ]]; then
  has_postgres_server || packages+=(postgresql)
  has psql || packages+=(postgresql-client)
  has rabbitmq-server || packages+=(rabbitmq-server)
  has chromium || packages+=(chromium)
  has chromedriver || packages+=(chromium-driver)
  has node || packages+=(nodejs)
  has npm || packages+=(npm)
  { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || packages+=(python3-venv)
  has faketime || packages+=(faketime)
  has strace || packages+=(strace)
fi

if ((${#packages[@]} > 0)); then
  has apt-get || die "missing: ${packages[*]} (Debian's names). There is no apt-get here; please install them."
  root=()
  if [[ $(id -u) != 0 ]]; then
    has sudo || die "missing: ${packages[*]}. Please run as root: apt-get install ${packages[*]}"
    root=(sudo)
  fi
  say "installing with apt-get: ${packages[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# Generates requests from the API document; pinned, in a folder of its own outside of the project.
schemathesis=${XDG_CACHE_HOME:-$HOME/.cache}/gatepost/schemathesis-4.32.5
if [[ $mode == full && ! -x $schemathesis/bin/schemathesis ]]; then
  say "installing schemathesis into $schemathesis"
  python3 -m venv "$schemathesis"
  "$schemathesis/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5
fi

if ! has cargo || ! has rustc; then
  if [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    die "Rust is installed but not in PATH. Run: . \"${CARGO_HOME:-$HOME/.cargo}/env\""
  fi
  die "Rust is missing. Install it with rustup from https://rustup.rs, open a new shell and try again."
fi

# rustup fetches the toolchain of rust-toolchain.toml by itself; any other Rust has to be new enough.
if ! has rustup; then
  needed=1.95
  found=$(rustc --version | cut -d ' ' -f 2)
  [[ $(printf '%s\n' "$needed" "$found" | sort -V | head -n 1) == "$needed" ]] ||
    die "Rust $needed or newer is needed, found $found. Install it with rustup from https://rustup.rs."
fi

# What tests run unmodified, from their lock files. A stamp holds what was installed, so that a second run needs no network.
install_clients() {
  local folder=$1 stamp=$1/node_modules/.installed wanted
  wanted=$(cat "$folder/package-lock.json" "$folder/requirements.txt" | cksum)
  if [[ -x $folder/.venv/bin/python && -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
  local major
  major=$(node --version | tr -d v | cut -d . -f 1)
  ((major >= 20)) || die "Node 20 or newer is needed for the counterparts of the tests, found $(node --version)"
  say "installing the counterparts of the tests into tests/clients"
  (cd "$folder" && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --silent --prefer-offline)
  python3 -m venv "$folder/.venv"
  "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$folder/requirements.txt"
  echo "$wanted" >"$stamp"
}

if [[ $mode == full ]]; then install_clients "$(cd "$(dirname "$0")/.." && pwd)/tests/clients"; fi
