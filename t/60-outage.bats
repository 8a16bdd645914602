#!/usr/bin/env bats
# Stores that are away, late or empty: what still works, what is said of the rest, and that all
# comes back by itself. No worker is restarted for it.

load lib/api
load lib/stack
load lib/fault

setup() {
	known_user
	WORKERS="$(workers read) $(workers auth)"
}

teardown() { mend; }

# same_workers: nobody died, nobody was restarted
same_workers() { [[ "$(workers read) $(workers auth)" == "$WORKERS" ]]; }

#
# PostgreSQL
#

@test "without PostgreSQL cached reads are answered, all else is 503 and never 404 or email_taken" {
	local page=$BODY other=$USER_ID other_token=$TOKEN
	known_user
	redis del "user:$USER_ID" >/dev/null
	dev stop postgres

	TOKEN=$other_token get "/users/$other"
	expect 200 ".id == $other"
	[ "$BODY" = "$page" ]
	[ "$(header X-Cache)" = HIT ]
	TOKEN=$other_token get /users/me
	expect 200 ".id == $other"
	TOKEN=$other_token get "/users/$other" -H "If-None-Match: $(header ETag)"
	[ "$STATUS" = 304 ]

	get "/users/$USER_ID"
	is_unavailable
	patch "/users/$USER_ID" '{"name":"Lee"}'
	is_unavailable
	put "/users/$USER_ID" "$(jq -nc --arg e "$EMAIL" '{name: "Lee", email: $e}')"
	is_unavailable
	delete "/users/$USER_ID"
	is_unavailable
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	is_unavailable
	post /auth/login "$(sign_in_as "nobody-$EMAIL" "$PASSWORD")"
	is_unavailable
	post /users/ "$(sign_up_as "$EMAIL")"
	is_unavailable
	post /users/ "$(sign_up_as "$(fresh_address)")"
	is_unavailable
	post /users/ '{"name":""}'
	expect 422
	get "$BASE_URL/healthz"
	expect 200
	get "$BASE_URL/readyz"
	[ "$STATUS" = 503 ]
	[ "$(jq -r .checks.postgresql,.checks.redis <<<"$BODY" | tr '\n' ' ')" = "unavailable ok " ]
	[ "$(header Retry-After)" -gt 0 ]

	dev start postgres
	wait_for 5 has_come 200 PATCH "/users/$USER_ID" -H 'Content-Type: application/json' -d '{"name":"Lee"}'
	same_workers
}

@test "a session that only PostgreSQL knows is neither good nor bad while it is away" {
	redis --raw keys 'session:*' | xargs -r redis-cli -s "${REDIS_URL#unix://}" del >/dev/null
	dev stop postgres
	get "/users/$USER_ID"
	is_unavailable
	delete "/users/$USER_ID"
	is_unavailable
}

@test "an answer of 503 is quick while PostgreSQL is away" {
	dev stop postgres
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"Lee"}'
	asked_on changes 100
	stop_asking
	run -1 grep -v '^503' < <(asked changes)
	awk '{ n++; sum += $2 } $2 > 1 { slow++ } END { exit !(slow == 0 && sum < n * 0.1) }' < <(asked changes)
}

@test "PostgreSQL restarted under load: errors stop by themselves" {
	local before before_logins
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	keep_asking logins POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	storm 8 reads "/users/$USER_ID"
	asked_on changes 20
	dev restart postgres
	wait_for 3 has_come 200 PATCH "/users/$USER_ID" -H 'Content-Type: application/json' -d '{"name":"B"}'
	wait_for 5 all_ready
	before=$(asked changes | wc -l)
	before_logins=$(asked logins | wc -l)
	asked_on changes 50
	asked_on logins 20
	stop_asking
	run -1 grep -v '^200' < <(asked changes | tail -n "+$((before + 2))")
	run -1 grep -v '^200' < <(asked logins | tail -n "+$((before_logins + 2))")
	run -1 grep -vE '^(200|503)' < <(asked changes; asked logins)
	[ "$(storm_lost reads)" -eq 0 ]
	same_workers
}

@test "PostgreSQL killed under load loses no change that was acknowledged" {
	local done count
	storm 5 sign_ups /users/ "$SIGN_UPS"
	keep_asking logins POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	kill -QUIT "$("$USHER_DEV" pids postgres)" # at once, without a checkpoint
	wait_for 5 is_gone postgres
	dev start postgres
	wait_for 5 has_come 200 POST /auth/login -H 'Content-Type: application/json' -d "$(sign_in_as "$EMAIL" "$PASSWORD")"
	stop_asking
	done=$(asked logins | grep -c '^200')
	# those, the first one and the one that was just waited for, and at most those of unknown outcome
	count=$(sql 'SELECT login_count FROM users WHERE id = :id' "id=$USER_ID")
	((count >= done + 2 && count <= done + 2 + $(asked logins | grep -vc '^200')))
	[ "$(version_of "$USER_ID")" -eq "$(events_of "$USER_ID" | wc -l)" ]
	same_workers
}
is_gone() { ! "$1_answers"; }
postgres_answers() { pg_isready -q -h "$USHER_RUN/pg"; }

@test "connections that PostgreSQL ends while they are idle are noticed before the next use" {
	wait_for 5 all_ready
	for _ in {1..5}; do
		admin_sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'usher'" >/dev/null
		patch "/users/$USER_ID" "{\"name\":\"N$RANDOM\"}"
		expect 200
		delete "/users/$((USER_ID + 100000))"
		expect 403
		redis del "user:$USER_ID" >/dev/null
		get "/users/$USER_ID"
		expect 200
	done
	same_workers
}

@test "PostgreSQL that hangs costs a bounded time, and a cached read waits for no more than that" {
	local pid began
	for pid in $(pgrep -P "$("$USHER_DEV" pids postgres)") $("$USHER_DEV" pids postgres); do freeze "$pid"; done
	began=$(now_ms)
	patch "/users/$USER_ID" '{"name":"Lee"}'
	is_unavailable
	(($(now_ms) - began < 14000))
	began=$(now_ms)
	get "/users/$USER_ID"
	expect 200
	(($(now_ms) - began < 4000))
	for pid in "${FROZEN[@]}"; do thaw "$pid"; done
	wait_for 10 has_come 200 PATCH "/users/$USER_ID" -H 'Content-Type: application/json' -d '{"name":"Kim"}'
	same_workers
}

@test "a row that somebody else holds is 503 in time, and leaves the other workers alone" {
	local began
	hold_row "$USER_ID"
	began=$(now_ms)
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 503 '.code == "busy"'
	(($(now_ms) - began < 4000))
	began=$(now_ms)
	delete "/users/$USER_ID"
	expect 503 '.code == "busy"'
	(($(now_ms) - began < 4000)) # lock_timeout once, and not once a try
	let_row_go
	delete "/users/$USER_ID"
	expect 204
}

@test "a worker that starts without PostgreSQL answers from the cache, and finds it when it comes" {
	local page=$BODY
	dev stop postgres
	dev restart api
	get "/users/$USER_ID"
	expect 200
	[ "$BODY" = "$page" ]
	patch "/users/$USER_ID" '{"name":"Lee"}'
	is_unavailable
	WORKERS="$(workers read) $(workers auth)"
	dev start postgres
	wait_for 5 has_come 200 PATCH "/users/$USER_ID" -H 'Content-Type: application/json' -d '{"name":"Lee"}'
	login
	same_workers
}

#
# Redis
#

@test "without Redis everything works" {
	dev stop redis
	get "/users/$USER_ID"
	expect 200
	[ "$(header X-Cache)" = MISS ]
	get /users/me
	expect 200
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 200 '.name == "Lee"'
	get "/users/$USER_ID"
	expect 200 '.name == "Lee"'
	fresh_admin
	as_admin get "/users/$USER_ID"
	expect 200
	as_admin get /users/
	expect 200
	fresh_user
	login
	get "/users/$USER_ID"
	expect 200
	TOKEN="$TOKEN"x get "/users/$USER_ID"
	expect 401
	get "$BASE_URL/readyz"
	expect 200 '.status == "degraded"' '.checks.redis == "unavailable"'
	delete "/users/$USER_ID"
	expect 204
	get "/users/$USER_ID"
	expect 401 # its session went with it

	dev start redis
	wait_for 3 has_come 200 GET "$BASE_URL/readyz"
	known_user
	same_workers
}

@test "Redis restarted under load: no request fails" {
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	storm 6 reads "/users/$USER_ID"
	asked_on changes 20
	dev restart redis
	asked_on changes 20
	stop_asking
	[ "$(storm_lost reads)" -eq 0 ]
	[ "$(storm_said reads requests)" -gt 100 ]
	run -1 grep -v '^200' < <(asked changes)
	wait_for 3 is_cached
	same_workers
}

@test "Redis restarted empty: sessions go on, and the cache fills again" {
	dev stop redis
	find "$USHER_VAR/redis" -mindepth 1 ! -name redis.conf -delete
	dev start redis
	[ "$(redis exists "user:$USER_ID" "session:$(claims "$TOKEN" | jq -r .sid)")" -eq 0 ] # the daemon may have put its own
	get "/users/$USER_ID"
	expect 200
	wait_for 3 is_cached
	[ "$(redis exists "user:$USER_ID")" -eq 1 ]
	same_workers
}

@test "Redis that hangs costs a time-out now and then, and not one a request" {
	local began slowest
	freeze "$("$USHER_DEV" pids redis)"
	keep_asking reads GET "/users/$USER_ID"
	asked_on reads 100
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 200
	stop_asking
	run -1 grep -v '^200' < <(asked reads)
	slowest=$(asked reads | sort -k2 -n | tail -n 1 | cut -d' ' -f2)
	awk -v s="$slowest" 'BEGIN { exit !(s < 0.6) }'
	# a connect and a read of 0.1 s each; most requests meet neither
	(($(asked reads | awk '$2 > 0.09' | wc -l) * 4 < $(asked reads | wc -l)))
	thaw "$("$USHER_DEV" pids redis)"
	wait_for 5 is_cached
	same_workers
	if ! "$USHER_DEV" pids eventd | grep -q .; then skip "only the daemon repairs what Redis missed meanwhile"; fi
	wait_for 10 has_name Lee
}
has_name() { has_come 200 GET "/users/$USER_ID" && [[ $(jq -r .name <<<"$BODY") == "$1" ]]; }

@test "Redis that lost its script is given it again" {
	redis script flush >/dev/null
	redis del "user:$USER_ID" >/dev/null
	wait_for 3 is_cached # by a reader
	redis script flush >/dev/null
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 200
	get "/users/$USER_ID"
	expect 200 '.name == "Lee"'
	[ "$(header X-Cache)" = HIT ] # by the writer
}

@test "a Redis that is full or read-only is a cache that does not grow" {
	redis config set maxmemory 1 >/dev/null
	get "/users/$USER_ID"
	expect 200
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 200
	fresh_user
	login
	get "/users/$USER_ID"
	expect 200
	redis config set maxmemory 256mb >/dev/null
	wait_for 3 is_cached
	same_workers
}

@test "what lies in Redis and is nothing of ours is a miss" {
	local junk
	for junk in 'set K x' 'set K {}' 'set K 1' 'lpush K a' 'hset K a b' 'set K ' 'sadd K 1'; do
		redis del "user:$USER_ID" >/dev/null
		# shellcheck disable=SC2086 # words
		redis ${junk/K/user:$USER_ID} >/dev/null || true
		get "/users/$USER_ID"
		expect 200 ".id == $USER_ID"
	done
	redis del "user:$USER_ID" >/dev/null
	same_workers
}

@test "both stores away: 503, and back again" {
	dev stop redis postgres
	get "/users/$USER_ID"
	is_unavailable
	post /users/ "$(sign_up_as "$EMAIL")"
	is_unavailable
	get "$BASE_URL/healthz"
	expect 200
	dev start redis postgres
	wait_for 5 is_cached
	same_workers
}

@test "Kafka away: nobody notices" {
	if ! "$USHER_DEV" pids kafka | grep -q .; then skip "there is no Kafka here"; fi
	dev stop kafka
	fresh_user
	login
	patch "/users/$USER_ID" '{"name":"Lee"}'
	expect 200
	[ "$(sql "SELECT count(*) FROM outbox WHERE aggregateid = :'id'" "id=$USER_ID")" -eq 3 ]
	same_workers

	# nobody but who asks the probe
	wait_for 10 kafka_is unavailable
	[ "$(jq -r .status <<<"$BODY")" = degraded ]
	dev start kafka
	wait_for 10 kafka_is ok
	[ "$(jq -r .status <<<"$BODY")" = ready ]
}
kafka_is() { has_come 200 GET "$BASE_URL/readyz" && [[ $(jq -r .checks.kafka <<<"$BODY") == "$1" ]]; }
