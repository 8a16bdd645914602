#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Roles: an admin's change is felt by the next request, and there is always an admin left.

load lib/api
load lib/stack
load lib/fault

setup() {
	fresh_user
	login
	fresh_admin
}
teardown() {
	worker_down
	WORKER=${FIRST-} WORKER_PID=${FIRST_PID-} worker_down
}

# the_only_admins ID...: all the others, whom earlier tests made, are admins no more. (Not a change by
# usher: no version, no event.)
the_only_admins() {
	admin_sql "SET session_replication_role = replica; UPDATE users SET role = 'user'
		WHERE role = 'admin' AND id NOT IN ($(IFS=,; echo "$*"))" usher
}
admins() { sql "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active'"; }

# everywhere STATUS METHOD PATH: from every worker, and through nginx
everywhere() {
	every_worker "$@"
	call "$2" "$3"
	expect "$1"
}

@test "a role that is given or taken is felt by the next request" {
	everywhere 403 GET /users/
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	expect 200 '.role == "admin"'
	everywhere 200 GET /users/
	as_admin patch "/users/$USER_ID" '{"role":"user"}'
	expect 200
	everywhere 403 GET /users/
	everywhere 200 GET /users/me
}

@test "a user made inactive is out with the next request, and comes back only by a login" {
	everywhere 200 GET /users/me
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200
	everywhere 401 GET /users/me
	as_admin patch "/users/$USER_ID" '{"status":"active"}'
	expect 200
	everywhere 401 GET /users/me
	login
	everywhere 200 GET /users/me
}

@test "nobody gives a role to itself" {
	patch "/users/$USER_ID" '{"role":"admin"}'
	expect 403
	put "/users/$USER_ID" "$(jq -cn --arg e "$EMAIL" '{name: "Kim", email: $e, role: "admin"}')"
	expect 403
	everywhere 403 GET /users/
}

@test "the last active admin can't be degraded, made inactive or removed, not even by itself" {
	the_only_admins "$ADMIN_ID"
	as_admin patch "/users/$ADMIN_ID" '{"role":"user"}'
	expect 409 '.code == "last_admin"'
	as_admin patch "/users/$ADMIN_ID" '{"status":"inactive"}'
	expect 409 '.code == "last_admin"'
	as_admin delete "/users/$ADMIN_ID"
	expect 409 '.code == "last_admin"'
	as_admin get "/users/$ADMIN_ID" # nothing has changed: no event, no session that ended
	expect 200 '.role == "admin" and .status == "active"'
	[ "$(events_of "$ADMIN_ID" | grep -c updated)" -eq 0 ]
	as_admin patch "/users/$ADMIN_ID" '{"name":"Lee"}'
	expect 200
	as_admin patch "/users/$ADMIN_ID" '{"role":"admin","status":"active"}'
	expect 200
}

@test "an inactive admin is not one that is left" {
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200
	the_only_admins "$ADMIN_ID" "$USER_ID"
	as_admin patch "/users/$ADMIN_ID" '{"role":"user"}'
	expect 409 '.code == "last_admin"'
	as_admin delete "/users/$USER_ID" # who is none may go
	expect 204
}

@test "of two admins one may go, and then the other is the last" {
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	the_only_admins "$ADMIN_ID" "$USER_ID"
	delete "/users/$USER_ID"
	expect 204
	as_admin delete "/users/$ADMIN_ID"
	expect 409 '.code == "last_admin"'
}

@test "of two admins who degrade each other at once one stays" {
	local round
	for round in 1 2 3 4; do
		as_admin patch "/users/$USER_ID" '{"role":"admin"}'
		expect 200
		the_only_admins "$ADMIN_ID" "$USER_ID"
		printf '%s %s\n' "$TOKEN" "$ADMIN_ID" "$ADMIN" "$USER_ID" | xargs -P 2 -L 1 sh -c \
			'curl -s -o /dev/null -w "%{http_code}\n" -X PATCH -H "Authorization: Bearer $1" \
			-H "Content-Type: application/json" -d "{\"role\":\"user\"}" "$0/users/$2"' "$API" \
			>"$BATS_TEST_TMPDIR/both"
		[ "$(admins)" -eq 1 ] || fail "round $round: $(xargs <"$BATS_TEST_TMPDIR/both"), $(admins) left"
		grep -qx 200 "$BATS_TEST_TMPDIR/both"
		fresh_admin
	done
}

@test "of two admins who make each other inactive one stays, though both looked before either was done" {
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	the_only_admins "$ADMIN_ID" "$USER_ID"
	worker_up
	FIRST=$WORKER FIRST_PID=$WORKER_PID
	worker_up
	hold_sessions "$ADMIN_ID" "$USER_ID" # which are the last that such a change touches
	put_out "$FIRST" "$TOKEN" "$ADMIN_ID"
	put_out "$WORKER" "$ADMIN" "$USER_ID"
	wait_for 2 rows_are_awaited 2
	let_row_go
	stop_asking
	[ "$(admins)" -eq 1 ]
}
# hold_sessions ID...: as hold_row does with users
hold_sessions() {
	coproc HOLDER { exec psql -XqAt "$DATABASE_URL" 3>&- 2>&1; }
	printf "BEGIN;\nSELECT id FROM sessions WHERE user_id = ANY ('{%s}') FOR UPDATE;\n" "$(IFS=,; echo "$*")" >&"${HOLDER[1]}"
	read -rt 5 _ <&"${HOLDER[0]}"
}
# put_out WORKER TOKEN ID: in the background
put_out() {
	(
		WORKER=$1 BATS_TEST_TMPDIR+=/$3
		mkdir "$BATS_TEST_TMPDIR"
		TOKEN=$2 ask PATCH "/users/$3" '{"status":"inactive"}'
	) 3>&- &
	CHILDREN+=($!)
}

@test "without an admin a user may still leave" {
	admin_sql "SET session_replication_role = replica; UPDATE users SET role = 'user' WHERE role = 'admin'" usher
	delete "/users/$USER_ID"
	expect 204
}
