# shellcheck shell=bash
# Beside api and stack, for the tests of events: what was put into Kafka, by an independent client
# (kcat), what came of it, and daemons of one's own.

TOPIC=user_events
DEAD=$TOPIC.dlq

now_s() { echo "${EPOCHREALTIME%[.,]*}"; }
mark() { MARK_MS=$(($(now_s) * 1000)); } # "since" below; events of this very second are in

# since [TOPIC]: what Kafka has had since the mark, a line each: partition, offset, key, headers,
# value, by tabs.
since() {
	kcat -C -q -e -X fetch.wait.max.ms=10 -b "$KAFKA_BOOTSTRAP_SERVERS" -t "${1-$TOPIC}" -o "s@$MARK_MS" -f '%p\t%o\t%k\t%h\t%s\n' 2>/dev/null
}

# heard KEY [TOPIC]: the values of a key's messages, in the order of their partition
heard() { since "${2-$TOPIC}" | awk -F'\t' -v k="$1" '$3 == k { print $5 }'; }
heard_as_many() { (($(heard "$1" "${3-$TOPIC}" | wc -l) >= $2)); }

# put_message KEY VALUE [NAME=VALUE...]: a message of somebody else's; keyed as the relay does
put_message() {
	local headers=() h
	for h in "${@:3}"; do headers+=(-H "$h"); done
	printf '%s' "$2" >"$BATS_TEST_TMPDIR/message"
	kcat -P -b "$KAFKA_BOOTSTRAP_SERVERS" -X partitioner=murmur2_random -X message.max.bytes=1040000 -t "$TOPIC" -k "$1" "${headers[@]}" \
		"$BATS_TEST_TMPDIR/message"
}

# put_together KEY VALUE...: in one request, so that they are heard together
put_together() {
	local key=$1
	shift
	printf "$key|%s\\n" "$@" |
		kcat -P -K'|' -b "$KAFKA_BOOTSTRAP_SERVERS" -X partitioner=murmur2_random -X linger.ms=100 -t "$TOPIC"
}

# event_of USER TYPE [VERSION [TIMESTAMP]]: a message as the relay would send it; sets EVENT_ID, MESSAGE
event_of() {
	EVENT_ID=$(uuidgen_v7)
	MESSAGE=$(jq -cn --arg i "$EVENT_ID" --arg t "$2" --argjson u "$1" --argjson v "${3-null}" \
		--arg at "${4-$(date -u +%FT%T.%6NZ)}" \
		'{event_id: $i, event_type: $t, user_id: $u, version: $v, data: {}, timestamp: $at}')
}
uuidgen_v7() {
	local hex
	printf -v hex '%012x7%.3s8%.15s' "$((${EPOCHREALTIME/[.,]/} / 1000))" "$(some_id)" "$(some_id)"
	echo "${hex:0:8}-${hex:8:4}-${hex:12:4}-${hex:16:4}-${hex:20:12}"
}

# is_processed EVENT_ID
is_processed() { [[ $(sql "SELECT count(*) FROM processed_events WHERE consumer = 'effects' AND event_id = :'e'" "e=$1") == 1 ]]; }

# user_is_done USER_ID: has the consumer done with all of the user's events?
user_is_done() {
	[[ $(sql "SELECT count(*) FROM events e LEFT JOIN processed_events p ON p.event_id = e.event_id AND consumer = 'effects'
		WHERE user_id = :id AND p.event_id IS NULL" "id=$1") == 0 ]]
}

# counted WHAT: in all days
counted() { sql "SELECT COALESCE(sum(n), 0) FROM stats_daily WHERE what = :'w'" "w=$1"; }

# letters KEY: its dead letters since the mark, as lines of "since"
letters() { since "$DEAD" | awk -F'\t' -v k="$1" '$3 == k'; }
parked() { (($(letters "$1" | wc -l) >= ${2-1})); }
# letter_header NAME <LINE
letter_header() { cut -f4 | tr ',' '\n' | sed -n "s/^$1=//p"; }

waiting() { usherctl outbox | sed -n 's/^waiting //p'; }
nothing_waits() { [[ $(waiting) == 0 ]]; }

#
# Daemons
#

# role_pid ROLE [DAEMON]: of the daemon (of the stack's own, if none is named)
role_pid() { pgrep -x "usher-$1" -P "${2-$(daemon_pid)}"; }
daemon_pid() { cat "$USHER_RUN/eventd.ready" 2>/dev/null; }
daemon_is_up() { another_daemon_than none; }
# another_daemon_than PID: the supervisor has begun a new one
another_daemon_than() {
	local pid
	pid=$(daemon_pid) && [[ $pid && $pid != "$1" ]] && kill -0 "$pid" 2>/dev/null
}

# daemon_up NAME [VAR=VALUE...] [-- ARG...]: one more, without a supervisor. Sets DAEMON (its pid), DAEMON_LOG.
daemon_up() {
	local name=$1 vars=()
	shift
	while (($#)) && [[ $1 != -- ]]; do
		vars+=("$1")
		shift
	done
	DAEMON_LOG=$BATS_TEST_TMPDIR/$name.log
	(
		cd "$BATS_TEST_TMPDIR"
		exec env "${vars[@]}" "$USHER_BIN/usher-eventd" --ready-file "$BATS_TEST_TMPDIR/$name.ready" "${@:2}"
	) >"$DAEMON_LOG" 2>&1 3>&- &
	DAEMON=$!
	DAEMONS+=("$DAEMON")
	wait_for 10 test -s "$BATS_TEST_TMPDIR/$name.ready"
}

# daemons_down: for teardown
daemons_down() {
	local pid
	for pid in "${DAEMONS[@]}"; do
		kill -CONT "$pid" 2>/dev/null || true
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	DAEMONS=()
}
DAEMONS=()

# says LOG EVENT: how many lines of that event
says() { grep -c "\"event\":\"$2\"" "$1" || true; }
has_said() { (($(says "$1" "$2") >= ${3-1})); }
eventd_log() { echo "$USHER_VAR/log/eventd.log"; }
