#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# What users say of themselves, in a second database that may be away while the first is there.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
}

teardown() { worker_down; }

profile_sql() {
	DATABASE=$PROFILE_DATABASE_URL sql_at "$@"
}

# stored TYPE: how many events of it the user has, in the event store
stored() { sql "SELECT count(*) FROM events WHERE user_id = :u AND event_type = :'t'" "u=$USER_ID" "t=$1"; }
is_stored() { [[ $(stored "$1") == "$2" ]]; }
is_gone() { [[ $(profile_sql 'SELECT count(*) FROM profiles WHERE user_id = :u' "u=$1") == 0 ]]; }
waits() { [[ $(profile_sql 'SELECT count(*) FROM profile_outbox WHERE user_id = :u' "u=$USER_ID") == "$1" ]]; }

WHOLE='{"bio":"등산을\n좋아합니다","avatar_url":"https://example.com/a.png?x=1","locale":"ko-KR","timezone":"Asia/Seoul","links":["https://example.com","http://example.org/~a"]}'

@test "there is none until it is put; then it is read as it was put" {
	get "/users/$USER_ID/profile"
	expect 404 '.code == "profile_not_found"'
	put "/users/$USER_ID/profile" "$WHOLE"
	export WHOLE
	expect 200 'del(.user_id, .updated_at) == ($ENV.WHOLE | fromjson)' '.user_id == ($ENV.USER_ID | tonumber)' \
		'.updated_at | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z$")'
	PUT=$BODY
	export PUT
	get "/users/$USER_ID/profile"
	expect 200 '. == ($ENV.PUT | fromjson)'
	put "/users/$USER_ID/profile/" '{"bio":" x "}'
	expect 200 '.bio == "x" and .avatar_url == null and .locale == null and .timezone == null and .links == []'
	put "/users/$USER_ID/profile" '{}'
	expect 200 '.bio == null'
}

@test "each change is an event, once, and what changes nothing is none" {
	local version
	version=$(version_of "$USER_ID")
	put "/users/$USER_ID/profile" '{"bio":"one"}'
	expect 200
	put "/users/$USER_ID/profile" '{"bio":"one"}'
	expect 200
	put "/users/$USER_ID/profile" '{"bio":"two","links":["https://example.com"]}'
	expect 200
	wait_for 20 is_stored profile_updated 1
	[ "$(stored profile_created)" = 1 ]
	wait_for 20 waits 0
	run -0 sql "SELECT data - 'x' || jsonb_build_object('version', version) FROM events WHERE user_id = :u AND event_type = 'profile_updated'" "u=$USER_ID"
	jq -e '. == {bio: "two", avatar_url: null, locale: null, timezone: null, links: ["https://example.com"], version: null}' <<<"$output"
	[ "$(version_of "$USER_ID")" = "$version" ]
}

@test "every bad field is named at once" {
	put "/users/$USER_ID/profile" '{"bio":5,"avatar_url":"javascript:alert(1)","locale":"ko_KR","timezone":"Seoul time","links":["https://x","ftp://x"],"x":1}'
	faulty body.bio body.avatar_url body.locale body.timezone body.links.1 body.x
	put "/users/$USER_ID/profile" "{\"bio\":\"$(printf 'a%.0s' {1..1001})\",\"links\":$(jq -cn '[range(11) | "https://example.com/\(.)"]')}"
	faulty body.bio body.links
	put "/users/$USER_ID/profile" '{"bio":"\u0007","links":"https://example.com"}'
	faulty body.bio body.links
	for url in http:// https://?x 'https://a b' 'https://a/<script>' "https://example.com/$(printf 'a%.0s' {1..500})"; do
		put "/users/$USER_ID/profile" "$(jq -cn --arg u "$url" '{avatar_url: $u}')"
		faulty body.avatar_url
	done
	put "/users/$USER_ID/profile" '['
	expect 400
	TYPE=text/plain put "/users/$USER_ID/profile" '{}'
	expect 415
}

@test "it is its user's and the admins'" {
	local other=$USER_ID
	fresh_user
	login
	get "/users/$other/profile"
	expect 403
	put "/users/$other/profile" '{}'
	expect 403
	TOKEN='' get "/users/$other/profile"
	expect 401
	fresh_admin
	TOKEN=$ADMIN
	put "/users/$other/profile" '{"bio":"by an admin"}'
	expect 200
	get "/users/$other/profile"
	expect 200 '.bio == "by an admin"'
	get /users/9007199254740991/profile
	expect 404 '.code == "user_not_found"'
	put /users/9007199254740991/profile '{}'
	expect 404 '.code == "user_not_found"'
	delete "/users/$other/profile"
	expect 405
	[ "$(header Allow)" = 'PUT, GET, HEAD, OPTIONS' ]
}

@test "it goes with its user" {
	put "/users/$USER_ID/profile" '{"bio":"x"}'
	expect 200
	delete "/users/$USER_ID"
	expect 204
	wait_for 20 is_gone "$USER_ID"
	fresh_admin
	as_admin get "/users/$USER_ID/profile"
	expect 404 '.code == "user_not_found"'
}

@test "an event that could not be carried over at once comes later, and only once" {
	local id
	put "/users/$USER_ID/profile" '{"bio":"x"}'
	wait_for 20 waits 0
	# as if the worker had died after the second database's commit; and again after the first's
	id=$(profile_sql "INSERT INTO profile_outbox (event_id, event_type, user_id, data)
		VALUES (gen_random_uuid(), 'profile_updated', :u, '{\"bio\": \"y\"}') RETURNING event_id" "u=$USER_ID")
	wait_for 20 is_stored profile_updated 1
	wait_for 20 waits 0
	profile_sql "INSERT INTO profile_outbox (event_id, event_type, user_id, data) VALUES (:'id', 'profile_updated', :u, '{}')" "id=$id" "u=$USER_ID"
	wait_for 20 waits 0
	[ "$(stored profile_updated)" = 1 ]
}

@test "a profile put while its user was going leaves nothing behind" {
	local gone=$USER_ID
	fresh_user
	TOKEN='' owner_sql 'DELETE FROM users WHERE id = :u' "u=$gone"
	wait_for 20 removal_done "$gone"
	# what a slow worker writes after that
	profile_sql "INSERT INTO profiles (user_id, bio) VALUES (:u, 'late'); INSERT INTO profile_outbox (event_id, event_type, user_id, data)
		VALUES (gen_random_uuid(), 'profile_created', :u, '{}')" "u=$gone"
	wait_for 20 is_gone "$gone"
	USER_ID=$gone waits 0
	[ "$(USER_ID=$gone stored profile_created)" = 0 ]
}
removal_done() { [[ $(sql 'SELECT count(*) FROM profile_removals WHERE user_id = :u' "u=$1") == 0 ]]; }

@test "with the second database away all else works, and a deletion is carried over later" {
	worker_up "PROFILE_DATABASE_URL=postgresql://nobody@/nowhere?host=$BATS_TEST_TMPDIR"
	ask GET "/users/$USER_ID"
	[ "$STATUS" = 200 ]
	ask GET "/users/$USER_ID/profile"
	[ "$STATUS" = 503 ]
	jq -e '.code == "unavailable"' <<<"$BODY"
	ask PUT "/users/$USER_ID/profile" '{}'
	[ "$STATUS" = 503 ]
	worker_down
	profile_sql "INSERT INTO profiles (user_id, bio) VALUES (:u, 'x')" "u=$USER_ID"
	worker_up "PROFILE_DATABASE_URL=postgresql://nobody@/nowhere?host=$BATS_TEST_TMPDIR"
	ask DELETE "/users/$USER_ID"
	[ "$STATUS" = 204 ]
	wait_for 20 is_gone "$USER_ID"
}

@test "a worker connects to the second database only when it is needed" {
	worker_up "DATABASE_URL=$DATABASE_URL"
	ask GET "/users/$USER_ID"
	[ "$STATUS" = 200 ]
	[ "$(connections "$WORKER_PID")" = 1 ]
	ask GET "/users/$USER_ID/profile"
	[ "$STATUS" = 404 ]
	[ "$(connections "$WORKER_PID")" = 2 ]
}
# connections PID: how many of PostgreSQL's its worker has
connections() {
	local worker fd n=0 links
	worker=$(pgrep -P "$1" | head -n 1)
	links=$(ss -xpH 2>/dev/null | grep "pid=${worker:-$1}," | awk '{ print $8 }')
	for fd in $links; do ss -xH | awk -v p="$fd" '$6 == p { print $5 }' | grep -q 'PGSQL' && ((++n)); done
	echo "$n"
}

@test "migrations of the second database go up, down and up again" {
	run -0 usherctl migrate status
	[[ $output == *'profile: 0001_profiles'* ]] || fail "$output"
	admin_sql 'CREATE DATABASE profile_again OWNER usher_owner'
	local url=${PROFILE_DATABASE_SYNC_URL/usher_profile/profile_again}
	PROFILE_DATABASE_SYNC_URL=$url run -0 usherctl migrate up
	[[ $output == *'profile: applied 0001_profiles'* ]] || fail "$output"
	PROFILE_DATABASE_SYNC_URL=$url run -0 usherctl migrate down --profile
	PROFILE_DATABASE_SYNC_URL=$url run -0 usherctl migrate up
	[[ $output == *'profile: applied 0001_profiles'* ]]
	admin_sql 'DROP DATABASE profile_again'
}
