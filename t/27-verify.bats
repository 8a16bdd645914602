#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Users are what their events say, and Redis has no other; the operator's tool proves it, and shows
# what is cached and what waits.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	KEY=user:$USER_ID
}

# behind the triggers' back, as no program of ours can
tamper() { admin_sql "SET session_replication_role = replica; UPDATE users SET $1 WHERE id = $USER_ID" usher; }

# Others may have left users behind that they have tampered with: each looks from its own on.
@test "all users are what their events say, and what Redis has of them" {
	patch "/users/$USER_ID" '{"age":30,"nickname":"길동"}'
	patch "/users/$USER_ID" '{"age":null}'
	get "/users/$USER_ID"
	run -0 usherctl events verify --from "$USER_ID"
	[[ $output =~ ^[1-9][0-9]*\ users:\ 0\ differ\ from\ their\ events,\ 0\ from\ Redis ]]
}

@test "a row that no event explains is found" {
	tamper 'age = 99'
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: differs in age"* ]]
	tamper 'age = NULL, version = version + 1'
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: differs in version"* ]]
	tamper 'version = version - 1'
	redis del "$KEY" >/dev/null
	run -0 usherctl events verify --from "$USER_ID"
}

@test "events that a dump brought from another cluster are hidden from readers, which is said and can be mended" {
	local type=t$USER_ID mended
	fresh_admin
	owner_sql "INSERT INTO events (txid, event_id, event_type, data) VALUES ('9000000000000000', gen_random_uuid(), :'t', '{}')" "t=$type"
	run usherctl events verify
	mended=$(sed -n '/^  BEGIN;$/,/^  COMMIT;$/p' "$SOURCES/README.md")
	owner_sql "$mended"
	[ "$status" = 1 ]
	[[ $output == *"up to 9000000000000000,"* ]]
	as_admin get "/events/?event_type=$type"
	expect 200 'length == 1'
	run -0 usherctl events verify --from "$USER_ID"
}

@test "a page of Redis that is no longer the user is found" {
	redis set "$KEY" "999"$'\n{"id":1}' >/dev/null # an older one would be repaired
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: Redis: version 999.0, not 2"* ]]
	redis set "$KEY" "2"$'\n{"id":1}' >/dev/null
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: Redis: another page of the same version"* ]]
	redis set "$KEY" "2"$'\n' >/dev/null
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: Redis: no such user"* ]]
	redis del "$KEY" >/dev/null
	delete "/users/$USER_ID"
	redis set "$KEY" "999"$'\n{"id":1}' >/dev/null
	run -1 usherctl events verify --from "$USER_ID"
	[[ $output == *"user $USER_ID: Redis: still there"* ]]
	redis del "$KEY" >/dev/null
}

@test "a user is rebuilt as of any version and time" {
	local moment
	patch "/users/$USER_ID" '{"age":30}'
	get "/users/$USER_ID"
	local thirty=$BODY
	moment=$(jq -r .updated_at <<<"$BODY")
	patch "/users/$USER_ID" '{"age":31}'
	get "/users/$USER_ID"
	run -0 usherctl events replay "$USER_ID"
	[ "$output" = "version 4"$'\n'"$BODY" ]
	run -0 usherctl events replay "$USER_ID" --version 3
	[ "$output" = "version 3"$'\n'"$thirty" ]
	run -0 usherctl events replay "$USER_ID" --at "$moment"
	[ "$output" = "version 3"$'\n'"$thirty" ]
	run -1 usherctl events replay "$USER_ID" --at 2001-01-01T00:00:00Z
	run -2 usherctl events replay "$USER_ID" --at yesterday-ish
	[[ $output == *"TIME is like"* && $(wc -l <<<"$output") == 1 ]]
	run -1 usherctl events replay "$USER_ID" --version 99
	[[ $output == *"the newest version is "[0-9]* ]]
	delete "/users/$USER_ID"
	run -1 usherctl events replay "$USER_ID"
	run -0 usherctl events replay "$USER_ID" --version 3
	[ "$output" = "version 3"$'\n'"$thirty" ]
}

@test "the operator sees what Redis has of a user, and what the workers have counted" {
	get "/users/$USER_ID"
	run -0 usherctl cache get "$USER_ID"
	[ "$output" = "version 2, 0 changes pending"$'\n'"$BODY" ]
	redis set "$KEY" "2"$'\n?' >/dev/null
	run -0 usherctl cache get "$USER_ID"
	[ "$output" = "marked as stale" ]
	redis del "$KEY" >/dev/null
	run -0 usherctl cache get "$USER_ID"
	[ "$output" = "nothing is cached" ]
	run -2 usherctl cache get somebody
	get "/users/$USER_ID" # a miss
	get "/users/$USER_ID"
	run -0 usherctl cache stats
	[[ $output =~ [1-9][0-9]*\ \ hits && $output =~ [1-9][0-9]*\ \ misses && $output == *"changes that wait"* ]]
}
