#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# Events when things die: every committed event reaches Kafka, in order per user, and is done once,
# whoever is killed, hangs or is away meanwhile.

load lib/api
load lib/stack
load lib/fault
load lib/events

setup() { mark; }
teardown() {
	daemons_down
	[[ ! ${SMALL-} ]] || topic_allows_all
	mend
	wait_for 15 daemon_is_up
}

pid_is_gone() { ! kill -0 "$1" 2>/dev/null; }

# all_done: nothing of ours waits, neither for Kafka nor for the consumer
all_done() {
	[[ $(sql "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM events e WHERE position > :p
		AND NOT EXISTS (SELECT FROM processed_events p WHERE p.event_id = e.event_id AND consumer = 'effects'))" \
		"p=$POSITION") == 0 ]]
}

# begin_count: from here on. What is on its way just now is counted later, so it is noted too, as of the
# same moment.
begin_count() {
	POSITION=$(sql 'SELECT COALESCE(max(position), 0) FROM events')
	psql -XqAt -v ON_ERROR_STOP=1 "$DATABASE_URL" <<-SQL
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		\\copy (SELECT what, sum(n) FROM stats_daily GROUP BY what) TO '$BATS_TEST_TMPDIR/before'
		\\copy (SELECT event_id FROM events e WHERE position <= $POSITION AND NOT EXISTS (SELECT FROM processed_events p WHERE p.event_id = e.event_id AND consumer = 'effects')) TO '$BATS_TEST_TMPDIR/under-way'
		COMMIT;
	SQL
}

# audit: of all events since begin_count: Kafka has each, as it was committed, in order per user; each
# was done once, and the counts equal the rows. Prints what is wrong, a line each; and a sum at last.
audit() {
	since | cut -f1,2,3,5 | grep -F $'\t{"event_id" : ' >"$BATS_TEST_TMPDIR/heard" # as the relay puts them
	psql -XqAt -v ON_ERROR_STOP=1 -v p="$POSITION" "$DATABASE_SYNC_URL" <<-SQL
		CREATE TEMP TABLE heard (partition int, place bigint, key text, value jsonb);
		\\copy heard FROM '$BATS_TEST_TMPDIR/heard' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\b')
		CREATE TEMP TABLE before (what text, n bigint);
		\\copy before FROM '$BATS_TEST_TMPDIR/before'
		CREATE TEMP TABLE under_way (event_id uuid);
		\\copy under_way FROM '$BATS_TEST_TMPDIR/under-way'
		CREATE TEMP VIEW e AS SELECT * FROM events WHERE position > :p;
		CREATE TEMP VIEW since AS SELECT event_id, event_type FROM e UNION ALL SELECT event_id, event_type FROM under_way
		  JOIN events USING (event_id) JOIN processed_events USING (event_id) WHERE consumer = 'effects';
		CREATE TEMP TABLE first AS SELECT DISTINCT ON (value ->> 'event_id') partition, place, key, value,
		  (value ->> 'event_id')::uuid AS event_id FROM heard ORDER BY value ->> 'event_id', place;

		SELECT 'never heard: ' || event_id || ' ' || event_type FROM e WHERE event_id NOT IN (SELECT event_id FROM first);
		SELECT 'heard, but never committed: ' || event_id FROM first WHERE event_id NOT IN (SELECT event_id FROM events);
		SELECT 'not what was committed: ' || event_id FROM first JOIN e USING (event_id)
		  WHERE value -> 'data' <> data OR value ->> 'event_type' <> event_type OR (value ->> 'version')::bigint IS DISTINCT FROM version;
		SELECT 'out of order: user ' || key || ' version ' || version || ' after ' || earlier FROM (
		  SELECT key, version, lag(version) OVER (PARTITION BY key ORDER BY place) AS earlier
		  FROM first JOIN e USING (event_id) WHERE version IS NOT NULL) o WHERE version <> earlier + 1;
		SELECT 'in two partitions: ' || key FROM first GROUP BY key HAVING count(DISTINCT partition) > 1;
		SELECT 'versions are missing: user ' || user_id FROM e WHERE version IS NOT NULL GROUP BY user_id
		  HAVING max(version) <> min(version) + count(*) - 1;
		SELECT 'not done: ' || event_id FROM e WHERE event_id NOT IN (SELECT event_id FROM processed_events WHERE consumer = 'effects');
		SELECT 'counted wrongly: ' || what || ' ' || COALESCE(counted, 0) || ', there are ' || COALESCE(there, 0) FROM (
		  SELECT what, sum(s.n) - COALESCE(min(before.n), 0) AS counted FROM stats_daily s LEFT JOIN before USING (what) GROUP BY what) c
		  FULL JOIN (SELECT what, count(*) AS there FROM (SELECT 'event' AS what FROM since UNION ALL
		    SELECT CASE event_type WHEN 'user_created' THEN 'new_user' WHEN 'user_login' THEN 'login' WHEN 'user_updated' THEN 'update' END
		    FROM since WHERE event_type IN ('user_created', 'user_login', 'user_updated')) x GROUP BY what) r USING (what)
		  WHERE what IN ('event', 'new_user', 'login', 'update') AND COALESCE(counted, 0) <> COALESCE(there, 0);
		SELECT 'no settings row: user ' || user_id FROM e WHERE event_type = 'user_created' AND user_id IN (SELECT id FROM users)
		  AND user_id NOT IN (SELECT user_id FROM user_settings);
		SELECT '# ' || (SELECT count(*) FROM e) || ' events, ' || (SELECT count(*) FROM heard) || ' messages';
	SQL
}

sound() {
	local said
	said=$(audit)
	printf '%s\n' "$said" | tail -n 1
	[[ $said == '# '* ]] || fail "$(head -n 20 <<<"$said")"
}

@test "chaos: whatever is killed, every event reaches Kafka in order, and is done once" {
	local seed=${USHER_TEST_SEED:-$((RANDOM * 32768 + RANDOM))} seconds=${USHER_TEST_FULL:+90}
	echo "USHER_TEST_SEED=$seed"
	wait_for 30 nothing_waits
	begin_count
	wait_for 30 all_done
	mark
	python3 "$BATS_TEST_DIRNAME/lib/chaos.py" "$seed" "${seconds:-20}" 12 >"$BATS_TEST_TMPDIR/acknowledged" 3>&-
	mend
	wait_for 90 all_done
	sound
	# what was answered has its event
	[ "$(wc -l <"$BATS_TEST_TMPDIR/acknowledged")" -gt 100 ]
	psql -XqAt -v ON_ERROR_STOP=1 "$DATABASE_SYNC_URL" >"$BATS_TEST_TMPDIR/lost" <<-SQL
		CREATE TEMP TABLE acknowledged (user_id bigint, version bigint);
		\\copy acknowledged FROM '$BATS_TEST_TMPDIR/acknowledged' (DELIMITER ' ')
		SELECT * FROM acknowledged EXCEPT SELECT user_id, version FROM events
	SQL
	[ ! -s "$BATS_TEST_TMPDIR/lost" ]
}

@test "Kafka away under load: no request notices, the outbox grows, and drains by itself" {
	local log=$BATS_TEST_TMPDIR/late.log program
	known_user
	begin_count
	"$USHER_DEV" stop kafka >/dev/null 3>&-
	daemon_up late
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	keep_asking others PATCH "/users/$USER_ID" '{"name":"B"}'
	asked_on changes 50
	stop_asking
	run -1 grep -v '^200' < <(asked changes; asked others)
	awk '$2 > 5 { exit 1 }' < <(asked changes) # whoever waited for Kafka would wait for ever
	(($(waiting) >= 50))

	# a daemon that can't reach Kafka waits, and says so once
	wait_for 10 has_said "$log" bus.lost 2
	wait_for 10 kafka_was_tried_again
	for program in usher-consume usher-cache; do
		[ "$(grep "$program" "$log" | says /dev/stdin bus.lost)" = 1 ]
	done
	[ "$(wc -l <"$log")" -lt 40 ]
	"$USHER_DEV" start kafka >/dev/null 3>&-
	wait_for 30 all_done
	sound
	[ "$(wc -l <"$log")" -lt 60 ]
}
# the daemon has been at it for as long as a dozen of its pauses
kafka_was_tried_again() { (($(ps -o etimes= -p "$DAEMON") >= 4)); }

@test "a row stays until Kafka has acknowledged it: a relay killed before that says it again" {
	local pid
	fresh_user
	wait_for 15 user_is_done "$USER_ID" # the relay is at work
	for pid in $("$USHER_DEV" pids kafka); do freeze "$pid"; done
	login
	wait_for 5 relay_waits
	run ! nothing_waits
	kill -9 "$(role_pid relay)"
	for pid in "${FROZEN[@]}"; do thaw "$pid"; done
	wait_for 40 user_is_done "$USER_ID"
}
# Looks into the outbox follow each other quickly, unless it waits for Kafka.
relay_waits() {
	[[ $(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usher-relay' AND state = 'idle'
		AND query_start < clock_timestamp() - interval '0.4 s'") == 1 ]]
}

@test "Kafka is told of what is committed only: a consumer killed before that does it again" {
	event_of 999999996 of_the_test
	hold_processed
	put_message 999999996 "$MESSAGE"
	wait_for 20 consumer_is_held
	kill -9 "$(role_pid consume)"
	# the statement that it leaves behind would still be done
	admin_sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usher-consume'" >/dev/null
	let_row_go
	wait_for 40 is_processed "$EVENT_ID"
}
# hold_processed: as hold_row, the table of what was done
hold_processed() {
	coproc HOLDER { exec psql -XqAt "$DATABASE_SYNC_URL" 3>&- 2>&1; }
	printf "BEGIN;\nLOCK TABLE processed_events IN EXCLUSIVE MODE;\nSELECT 1;\n" >&"${HOLDER[1]}"
	read -rt 5 _ <&"${HOLDER[0]}"
}
consumer_is_held() {
	[[ $(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usher-consume' AND wait_event_type = 'Lock'") == 1 ]]
}

@test "two daemons: what one does when it is killed the other does within seconds, and nothing twice" {
	local first relay
	begin_count
	first=$(daemon_pid)
	daemon_up second
	has_said "$DAEMON_LOG" relay.active && fail "two relays are active"
	known_user
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	keep_asking others PATCH "/users/$USER_ID" '{"name":"B"}'
	asked_on changes 30
	"$USHER_DEV" stop eventd >/dev/null 3>&- # so that its supervisor does not bring it back
	wait_for 5 has_said "$DAEMON_LOG" relay.active
	asked_on changes 30
	"$USHER_DEV" start eventd >/dev/null 3>&-
	wait_for 15 daemon_is_up
	asked_on changes 30
	kill -KILL $(pgrep -P "$DAEMON") "$DAEMON"
	asked_on changes 30
	stop_asking
	wait_for 30 all_done
	sound
}

@test "a relay that hangs loses its right to one that stands by, and when it goes on nothing is lost" {
	begin_count
	fresh_user
	wait_for 10 user_is_done "$USER_ID"
	daemon_up second -- --role relay
	freeze "$(role_pid relay)"
	login
	# the server ends the session of who says nothing for ten seconds
	wait_for 20 has_said "$DAEMON_LOG" relay.active
	wait_for 10 user_is_done "$USER_ID"
	thaw "${FROZEN[0]}"
	login
	wait_for 10 user_is_done "$USER_ID"
	sound
}

@test "a role that dies takes the daemon with it, and its supervisor begins anew" {
	local role old
	for role in relay consume cache; do
		old=$(daemon_pid)
		kill -KILL "$(role_pid "$role" "$old")"
		wait_for 15 another_daemon_than "$old"
		pid_is_gone "$old" || fail "$old still lives"
	done
	fresh_user
	wait_for 20 user_is_done "$USER_ID"
	# without one it ends, and says by its status that it was not asked to
	daemon_up alone
	kill -KILL "$(role_pid consume "$DAEMON")"
	! wait "$DAEMON" || fail "it said that all was well"
}

@test "asked to end under load it ends within seconds, with nothing left half done" {
	local began
	begin_count
	known_user
	"$USHER_DEV" stop eventd >/dev/null 3>&-
	daemon_up asked
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	keep_asking others PATCH "/users/$USER_ID" '{"name":"B"}'
	wait_for 10 has_said "$DAEMON_LOG" bus.partitions_came 2
	asked_on changes 30
	began=$(now_ms)
	kill "$DAEMON"
	wait "$DAEMON"
	(($(now_ms) - began < 8000))
	stop_asking
	has_said "$DAEMON_LOG" bus.partitions_went 2
	run ! has_said "$DAEMON_LOG" bus.done_not_told
	"$USHER_DEV" start eventd >/dev/null 3>&-
	wait_for 30 all_done
	sound
}

@test "without PostgreSQL the consumer waits, says so once, and parks what is no event, once" {
	local before
	fresh_user
	wait_for 10 user_is_done "$USER_ID"
	before=$(wc -l <"$(eventd_log)")
	dev stop postgres
	event_of 999999995 of_the_test
	put_together 999999995 'no event' "$MESSAGE"
	wait_for 10 waits_since "$before"
	dev start postgres
	wait_for 20 is_processed "$EVENT_ID"
	[ "$(tail -n "+$((before + 1))" "$(eventd_log)" | says /dev/stdin inbox.waits)" = 1 ]
	[ "$(letters 999999995 | cut -f5)" = 'no event' ]
}
waits_since() { tail -n "+$(($1 + 1))" "$(eventd_log)" | has_said /dev/stdin inbox.waits; }

#
# What Kafka refuses
#

topic_config() {
	java -cp "${XDG_CACHE_HOME:-$HOME/.cache}/usher/kafka-4.1.1/*" kafka.admin.ConfigCommand \
		--bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --alter --entity-type topics --entity-name "$TOPIC" "$@" >/dev/null 2>&1 3>&-
}
topic_allows() { SMALL=1 && topic_config --add-config "max.message.bytes=$1"; }
topic_allows_all() { topic_config --delete-config max.message.bytes && SMALL=''; }

# outbox_row KEY BYTES: an event that does not compress
outbox_row() {
	owner_sql "INSERT INTO outbox (id, aggregateid, type, payload) SELECT gen_random_uuid(), :'key', 'of_the_test',
		json_build_object('text', (SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(0, :bytes / 36)))" \
		"key=$1" "bytes=$2"
}
rows_of() { sql "SELECT count(*) FROM outbox WHERE aggregateid = :'key'" "key=$1"; }
none_of() { [[ $(rows_of "$1") == 0 ]]; }
held() { tail -n "+$((LINES_BEFORE + 1))" "$(eventd_log)" | grep '"event":"relay.key_held"' | grep -q "\"key\":\"$1\""; }

# others_pass KEY: the row of KEY is held back, and with it what came after it, but nobody else's
others_pass() {
	wait_for 15 held "$1"
	outbox_row "$1" 10
	fresh_user
	wait_for 15 user_is_done "$USER_ID"
	[ "$(rows_of "$1")" = 2 ]
	run -0 usherctl outbox
	[[ $output == *"of key $1,"* ]]
}

@test "an event too large to be sent holds back its user's events, and nobody else's, and is seen" {
	local key=large-$RANDOM$RANDOM
	LINES_BEFORE=$(wc -l <"$(eventd_log)")
	outbox_row "$key" 1500000
	others_pass "$key"
	owner_sql "DELETE FROM outbox WHERE aggregateid = :'key' AND length(payload::text) > 1000000" "key=$key"
	dev restart eventd # or within a minute
	wait_for 15 none_of "$key"
}

@test "with more bad keys than can be held back the relay says nothing more, until they are fewer" {
	local key=crowd-$RANDOM$RANDOM
	LINES_BEFORE=$(wc -l <"$(eventd_log)")
	owner_sql "INSERT INTO outbox (id, aggregateid, type, payload) SELECT gen_random_uuid(), :'key' || '-' || n, 'of_the_test',
		json_build_object('text', repeat('x', 1100000)) FROM generate_series(1, 101) n" "key=$key"
	outbox_row "$key-101" 10
	wait_for 30 said_refused
	held "$key-100"
	run ! held "$key-101"
	fresh_user
	[ "$(rows_of "$key-101")" = 2 ]
	[ "$(rows_of "$USER_ID")" = 1 ]
	[ "$(tail -n "+$((LINES_BEFORE + 1))" "$(eventd_log)" | says /dev/stdin relay.refused)" = 1 ]
	owner_sql "DELETE FROM outbox WHERE aggregateid LIKE :'key' || '-%' AND length(payload::text) > 1000000" "key=$key"
	dev restart eventd
	wait_for 15 user_is_done "$USER_ID"
	wait_for 15 none_of "$key-101"
}
said_refused() { tail -n "+$((LINES_BEFORE + 1))" "$(eventd_log)" | has_said /dev/stdin relay.refused; }

@test "an event that the topic does not take is found among many, and goes once it does" {
	local key=wide-$RANDOM$RANDOM i
	[[ $("$USHER_DEV" pids kafka) && -d ${XDG_CACHE_HOME:-$HOME/.cache}/usher/kafka-4.1.1 ]] || skip "there is no real Kafka here"
	topic_allows 20000
	LINES_BEFORE=$(wc -l <"$(eventd_log)")
	"$USHER_DEV" stop eventd >/dev/null 3>&-
	for i in {1..20}; do outbox_row "$key-$i" 10; done
	outbox_row "$key" 40000
	for i in {21..40}; do outbox_row "$key-$i" 10; done
	"$USHER_DEV" start eventd >/dev/null 3>&-
	others_pass "$key"
	[ "$(sql "SELECT count(*) FROM outbox WHERE aggregateid LIKE :'key' || '-%'" "key=$key")" = 0 ]
	topic_allows_all
	dev restart eventd
	wait_for 15 none_of "$key"
}

#
# What Redis missed
#

# hot_admin: another admin in ADMIN, whose session and page are in Redis
hot_admin() {
	fresh_admin
	as_admin get "/users/$ADMIN_ID"
	wait_for 5 admin_is_cached
}
admin_is_cached() { as_admin has_come 200 GET "/users/$ADMIN_ID" && [[ $(header X-Cache) == HIT ]]; }

# while_redis_is_away CALL...: Redis is stopped, and started again with its old data
while_redis_is_away() {
	redis save >/dev/null
	dev stop redis
	"$@"
	dev start redis
}

@test "a user deleted while Redis was away is soon gone from it: page and session" {
	known_user
	while_redis_is_away delete "/users/$USER_ID"
	expect 204
	wait_for 10 is_marked "user:$USER_ID"
	wait_for 10 is_marked "session:$(claims "$TOKEN" | jq .sid)"
	wait_for 3 session_is_over
}
# a record that is only a version: gone
is_marked() { [[ $(redis exists "$1") == 1 && ! $(redis --raw get "$1" | tail -n +2) ]]; }
session_is_over() { has_come 401 GET "/users/$USER_ID"; }

@test "an admin degraded while Redis was away is soon an admin no more" {
	local id token
	hot_admin
	token=$ADMIN id=$ADMIN_ID
	fresh_admin
	degrade() { as_admin patch "/users/$id" '{"role":"user"}'; }
	while_redis_is_away degrade
	expect 200
	TOKEN=$token wait_for 10 has_come 403 GET /users/
}

@test "a user made inactive while Redis was away is soon nobody" {
	known_user
	fresh_admin
	disable() { as_admin patch "/users/$USER_ID" '{"status":"inactive"}'; }
	while_redis_is_away disable
	expect 200
	wait_for 10 session_is_over
}
