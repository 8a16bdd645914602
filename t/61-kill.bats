#!/usr/bin/env bats
# kill -9 of workers at any moment: their own requests may fail, nothing else, and the pool is whole
# at once. What was acknowledged is there; what nginx sends again takes effect once.

load lib/api
load lib/stack
load lib/fault

setup() { known_user; }
teardown() { mend; }

# kill_one POOL: its first worker; waits for the pool to be whole. Sets TOOK, in ms.
kill_one() {
	local victim n began
	n=$(workers "$1" | wc -l)
	victim=$(workers "$1" | head -n 1)
	kill -KILL "$victim"
	began=$(now_ms)
	wait_for 5 replaced "$1" "$victim" "$n"
	TOOK=$(($(now_ms) - began))
}
replaced() { [[ $(workers "$1" | grep -cvx "$2") == "$3" ]]; }

@test "a worker killed under load: at most its own requests fail, the pool is whole within a second" {
	local failed
	storm 6 reads "/users/$USER_ID"
	keep_asking probe GET "/users/$USER_ID"
	asked_on probe 20
	kill_one read
	((TOOK < 1000))
	asked_on probe 50
	stop_asking
	failed=$(storm_lost reads)
	echo "$failed requests of $(storm_said reads requests) failed, whole after $TOOK ms"
	((failed <= 64))
	(($(asked probe | grep -vc '^200') <= 1))
}

@test "all workers killed together come back, and only what they had in hand is lost" {
	local old failed
	storm 6 reads "/users/$USER_ID"
	keep_asking probe GET "/users/$USER_ID"
	asked_on probe 20
	old=$(workers read)
	# shellcheck disable=SC2086 # words
	kill -KILL $old
	wait_for 1 pool_is_whole read "$(wc -w <<<"$old")"
	asked_on probe 50
	stop_asking
	failed=$(storm_lost reads)
	echo "$failed requests of $(storm_said reads requests) failed"
	((failed <= 64))
}

@test "workers killed again and again while users sign up: each that was told so is there" {
	local told there
	keep_asking logins POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	for _ in {1..5}; do
		asked_on logins 10
		kill_one auth
	done
	asked_on logins 10
	stop_asking
	told=$(asked logins | grep -c '^200')
	there=$(sql 'SELECT login_count FROM users WHERE id = :id' "id=$USER_ID")
	# one more in setup; each that failed may have happened
	((there >= told + 1 && there <= told + 1 + $(asked logins | grep -vc '^200')))
	(($(asked logins | grep -vc '^200') <= 5))
	[ "$(version_of "$USER_ID")" -eq "$(events_of "$USER_ID" | wc -l)" ]
}

@test "a PUT whose worker is killed before it answers takes effect once, and is answered" {
	local etag first
	# It repeats nothing that it sent on a new connection, and keeps one for ten seconds at most.
	dev stop nginx
	dev start nginx
	get "/users/$USER_ID"
	etag=$(header ETag)
	hold_row "$USER_ID"
	(put "/users/$USER_ID" "$(jq -nc --arg e "$EMAIL" '{name: "Once", email: $e}')" -H "If-Match: $etag" &&
		echo "$STATUS $(header ETag)" >"$BATS_TEST_TMPDIR/put") 3>&- &
	CHILDREN+=($!)
	wait_for 2 rows_are_awaited 1
	first=$(who_waits)
	# the statement is with PostgreSQL, which will commit it whether anybody listens or not, unless it
	# has waited for two seconds by then
	# shellcheck disable=SC2046 # words
	kill -KILL $(workers read)
	wait_for 5 another_waits "$first"
	let_row_go
	stop_asking
	[ "$(cat "$BATS_TEST_TMPDIR/put")" = '200 "3"' ]
	[ "$(version_of "$USER_ID")" -eq 3 ]
	[ "$(events_of "$USER_ID" | grep -c user_updated)" -eq 1 ]
}
who_waits() { admin_sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'usher-api' AND wait_event_type = 'Lock'"; }
another_waits() { who_waits | grep -qvx "$1"; }

@test "a worker that hangs holds up its own requests only, and is well again when it goes on" {
	local failed
	freeze "$(workers read | head -n 1)"
	play <<-'PYTHON'
		# the other one takes what comes new
		answered = 0
		for _ in range(40):
		    with Connection(socket_of("read")) as c:
		        try:
		            answered += c.ask("GET", "/healthz", within=0.5).status == 200
		        except TimeoutError:
		            pass
		assert answered == 40, answered
	PYTHON
	for pid in "${FROZEN[@]}"; do thaw "$pid"; done
	FROZEN=()
	storm 2 reads "/users/$USER_ID"
	storm_over
	[ "$(storm_lost reads)" -eq 0 ]
}

@test "a worker's connections to the stores end with it" {
	local before
	before=$(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE usename = 'usher'")
	for _ in {1..5}; do kill_one read; done
	wait_for 5 all_ready
	wait_for 5 no_more_sessions_than "$before"
}
no_more_sessions_than() {
	(($(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE usename = 'usher'") <= $1))
}
