#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Reloading: new workers take over under full load, and no request is lost.

load lib/api
load lib/stack
load lib/fault

setup() { known_user; }
teardown() { mend; }

@test "the pools are replaced under load, with GET and POST: no request is lost" {
	local old
	old="$(workers read) $(workers auth)"
	storm 25 reads "/users/$USER_ID"
	storm 25 sign_ups /users/ "$SIGN_UPS"
	keep_asking changes PATCH "/users/$USER_ID" '{"name":"A"}'
	asked_on changes 20
	dev restart api
	asked_on changes 20
	dev restart api # waits until the generation before has drained
	asked_on changes 20
	storm_over
	cat "$BATS_TEST_TMPDIR"/*.storm
	[ "$(storm_said reads requests)" -gt 500 ]
	[ "$(storm_said sign_ups requests)" -gt 100 ]
	[ "$(storm_lost reads)" -eq 0 ]
	[ "$(storm_lost sign_ups)" -eq 0 ]
	run -1 grep -v '^200' < <(asked changes)
	# and those that did it are others
	run -1 grep -wFf <(tr ' ' '\n' <<<"$old") <(workers read && workers auth)
}

@test "each sign-up that was answered during a reload is there, once" {
	local before after
	before=$(sql 'SELECT count(*) FROM users')
	storm 6 sign_ups /users/ "$SIGN_UPS"
	dev restart api
	storm_over
	after=$(sql 'SELECT count(*) FROM users')
	[ "$(storm_lost sign_ups)" -eq 0 ]
	# wrk leaves when its time is over: up to 64 were still under way
	((after - before >= $(storm_said sign_ups requests) && after - before <= $(storm_said sign_ups requests) + 64))
}

@test "nginx is reloaded under load: no request is lost" {
	storm 5 reads "/users/$USER_ID"
	keep_asking probe GET "/users/$USER_ID"
	asked_on probe 20
	dev restart nginx
	asked_on probe 20
	stop_asking
	run -1 grep -v '^200' < <(asked probe)
	((($(storm_said reads status)) == 0))
}

@test "the old workers end by themselves once nginx has let go of them" {
	local old
	old=$(workers read)
	get "/users/$USER_ID"
	dev restart api
	get "/users/$USER_ID"
	expect 200
	wait_for 20 all_gone "$old"
}
all_gone() {
	local pid
	for pid in $1; do [[ ! -d /proc/$pid ]] || return 1; done
}

@test "a pool whose new workers can't start is left as it was" {
	local old
	old="$(workers read) $(workers auth)"
	run -1 env LOG_LEVEL=nonsense "$USHER_DEV" restart api
	[ "$(workers read) $(workers auth)" = "$old" ]
	get "/users/$USER_ID"
	expect 200
}
