# shellcheck shell=bash
# The stack behind the API: its stores looked into, and single workers with settings of their own.
# Waits for conditions; nothing here or in a test waits for a clock.

# wait_for SECONDS COMMAND...: until COMMAND succeeds; fails when the time is over. On a machine that is
# busy with more than this, USHER_TEST_PATIENCE stretches the time.
wait_for() {
	local until=$((SECONDS + $1 * ${USHER_TEST_PATIENCE:-1} + 1))
	shift
	until "$@"; do
		((SECONDS < until)) || fail "waited in vain for: $*"
		read -rt 0.02 <> <(:) || true
	done
}

#
# Stores
#

# sql QUERY [NAME=VALUE...]: as the service's role. A value is :'NAME' in QUERY, :NAME for a number.
sql() { DATABASE=$DATABASE_URL sql_at "$@"; }
# The same as the owner of the schema.
owner_sql() { DATABASE=$DATABASE_SYNC_URL sql_at "$@"; }
sql_at() {
	local query=$1 set=()
	shift
	for row; do set+=(-v "$row"); done
	psql -XqAt -v ON_ERROR_STOP=1 "${set[@]}" "$DATABASE" <<<"$query"
}
# As the server's superuser, for databases and roles.
admin_sql() { psql -XqAt -v ON_ERROR_STOP=1 -h "$USHER_RUN/pg" -U postgres -d "${2-postgres}" <<<"$1"; }

redis() {
	case $REDIS_URL in
	unix://*) redis-cli -s "${REDIS_URL#unix://}" "$@" ;;
	*) redis-cli -u "$REDIS_URL" "$@" ;;
	esac
}

# version_of USER_ID, events_of USER_ID ("version type" a line, oldest first)
version_of() { sql 'SELECT version FROM users WHERE id = :id' "id=$1"; }
events_of() {
	sql "SELECT concat_ws(' ', version, event_type) FROM events WHERE user_id = :id ORDER BY position" "id=$1"
}

# hash_of EMAIL
hash_of() { sql "SELECT password_hash FROM users WHERE lower(email) = lower(:'e')" "e=$1"; }

# foreign_hash PASSWORD SETTING: what another system's libcrypt would have stored.
foreign_hash() { perl -e 'print crypt($ARGV[0], $ARGV[1])' "$1" "$2"; }

#
# Logs
#

# logged COMMAND...: true once COMMAND (a grep, say) finds what it wants in the programs' logs.
program_logs() { cat "$USHER_VAR"/log/read.log "$USHER_VAR"/log/auth.log; }
log_has() { program_logs | grep -q -- "$1"; }

#
# A worker of one's own, without nginx
#

# worker_up [NAME=VALUE...]: a worker whose settings differ so. Sets WORKER (its socket), WORKER_LOG.
# Two at once: local WORKER, and worker_down for each. WORKER_BATCH: requests a turn, 1 if not set.
worker_up() {
	WORKER=$(mktemp -u /tmp/usher-t.XXXXXX)
	WORKER_LOG=$BATS_TEST_TMPDIR/worker.log
	(
		cd "$BATS_TEST_TMPDIR"
		exec env "METRICS_FILE=$BATS_TEST_TMPDIR/metrics" "$@" spawn-fcgi -n -s "$WORKER" -M 0600 \
			-- "$USHER_BIN/usher-api" --batch "${WORKER_BATCH-1}"
	) >"$WORKER_LOG" 2>&1 3>&- &
	WORKER_PID=$!
	wait_for 10 test -S "$WORKER"
}

worker_down() {
	[[ ${WORKER_PID-} ]] || return 0
	kill "$WORKER_PID" 2>/dev/null || true
	wait "$WORKER_PID" 2>/dev/null || true
	rm -f "$WORKER"
	WORKER_PID=
}

# ask METHOD PATH [BODY] [NAME=VALUE...]: of the worker itself, as nginx would; then as after a call.
# NAME=VALUE are further FastCGI parameters.
ask() {
	local answer type=application/json
	METHOD=$1
	answer=$(printf '%s' "${3-}" | env -i REQUEST_METHOD="$1" REQUEST_URI="/api/v1$2" CONTENT_TYPE="$type" \
		CONTENT_LENGTH="$(printf '%s' "${3-}" | wc -c)" SERVER_PROTOCOL=HTTP/1.1 REMOTE_ADDR=192.0.2.1 \
		${TOKEN:+"HTTP_AUTHORIZATION=Bearer $TOKEN"} "${@:4}" \
		timeout 20 cgi-fcgi -bind -connect "$WORKER" | tr -d '\r')
	HEAD=${answer%%$'\n\n'*}$'\nX-Content-Type-Options: nosniff' # nginx's part
	BODY=${answer#*$'\n\n'}
	STATUS=$(header Status | cut -d' ' -f1)
}
