#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The first minute with usher: does anything work at all? When these fail, read no further.

load lib/api
load lib/stack

@test "the workers say that they are alive" {
	get "$BASE_URL/healthz"
	expect 200 '.status == "ok"'
}

all_is_well() { get "$BASE_URL/readyz" && [[ $(jq '.checks | all(. == "ok")' <<<"$BODY") == true ]]; }
@test "all stores are there" {
	wait_for 10 all_is_well
	expect 200 '.status == "ready"' '.checks | all(. == "ok") and (keys == ["kafka", "postgresql", "profiles", "redis"])'
}

@test "a person signs up, logs in and reads itself" {
	fresh_user
	login
	get /users/me
	expect 200 '.email == $ENV.EMAIL' '.name == $ENV.NAME'
	get "/users/$USER_ID"
	expect 200 '.email == $ENV.EMAIL'
}

@test "the operator makes an admin, who sees the users" {
	fresh_admin
	as_admin get /users/
	expect 200 'type == "array" and length > 0'
}

@test "there is nothing at a path that nobody knows" {
	get /nothing
	expect 404 '.code == "not_found"'
	get "$BASE_URL/"
	expect 404 '.code == "not_found"'
}

@test "what runs is what was built" {
	run -0 usherctl version
	[[ $output =~ ^usherctl\ [0-9] ]]
}
