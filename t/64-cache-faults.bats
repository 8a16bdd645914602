#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The cache under faults: what a crowd costs, and that nothing stale is read and nothing that was
# acknowledged is lost when Redis or PostgreSQL is slow, away, full, restarted or of yesterday.

load lib/api
load lib/stack
load lib/fault

setup() {
	known_user
	KEY=user:$USER_ID
}

teardown() {
	worker_down
	slow_down
	replica_down
	mend
}

behind() { patch "/users/$USER_ID" "$1" -H 'Prefer: respond-async'; }
flushed() { [[ $(redis exists "dirty:$USER_ID") == 0 && ! $(redis zscore dirty_users "$USER_ID") ]]; }
ran() { grep -c "\"stmt\":\"$1\"" "$WORKER_LOG"; }

# slow_up: a worker whose way to Redis can be made slow. slow SECONDS
slow_up() {
	SLOW=$BATS_TEST_TMPDIR/slow
	python3 "$BATS_TEST_DIRNAME/lib/slow.py" "${REDIS_URL#unix://}" "$SLOW.sock" "$SLOW" >"$SLOW.log" 2>&1 3>&- &
	SLOW_PID=$!
	wait_for 10 test -S "$SLOW.sock"
	worker_up REDIS_URL="unix://$SLOW.sock"
}
slow() { echo "$1" >"$SLOW"; }
slow_down() {
	[[ ${SLOW_PID-} ]] || return 0
	kill "$SLOW_PID" 2>/dev/null || true
	wait "$SLOW_PID" 2>/dev/null || true
	SLOW_PID=
}

#
# A crowd
#

# crowd N PATH: so many requests that the worker finds when it wakes up
crowd() {
	play "$WORKER" "$WORKER_PID" "$1" "$2" "$TOKEN" <<-'PYTHON'
		path, pid, n, uri, token = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
		os.kill(pid, signal.SIGSTOP)
		crowd = [Connection(path) for _ in range(n)]
		for c in crowd:
		    c.send(request("GET", uri, token=token))
		os.kill(pid, signal.SIGCONT)
		assert [c.answer().status for c in crowd] == [200] * n
	PYTHON
}

@test "a crowd that asks for a user that is not cached costs one statement a worker" {
	WORKER_BATCH=64 worker_up LOG_SQL=1
	redis del "$KEY" >/dev/null
	crowd 48 "/api/v1/users/$USER_ID"
	[ "$(ran user_load)" -eq 1 ]
	redis del "$KEY" "session:$(claims "$TOKEN" | jq .sid)" >/dev/null
	crowd 48 "/api/v1/users/me"
	[ "$(ran session_load)" -eq 1 ]
	[ "$(ran user_load)" -eq 1 ] # its page came with the session
}

@test "with Redis away a crowd costs two statements a turn, and not two a request" {
	WORKER_BATCH=64 worker_up LOG_SQL=1 REDIS_URL="unix://$BATS_TEST_TMPDIR/no-redis"
	crowd 48 "/api/v1/users/$USER_ID"
	# 8 connections are accepted a turn
	[ $(($(ran user_load) + $(ran session_load))) -le 12 ]
}

#
# Redis is slow
#

@test "a Redis that takes 0.2 s an answer costs a time-out now and then, and nothing stale" {
	local i
	slow_up
	ask GET "/users/$USER_ID"
	[ "$(header X-Cache)" = HIT ]
	slow 0.2
	for i in {1..30}; do
		ask PATCH "/users/$USER_ID" "{\"age\":$i}"
		expect 200 ".age == $i"
		ask GET "/users/$USER_ID"
		expect 200 ".age == $i"
	done
	(($(failed_trips) > 0 && $(failed_trips) < 30)) || fail "$(failed_trips) of 60 requests met it"
	slow 0
	wait_for 5 hits_again
	[ "$(jq .age <<<"$BODY")" = 30 ]
}
failed_trips() {
	METRICS_FILE=$BATS_TEST_TMPDIR/metrics usherctl cache stats | awk '/failed round trips/ { print $1 }'
}
hits_again() { ask GET "/users/$USER_ID" && [[ $(header X-Cache) == HIT ]]; }

@test "a worker that can't reach Redis repairs what it has changed there, by its events" {
	worker_up REDIS_URL="unix://$BATS_TEST_TMPDIR/no-redis"
	ask PATCH "/users/$USER_ID" '{"age":77}'
	expect 200
	local began
	began=$(now_ms)
	wait_for 10 reads_age 77
	echo "# repaired after $(($(now_ms) - began)) ms" >&3
}
reads_age() { get "/users/$USER_ID" && [[ $(jq .age <<<"$BODY") == "$1" ]]; }

#
# Redis comes back as somebody else
#

# snapshot, restore: Redis as it was
snapshot() {
	dev stop redis
	cp -a "$USHER_VAR/redis" "$BATS_TEST_TMPDIR/redis.was"
	dev start redis
}
restore() {
	dev stop redis
	rm -rf "$USHER_VAR/redis"
	cp -a "$BATS_TEST_TMPDIR/redis.was" "$USHER_VAR/redis"
	dev start redis
}

@test "Redis restarted with yesterday's data: no old page, no ended session, no change undone" {
	fresh_admin
	wait_for 5 is_cached
	behind '{"phone":"1"}'
	wait_for 10 flushed
	snapshot
	wait_for 5 is_cached
	[ "$(redis exists "$KEY" "session:$(claims "$TOKEN" | jq .sid)")" = 2 ]
	patch "/users/$USER_ID" '{"age":81,"phone":"2"}'
	expect 200
	local other=$USER_ID other_token=$TOKEN
	known_user
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200
	restore
	TOKEN=$other_token get "/users/$other"
	expect 200 '.age == 81 and .phone == "2"'
	get "/users/$USER_ID"
	expect 401
	TOKEN=$other_token USER_ID=$other behind '{"nickname":"n"}'
	expect 202 '.age == 81'
	USER_ID=$other wait_for 10 flushed
	[ "$(sql 'SELECT age, phone, nickname FROM users WHERE id = :id' "id=$other")" = "81|2|n" ]
}

# replica_up: another Redis, that follows this one until it is cut off. fail_over: it takes its place.
replica_up() {
	local port=$((USHER_PORT + 1015))
	REPLICA=$USHER_RUN/replica.sock
	redis config set bind 127.0.0.1 port "$port" >/dev/null
	redis-server --port 0 --unixsocket "$REPLICA" --unixsocketperm 700 --dir "$BATS_TEST_TMPDIR" --save '' \
		--replicaof 127.0.0.1 "$port" >"$BATS_TEST_TMPDIR/replica.log" 2>&1 3>&- &
	REPLICA_PID=$!
	wait_for 10 replica_has "$KEY"
}
replica_has() { [[ $(redis-cli -s "$REPLICA" exists "$1") == 1 ]]; }
fail_over() {
	kill -9 "$("$USHER_DEV" pids redis)"
	wait_for 10 gone
	mv "$REPLICA" "${REDIS_URL#unix://}"
}
replica_down() {
	[[ ${REPLICA_PID-} ]] || return 0
	kill "$REPLICA_PID" 2>/dev/null || true
	wait "$REPLICA_PID" 2>/dev/null || true
	rm -f "$REPLICA"
	REPLICA_PID=
}

@test "Redis failed over to a replica that lagged: no old page, no ended session" {
	local sid
	wait_for 5 is_cached
	sid=$(claims "$TOKEN" | jq .sid)
	replica_up
	wait_for 10 replica_has "session:$sid"
	redis-cli -s "$REPLICA" replicaof no one >/dev/null # it hears of nothing more
	patch "/users/$USER_ID" '{"age":83}'
	expect 200
	local first=$TOKEN
	login
	TOKEN=$first post /auth/logout ''
	expect 204
	fail_over
	get "/users/$USER_ID"
	expect 200 '.age == 83'
	TOKEN=$first get "/users/$USER_ID"
	expect 401
	behind '{"nickname":"over"}'
	expect 202 '.age == 83 and .nickname == "over"'
	wait_for 10 flushed
}

@test "a change that yesterday's Redis still wants to write is not written again" {
	redis hset "dirty:$USER_ID" age '[1,1,5]' _stamp 1 >/dev/null # will be flushed, then come back
	redis zadd dirty_users 1 "$USER_ID" >/dev/null
	wait_for 10 flushed
	[ "$(sql 'SELECT age, behind FROM users WHERE id = :id' "id=$USER_ID")" = "5|1" ]
	patch "/users/$USER_ID" '{"age":6}'
	redis hset "dirty:$USER_ID" age '[1,1,5]' _stamp 1 >/dev/null
	redis zadd dirty_users 1 "$USER_ID" >/dev/null
	wait_for 10 flushed
	[ "$(sql 'SELECT age FROM users WHERE id = :id' "id=$USER_ID")" = 6 ]
}

@test "what was answered 202 survives kill -9 of worker, daemon and a Redis that always syncs" {
	redis config set appendfsync always >/dev/null
	"$USHER_DEV" pids eventd | xargs kill -STOP # nothing is flushed
	behind '{"age":91}'
	expect 202
	kill -9 "$("$USHER_DEV" pids redis)"
	workers read | xargs kill -9
	"$USHER_DEV" pids eventd | xargs kill -9
	wait_for 10 gone
	dev start
	wait_for 10 has_come 200 GET "/users/$USER_ID"
	wait_for 10 flushed
	[ "$(sql 'SELECT age FROM users WHERE id = :id' "id=$USER_ID")" = 91 ]
	get "/users/$USER_ID"
	expect 200 '.age == 91'
}
gone() { [[ $(redis ping 2>/dev/null) != PONG ]]; }

@test "with Redis full or read-only a change is made at once" {
	redis config set maxmemory 1 >/dev/null
	behind '{"age":92}'
	expect 200 '.age == 92'
	redis config set maxmemory 256mb >/dev/null
	redis config set min-replicas-to-write 1 >/dev/null
	behind '{"age":93}'
	redis config set min-replicas-to-write 0 >/dev/null
	expect 200 '.age == 93'
	behind '{"age":94}'
	expect 202
	wait_for 10 flushed
	[ "$(sql 'SELECT age FROM users WHERE id = :id' "id=$USER_ID")" = 94 ]
}

#
# PostgreSQL is away
#

@test "with PostgreSQL away changes are still written behind, are read, and get there when it is back" {
	dev stop postgres
	behind '{"age":95}'
	expect 202 '.age == 95'
	behind '{"nickname":"n"}'
	expect 202 '.age == 95 and .nickname == "n"'
	get "/users/$USER_ID"
	expect 200 '.age == 95'
	patch "/users/$USER_ID" '{"age":1}'
	is_unavailable
	redis del "$KEY" >/dev/null
	behind '{"phone":"1"}' # nobody knows the user now
	is_unavailable
	dev start postgres
	wait_for 10 flushed
	[ "$(sql 'SELECT age, nickname, phone FROM users WHERE id = :id' "id=$USER_ID")" = "95|n|" ]
}
