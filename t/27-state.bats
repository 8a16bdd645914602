#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# What a user was: rebuilt from its events for an admin, as of any version and of any time.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	fresh_admin
	STATE=/users/$USER_ID/state
}

# state [PARAMETER=VALUE]: as an admin, the value as it stands
state() { as_admin get "$STATE${1:+?$1}"; }

# was FILE [PARAMETER=VALUE]: GET had answered the file's bytes then
was() {
	state "${2-}"
	expect 200
	[ "$BODY" = "$(<"$1")" ] || came "expected of ${2-now}: $(<"$1")"
}

# several_versions: FILES[N] is what GET said of version N
several_versions() {
	local change
	FILES=()
	for change in '' '{"age":30}' '{"nickname":"길동","phone":"02-1"}' '{"age":null,"name":"김"}' '{"email":"E"}' '{"status":"inactive"}'; do
		[[ ! $change ]] || as_admin patch "/users/$USER_ID" "${change/E/$(fresh_address)}"
		as_admin get "/users/$USER_ID"
		expect 200
		FILES[$(version_of "$USER_ID")]=$BATS_TEST_TMPDIR/$(version_of "$USER_ID")
		echo "$BODY" >"$BATS_TEST_TMPDIR/$(version_of "$USER_ID")"
	done
	((${#FILES[@]} == 6))
}

@test "every version of a user is what GET showed of it, and so is the user as of that version's time" {
	local version
	several_versions
	for version in "${!FILES[@]}"; do
		was "${FILES[version]}" "version=$version"
		[ "$(header ETag)" = "\"$version\"" ]
		was "${FILES[version]}" "at=$(jq -r .updated_at "${FILES[version]}")"
	done
	was "${FILES[-1]}"
	state version=1
	expect 200 ".login_count == 0 and .id == $USER_ID" '.created_at == .updated_at'
}

@test "between two changes a user is what the first has left" {
	local moment
	patch "/users/$USER_ID" '{"age":30}'
	get "/users/$USER_ID"
	echo "$BODY" >"$BATS_TEST_TMPDIR/first"
	moment=$(sql "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
	patch "/users/$USER_ID" '{"age":31}'
	was "$BATS_TEST_TMPDIR/first" "at=$moment"
	# the same moment, as others write it
	was "$BATS_TEST_TMPDIR/first" "at=${moment/Z/999Z}"
	was "$BATS_TEST_TMPDIR/first" "at=${moment/Z/%2B00:00}"
	was "$BATS_TEST_TMPDIR/first" "at=$(sql "SELECT to_char(:'t'::timestamptz AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD\"t\"HH24:MI:SS.US')" "t=$moment")%2B09:00"
	was "$BATS_TEST_TMPDIR/first" "at=$(sql "SELECT to_char(:'t'::timestamptz AT TIME ZONE '+03:30', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')" "t=$moment")-03:30"
}

@test "before it was made there was no such user, nor is there a version that is yet to come" {
	state at=2001-01-01T00:00:00Z
	expect 404 '.code == "user_not_found"'
	state version=3
	expect 404 '.code == "user_not_found"'
	state version=9223372036854775807
	expect 404
	state at=9999-12-31T23:59:59Z
	expect 200 '.login_count == 1'
	STATE=/users/9007199254740991/state state
	expect 404 '.detail == "There is no such user"'
	state at=2001-01-01T00:00:00Z
	as_admin get "$STATE?version=99" -H 'Accept-Language: ko'
	expect 404 '.detail == "사용자를 찾을 수 없습니다"'
}

@test "a deleted user is there until its deletion, and not from then on" {
	local gone
	get "/users/$USER_ID"
	echo "$BODY" >"$BATS_TEST_TMPDIR/last"
	delete "/users/$USER_ID"
	expect 204
	gone=$(sql "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM events
		WHERE user_id = :id AND event_type = 'user_deleted'" "id=$USER_ID")
	state
	expect 404 '.code == "user_not_found"'
	state version=3
	expect 404
	state "at=$gone"
	expect 404
	was "$BATS_TEST_TMPDIR/last" version=2
	was "$BATS_TEST_TMPDIR/last" "at=$(jq -r .updated_at "$BATS_TEST_TMPDIR/last")"
	run -1 grep -i password <<<"$BODY"
}

@test "what is no version and no time is named, in both languages, and only one of them may be given" {
	local odd
	for odd in 0 -1 1.0 x '' 9223372036854775808; do
		state "version=$odd"
		faulty query.version
	done
	for odd in '' now yesterday infinity 2026-01-31 2026-01-31T09:00 2026-01-31T09:00:00 1769850000 2026-02-30T09:00:00Z 2026-13-01T09:00:00Z \
		0000-01-01T00:00:00Z 2026-01-31T25:00:00Z 2026-01-31T09:00:61Z 2026-01-31T09:00:00+09:00 2026-01-31T09:00:00%2B23:00 \
		2026-01-31T09:00:00%2B09:60 '2026-01-31T09:00:00Z%00' 2026-01-31%2009:00:00Z; do
		state "at=$odd"
		[ "$STATUS" = 422 ] || came "expected 422 of $odd"
		faulty query.at
	done
	fault query.at '.type == "datetime_parsing" and (.msg | test("%2B"))'
	as_admin get "$STATE?at=gestern&version=0&when=now" -H 'Accept-Language: ko'
	faulty query.at query.version query.when
	fault query.at '.msg | test("시각이어야")'
	state 'version=1&at=2026-01-31T09:00:00Z'
	faulty query.at
	fault query.at '.type == "not_both" and (.msg | test("with a version"))'
	as_admin get "$STATE?version=1&at=2026-01-31T09:00:00Z" -H 'Accept-Language: ko'
	fault query.at '.msg | test("버전과 함께")'
}

@test "who has a state already is told so, and it can be what a change starts from" {
	state
	expect 200
	[ "$(header Cache-Control)" = 'private, no-cache' ]
	[ -z "$(header X-Cache)" ]
	as_admin get "$STATE" -H "If-None-Match: $(header ETag)"
	expect 304
	as_admin get "$STATE?version=1" -H 'If-None-Match: "2"'
	expect 200
	patch "/users/$USER_ID" '{"age":1}' -H "If-Match: $(header ETag)"
	expect 412 '.code == "stale_version"'
}

# Its time is that of its transaction's begin.
@test "a change that began before another and came after it is never there without the other" {
	local before between
	coproc SLOW { exec psql -XqAt "$DATABASE_URL" 3>&- 2>&1; }
	echo 'BEGIN; SELECT now();' >&"${SLOW[1]}"
	read -rt 5 before <&"${SLOW[0]}"
	patch "/users/$USER_ID" '{"age":30}'
	expect 200
	between=$(jq -r .updated_at <<<"$BODY")
	echo "UPDATE users SET age = 31 WHERE id = $USER_ID;
		INSERT INTO events (event_id, event_type, user_id, version, data)
			SELECT gen_random_uuid(), 'user_updated', id, version, '{\"age\":31}' FROM users WHERE id = $USER_ID;
		COMMIT; SELECT 'done';" >&"${SLOW[1]}"
	read -rt 5 before <&"${SLOW[0]}"
	[ "$before" = "done" ]
	state
	expect 200 '.age == 31'
	before=$(jq -r .updated_at <<<"$BODY")
	[[ $before < $between ]]
	state "at=$before"
	expect 200 '.age == null and .login_count == 1'
	state "at=$between"
	expect 200 '.age == 31'
	state version=3
	expect 200 '.age == 30'
}

@test "only an admin sees it: a user is told so of its own too" {
	get "$STATE"
	expect 403 '.code == "forbidden"'
	TOKEN='' get "$STATE"
	expect 401 '.code == "token_missing"'
}
