#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# Events on their way: from the commit to Kafka, as an independent client sees them there, and what
# follows from them, once.

load lib/api
load lib/stack
load lib/events

setup() { mark; }
teardown() { if [[ ${RELAY_HELD-} ]]; then "$USHER_DEV" start eventd >/dev/null 3>&-; fi; }

#
# To Kafka
#

@test "a change reaches Kafka: keyed by the user, with its headers, the JSON as the contract has it" {
	local trace=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 line
	fresh_user
	login
	patch "/users/$USER_ID" '{"name":"Lee","age":30}' -H 'X-Request-Id: told-by-the-test' -H "traceparent: $trace"
	expect 200
	wait_for 10 heard_as_many "$USER_ID" 3
	heard "$USER_ID" | sed -n 3p >"$BATS_TEST_TMPDIR/value"
	jq -e 'keys == ["data","event_id","event_type","timestamp","user_id","version"] and .event_type == "user_updated"
		and .user_id == ($ENV.USER_ID | tonumber) and .version == 3 and .data == {name: "Lee", age: 30}
		and (.event_id | test("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"))
		and (.timestamp | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{6}Z$"))' "$BATS_TEST_TMPDIR/value"
	line=$(since | awk -F'\t' -v k="$USER_ID" '$3 == k' | sed -n 3p)
	[ "$(letter_header event_id <<<"$line")" = "$(jq -r .event_id "$BATS_TEST_TMPDIR/value")" ]
	[ "$(letter_header request_id <<<"$line")" = told-by-the-test ]
	[ "$(letter_header traceparent <<<"$line")" = "$trace" ]
	[ "$(letter_header content-type <<<"$line")" = application/json ]
}

@test "the relay has found Kafka before there is anything to say" {
	local before
	wait_for 15 nothing_waits
	before=$(wc -l <"$(eventd_log)")
	"$USHER_DEV" restart eventd >/dev/null 3>&-
	wait_for 10 relay_reached_kafka "$before"
}
relay_reached_kafka() {
	tail -n "+$(($1 + 1))" "$(eventd_log)" | grep '"program":"usher-relay"' | has_said /dev/stdin bus.reached
}

@test "a user's events lie in one partition, the one of every murmur2 client, in the order of their versions" {
	local i
	fresh_user
	login
	for i in {1..12}; do patch "/users/$USER_ID" "{\"name\":\"N$i\"}"; done
	delete "/users/$USER_ID"
	wait_for 10 heard_as_many "$USER_ID" 15
	[ "$(heard "$USER_ID" | jq .version | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 " ]
	event_of "$USER_ID" of_the_test
	put_message "$USER_ID" "$MESSAGE"
	wait_for 10 heard_as_many "$USER_ID" 16
	[ "$(since | awk -F'\t' -v k="$USER_ID" '$3 == k { print $1 }' | sort -u | wc -l)" = 1 ]
}

@test "a row leaves the outbox once Kafka has it, and usherctl says how many wait" {
	local id
	fresh_user
	RELAY_HELD=1
	"$USHER_DEV" stop eventd >/dev/null 3>&-
	login
	run -0 usherctl outbox
	[[ $output == *"waiting "[1-9]* && $output == *"oldest  "*" s, "* ]]
	[ "$(sql "SELECT count(*) FROM outbox WHERE aggregateid = :'id'" "id=$USER_ID")" = 1 ]
	"$USHER_DEV" start eventd >/dev/null 3>&-
	wait_for 10 nothing_waits
	run -0 usherctl outbox
	[ "$output" = "waiting 0" ]
	heard_as_many "$USER_ID" 2
}

@test "an event is done with shortly after its commit" {
	local i began took=() slowest
	fresh_user
	wait_for 10 user_is_done "$USER_ID"
	for i in {1..5}; do
		login
		wait_for 10 user_is_done "$USER_ID"
	done
	# as PostgreSQL's clock has it, on a machine that may be busy; the goal of 100 ms is the bench's to measure
	run -0 sql "SELECT min(p.processed_at - e.created_at) < '2 s' AND max(p.processed_at - e.created_at) < '10 s' FROM events e JOIN processed_events p USING (event_id)
		WHERE user_id = :id AND event_type = 'user_login'" "id=$USER_ID"
	[ "$output" = t ]
}

#
# What follows
#

@test "a new user has a settings row, and is counted; a login and a change are too" {
	local new login update event
	fresh_user
	wait_for 10 user_is_done "$USER_ID"
	new=$(counted new_user) login=$(counted login) update=$(counted update) event=$(counted event)
	fresh_user
	login
	patch "/users/$USER_ID" '{"name":"Lee"}'
	wait_for 10 user_is_done "$USER_ID"
	[ "$(sql 'SELECT count(*) FROM user_settings WHERE user_id = :id' "id=$USER_ID")" = 1 ]
	(($(counted new_user) >= new + 1 && $(counted login) >= login + 1))
	(($(counted update) >= update + 1 && $(counted event) >= event + 3))
}

@test "the day's counts lie in Redis as they are in PostgreSQL" {
	fresh_user
	wait_for 10 user_is_done "$USER_ID"
	wait_for 5 stats_agree
	redis del "stats:$(date -u +%F)" >/dev/null # lost there, it is set anew and whole by the next event
	login
	wait_for 10 user_is_done "$USER_ID"
	wait_for 5 stats_agree
}
stats_agree() {
	local day row
	day=$(date -u +%F)
	row=$(sql "SELECT json_object_agg(what, n) FROM stats_daily WHERE day = :'d'" "d=$day")
	redis --raw get "stats:$day" | tail -n +2 | jq -e --argjson row "$row" '. == $row'
}

@test "an event that comes twice has its effects once" {
	local before
	event_of 999999999 of_the_test
	put_message 999999999 "$MESSAGE"
	wait_for 10 is_processed "$EVENT_ID"
	before=$(counted event)
	put_message 999999999 "$MESSAGE"
	put_message 999999999 "$MESSAGE"
	event_of 999999999 of_the_test
	put_message 999999999 "$MESSAGE" # behind them, in their partition
	wait_for 10 is_processed "$EVENT_ID"
	[ "$(counted event)" = $((before + 1)) ]
}

@test "an event of a type that nobody knows is counted, and is no error" {
	local before
	event_of 999999998 never_heard_of
	before=$(counted event)
	put_message 999999998 "$MESSAGE"
	wait_for 10 is_processed "$EVENT_ID"
	(($(counted event) > before))
	run ! parked 999999998
}

@test "an event whose user is gone is counted, and nothing else follows" {
	event_of 999999997 user_created 1
	put_message 999999997 "$MESSAGE"
	wait_for 10 is_processed "$EVENT_ID"
	[ "$(sql 'SELECT count(*) FROM user_settings WHERE user_id = 999999997')" = 0 ]
	[ "$(sql "SELECT count(*) FROM mail_outbox WHERE event_id = :'e'" "e=$EVENT_ID")" = 0 ]
	run ! parked 999999997
}

@test "an event of a version far ahead of the user's is done with, and the user is read as ever" {
	fresh_user
	login
	event_of "$USER_ID" user_updated 4000000000
	put_message "$USER_ID" "$MESSAGE"
	wait_for 10 is_processed "$EVENT_ID"
	get "/users/$USER_ID"
	expect 200
	[ "$(header ETag)" = '"2"' ]
}

@test "numbers beyond all integers, and next to nothing, are done with, and arrive as they were" {
	fresh_user
	login
	post /events/ '{"event_type":"numbers","data":{"a":1e19,"b":-1.5e308,"c":1e-300,"d":[-2.5e-7,12345678901234567.0]}}'
	expect 202
	wait_for 10 is_processed "$(jq -r .event_id <<<"$BODY")"
	wait_for 10 heard_as_many "$USER_ID" 3
	heard "$USER_ID" | jq -e 'select(.event_type == "numbers") |
		.data == {a: 1e19, b: -1.5e308, c: 1e-300, d: [-2.5e-7, 12345678901234567.0]}'
	# written out they are long
	post /events/ "{\"event_type\":\"numbers\",\"data\":{\"a\":[$(printf '1e308,%.0s' {1..60})1]}}"
	faulty body.data
	fault body.data '.type == "too_big"'
}

@test "an event of a megabyte is done with" {
	event_of 999999996 of_the_test
	jq -cn --argjson m "$MESSAGE" '$m | .data = {text: ("x" * 1000000)}' >"$BATS_TEST_TMPDIR/large"
	put_message 999999996 "$(<"$BATS_TEST_TMPDIR/large")"
	wait_for 10 is_processed "$EVENT_ID"
}

#
# What can't be done with
#

@test "what is no event goes to the dead letters with its reason and place, and the partition goes on" {
	local key=dead-$RANDOM$RANDOM value line
	event_of 1 of_the_test
	put_message "$key" 'no JSON' event_id=of-its-own
	put_message "$key" "$(jq -c 'del(.event_id)' <<<"$MESSAGE")"
	put_message "$key" "$(jq -c '.event_id = "42"' <<<"$MESSAGE")"
	put_message "$key" "$(jq -c '.version = "second"' <<<"$MESSAGE")"
	put_message "$key" '[]'
	put_message "$key" "$(jq -c '.timestamp = "2026-01-01 00:00:00.000000"' <<<"$MESSAGE")"
	put_message "$key" "$(jq -c '.timestamp = "2026-01-01T00:00:00Z\",infinity"' <<<"$MESSAGE")"
	printf '%s:' "$key" | kcat -P -Z -K: -b "$KAFKA_BOOTSTRAP_SERVERS" -X partitioner=murmur2_random -t "$TOPIC"
	put_message "$key" "$MESSAGE" # a good one behind them
	wait_for 10 is_processed "$EVENT_ID"
	wait_for 5 parked "$key" 8
	[ "$(letters "$key" | wc -l)" = 8 ]
	letters "$key" >"$BATS_TEST_TMPDIR/letters"
	[ "$(letter_header dlq-reason <"$BATS_TEST_TMPDIR/letters" | tr '\n' '/')" = \
		"not an event: not JSON/not an event: event_id: missing/not an event: event_id is no UUID/not an event: version: int_type/not an event: value: dict_type/not an event: timestamp is no time (RFC 3339)/not an event: timestamp is no time (RFC 3339)/no value/" ]
	[ "$(letter_header dlq-topic <"$BATS_TEST_TMPDIR/letters" | sort -u)" = "$TOPIC" ]
	# each says where it lay
	while IFS= read -r line; do
		value=$(cut -f5 <<<"$line")
		since | awk -F'\t' -v p="$(letter_header dlq-partition <<<"$line")" -v o="$(letter_header dlq-offset <<<"$line")" \
			'$1 == p && $2 == o { print $5 }' | diff - <(printf '%s\n' "$value")
	done <"$BATS_TEST_TMPDIR/letters"
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/letters" | letter_header event_id)" = of-its-own ]
}

@test "what the database refuses is parked, the rest of its batch is not, and a replay does it at last" {
	local key=$((RANDOM * 32768 + RANDOM + 1000000000)) bad good first letter before
	before=$(consumed)
	event_of "$key" of_the_test
	bad=$EVENT_ID first=$MESSAGE
	# stands for a mistake of ours that is mended later
	owner_sql "CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RAISE EXCEPTION USING ERRCODE = ''23514''; END'; CREATE TRIGGER refuse_one BEFORE INSERT ON processed_events
		FOR EACH ROW WHEN (NEW.event_id = '$bad') EXECUTE FUNCTION refuse_one()"
	event_of "$key" of_the_test
	good=$EVENT_ID
	put_together "$key" "$first" "$MESSAGE"
	wait_for 15 is_processed "$good" || true
	owner_sql 'DROP TRIGGER refuse_one ON processed_events; DROP FUNCTION refuse_one'
	is_processed "$good"
	wait_for 5 consumed_more
	run ! is_processed "$bad"
	wait_for 5 parked "$key"
	letter=$(letters "$key" | cut -f1,2 | tr '\t' ':')

	run -0 usherctl dlq list
	grep -q "^$letter .*key $key  BUG" <<<"$output"
	run -0 usherctl dlq show "$letter"
	grep -q "$bad" <<<"$output"
	run -0 usherctl dlq replay "$letter"
	[ "$output" = "1 sent again" ]
	wait_for 10 is_processed "$bad"
	[ "$(heard "$key" | grep -c "$bad")" = 2 ]
	since | awk -F'\t' -v k="$key" '$3 == k { print $4 }' >"$BATS_TEST_TMPDIR/headers"
	run ! grep dlq- "$BATS_TEST_TMPDIR/headers" # it is as it was
}

consumed() { curl -sS "$BASE_URL/metrics" | awk '$1 == "usher_events_consumed_total" { print $2 }'; }
consumed_more() { (($(consumed) > before)); }

@test "all dead letters are sent again at once, and those that come back stay for another day" {
	local key=again-$RANDOM$RANDOM
	put_message "$key" 'never an event'
	wait_for 10 parked "$key"
	run -0 usherctl dlq replay --all
	[[ ${lines[-1]} =~ ^[0-9]+\ sent\ again$ ]]
	wait_for 10 parked_again "$key"
	run -0 usherctl dlq list
	[ "$(grep -c "key $key " <<<"$output")" = 1 ]
}
parked_again() { [[ $(heard "$1" | wc -l) == 2 && $(letters "$1" | wc -l) == 1 ]]; }

@test "a letter that was too large for its message is never sent again, and never lost" {
	local key=left-$RANDOM$RANDOM letter
	TOPIC=$DEAD put_message "$key" gone dlq-reason=BUG dlq-left-out=1048000
	wait_for 5 parked "$key"
	letter=$(letters "$key" | cut -f1,2 | tr '\t' ':')
	run -1 usherctl dlq replay "$letter"
	[[ $output == *"only its topic still has it"* ]]
	run -0 usherctl dlq replay --all
	[[ $output == *"key $key "*"only its topic still has it"* ]]
	run -0 usherctl dlq list
	[ "$(grep -c "key $key " <<<"$output")" = 1 ]
	run -0 heard "$key"
	[ -z "$output" ]
}

@test "the operator who names no letter, or none that is there, is told so" {
	run -2 usherctl dlq show
	run -2 usherctl dlq show 17
	run -2 usherctl dlq show a:b
	run -1 usherctl dlq show 0:999999999
	run -1 usherctl dlq replay 0:999999999
	run -1 env KAFKA_TOPIC=no_such_topic "$USHER_BIN/usherctl" dlq list
}

#
# The daemon itself
#

@test "the daemon says what it can, and knows its roles" {
	run -0 timeout 5 "$USHER_BIN/usher-eventd" --help
	[[ $output == *--role* ]]
	run -0 timeout 5 "$USHER_BIN/usher-eventd" --version
	run -2 timeout 5 "$USHER_BIN/usher-eventd" --role relay,sing
	[[ $output == *'"sing"'* ]]
	run -2 timeout 5 "$USHER_BIN/usher-eventd" --role ''
}

@test "a daemon of one role has that role only, and leaves at once what it has when it is asked to" {
	local began
	daemon_up one -- --role cache
	[ "$(pgrep -P "$DAEMON" | wc -l)" = 1 ]
	role_pid cache "$DAEMON"
	kill "$DAEMON"
	wait "$DAEMON"
	[ ! -e "$BATS_TEST_TMPDIR/one.ready" ]
	has_said "$DAEMON_LOG" daemon.ended
}
