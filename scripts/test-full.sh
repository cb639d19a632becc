#!/usr/bin/env bash
# Runs the test suite on PostgreSQL and RabbitMQ instead of SQLite and the in-process broker, including the tests that
# need real counterparts (GATEPOST_TEST_FULL=1).
#
#   GATEPOST_TEST_POSTGRES   a superuser's URL; default postgres://root@127.0.0.1:5432/postgres
#   GATEPOST_TEST_AMQP       a server without vhost; default amqp://guest:guest@127.0.0.1:5672
#
# Servers on this machine that are installed but stopped are started and left running. Everything else that this script
# creates it drops at the end: the database gatepost_test, the role of the same name (only where the default URL does
# not let us in), and the vhosts whose names begin with GATEPOST_TEST_VHOST_PREFIX.
#
# The suite sees:
#   TEST_DATABASE_URL            the database gatepost_test; each test uses a schema of its own
#   TEST_AMQP_URL                the RabbitMQ server; tests add vhosts with `rabbitmqctl add_vhost`
#   TEST_AMQP_VHOST              the vhost that the suite's applications share, each with a prefix of its own
#   TEST_AMQP_NODE               tests may start a RabbitMQ node of their own and kill it
#   TEST_SCHEMATHESIS            the generator of requests that scripts/setup.sh installed
#   GATEPOST_TEST_VHOST_PREFIX   how the names of those vhosts begin
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
database=gatepost_test
admin_url=${GATEPOST_TEST_POSTGRES:-postgres://root@127.0.0.1:5432/postgres}
amqp_url=${GATEPOST_TEST_AMQP:-amqp://guest:guest@127.0.0.1:5672}
vhost_prefix=gatepost_test_$$_
wait_seconds=60
database_created=0
role_created=0
export PGCONNECT_TIMEOUT=5

say() { echo "test-full: $*"; }
die() {
  echo "test-full: $*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
is_root() { [[ $(id -u) == 0 ]]; }
is_local() { [[ $1 == 127.* || $1 == localhost || $1 == ::1 ]]; }

# Servers must not inherit the lock (descriptor 9), or it would outlive this script.
as_root() {
  if is_root; then
    "$@" 9>&-
  elif has sudo; then
    sudo "$@" 9>&-
  else
    die "this needs root: $*"
  fi
}

# host and port of a URL: endpoint <url> <default port>
endpoint() {
  local authority=${1#*://}
  authority=${authority%%[/?]*}
  authority=${authority##*@}
  if [[ $authority =~ ^\[(.*)\](:([0-9]+))?$ || $authority =~ ^([^:]*)(:([0-9]+))?$ ]]; then
    echo "${BASH_REMATCH[1]:-127.0.0.1} ${BASH_REMATCH[3]:-$2}"
  else
    die "cannot read host and port of a URL for $2"
  fi
}

# wait_for <what> <command…>: until the command succeeds, or fail
wait_for() {
  local what=$1 until=$((SECONDS + wait_seconds))
  shift
  until "$@"; do
    ((SECONDS < until)) || die "$what does not answer after $wait_seconds s"
    sleep 0.5
  done
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

pg_up() { pg_isready -q -h "$pg_host" -p "$pg_port" -t 3; }
# The admin's session; SQL in the arguments or on standard input.
admin() { psql -wXq -v ON_ERROR_STOP=1 -d "$admin_url" "$@"; }
admin_works() { admin -Atc 'SELECT 1' >/dev/null 2>&1; }
# The same, as the system user postgres over the local socket.
as_postgres() {
  local command="psql -wXq -v ON_ERROR_STOP=1 -p $pg_port -d postgres"
  if is_root; then
    (cd / && su postgres -s /bin/sh -c "$command")
  else
    (cd / && sudo -u postgres /bin/sh -c "$command")
  fi
}

start_postgres() {
  local version name
  is_local "$pg_host" || die "PostgreSQL does not answer at $pg_host:$pg_port"
  has pg_lsclusters || die "PostgreSQL does not answer at $pg_host:$pg_port, and it is not installed as on Debian; please start it"
  read -r version name < <(pg_lsclusters -h | awk -v port="$pg_port" '$3 == port { print $1, $2; exit }') ||
    die "there is no PostgreSQL cluster on port $pg_port (see pg_lsclusters)"
  say "starting PostgreSQL $version"
  as_root pg_ctlcluster --skip-systemctl-redirect "$version" "$name" start
  wait_for "PostgreSQL" pg_up
}

# Where the default URL is not let in (no role root, or a password is asked for), a role of our own for this run.
create_role() {
  [[ -z ${GATEPOST_TEST_POSTGRES:-} ]] || die "GATEPOST_TEST_POSTGRES does not let us in: $(admin -Atc 'SELECT 1' 2>&1 | head -n 1)"
  if ! is_local "$pg_host" || { ! is_root && ! has sudo; }; then
    die "PostgreSQL does not let us in; set GATEPOST_TEST_POSTGRES to a superuser's URL"
  fi
  local password
  password=$(od -An -tx1 -N24 /dev/urandom | tr -d ' \n')
  say "creating the PostgreSQL role $database for this run"
  as_postgres <<SQL
SET client_min_messages = warning;
DROP DATABASE IF EXISTS $database WITH (FORCE);
DROP ROLE IF EXISTS $database;
CREATE ROLE $database LOGIN SUPERUSER PASSWORD '$password';
SQL
  role_created=1
  admin_url=postgres://$database:$password@$pg_host:$pg_port/postgres
  admin_works || die "PostgreSQL does not let the role $database in over TCP; look at pg_hba.conf"
}

prepare_postgres() {
  has psql || die "psql is missing; run scripts/setup.sh full"
  read -r pg_host pg_port < <(endpoint "$admin_url" 5432)
  pg_up || start_postgres
  admin_works || create_role
  admin <<SQL
SET client_min_messages = warning;
DROP DATABASE IF EXISTS $database WITH (FORCE);
CREATE DATABASE $database ENCODING 'UTF8' TEMPLATE template0;
SQL
  database_created=1
  [[ $admin_url =~ ^([^:]+://[^/?]*)(/[^?]*)?(\?.*)?$ ]] || die "GATEPOST_TEST_POSTGRES is not a URL"
  TEST_DATABASE_URL=${BASH_REMATCH[1]}/$database${BASH_REMATCH[3]:-}
  GATEPOST_TEST_POSTGRES=$admin_url
  export TEST_DATABASE_URL GATEPOST_TEST_POSTGRES
}

# --- RabbitMQ ---------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2016
amqp_up() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$amqp_host" "$amqp_port" 2>/dev/null; }
rabbitmqctl_works() { rabbitmqctl -q list_vhosts name >/dev/null 2>&1 9>&-; }

start_rabbitmq() {
  is_local "$amqp_host" || die "RabbitMQ does not answer at $amqp_host:$amqp_port"
  has rabbitmq-server || die "RabbitMQ does not answer at $amqp_host:$amqp_port, and it is not installed; run scripts/setup.sh full"
  say "starting RabbitMQ"
  as_root rabbitmq-server -detached >/dev/null 2>&1 || die "rabbitmq-server -detached failed"
  wait_for "RabbitMQ" amqp_up
  if rabbitmqctl_works; then rabbitmqctl -q await_startup --timeout "$wait_seconds" >/dev/null 9>&-; fi
}

prepare_rabbitmq() {
  amqp_url=${amqp_url%/}
  read -r amqp_host amqp_port < <(endpoint "$amqp_url" 5672)
  amqp_up || start_rabbitmq
  rabbitmqctl_works ||
    die "rabbitmqctl is refused, and the tests need it for their vhosts; run as root: sudo env \"PATH=\$PATH\" make test-full"
  local user=${amqp_url#*://}
  user=${user%%:*}
  TEST_AMQP_VHOST=${vhost_prefix}suite
  rabbitmqctl -q add_vhost "$TEST_AMQP_VHOST" 9>&-
  rabbitmqctl -q set_permissions -p "$TEST_AMQP_VHOST" "$user" '.*' '.*' '.*' 9>&-
  export GATEPOST_TEST_AMQP=$amqp_url TEST_AMQP_URL=$amqp_url GATEPOST_TEST_VHOST_PREFIX=$vhost_prefix TEST_AMQP_VHOST
  # Tests that kill or starve a broker start one of their own, which needs root and the server's files.
  if is_root; then export TEST_AMQP_NODE=1; fi
}

drop_vhosts() {
  local vhost
  while read -r vhost; do
    if [[ $vhost == "$vhost_prefix"* ]]; then rabbitmqctl -q delete_vhost "$vhost" >/dev/null 9>&- </dev/null; fi
  done < <(rabbitmqctl -q list_vhosts name 2>/dev/null 9>&-)
}

# --- the run ----------------------------------------------------------------------------------------------------------

clean_up() {
  local status=$?
  trap - EXIT
  set +e
  if ((database_created)); then admin -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"; fi
  if ((role_created)); then echo "DROP ROLE IF EXISTS $database" | as_postgres; fi
  if has rabbitmqctl && rabbitmqctl_works; then drop_vhosts; fi
  if ((status != 0)); then echo "test-full: FAILED after $SECONDS s" >&2; fi
  exit "$status"
}

exec 9>"${TMPDIR:-/tmp}/gatepost-test-full.lock"
if ! flock -n 9; then
  say "another run holds the database $database; waiting for it"
  flock -w 3600 9 || die "the other run did not end within an hour"
fi
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

prepare_postgres
prepare_rabbitmq
servers="PostgreSQL $(admin -Atc 'SHOW server_version') and RabbitMQ $(rabbitmqctl version 2>/dev/null 9>&- | tail -n 1)"
say "testing on $servers"
export GATEPOST_TEST_FULL=1
schemathesis=${XDG_CACHE_HOME:-$HOME/.cache}/gatepost/schemathesis-4.32.5/bin/schemathesis
if [[ -x $schemathesis ]]; then export TEST_SCHEMATHESIS=$schemathesis; fi
cargo build --workspace --bins --locked 9>&-
cargo build -p gatepost --bin gatepost-chaos --features chaos --locked 9>&-
# What takes how long is measured alone, and not beside a test that kills a database.
alone=(
  faults::database::full_an_exhausted_pool_puts_requests_off
  faults::scaling::full_login_codes_overtake_a_hundred_thousand_notices
  faults::scaling::full_more_workers_do_more_and_nothing_twice
  faults::volume::full_claims_stay_quick_in_a_table_of_a_million
)
cargo test --workspace --locked 9>&- -- "${alone[@]/#/--skip=}"
cargo test --workspace --test it --locked 9>&- -- --exact --test-threads=1 "${alone[@]}"
say "passed on $servers after $SECONDS s"
