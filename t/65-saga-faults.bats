#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Signing up with a profile when things die or hang: in the end both databases have it, or neither.

load lib/api
load lib/stack
load lib/fault
load lib/saga

setup() {
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	export EMAIL PASSWORD
}
teardown() {
	let_profiles_go
	mend
}

# hold_profiles, let_profiles_go: nobody can write into the second database, who tries waits two seconds
hold_profiles() {
	coproc KEEPER { exec psql -XqAt "$PROFILE_DATABASE_SYNC_URL" 3>&- 2>&1; }
	printf 'BEGIN;\nLOCK TABLE profiles IN EXCLUSIVE MODE;\nSELECT 1;\n' >&"${KEEPER[1]}"
	read -rt 5 _ <&"${KEEPER[0]}"
}
# shellcheck disable=SC2153 # coproc sets KEEPER_PID
let_profiles_go() { [[ ! ${KEEPER_PID-} ]] || kill "$KEEPER_PID" 2>/dev/null || true; }
profile_is_awaited() {
	[[ $(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = '$1' AND wait_event_type = 'Lock'
		AND query LIKE '%INTO profiles%'") -ge 1 ]]
}

# join_in_background: answered into the file "joined", status and body
join_in_background() {
	(
		post /users/with-profile "$(joined '{"bio":"x"}')"
		echo "$STATUS $BODY" >"$BATS_TEST_TMPDIR/joined"
	) 3>&- &
	CHILDREN+=($!)
}

@test "a worker killed between the two databases: the daemon brings it to its end" {
	hold_profiles
	join_in_background
	wait_for 5 profile_is_awaited usher-api
	# shellcheck disable=SC2046 # words
	kill -KILL $(workers auth)
	[ "$(events_about "$EMAIL")" = '1 user_created' ]
	let_profiles_go
	sagas_are_due "$(user_about "$EMAIL")"
	wait_for 20 saga_is "$EMAIL" "done"
	has_both "$EMAIL"
	[ "$(sagas_of "$EMAIL")" = 1 ]
}

@test "a worker that hung and wakes late moves nothing that the daemon has taken over" {
	local pid
	hold_profiles
	join_in_background
	wait_for 5 profile_is_awaited usher-api
	for pid in $(workers auth); do freeze "$pid"; done
	let_profiles_go
	sagas_are_due "$(user_about "$EMAIL")"
	wait_for 20 saga_is_over "$EMAIL"
	for pid in "${FROZEN[@]}"; do thaw "$pid"; done
	stop_asking
	# it answers by how the saga ended
	wait_for 20 saga_is "$EMAIL" "done"
	has_both "$EMAIL"
	[ "$(cut -c1-3 "$BATS_TEST_TMPDIR/joined")" = 201 ]
}

@test "a second database that is slow: all is taken back at once, and what comes late with it" {
	hold_profiles
	post /users/with-profile "$(joined '{}')"
	expect 503 '.code == "unavailable"'
	[ "$(events_about "$EMAIL")" = $'1 user_created\n2 user_deleted' ]
	let_profiles_go
	wait_for 20 saga_is "$EMAIL" undone
	has_neither "$EMAIL"
}

@test "a user who is deleted while its profile is made takes it back" {
	hold_profiles
	join_in_background
	wait_for 5 profile_is_awaited usher-api
	USER_ID=$(user_about "$EMAIL")
	fresh_admin
	as_admin delete "/users/$USER_ID"
	expect 204
	let_profiles_go
	stop_asking
	[ "$(cut -c1-3 "$BATS_TEST_TMPDIR/joined")" = 503 ]
	wait_for 20 saga_is_over "$EMAIL"
	wait_for 20 has_neither "$EMAIL"
}

@test "killed again and again, workers and daemon: each sign-up ends with both or with neither" {
	local i mails=() BEGUN
	BEGUN=$(sql 'SELECT count(*) FROM sagas')
	for i in {1..24}; do mails+=("$(fresh_address)"); done
	(for EMAIL in "${mails[@]}"; do post /users/with-profile "$(joined '{"bio":"x"}')"; done) 3>&- >/dev/null 2>&1 &
	CHILDREN+=($!)
	for i in {1..6}; do
		# shellcheck disable=SC2046 # words
		kill -KILL $(workers auth | head -n 1) 2>/dev/null || true
		((i % 3)) || kill -KILL "$(cat "$USHER_RUN/eventd.ready")" 2>/dev/null || true
		wait_for 20 another_began
	done
	stop_asking
	mend
	sql "UPDATE sagas SET due_at = now() WHERE state IN ('running', 'undoing') AND created_at > now() - interval '5 min'"
	for EMAIL in "${mails[@]}"; do
		[[ $(user_about "$EMAIL") ]] || continue # it never began
		wait_for 30 saga_is_over "$EMAIL"
		wait_for 20 both_or_neither
	done
}
another_began() {
	local n
	n=$(sql 'SELECT count(*) FROM sagas')
	((n > BEGUN)) && BEGUN=$n
}
both_or_neither() { has_both "$EMAIL" || has_neither "$EMAIL"; }
