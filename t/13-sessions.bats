#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Sessions: their user sees them and ends them, and an ended one opens nothing any more. (What
# outages do to that: 63-sessions.bats.)

load lib/api
load lib/stack
load lib/fault

setup() {
	fresh_user
	login
}
teardown() { worker_down; }

sid() { claims "${1-$TOKEN}" | jq .sid; }
# over TOKEN, alive TOKEN: as every worker has it
over() {
	TOKEN=$1 every_worker 401
	TOKEN=$1 get /users/me
	expect 401 '.code == "token_invalid"'
}
alive() { TOKEN=$1 every_worker 200; }
logouts() { sql "SELECT data FROM events WHERE user_id = :id AND event_type = 'user_logout' ORDER BY position" "id=$USER_ID"; }

@test "a user sees its sessions: device, address, times, and which is this one" {
	local first=$TOKEN
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" \
		-A 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0'
	expect 200
	TOKEN=$first get /auth/sessions
	expect 200 'length == 2' 'map(.current) | sort == [false, true]' 'all(.ip == "127.0.0.1")' \
		'map(select(.current | not))[0].device == "Edge on Windows"' \
		'map(select(.current))[0].device == "curl"' \
		'all(.created_at <= .last_used_at and .last_used_at < .expires_at)' \
		'all(.created_at | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z$"))' \
		'all(keys == ["created_at","current","device","expires_at","id","ip","last_used_at","user_agent"])'
	[ "$(jq '.[] | select(.current).id' <<<"$BODY")" = "$(sid "$first")" ]
	[ "$(header Cache-Control)" = no-store ]
	get /auth/sessions/
	expect 200
}

@test "a refresh is a use of the session" {
	local before
	get /auth/sessions
	before=$(jq -r '.[0].last_used_at' <<<"$BODY")
	TOKEN='' post /auth/refresh "{\"refresh_token\":\"$REFRESH\"}"
	expect 200
	get /auth/sessions
	[[ $(jq -r '.[0].last_used_at' <<<"$BODY") > $before ]]
}

@test "a logout ends this session for good: its access token and its refresh token" {
	local other
	alive "$TOKEN"
	other=$(TOKEN='' && login && echo "$TOKEN")
	post /auth/logout ''
	expect 204
	over "$TOKEN"
	post /auth/refresh "{\"refresh_token\":\"$REFRESH\"}"
	expect 401 '.code == "refresh_invalid"'
	alive "$other"
	[ "$(logouts | jq -c .)" = "{\"scope\":\"this\",\"sessions\":[$(sid)]}" ]
	[ "$(events_of "$USER_ID" | tail -n 1)" = user_logout ] # of no version
	post /auth/logout ''
	expect 401
}

@test "a logout of the others, and of all" {
	local first=$TOKEN second third
	login && second=$TOKEN
	login && third=$TOKEN
	alive "$first" && alive "$second" && alive "$third"
	TOKEN=$second post '/auth/logout?scope=others' ''
	expect 204
	over "$first" && over "$third" && alive "$second"
	TOKEN=$second post '/auth/logout?scope=others' '' # there are none
	expect 204
	[ "$(logouts | wc -l)" -eq 1 ]
	login && third=$TOKEN
	post '/auth/logout?scope=all' ''
	expect 204
	over "$second" && over "$third"
	login
	post '/auth/logout?scope=some' ''
	faulty query.scope
	alive "$TOKEN"
}

@test "a user ends one of its sessions, and nobody else's" {
	local mine=$TOKEN other stranger
	login && other=$TOKEN
	alive "$other"
	(
		fresh_user
		login
		echo "$TOKEN"
	) >"$BATS_TEST_TMPDIR/stranger"
	stranger=$(<"$BATS_TEST_TMPDIR/stranger")
	TOKEN=$mine delete "/auth/sessions/$(sid "$stranger")"
	expect 404 '.code == "session_not_found"'
	alive "$stranger"
	TOKEN=$mine delete /auth/sessions/9223372036854775807
	expect 404 '.code == "session_not_found"'
	TOKEN=$mine delete /auth/sessions/x
	faulty path.id
	TOKEN=$mine delete "/auth/sessions/$(sid "$other")"
	expect 204
	over "$other"
	TOKEN=$mine delete "/auth/sessions/$(sid "$other")" # over is over
	expect 204
	[ "$(logouts | wc -l)" -eq 1 ]
	TOKEN=$mine delete "/auth/sessions/$(sid "$mine")"
	expect 204
	over "$mine"
}

@test "a DELETE of one's own session that nginx sends twice is answered twice" {
	worker_up
	ask DELETE "/auth/sessions/$(sid)" '' USHER_REQUEST_ID=0123456789abcdef
	expect 204
	ask DELETE "/auth/sessions/$(sid)" '' USHER_REQUEST_ID=0123456789abcdef
	expect 204
	ask DELETE "/auth/sessions/$(sid)" '' USHER_REQUEST_ID=fedcba9876543210
	expect 401
	[ "$(logouts | wc -l)" -eq 1 ]
}

@test "sessions are their user's: without a token there is 401" {
	local path
	for path in /auth/sessions /auth/sessions/1; do
		TOKEN='' get "$path"
		[[ $STATUS == 401 || $STATUS == 405 ]]
	done
	TOKEN='' post /auth/logout ''
	expect 401
	TOKEN='' delete /auth/sessions/1
	expect 401
}

@test "a logout while another request with that token is under way: that one ends as it began" {
	worker_up # it waits two seconds for a row, and nobody else for it
	ask GET /users/me
	expect 200
	hold_row "$USER_ID"
	(
		ask PATCH "/users/$USER_ID" '{"name":"Lee"}'
		echo "$STATUS"
	) >"$BATS_TEST_TMPDIR/patched" 3>&- &
	wait_for 5 rows_are_awaited 1
	post /auth/logout ''
	expect 204
	get /users/me
	expect 401
	let_row_go
	wait_for 10 grep -q . "$BATS_TEST_TMPDIR/patched"
	[ "$(<"$BATS_TEST_TMPDIR/patched")" = 200 ]
	over "$TOKEN"
}
