#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The cache: it may help and may not hurt. Redis is looked at directly, since what lies there is
# part of the contract.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	KEY=user:$USER_ID
}

teardown() { worker_down; }

@test "the first read is a miss, the next a hit, and they are the same byte for byte" {
	local body
	redis del "$KEY"
	get "/users/$USER_ID"
	expect 200
	[ "$(header X-Cache)" = MISS ]
	body=$BODY
	get "/users/$USER_ID"
	expect 200
	[ "$(header X-Cache)" = HIT ]
	[ "$BODY" = "$body" ]
	[ "$(header ETag)" = '"2"' ]
	[ "$(header Content-Type)" = application/json ]
}

@test "a cached user is its version and the very body" {
	get "/users/$USER_ID"
	[ "$(redis get "$KEY")" = "2"$'\n'"$BODY" ]
	[[ $(redis get "$KEY") != *'$2'* && $(redis get "$KEY") != *password* ]]
}

@test "records end after an hour, give or take a tenth, and not all together" {
	local i ttl all=()
	for i in 1 2 3 4 5 6 7 8; do
		redis del "$KEY" >/dev/null
		get "/users/$USER_ID"
		ttl=$(redis ttl "$KEY")
		((ttl >= 3235 && ttl <= 3960))
		all+=("$ttl")
	done
	[ "$(printf '%s\n' "${all[@]}" | sort -u | wc -l)" -gt 3 ]
}

@test "a change is in the cache before it is answered" {
	get "/users/$USER_ID"
	patch "/users/$USER_ID" '{"age":33}'
	[ "$(redis get "$KEY")" = "3"$'\n'"$BODY" ]
	get "/users/$USER_ID"
	expect 200 '.age == 33'
	[ "$(header X-Cache)" = HIT ]
	login
	[ "$(redis get "$KEY" | head -n 1)" = 4 ]
	get "/users/$USER_ID"
	expect 200 '.login_count == 2'
}

@test "a sign-up is in the cache before it is answered" {
	EMAIL=$(fresh_address)
	post /users/ "$(sign_up_as "$EMAIL")"
	[ "$(redis get "user:$(jq .id <<<"$BODY")")" = "1"$'\n'"$BODY" ]
}

@test "with the strategy invalidate a change marks the record, and the next read brings it" {
	worker_up CACHE_WRITE_STRATEGY=invalidate
	get "/users/$USER_ID"
	ask PATCH "/users/$USER_ID" '{"age":34}'
	expect 200 '.age == 34'
	[[ $(redis get "$KEY") != *'{'* ]]
	get "/users/$USER_ID"
	expect 200 '.age == 34'
	[ "$(header X-Cache)" = MISS ]
	get "/users/$USER_ID"
	expect 200 '.age == 34'
	[ "$(header X-Cache)" = HIT ]
}

@test "an older user never replaces a newer one" {
	redis set "$KEY" "999"$'\n{"from":"the future"}'
	patch "/users/$USER_ID" '{"age":35}'
	expect 200 '.age == 35'
	[ "$(redis get "$KEY" | head -n 1)" = 999 ]
}

@test "a reader that comes late with an old user does not bring it back" {
	# what a change leaves is newer than what the reader, here made to seem late, takes from PostgreSQL
	redis set "$KEY" "3"$'\n?'
	get "/users/$USER_ID"
	expect 200
	[ "$(header X-Cache)" = MISS ]
	[ "$(redis get "$KEY" | head -n 1)" = 3 ]
}

@test "a deleted user leaves a tombstone for half a minute, and is not found there" {
	fresh_admin
	get "/users/$USER_ID"
	delete "/users/$USER_ID"
	expect 204
	[ "$(redis get "$KEY")" = 3 ]
	[ "$(redis ttl "$KEY")" -gt 25 ]
	[ "$(redis ttl "$KEY")" -le 30 ]
	as_admin get "/users/$USER_ID"
	expect 404
	# nor is it brought back where the tombstone is lost
	redis del "$KEY"
	as_admin get "/users/$USER_ID"
	expect 404
}

@test "that there is no such user is remembered briefly, and forgotten when there is one" {
	local next
	fresh_admin
	next=$(($(owner_sql "SELECT last_value FROM pg_sequences WHERE sequencename = 'users_id_seq'") + 1))
	as_admin get "/users/$next"
	expect 404
	[ "$(redis exists "user:$next")" = 1 ]
	[ "$(redis ttl "user:$next")" -le 30 ]
	as_admin get "/users/$next"
	expect 404
	fresh_user
	[ "$USER_ID" = "$next" ]
	as_admin get "/users/$next"
	expect 200 '.email == $ENV.EMAIL'
}

@test "numbers that can't be anybody's are not remembered" {
	fresh_admin
	as_admin get /users/00012
	expect 422
	as_admin get /users/-5
	[ "$(redis exists user:00012 user:-5 user:0)" = 0 ]
}

@test "a record that is garbage is a miss" {
	local junk
	for junk in x '' 2 '{}' "x"$'\n{"id":1}' "-1"$'\n{"id":1}' "2"$'\n{"id":1' "2"$'\nnull' "99999999999999999999999999"$'\n{}' "2 "$'\n{}'; do
		redis set "$KEY" "$junk"
		get "/users/$USER_ID"
		[ "$STATUS" = 200 ] || came "expected a miss for the record: $junk"
		expect 200 '.email == $ENV.EMAIL'
		[ "$(header X-Cache)" = MISS ]
	done
	redis del "$KEY"
	redis rpush "$KEY" "a list"
	get "/users/$USER_ID"
	expect 200 '.email == $ENV.EMAIL'
	patch "/users/$USER_ID" '{"age":3}'
	expect 200 '.age == 3'
	get "/users/$USER_ID"
	expect 200 '.age == 3'
}

@test "with Redis emptied all goes on" {
	redis flushall
	get "/users/$USER_ID"
	expect 200
	redis flushall
	patch "/users/$USER_ID" '{"age":36}'
	expect 200
	redis script flush
	redis flushall
	login
	get /users/me
	expect 200 '.age == 36'
	get /users/me
	[ "$(header X-Cache)" = HIT ]
}

@test "with Redis away all goes on, from PostgreSQL" {
	worker_up REDIS_URL="unix://$BATS_TEST_TMPDIR/no-redis"
	ask GET "/users/$USER_ID"
	expect 200 '.email == $ENV.EMAIL'
	[ "$(header X-Cache)" = MISS ]
	ask PATCH "/users/$USER_ID" '{"age":37}'
	expect 200 '.age == 37'
	ask GET /users/me
	expect 200 '.age == 37'
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	ask POST /users/ "$(sign_up_as "$(fresh_address)")"
	expect 201
	ask DELETE "/users/$USER_ID"
	expect 204
	ask GET "/users/$USER_ID"
	expect 401
}

@test "with PostgreSQL away what is cached is still answered, and the rest is 503" {
	get "/users/$USER_ID"
	fresh_admin
	as_admin get "/users/$USER_ID"
	worker_up DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR"
	ask GET "/users/$USER_ID"
	expect 200 '.email == $ENV.EMAIL'
	[ "$(header X-Cache)" = HIT ]
	TOKEN=$ADMIN ask GET "/users/$USER_ID"
	expect 200
	TOKEN=$ADMIN ask GET /users/4611686018427387905
	expect 503 '.code == "unavailable"'
	ask PATCH "/users/$USER_ID" '{"age":1}'
	expect 503
	ask DELETE "/users/$USER_ID"
	expect 503
	TOKEN=$ADMIN ask GET /users/
	expect 503
	redis del "session:$(claims "$TOKEN" | jq .sid)"
	ask GET "/users/$USER_ID"
	expect 503 # not 401: nobody knows
}

@test "the operator can drop what is cached, and no session with it" {
	get "/users/$USER_ID"
	[ "$(redis exists "$KEY")" = 1 ]
	run -0 usherctl cache flush
	[[ $output =~ ^[1-9][0-9]*\ cached ]]
	[ "$(redis get "$KEY")" = "$(($(version_of "$USER_ID") - 1))"$'\n?' ] # older pages are refused
	[ "$(redis exists "session:$(claims "$TOKEN" | jq .sid)")" = 1 ]
	get "/users/$USER_ID"
	expect 200
	[ "$(header X-Cache)" = MISS ]
	get "/users/$USER_ID"
	[ "$(header X-Cache)" = HIT ]
}
