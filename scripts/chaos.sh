#!/usr/bin/env bash
# Hurts an installation in every way that its guarantees speak of, and prints what was found.
#
#   scripts/chaos.sh [short|faults] [single|fleet]
#
# short     every crash point once, nothing else
# faults    everything but the crash points
# single    only one process on SQLite
# fleet     only many processes on PostgreSQL and RabbitMQ
#
# It starts a RabbitMQ node, a PostgreSQL cluster and a mail server of its own, on free ports of 127.0.0.1, with their files
# in folders of their own under TMPDIR; it touches no other server and no container. It needs root, because it runs them as
# the users rabbitmq and postgres. The executable with crash points is `gatepost-chaos`; `gatepost` is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [[ " $* " != *" single "* && $(id -u) != 0 ]]; then
  echo "chaos: this needs root for the servers it starts: sudo env \"PATH=\$PATH\" make chaos, or scripts/chaos.sh single" >&2
  exit 1
fi

[[ " $* " == *" short "* ]] || scripts/version-before.sh
cargo build -p gatepost-tests --bin chaos --locked
cargo build -p gatepost --bin gatepost-chaos --features chaos --locked
export TEST_AMQP_NODE=1
exec target/debug/chaos "$@"
