#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Refresh tokens: each is used once, twice by mistake, and never again.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
}
teardown() { worker_down; }

renewal() { jq -cn --arg t "$1" '{refresh_token: $t}'; }
# refresh [TOKEN]: and takes what came, where something did.
refresh() {
	TOKEN='' post /auth/refresh "$(renewal "${1-$REFRESH}")"
	[[ $STATUS == 200 ]] || return 0
	TOKEN=$(jq -r .access_token <<<"$BODY")
	REFRESH=$(jq -r .refresh_token <<<"$BODY")
}
refused() { expect 401 '.code == "refresh_invalid"'; }
sid() { claims "$TOKEN" | jq .sid; }
ended() { [[ $(sql 'SELECT ended_at IS NOT NULL FROM sessions WHERE id = :sid' "sid=$1") == t ]]; }
rotated_ago() { sql "UPDATE sessions SET rotated_at = now() - :'ago'::interval WHERE id = :sid" "sid=$(sid)" "ago=$1"; }

@test "a refresh token brings new tokens for the same session" {
	local first=$TOKEN old=$REFRESH session
	session=$(sid)
	refresh
	expect 200 '.token_type == "bearer" and .expires_in == 1800' \
		'keys == ["access_token","expires_in","refresh_token","token_type"]'
	[ "$(header Cache-Control)" = no-store ]
	[ "$(sid)" = "$session" ]
	[[ $REFRESH != "$old" && $TOKEN != "$first" ]]
	get /users/me
	expect 200
	TOKEN=$first get /users/me # the access token before it lives its life
	expect 200
}

@test "a session can be renewed many times, and only hashes of its tokens are kept" {
	local i seen=()
	for ((i = 0; i < 5; i++)); do
		refresh
		expect 200
		seen+=("$REFRESH")
	done
	[ "$(printf '%s\n' "${seen[@]}" | sort -u | wc -l)" -eq 5 ]
	[ "$(sql "SELECT count(*) FROM sessions WHERE user_id = :id" "id=$USER_ID")" = 1 ]
	for i in "${seen[@]}"; do
		[ "$(sql "SELECT count(*) FROM sessions s WHERE s::text LIKE '%' || :'t' || '%'" "t=${i:24}")" = 0 ]
	done
	[ "$(sql "SELECT encode(refresh_hash, 'hex') FROM sessions WHERE id = :sid" "sid=$(sid)")" = \
		"$(printf '%s' "$REFRESH" | sha256sum | cut -d' ' -f1)" ]
}

@test "two tabs: who comes a moment later with the same token gets the current one again" {
	local first=$REFRESH second
	refresh
	second=$REFRESH
	refresh "$first"
	expect 200
	[ "$REFRESH" = "$second" ]
	refresh # and that is good
	expect 200
	get /users/me
	expect 200
}

@test "fifty at once with one token: one new token, the same for all, and nobody is logged out" {
	local first=$REFRESH file=$BATS_TEST_TMPDIR/many
	renewal "$first" >"$file"
	seq 50 | xargs -P 50 -I{} curl -sS -m 30 -H 'Content-Type: application/json' -d "@$file" "$API/auth/refresh" \
		-w '\n' >"$BATS_TEST_TMPDIR/answers"
	[ "$(jq -r .refresh_token "$BATS_TEST_TMPDIR/answers" | grep -c .)" -eq 50 ]
	[ "$(jq -r .refresh_token "$BATS_TEST_TMPDIR/answers" | sort -u | wc -l)" -eq 1 ]
	[ "$(jq -r .access_token "$BATS_TEST_TMPDIR/answers" | sort -u | wc -l)" -eq 50 ]
	REFRESH=$(jq -r .refresh_token "$BATS_TEST_TMPDIR/answers" | head -n 1)
	[ "$REFRESH" != "$first" ]
	refresh
	expect 200
	[ "$(sql "SELECT count(*) FROM events WHERE user_id = :id AND event_type = 'user_session_reused'" "id=$USER_ID")" = 0 ]
}

@test "a predecessor that comes too late ends the session" {
	local first=$REFRESH
	refresh
	rotated_ago '5 seconds'
	refresh "$first"
	expect 200
	rotated_ago '11 seconds'
	refresh "$first"
	refused
	get /users/me
	expect 401
}

@test "a stolen old token ends the whole session, at once and for both sides, with an event" {
	local session stolen=$REFRESH thief
	session=$(sid)
	get /users/me # its copy is in Redis
	refresh "$stolen"
	thief=$REFRESH
	refresh
	refresh "$stolen" # two steps behind, however quick
	refused
	[ "$(header WWW-Authenticate)" = Bearer ]
	get /users/me
	expect 401 '.code == "token_invalid"'
	refresh
	refused
	refresh "$thief"
	refused
	ended "$session"
	[ "$(events_of "$USER_ID" | tail -n 1)" = user_session_reused ] # no version: the user is what it was
	[ "$(sql "SELECT data FROM events WHERE user_id = :id AND event_type = 'user_session_reused'" "id=$USER_ID")" = \
		"{\"session_id\": $session}" ]
	login # another session is another family
	get /users/me
	expect 200
}

@test "the user is told by mail that a session was ended for reuse" {
	local old=$REFRESH
	refresh
	refresh
	refresh "$old"
	refused
	wait_for 30 mail_waits session_reused
}
mail_waits() { [[ $(sql "SELECT count(*) FROM mail_outbox WHERE user_id = :id AND kind = :'kind'" "id=$USER_ID" "kind=$1") == 1 ]]; }

@test "the other sessions of the user live on" {
	local old=$REFRESH other
	login
	other=$TOKEN
	refresh "$old"
	refresh
	refresh "$old"
	refused
	TOKEN=$other get /users/me
	expect 200
}

@test "what is no refresh token of ours is refused, and ends nothing" {
	local bad
	for bad in x "${REFRESH}A" "${REFRESH%?}" "$(tr A-Za-z N-ZA-Mn-za-m <<<"$REFRESH")" "$TOKEN" "${REFRESH/[a-z]/.}" \
		"$(printf 'A%.0s' {1..67})" "${REFRESH:0:24}"; do
		TOKEN='' post /auth/refresh "$(renewal "$bad")"
		refused
	done
	refresh
	expect 200
}

@test "who knows the family and not the token has seen one: the session ends" {
	local session
	session=$(sid)
	TOKEN='' post /auth/refresh "$(renewal "${REFRESH:0:24}$(printf 'A%.0s' {1..43})")"
	refused
	ended "$session"
}

@test "a body that is wrong is named, and a token is never said back" {
	TOKEN='' post /auth/refresh '{}'
	faulty body.refresh_token
	TOKEN='' post /auth/refresh '{"refresh_token":7}'
	faulty body.refresh_token
	TOKEN='' post /auth/refresh "$(renewal "$REFRESH" | jq -c '.more = 1')"
	faulty body.more
	[[ $BODY != *"$REFRESH"* ]]
	refresh
	expect 200
	run ! log_has "$REFRESH"
}

@test "a session that is not used expires, one that is used does not" {
	sql "UPDATE sessions SET expires_at = now() + interval '1 minute' WHERE id = :sid" "sid=$(sid)"
	refresh
	expect 200
	[ "$(sql "SELECT expires_at > now() + interval '29 days' FROM sessions WHERE id = :sid" "sid=$(sid)")" = t ]
	sql "UPDATE sessions SET expires_at = now() WHERE id = :sid" "sid=$(sid)"
	refresh
	refused
}

@test "an inactive user gets no new tokens, and a deleted one neither" {
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200
	refresh
	refused
	as_admin delete "/users/$USER_ID"
	expect 204
	refresh
	refused
}

@test "a change of role is in the session of the next access token too" {
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	refresh
	get /users/
	expect 200
}

@test "without Redis a refresh works, and reuse ends the session all the same" {
	local first=$REFRESH
	worker_up REDIS_URL="unix://$BATS_TEST_TMPDIR/nobody.sock"
	TOKEN='' ask POST /auth/refresh "$(renewal "$REFRESH")"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY")
	get /users/me # of a worker that has Redis: the session's copy is there
	expect 200
	TOKEN='' ask POST /auth/refresh "$(jq -c '{refresh_token}' <<<"$BODY")"
	sql "UPDATE sessions SET rotated_at = now() - interval '1 minute' WHERE id = :sid" "sid=$(sid)"
	TOKEN='' ask POST /auth/refresh "$(renewal "$first")"
	refused
	ended "$(sid)"
	ask GET /users/me
	expect 401
}
