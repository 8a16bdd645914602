#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153 # each test is a subshell
# The end of a session is felt by the next request on any worker, whatever became of Redis meanwhile.

load lib/api
load lib/stack
load lib/fault

setup() {
	fresh_user
	login
}
teardown() {
	worker_down
	redis replicaof no one >/dev/null || true
	mend
	redis config set min-replicas-to-write 0 >/dev/null
	redis acl setuser default +@all >/dev/null
}

sid() { claims "$TOKEN" | jq .sid; }
# over TOKEN, alive TOKEN: as every worker has it
over() { TOKEN=$1 every_worker 401; }
alive() {
	TOKEN=$1 every_worker 200
	wait_for 10 is_copied "$1"
}
# is_copied TOKEN: Redis has its session (a worker that has found Redis slow leaves it alone for a while).
is_copied() { TOKEN=$1 get /users/me && [[ $(redis get "session:$(claims "$1" | jq .sid)") == *active* ]]; }

@test "a logout while Redis is away holds when Redis comes back with its old copies" {
	local other round
	dev stop eventd # which would tell Redis, too, a moment later
	for round in 1 2; do
		login && other=$TOKEN
		login
		alive "$TOKEN" && alive "$other"
		dev stop redis
		post /auth/logout ''
		expect 204
		dev start redis
		# its append-only file has kept the copy of the living session
		[[ $(redis get "session:$(sid)") == *active* ]] || fail "round $round: there is no old copy"
		over "$TOKEN"
		alive "$other"
	done
}

@test "a worker to which Redis was never missing feels it as well" {
	worker_up # nobody asks it anything while Redis is away
	ask GET /users/me
	expect 200
	dev stop redis
	post /auth/logout ''
	expect 204
	dev start redis
	ask GET /users/me
	expect 401
}

@test "a worker that can't see that Redis is back ends a session for all" {
	# it was told so by a refused connection a moment ago, and would rather leave Redis alone
	alive "$TOKEN"
	dev stop redis
	worker_up
	ask GET /users/me && expect 200
	ask GET /users/me && expect 200
	dev start redis
	alive "$TOKEN" # the others have found it
	ask POST /auth/logout
	expect 204
	over "$TOKEN"
}

@test "the end of a session that Redis lost with its last second is not lost" {
	alive "$TOKEN"
	cp -r "$USHER_VAR/redis" "$BATS_TEST_TMPDIR/redis"
	post /auth/logout ''
	expect 204
	over "$TOKEN"
	dev stop redis
	cp -r "$BATS_TEST_TMPDIR/redis/." "$USHER_VAR/redis/" # as a crash would leave it
	dev start redis
	[[ $(redis get "session:$(sid)") == *active* ]] || fail "there is no old copy"
	over "$TOKEN"
}

@test "a Redis that is too full to be told is no way back in" {
	alive "$TOKEN"
	redis config set maxmemory 1 >/dev/null
	post /auth/logout ''
	expect 204
	over "$TOKEN"
	redis config set maxmemory 256mb >/dev/null
	over "$TOKEN"
}

@test "a Redis that can't be told at all, as one that became a replica, is no way back in" {
	alive "$TOKEN"
	redis replicaof 127.0.0.1 1 >/dev/null # whose master is nobody
	post /auth/logout ''
	expect 204
	[[ $(redis get "session:$(sid)") == *active* ]] || fail "there is no old copy"
	over "$TOKEN"
	redis replicaof no one >/dev/null
	over "$TOKEN"
}

@test "a Redis that can be read and takes no write is no way back in, on any worker" {
	worker_up # with a connection to Redis that nothing ends by itself
	ask GET /users/me && expect 200
	alive "$TOKEN"
	redis config set min-replicas-to-write 1 >/dev/null
	post /auth/logout ''
	expect 204
	ask GET /users/me && expect 401
	over "$TOKEN"
	[[ $(redis get "session:$(sid)") == *active* ]] || fail "there is no old copy"
	redis config set min-replicas-to-write 0 >/dev/null # the daemon may now mend it, too
	ask GET /users/me && expect 401
	over "$TOKEN"
}

@test "where usher may not end its clients' connections either, a second or two pass" {
	worker_up
	ask GET /users/me && expect 200
	redis acl setuser default '-client|kill' >/dev/null
	redis config set min-replicas-to-write 1 >/dev/null
	post /auth/logout ''
	expect 204
	wait_for 5 worker_says 401
	wait_for 5 over "$TOKEN" 2>/dev/null
}
worker_says() { ask GET /users/me && [[ $STATUS == "$1" ]]; }

@test "a role that was taken away while Redis was away is gone when Redis is back" {
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	get /users/
	expect 200
	dev stop redis
	as_admin patch "/users/$USER_ID" '{"role":"user"}'
	expect 200
	dev start redis
	get /users/
	expect 403
	as_admin get /users/
	expect 200
}
