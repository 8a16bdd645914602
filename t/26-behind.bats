#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Write-behind: a PATCH that Redis takes first. Every read sees it at once, PostgreSQL has it soon,
# in order with all other changes, once, whoever is killed.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	KEY=user:$USER_ID DIRTY=dirty:$USER_ID
	get "/users/$USER_ID"
}

teardown() {
	worker_down
	flusher_down
}

# behind BODY [CURL OPTION...]: a PATCH that need not wait.
behind() {
	local body=$1
	shift
	patch "/users/$USER_ID" "$body" -H 'Prefer: respond-async' "$@"
}

# flushed: has nothing of the user to wait any more?
flushed() { [[ $(redis exists "$DIRTY") == 0 && ! $(redis zscore dirty_users "$USER_ID") ]]; }

# pause_flush: no flusher is at work until go_on, so that what waits can be looked at. We queue for
# the right to flush, and get it when the daemon's connection is gone.
pause_flush() {
	coproc HOLDER { exec psql -XqAt "$DATABASE_URL" 3>&- 2>&1; }
	printf 'SELECT pg_advisory_lock(7305, 809);\n' >&"${HOLDER[1]}"
	wait_for 5 we_queue
	admin_sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usher-flush'" >/dev/null
	read -rt 5 _ <&"${HOLDER[0]}"
}
we_queue() {
	[[ $(admin_sql "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND objid = 809 AND application_name = 'psql'") == 1 ]]
}
go_on() {
	[[ ${HOLDER_PID-} ]] || return 0
	printf '\\q\n' >&"${HOLDER[1]}"
	wait "$HOLDER_PID" || true
	HOLDER_PID=
}
flusher_down() { if [[ ${HOLDER_PID-} ]]; then kill "$HOLDER_PID" 2>/dev/null || true; fi; }

@test "a change written behind is answered 202, seen at once, and soon in PostgreSQL with its event" {
	behind '{"age":41,"nickname":"길동"}'
	expect 202 '.age == 41' '.nickname == "길동"'
	[ "$(header Preference-Applied)" = respond-async ]
	[ "$(header ETag)" = '"2.1"' ]
	get "/users/$USER_ID"
	expect 200 '.age == 41'
	wait_for 5 flushed
	[ "$(sql 'SELECT age, nickname, version, behind FROM users WHERE id = :id' "id=$USER_ID")" = "41|길동|3|1" ]
	[ "$(events_of "$USER_ID")" = "1 user_created"$'\n'"2 user_login"$'\n'"3 user_updated" ]
	[ "$(sql 'SELECT data FROM events WHERE user_id = :id AND version = 3' "id=$USER_ID")" = '{"age": 41, "nickname": "길동"}' ]
	[ "$(sql "SELECT data FROM user_activities WHERE user_id = :id AND activity_type = 'user_updated'" "id=$USER_ID" | jq -c '.fields | sort')" = '["age","nickname"]' ]

	get "/users/$USER_ID"
	expect 200 '.age == 41'
	[ "$(header ETag)" = '"3"' ]
	[ "$(header X-Cache)" = HIT ]
}

@test "changes that come together become one change, one version, one event" {
	pause_flush
	behind '{"age":1}'
	expect 202
	behind '{"age":2,"phone":"1234"}'
	expect 202
	behind '{"age":3}'
	expect 202 '.age == 3 and .phone == "1234"'
	[ "$(header ETag)" = '"2.3"' ]
	[ "$(redis zcard dirty_users)" -ge 1 ]
	[ "$(redis get "$KEY")" = "2.3"$'\n'"$BODY" ]
	[ "$(version_of "$USER_ID")" = 2 ]
	go_on
	wait_for 10 flushed
	[ "$(sql 'SELECT age, phone, version, behind FROM users WHERE id = :id' "id=$USER_ID")" = "3|1234|3|3" ]
	[ "$(events_of "$USER_ID" | tail -n 1)" = "3 user_updated" ]
	behind '{"age":4}'
	[ "$(header ETag)" = '"3.1"' ]
	[ "$(redis get "$KEY" | head -n 1)" = 3.1+3 ]
}

@test "a read sees what waits, whatever became of the page" {
	pause_flush
	behind '{"age":51}'
	expect 202
	redis del "$KEY" >/dev/null
	get "/users/$USER_ID"
	expect 200 '.age == 51'
	[ "$(header X-Cache)" = MISS ]
	[ "$(header ETag)" = '"2.1"' ]
	get /users/me
	expect 200 '.age == 51'
	redis set "$KEY" "2"$'\n?' >/dev/null
	get "/users/$USER_ID"
	expect 200 '.age == 51'
	# its session and its page lost together
	redis del "$KEY" "session:$(claims "$TOKEN" | jq .sid)" >/dev/null
	get /users/me
	expect 200 '.age == 51'
	[ "$(header ETag)" = '"2.1"' ]
	fresh_admin
	as_admin get "/users/?limit=1000&skip=$(($(sql 'SELECT count(*) FROM users WHERE id < :id' "id=$USER_ID")))"
	expect 200 ".[0].id == $USER_ID and .[0].age == 51"
	# whoever changes the user and knows nothing of it
	login
	get "/users/$USER_ID"
	expect 200 '.age == 51 and .login_count == 2'
	[ "$(header ETag)" = '"3.1"' ]
	behind '{"nickname":"n"}' # on a page that Redis does not have
	redis del "$KEY" >/dev/null
	behind '{"phone":"5"}'
	expect 202 '.age == 51 and .nickname == "n" and .phone == "5"'
	[ "$(header ETag)" = '"3.3"' ]
}

@test "a synchronous change takes along what waits, its own values over it" {
	pause_flush
	behind '{"age":61,"nickname":"a"}'
	expect 202
	patch "/users/$USER_ID" '{"nickname":"b"}'
	expect 200 '.age == 61 and .nickname == "b"'
	[ "$(header ETag)" = '"3"' ]
	flushed
	[ "$(sql 'SELECT data FROM events WHERE user_id = :id AND version = 3' "id=$USER_ID")" = '{"age": 61, "nickname": "b"}' ]
	[ "$(redis get "$KEY")" = "3+1"$'\n'"$BODY" ]
	behind '{"age":62}'
	put "/users/$USER_ID" "$(jq -nc --arg e "$EMAIL" '{name: "Lee", email: $e, phone: "9"}')"
	expect 200 '.age == null and .phone == "9" and .name == "Lee"'
	flushed
	go_on
	[ "$(version_of "$USER_ID")" = 4 ]
}

@test "what was changed and changed back is a change all the same, and no state comes twice" {
	pause_flush
	behind '{"age":70}'
	behind '{"age":null}'
	[ "$(header ETag)" = '"2.2"' ]
	go_on
	wait_for 10 flushed
	get "/users/$USER_ID"
	expect 200 '.age == null'
	[ "$(header ETag)" = '"3"' ]
	[ "$(events_of "$USER_ID" | tail -n 1)" = "3 user_updated" ]
}

@test "If-Match knows what waits, and is judged at once" {
	pause_flush
	behind '{"age":1}'
	patch "/users/$USER_ID" '{"age":2}' -H 'If-Match: "2"'
	expect 412
	behind '{"age":2}' -H 'If-Match: "2"'
	expect 412
	behind '{"age":3}' -H 'If-Match: "2.1"'
	expect 200 '.age == 3'
	[ "$(header ETag)" = '"3"' ]
	[ -z "$(header Preference-Applied)" ]
	[ "$(redis exists "hold:$USER_ID")" = 0 ]
	behind '{"age":4}'
	get "/users/$USER_ID" -H 'If-None-Match: "3"'
	expect 200 '.age == 4'
	get "/users/$USER_ID" -H 'If-None-Match: "3.1"'
	[ "$STATUS" = 304 ]
	delete "/users/$USER_ID" -H 'If-Match: "3"'
	expect 412
	delete "/users/$USER_ID" -H 'If-Match: "3.1"'
	expect 204
	flushed
}

@test "nothing is written behind while somebody holds the user for a state" {
	redis set "hold:$USER_ID" x EX 10 >/dev/null
	behind '{"age":5}'
	expect 200 '.age == 5'
}

@test "what needs a look into the database is made at once" {
	behind "$(jq -nc --arg e "x$EMAIL" '{email: $e, age: 5}')"
	expect 200 '.age == 5'
	fresh_admin
	as_admin behind '{"status":"active"}'
	expect 200
	behind '{"role":"admin"}'
	expect 403
	behind '{"age":999}'
	expect 422
	behind '{}'
	expect 422
	patch "/users/$USER_ID" '{"age":6}' -H 'Prefer: return=minimal, Respond-Async; x=1'
	expect 202
	patch "/users/$USER_ID" '{"age":7}' -H 'Prefer: respond-asynchronously'
	expect 200
	put "/users/$USER_ID" "$(jq -nc --arg e "$EMAIL" '{name: "Lee", email: $e}')" -H 'Prefer: respond-async'
	expect 200
}

@test "more than may wait is made at once" {
	worker_up FLUSH_BACKLOG=0
	ask PATCH "/users/$USER_ID" '{"age":8}' HTTP_PREFER=respond-async
	expect 200 '.age == 8'
	worker_down
	pause_flush
	behind '{"age":9}'
	expect 202
	worker_up FLUSH_BACKLOG=1
	ask PATCH "/users/$USER_ID" '{"age":10}' HTTP_PREFER=respond-async
	expect 202 # it waits already
	local first=$USER_ID
	fresh_user
	login
	ask PATCH "/users/$USER_ID" '{"age":11}' HTTP_PREFER=respond-async
	expect 200
	[ "$(redis exists "dirty:$first")" = 1 ]
}

@test "a user that is deleted takes along what waited for it, and a flush that comes late drops it" {
	behind '{"age":12}'
	pause_flush
	behind '{"age":13}'
	delete "/users/$USER_ID"
	expect 204
	flushed
	go_on
	# as if the deletion had not reached Redis; once more, should the role cache have heard of it just then
	comes_late() {
		redis hset "$DIRTY" age '[9,9999999999999,14]' _stamp 9 >/dev/null
		redis zadd dirty_users 1 "$USER_ID" >/dev/null
		wait_for 10 flushed
		grep -q "\"event\":\"behind.dropped\",\"user\":$USER_ID" "$USHER_VAR/log/eventd.log"
	}
	wait_for 5 comes_late
	fresh_admin
	as_admin get "/users/$USER_ID"
	expect 404
}

@test "a flush that was killed after its commit is not done twice" {
	behind '{"age":15}'
	wait_for 10 flushed
	patch "/users/$USER_ID" '{"age":16}'
	# what Redis would still hold
	redis hset "$DIRTY" age '[1,9999999999999,15]' _stamp 1 >/dev/null
	redis zadd dirty_users 1 "$USER_ID" >/dev/null
	wait_for 10 flushed
	[ "$(sql 'SELECT age, version FROM users WHERE id = :id' "id=$USER_ID")" = "16|4" ]
	get "/users/$USER_ID"
	expect 200 '.age == 16'
}

@test "a change made while Redis was away is not undone by what was written behind before" {
	pause_flush
	behind '{"age":17,"nickname":"kept"}'
	expect 202
	worker_up REDIS_URL="unix://$BATS_TEST_TMPDIR/no-redis"
	ask PATCH "/users/$USER_ID" '{"age":18}' HTTP_PREFER=respond-async
	expect 200 '.age == 18'
	redis set "$KEY" "2"$'\n?' >/dev/null # as the cache role would
	get "/users/$USER_ID"
	expect 200 '.age == 18 and .nickname == "kept"'
	behind '{"phone":"1"}'
	expect 202 '.age == 18 and .phone == "1"'
	go_on
	wait_for 10 flushed
	[ "$(sql 'SELECT age, nickname, phone FROM users WHERE id = :id' "id=$USER_ID")" = "18|kept|1" ]
}

# many N: curl's orders for so many changes, every third synchronous
many() {
	local i
	for ((i = 1; i <= $1; i++)); do
		((i == 1)) || echo next
		printf '%s\n' "url = $API/users/$USER_ID" 'request = PATCH' 'output = /dev/null' \
			"header = \"Authorization: Bearer $TOKEN\"" 'header = "Content-Type: application/json"' \
			'write-out = "%{http_code}\n"'
		if ((i % 3)); then echo 'header = "Prefer: respond-async"'; fi
		if ((i % 2)); then echo "data = {\"age\":$i}"; else echo "data = {\"nickname\":\"n$i\"}"; fi
	done
}

@test "a hundred changes of one user at once: none is lost, none twice" {
	many 100 >"$BATS_TEST_TMPDIR/many"
	curl -sS -Z --parallel-max 16 -K "$BATS_TEST_TMPDIR/many" >"$BATS_TEST_TMPDIR/said" 2>/dev/null
	[ "$(grep -c '^20[02]$' "$BATS_TEST_TMPDIR/said")" = 100 ]
	get "/users/$USER_ID"
	local seen=$BODY
	wait_for 10 flushed
	get "/users/$USER_ID"
	[ "$(jq -c '[.age,.nickname]' <<<"$BODY")" = "$(jq -c '[.age,.nickname]' <<<"$seen")" ]
	[ "$(sql 'SELECT age, nickname FROM users WHERE id = :id' "id=$USER_ID")" = "$(jq -r '[.age,.nickname]|join("|")' <<<"$seen")" ]
	[ "$(sql 'SELECT count(*), max(version) FROM events WHERE user_id = :id' "id=$USER_ID")" = "$(version_of "$USER_ID")|$(version_of "$USER_ID")" ]
	# each one that was written behind counted once
	[ "$(sql 'SELECT behind FROM users WHERE id = :id' "id=$USER_ID")" = "$(grep -c '^202$' "$BATS_TEST_TMPDIR/said")" ]
}
