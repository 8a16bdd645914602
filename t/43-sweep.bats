#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Sweeping: rows whose time is over go, all others stay, and nobody waits for it.

load lib/api
load lib/stack
load lib/fault

teardown() {
	if [[ ${HOLDER_PID-} ]]; then let_row_go; fi
}

# counts TO SQL [NAME=VALUE...]: for wait_for
counts() {
	local wanted=$1
	shift
	[[ $(sql "$@") == "$wanted" ]]
}

@test "sessions that ended or expired long ago go; those that live, or ended just now, stay" {
	fresh_user
	login
	sql "INSERT INTO sessions (user_id, refresh_hash, expires_at, ended_at) VALUES
		(:id, sha256('a' || :id::text::bytea), now() - interval '8 days', NULL),
		(:id, sha256('b' || :id::text::bytea), now() + interval '8 days', now() - interval '8 days'),
		(:id, sha256('c' || :id::text::bytea), now() + interval '8 days', now()),
		(:id, sha256('d' || :id::text::bytea), now() - interval '1 day', NULL)" "id=$USER_ID"
	wait_for 20 counts 3 'SELECT count(*) FROM sessions WHERE user_id = :id' "id=$USER_ID"
	get /users/me
	expect 200
}

@test "one-time tokens go a day after their end" {
	fresh_user
	sql "INSERT INTO one_time_tokens (hash, purpose, user_id, address, expires_at)
		SELECT sha256((n || '-' || :id)::bytea), 'reset_password', :id, 'a@b.example', now() - n * interval '13 hours'
		FROM generate_series(1, 4) n" "id=$USER_ID"
	wait_for 20 counts 1 "SELECT count(*) FROM one_time_tokens WHERE user_id = :id AND purpose = 'reset_password'" \
		"id=$USER_ID"
}

@test "processed ids go when Kafka can't bring the event again, many batches of them too" {
	local consumer
	consumer=test-$(some_id)
	sql "INSERT INTO processed_events (consumer, event_id, processed_at)
		SELECT :'c', gen_random_uuid(), now() - (CASE WHEN n > 5000 THEN 29 ELSE 31 END) * interval '1 day'
		FROM generate_series(1, 5003) n" "c=$consumer"
	wait_for 30 counts 3 "SELECT count(*) FROM processed_events WHERE consumer = :'c'" "c=$consumer"
	sql "DELETE FROM processed_events WHERE consumer = :'c'" "c=$consumer"
}

@test "mails go a month after they were over; one that still waits, or was settled only now, stays" {
	local to
	to=$(fresh_address)
	sql "INSERT INTO mail_outbox (event_id, kind, recipient, state, created_at, next_try_at)
		SELECT gen_random_uuid(), 'welcome', :'to', state, now() - interval '40 days', now() - days * interval '1 day'
		FROM (VALUES ('sent', 31), ('kept', 31), ('failed', 31), ('dropped', 31), ('failed', 29), ('waiting', -1)) v(state, days)" "to=$to"
	wait_for 20 counts 'failed waiting' "SELECT string_agg(state, ' ' ORDER BY id) FROM mail_outbox WHERE recipient = :'to'" "to=$to"
	sql "DELETE FROM mail_outbox WHERE recipient = :'to'" "to=$to"
}

@test "a row that somebody holds is passed over, and holds up neither side" {
	fresh_user
	# not due before it is held
	sql "INSERT INTO sessions (user_id, refresh_hash, expires_at) VALUES
		(:id, sha256('a' || :id::text::bytea), now() - interval '7 days' + interval '6 s'),
		(:id, sha256('b' || :id::text::bytea), now() - interval '7 days' + interval '7 s')" "id=$USER_ID"
	coproc HOLDER { exec psql -XqAt "$DATABASE_URL" 3>&- 2>&1; }
	printf "BEGIN;\nSELECT 1 FROM sessions WHERE user_id = %s ORDER BY expires_at FOR UPDATE LIMIT 1;\n" "$USER_ID" \
		>&"${HOLDER[1]}"
	read -rt 5 _ <&"${HOLDER[0]}" || fail "there is nothing to hold any more"
	wait_for 20 counts 1 'SELECT count(*) FROM sessions WHERE user_id = :id' "id=$USER_ID"
	let_row_go
	HOLDER_PID=
	wait_for 20 counts 0 'SELECT count(*) FROM sessions WHERE user_id = :id' "id=$USER_ID"
}
