#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Ten wrong passwords lock an account for a while, and nobody who tries can tell.

load lib/api
load lib/stack

setup() {
	fresh_user
	worker_up RATE_LOGIN_ACCOUNT=0 RATE_LOGIN_IP=0
}
teardown() { worker_down; }

# try PASSWORD: to log in with it
try() { ask POST /auth/login "$(sign_in_as "$EMAIL" "$1")"; }

# wrong N: so many wrong passwords
wrong() {
	local i
	for ((i = 0; i < $1; i++)); do try "wrong $i"; done
}

# lock_is_over: fifteen minutes pass (by the owner's hand)
lock_is_over() { owner_sql "UPDATE login_failures SET locked_until = now() - interval '1 second' WHERE user_id = :id" "id=$USER_ID"; }

# reasons: of the user's failed logins, as the events tell them, oldest first
reasons() { sql "SELECT data->>'reason' FROM events WHERE user_id = :id AND event_type = 'user_login_failed' ORDER BY position" "id=$USER_ID"; }

# same_but_for_ids: STATUS, head and body of the answer, less what differs by nature
same_but_for_ids() { grep -viE '^x-request-id:' <<<"$HEAD"; jq -S 'del(.request_id)' <<<"$BODY"; }

@test "nine wrong passwords are forgiven with the right one, the tenth locks" {
	wrong 9
	try "$PASSWORD"
	expect 200
	wrong 9
	expect 401
	try "$PASSWORD"
	expect 200
	wrong 10
	try "$PASSWORD"
	expect 401 '.code == "bad_credentials"'
}

@test "the answer at a locked account is that of a wrong password, to the letter" {
	local usual
	try wrong
	usual=$(same_but_for_ids)
	wrong 9
	[ "$(same_but_for_ids)" = "$usual" ] || came "expected the tenth to look like the first"
	try "$PASSWORD"
	[ "$(same_but_for_ids)" = "$usual" ] || came "expected the right one to look wrong"
	try wrong
	[ "$(same_but_for_ids)" = "$usual" ]
}

@test "log and events tell a locked account from a wrong password" {
	wrong 10
	try "$PASSWORD"
	try wrong
	[ "$(reasons | uniq -c | xargs)" = "10 password 2 locked" ]
	wait_for 5 grep -q '"reason":"locked"' "$WORKER_LOG"
	[ "$(grep -c '"event":"account.locked"' "$WORKER_LOG")" = 1 ]
	grep '"event":"account.locked"' "$WORKER_LOG" | grep -q "\"user\":$USER_ID,"
}

@test "wrong passwords make no new version of the user" {
	wrong 10
	[ "$(version_of "$USER_ID")" = 1 ]
	[ "$(sql 'SELECT count(*) FROM events WHERE user_id = :id AND version IS NOT NULL' "id=$USER_ID")" = 1 ]
}

@test "a lock ends with its time, and to try meanwhile makes it no longer" {
	local until
	wrong 10
	until=$(sql 'SELECT locked_until FROM login_failures WHERE user_id = :id' "id=$USER_ID")
	[ "$(sql "SELECT locked_until - now() BETWEEN '14 min' AND '15 min' FROM login_failures WHERE user_id = :id" "id=$USER_ID")" = t ]
	wrong 3
	[ "$(sql 'SELECT locked_until FROM login_failures WHERE user_id = :id' "id=$USER_ID")" = "$until" ]
	lock_is_over
	try "$PASSWORD"
	expect 200
	[ -z "$(sql 'SELECT 1 FROM login_failures WHERE user_id = :id' "id=$USER_ID")" ]
}

@test "after a lock there are ten tries again" {
	wrong 10
	lock_is_over
	wrong 9
	[ "$(sql 'SELECT failed, locked_until FROM login_failures WHERE user_id = :id' "id=$USER_ID")" = "9|" ]
	try wrong
	try "$PASSWORD"
	expect 401
}

@test "the operator unlocks, by address or number" {
	wrong 10
	run -0 usherctl user unlock "${EMAIL^^}"
	[[ $output == "user $USER_ID is unlocked" ]]
	try "$PASSWORD"
	expect 200
	wrong 10
	run -0 usherctl user unlock "$USER_ID"
	run -0 usherctl user unlock "$USER_ID"
	[[ $output == *"was not locked" ]]
	try "$PASSWORD"
	expect 200
	run -1 usherctl user unlock "$(fresh_address)"
	run -2 usherctl user unlock
}

@test "an admin unlocks by saying that the user is active; another change unlocks nothing" {
	fresh_admin
	wrong 10
	as_admin patch "/users/$USER_ID" '{"nickname":"x"}'
	expect 200
	try "$PASSWORD"
	expect 401
	as_admin patch "/users/$USER_ID" '{"status":"active"}'
	expect 200
	try "$PASSWORD"
	expect 200
}

@test "who is logged in stays so while others guess" {
	login
	wrong 10
	get /users/me
	expect 200
}

@test "a locked account is deleted like any other, and an unknown one is never locked" {
	login
	wrong 10
	delete "/users/$USER_ID"
	expect 204
	wrong 2
	expect 401
	[ -z "$(sql 'SELECT 1 FROM login_failures WHERE user_id = :id' "id=$USER_ID")" ]
}

@test "wrong passwords at the same moment are each counted, and only ten" {
	local i pids=()
	for i in {1..14}; do
		(ask POST /auth/login "$(sign_in_as "$EMAIL" "wrong $i")") &
		pids+=($!)
		# and of the pool, whose workers are others
		(curl -s -o /dev/null -H 'Content-Type: application/json' -d "$(sign_in_as "$EMAIL" "wrong $i")" "$API/auth/login") &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(sql 'SELECT failed, locked_until > now() FROM login_failures WHERE user_id = :id' "id=$USER_ID")" = "10|t" ]
	[ "$(reasons | grep -c password)" -ge 10 ]
	try "$PASSWORD"
	expect 401
}

@test "known, unknown, inactive and locked cost the same statements" {
	local counts=()
	worker_down
	worker_up RATE_LOGIN_ACCOUNT=0 RATE_LOGIN_IP=0 LOG_SQL=1 SLOW_MS=0
	# the look at the epoch of sessions, once a second, is of no request
	so_far() { grep '"event":"db' "$WORKER_LOG" | grep -vc session_present_epoch || true; }
	statements() {
		local before
		before=$(so_far)
		ask POST /auth/login "$(sign_in_as "$1" "$2")"
		expect 401
		wait_for 5 grep -q "$(header X-Request-Id).*request.done\|request.done.*$(header X-Request-Id)" "$WORKER_LOG"
		counts+=($(($(so_far) - before)))
	}
	statements "$EMAIL" wrong # the first of all connects
	counts=()
	statements "$EMAIL" wrong
	statements "nobody-$EMAIL" wrong
	wrong 8
	ask GET /auth/login # what was logged of these is written by now
	statements "$EMAIL" wrong
	statements "$EMAIL" "$PASSWORD"
	fresh_user
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	statements "$EMAIL" "$PASSWORD"
	statements "$EMAIL" wrong
	[ "${counts[*]}" = "2 2 2 2 2 2" ] || fail "${counts[*]}"
}
