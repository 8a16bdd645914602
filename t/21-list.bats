#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The list of users: bounded, in order, for admins.

load lib/api
load lib/stack

setup() {
	fresh_admin
	TOKEN=$ADMIN
}

# before ID: how many users stand before it
before() { sql 'SELECT count(*) FROM users WHERE id < :id' "id=$1"; }

# fresh_three: FIRST and the two after it
fresh_three() {
	fresh_user
	FIRST=$USER_ID
	fresh_user
	fresh_user
	export FIRST
}

@test "the list is a plain array of whole users, oldest first" {
	fresh_three
	get "/users/?skip=$(before "$FIRST")&limit=3"
	expect 200 'type == "array" and length == 3 and .[0].id == ($ENV.FIRST | tonumber)' \
		'map(.id) == (map(.id) | sort)' '.[2].email == $ENV.EMAIL' 'all(has("password") or has("password_hash") | not)' \
		'.[0] | keys | length == 11'
	get "/users?skip=$(before "$FIRST")&limit=3"
	expect 200 'length == 3'
}

@test "the list agrees with each user's own page" {
	local page
	fresh_user
	get "/users/$USER_ID"
	page=$(jq -S . <<<"$BODY")
	get "/users/?skip=$(before "$USER_ID")&limit=1"
	expect 200
	[ "$(jq -S '.[0]' <<<"$BODY")" = "$page" ]
}

@test "skip and limit cut out the same pieces every time" {
	local from one two three
	fresh_three
	from=$(before "$FIRST")
	get "/users/?skip=$from&limit=1"
	one=$(jq '.[].id' <<<"$BODY")
	get "/users/?skip=$((from + 1))&limit=1"
	two=$(jq '.[].id' <<<"$BODY")
	get "/users/?limit=1&skip=$((from + 2))"
	three=$(jq '.[].id' <<<"$BODY")
	get "/users/?skip=$from&limit=3"
	[ "$(jq '.[].id' <<<"$BODY" | xargs)" = "$one $two $three" ]
}

@test "a limit is 1 to 1000, 100 where none is given" {
	local bad
	owner_sql "INSERT INTO users (name, email, password_hash) SELECT 'Crowd', 'crowd' || n || '-' || :'r' || '@example.com', 'x'
		FROM generate_series(1, 1001) n" "r=$(some_id)"
	get /users/
	expect 200 'length == 100'
	get '/users/?limit=1000'
	expect 200 'length == 1000'
	get '/users/?limit=1'
	expect 200 'length == 1'
	for bad in 0 1001 -1 1e3 abc '' 1.0 +1 %201 0x10 01 9223372036854775808 99999999999999999999999 ١; do
		get "/users/?limit=$bad"
		faulty query.limit
	done
	owner_sql "DELETE FROM users WHERE name = 'Crowd'"
}

@test "a skip is not negative, and beyond the end there is nothing" {
	local bad
	get '/users/?skip=1000000000'
	expect 200 '. == []'
	for bad in -1 1e3 abc '' 9223372036854775807 9223372036854775808; do
		get "/users/?skip=$bad"
		faulty query.skip
	done
}

@test "only users of one status, if that is asked for" {
	local bad
	fresh_user
	patch "/users/$USER_ID" '{"status":"inactive"}'
	get "/users/?status=inactive&limit=1000"
	expect 200 'length > 0 and all(.status == "inactive")' 'any(.id == ($ENV.USER_ID | tonumber))'
	get "/users/?status=active&limit=1000"
	expect 200 'length > 0 and all(.status == "active")'
	for bad in '' deleted ACTIVE 'active%20' "active'--" 'active%00' active,inactive; do
		get "/users/?status=$bad"
		faulty query.status
	done
}

@test "every bad parameter is named at once, and unknown ones too" {
	get '/users/?limit=0&skip=-1&status=x&hat=1&&foo'
	faulty query.limit query.skip query.status query.hat query.foo
	fault query.hat '.type == "extra_forbidden" and (.msg | test("parameter"))'
	get '/users/?limit=5&page=2' -H 'Accept-Language: ko'
	faulty query.page
	fault query.page '.msg == "허용되지 않는 매개변수입니다"'
	get "/users/$ADMIN_ID?fields=all"
	faulty query.fields
	get '/users/me?x'
	faulty query.x
}

@test "a parameter given twice is refused" {
	get '/users/?limit=1&limit=1'
	faulty query.limit
	fault query.limit '.type == "repeated"'
}

@test "a parameter may be percent-encoded, and what is no text is refused" {
	get '/users/?%6cimit=%31'
	expect 200 'length == 1'
	get '/users/?status=%ff'
	faulty query.status
	get '/users/?%ff=1'
	expect 422
	get '/users/?%00=1'
	expect 422
	get '/users/?limit=1%zz'
	faulty query.limit
	get '/users/?limit=1&'
	expect 200 'length == 1'
	get '/users/?'
	expect 200
}

@test "HEAD of the list has its length and no body" {
	head_of '/users/?limit=1'
	expect 200
	[ "$(header Content-Length)" -gt 100 ]
}

@test "a list in the thousands arrives whole" {
	owner_sql "INSERT INTO users (name, email, password_hash, nickname) SELECT repeat('가', 100), repeat('x', 60) || n || '-' || :'r'
		|| '@example.com', 'x', repeat('나', 50) FROM generate_series(1, 1000) n" "r=$(some_id)"
	get "/users/?limit=1000&skip=$(before "$(sql "SELECT min(id) FROM users WHERE nickname = repeat('나', 50)")")"
	owner_sql "DELETE FROM users WHERE nickname = repeat('나', 50)"
	expect 200 'length == 1000' 'all(.nickname == "나" * 50)'
}
