#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2089,SC2090,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# Signing up with a profile: both databases have it or neither, and the saga tells how far it has come.

load lib/api
load lib/stack
load lib/saga
load lib/mail

setup() {
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	export EMAIL PASSWORD
}
teardown() { worker_down; }

WHOLE='{"bio":"등산을\n좋아합니다","avatar_url":"https://example.com/a.png?x=1","locale":"ko-KR","timezone":"Asia/Seoul","links":["https://example.com","http://example.org/~a"]}'

@test "user and profile are made together, and read like any other" {
	export WHOLE
	post /users/with-profile "$(joined "$WHOLE" | jq -c '. + {age: 30, phone: "+82 10", nickname: "길동"}')"
	expect 201 '.user.email == $ENV.EMAIL and .user.age == 30 and .user.nickname == "길동" and .user.role == "user"' \
		'.profile | del(.user_id, .updated_at) == ($ENV.WHOLE | fromjson)' '.profile.user_id == .user.id' \
		'.saga_id | test("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")' \
		'keys == ["profile", "saga_id", "user"]'
	MADE=$BODY
	export MADE
	[ "$(header Location)" = "/api/v1/users/$(jq .user.id <<<"$MADE")" ]
	[ "$(header ETag)" = '"1"' ]
	[[ $MADE != *"$PASSWORD"* ]]
	login
	get /users/me
	expect 200 '.id == ($ENV.MADE | fromjson).user.id and .login_count == 1'
	get "/users/$(jq .user.id <<<"$MADE")/profile"
	expect 200 '. == ($ENV.MADE | fromjson).profile'
}

@test "what follows from a sign-up follows, and the profile's event too, in order" {
	joined_up '{"bio":"x"}'
	wait_for 20 is_stored profile_created 1
	[ "$(events_of "$USER_ID")" = $'1 user_created\nprofile_created' ]
	run -0 sql "SELECT string_agg(DISTINCT request_id, ' ') FROM events WHERE user_id = :u" "u=$USER_ID"
	[ "$output" = "$(header X-Request-Id)" ]
	mail_of "$EMAIL" welcome
	[ "$(mails_of "$EMAIL" welcome | wc -l)" = 1 ]
	[ "$(sql "SELECT count(*) FROM user_activities WHERE user_id = :u AND activity_type = 'user_created'" "u=$USER_ID")" = 1 ]
}

@test "a profile may be empty, and a path end in a slash" {
	post /users/with-profile/ "$(joined '{}')"
	expect 201 '.profile | .bio == null and .avatar_url == null and .links == []'
}

@test "every bad field is named at once, and nothing is made" {
	post /users/with-profile '{"name":"","email":"x","password":"short","age":200,"x":1,"profile":{"bio":5,"avatar_url":"javascript:alert(1)","locale":"ko_KR","timezone":"Seoul time","links":["https://x.example","ftp://x"],"name":"y"}}'
	faulty body.name body.email body.password body.age body.x body.profile.bio body.profile.avatar_url body.profile.locale \
		body.profile.timezone body.profile.links.1 body.profile.name
	fault body.profile.name '.type == "extra_forbidden"'
	post /users/with-profile "$(joined '{}' | jq -c 'del(.profile)')"
	faulty body.profile
	fault body.profile '.type == "missing"'
	for profile in null '[]' '"x"' 5 1.5 true; do
		post /users/with-profile "$(joined "$profile")"
		faulty body.profile
	done
	post /users/with-profile "$(joined '{"user_id":5}')"
	faulty body.profile.user_id
	post /users/ "$(joined '{}')"
	faulty body.profile
	PASSWORD=password1 post /users/with-profile "$(PASSWORD=password1 joined '{}')"
	faulty body.password
	post /users/with-profile "{\"profile\":{\"bio\":\"x\",\"bio\":\"y\"}}"
	expect 400 '.code == "malformed"'
	has_neither "$EMAIL"
	[ "$(sagas_of "$EMAIL")" = 0 ]
}

@test "a taken address is said as at any sign-up, and nothing is made" {
	local before
	fresh_user
	before=$(sql 'SELECT count(*) FROM sagas')
	EMAIL=${EMAIL^^} post /users/with-profile "$(EMAIL=${EMAIL^^} joined '{}')"
	expect 400 '.code == "email_taken"'
	[ "$(sql "SELECT count(*) FROM sagas WHERE user_id = :u" "u=$USER_ID")" = 0 ]
	[ "$(profiles_of "$USER_ID")" = 0 ]
}

@test "who began it and an admin see the saga; others do not learn whether there is one" {
	joined_up '{}'
	login
	get "/sagas/$SAGA_ID"
	expect 200 '.id == $ENV.SAGA_ID and .kind == "user_with_profile" and .state == "done" and .user_id == ($ENV.USER_ID | tonumber)' \
		'[.steps[] | [.name, .state, .tries, .error]] == [["user", "done", 1, null], ["profile", "done", 1, null]]' \
		'[.created_at, .updated_at, .steps[].at] | all(test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z$"))' \
		'keys == ["created_at", "id", "kind", "state", "steps", "updated_at", "user_id"]'
	SEEN=$BODY
	export SEEN
	get "/sagas/${SAGA_ID^^}"
	expect 200 '. == ($ENV.SEEN | fromjson)'
	get /sagas/01985d8e-7c0a-7d51-9f3e-0242ac120002
	expect 403
	fresh_admin
	as_admin get "/sagas/$SAGA_ID"
	expect 200 '. == ($ENV.SEEN | fromjson)'
	as_admin get /sagas/01985d8e-7c0a-7d51-9f3e-0242ac120002
	expect 404 '.code == "saga_not_found"'
	TOKEN='' get "/sagas/$SAGA_ID"
	expect 401
	for bad in 1 x 01985d8e-7c0a-7d51-9f3e-0242ac12000 01985d8e-7c0a-7d51-9f3e-0242ac1200021 "{$SAGA_ID}"; do
		as_admin get "/sagas/$bad"
		faulty path.id
		fault path.id '.type == "uuid"'
	done
	fresh_user
	login
	get "/sagas/$SAGA_ID"
	expect 403
	delete "/sagas/$SAGA_ID"
	expect 405
	[ "$(header Allow)" = 'GET, HEAD, OPTIONS' ]
	get /users/with-profile
	expect 405
	[ "$(header Allow)" = 'POST, OPTIONS' ]
}

@test "nothing of the password is in the saga, the logs or the events, and of the profile nothing stays in the saga" {
	joined_up '{"bio":"unmistakable words"}'
	run -0 sql "SELECT row_to_json(s) FROM sagas s WHERE id = :'s'" "s=$SAGA_ID"
	[[ $output == *'"data":null'* && $output != *unmistakable* && $output != *"$PASSWORD"* ]]
	run -1 log_has "$PASSWORD"
	run -1 log_has unmistakable
	[ "$(sql "SELECT count(*) FROM events WHERE user_id = :u AND (data::text LIKE '%' || :'p' || '%' OR data::text LIKE '%2b\$%')" "u=$USER_ID" "p=$PASSWORD")" = 0 ]
}

@test "without a second database it is 503, and nothing is made" {
	worker_up PROFILE_DATABASE_URL=
	ask POST /users/with-profile "$(joined '{}')"
	[ "$STATUS" = 503 ]
	has_neither "$EMAIL"
	[ "$(events_about "$EMAIL")" = '' ]
}

@test "with the second database away the user is gone again at once, with an event, and it is 503" {
	worker_up "PROFILE_DATABASE_URL=postgresql://nobody@/nowhere?host=$BATS_TEST_TMPDIR"
	ask POST /users/with-profile "$(joined '{"bio":"x"}')" HTTP_X_REQUEST_ID="r-$EMAIL"
	expect 503 '.code == "unavailable"'
	[ "$(events_about "$EMAIL")" = $'1 user_created\n2 user_deleted' ]
	[ "$(sql "SELECT count(*) FROM users WHERE email = :'e'" "e=$EMAIL")" = 0 ]
	USER_ID=$(user_about "$EMAIL")
	# and Redis does not say otherwise
	[[ $(redis get "user:$USER_ID") != *"$EMAIL"* ]]
	fresh_admin
	as_admin get "/users/$USER_ID"
	expect 404
	# the daemon can reach it, and makes sure
	wait_for 20 saga_is "$EMAIL" undone
	has_neither "$EMAIL"
	as_admin get "/sagas/$(saga_of "$EMAIL")"
	expect 200 '[.steps[] | [.name, .state]] == [["user", "undone"], ["profile", "undone"]]'
	# so the address is free
	post /users/with-profile "$(joined '{}')"
	expect 201
}

@test "a second database that refuses is the same" {
	profile_owner_sql 'REVOKE INSERT ON profiles FROM usher'
	post /users/with-profile "$(joined '{}')"
	profile_owner_sql 'GRANT INSERT ON profiles TO usher'
	expect 503 '.code == "unavailable"'
	has_neither "$EMAIL"
	[ "$(events_about "$EMAIL")" = $'1 user_created\n2 user_deleted' ]
	fresh_admin
	as_admin get "/sagas/$(saga_of "$EMAIL")"
	expect 200 '.state == "undone" and .steps[1].tries == 1 and .steps[0].state == "undone" and .steps[1].state == "undone"'
	[ "$(sql "SELECT data IS NULL FROM sagas WHERE id = :'s'" "s=$(saga_of "$EMAIL")")" = t ]
}

@test "with its Idempotency-Key it is done once, and the first answer comes again" {
	local body first location key
	key=$(some_id) body=$(joined '{"bio":"x"}')
	post /users/with-profile "$body" -H "Idempotency-Key: $key"
	expect 201
	first=$BODY location=$(header Location)
	post /users/with-profile "$body" -H "Idempotency-Key: $key"
	expect 201
	[ "$BODY" = "$first" ]
	[ "$(header Location)" = "$location" ]
	[ "$(header ETag)" = '"1"' ]
	post /users/with-profile "$(joined '{"bio":"y"}')" -H "Idempotency-Key: $key"
	expect 422 '.errors[0].type == "idempotency_key_used"'
	[ "$(sql "SELECT count(*) FROM sagas WHERE user_id = :u" "u=$(jq .user.id <<<"$first")")" = 1 ]
}

@test "ten twins at once make one user, and each hears the same or that another is at it" {
	local n key body
	key=$(some_id) body=$(joined '{"bio":"x"}')
	for n in {1..10}; do
		curl -sS -o "$BATS_TEST_TMPDIR/twin$n" -w '%{http_code}\n' "$API/users/with-profile" -H "Idempotency-Key: $key" \
			-H 'Content-Type: application/json' -d "$body" >"$BATS_TEST_TMPDIR/status$n" 3>&- &
	done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/status* | grep -c 201)" -gt 1 ]
	[ "$(cat "$BATS_TEST_TMPDIR"/status* | sort -u | grep -vxE '201|409')" = '' ]
	[ "$(for n in {1..10}; do if grep -qx 201 "$BATS_TEST_TMPDIR/status$n"; then cat "$BATS_TEST_TMPDIR/twin$n" && echo; fi; done | sort -u | wc -l)" = 1 ]
	[ "$(events_about "$EMAIL" | grep -c user_created)" = 1 ]
	[ "$(sagas_of "$EMAIL")" = 1 ]
}

@test "an answer that was taken back is not kept: the same request may be sent again" {
	local body key
	key=$(some_id) body=$(joined '{"bio":"x"}')
	profile_owner_sql 'REVOKE INSERT ON profiles FROM usher'
	post /users/with-profile "$body" -H "Idempotency-Key: $key"
	profile_owner_sql 'GRANT INSERT ON profiles TO usher'
	expect 503
	post /users/with-profile "$body" -H "Idempotency-Key: $key"
	expect 201
	has_both "$EMAIL"
	[ "$(sagas_of "$EMAIL")" = 2 ]
}

@test "sign-ups with a profile count as sign-ups, against the same limit" {
	worker_up RATE_SIGNUP_IP=2/3600
	ask POST /users/with-profile "$(joined '{}')" REMOTE_ADDR=198.51.100.77
	expect 201
	[[ $(header RateLimit) == *r=1* ]]
	ask POST /users/ "$(sign_up_as "$(fresh_address)")" REMOTE_ADDR=198.51.100.77
	expect 201
	ask POST /users/with-profile "$(joined '{}')" REMOTE_ADDR=198.51.100.77
	expect 429
	redis --scan --pattern 'rl:*198.51.100.77*' | while read -r key; do redis del "$key" >/dev/null; done
}

@test "sagas go a month after they were over; one that is open stays" {
	sql "INSERT INTO sagas (id, kind, state, step, steps, user_id, due_at, updated_at)
		SELECT gen_random_uuid(), 'user_with_profile', state, 1, '[]', -5, 'infinity', now() - days * interval '1 day'
		FROM (VALUES ('done', 31), ('undone', 31), ('done', 29), ('running', 40), ('undoing', 40)) v(state, days)"
	wait_for 20 old_sagas_are 'done running undoing'
	sql 'DELETE FROM sagas WHERE user_id = -5'
}
old_sagas_are() { [[ $(sql "SELECT string_agg(state, ' ' ORDER BY state) FROM sagas WHERE user_id = -5") == "$1" ]]; }

@test "what is done, undone and open is counted" {
	local were_done were_undone
	were_done=$(counter usher_sagas_done_total) were_undone=$(counter usher_sagas_undone_total)
	joined_up '{}'
	[ "$(counter usher_sagas_done_total)" -gt "$were_done" ]
	EMAIL=$(fresh_address)
	profile_owner_sql 'REVOKE INSERT ON profiles FROM usher'
	post /users/with-profile "$(joined '{}')"
	profile_owner_sql 'GRANT INSERT ON profiles TO usher'
	expect 503
	[ "$(counter usher_sagas_undone_total)" -gt "$were_undone" ]
	sql "INSERT INTO sagas (id, kind, step, steps, user_id, due_at) VALUES (gen_random_uuid(), 'user_with_profile', 1, '[]', -6, 'infinity')"
	wait_for 10 some_are_open
	sql 'DELETE FROM sagas WHERE user_id = -6'
}
some_are_open() { (($(counter usher_sagas_open) >= 1)); }
