#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Passwords, tokens and hashes: nowhere but where they belong, and no longer than they are needed.

load lib/api
load lib/stack
load lib/mail

setup() { fresh_user; }
teardown() { worker_down; }

# everywhere: all logs of all programs and servers, and what the database and Redis hold, but for the
# two columns that keep hashes
everywhere() {
	local i keys
	cat "$USHER_VAR"/log/{read,auth,eventd,nginx,nginx-access,postgres,redis}.log
	[[ ! -f ${WORKER_LOG-} ]] || cat "$WORKER_LOG"
	pg_dump --data-only --exclude-table-data=users --exclude-table-data=sessions --exclude-table-data='*token*' "$DATABASE_SYNC_URL"
	sql "SELECT to_jsonb(u) - 'password_hash' FROM users u WHERE id = :id" "id=$USER_ID"
	mapfile -t keys < <(redis --scan)
	for ((i = 0; i < ${#keys[@]}; i += 500)); do redis mget "${keys[@]:i:500}"; done
	printf '%s\n' "${keys[@]}"
}

# nowhere SECRET...: none of them, in whole or in its greater part
nowhere() {
	local secret
	everywhere >"$BATS_TEST_TMPDIR/everywhere" 2>/dev/null
	grep -q "$USER_ID" "$BATS_TEST_TMPDIR/everywhere" # it looks where traces are
	for secret; do
		[ -n "$secret" ]
		! grep -F -- "$secret" "$BATS_TEST_TMPDIR/everywhere" || fail "found: $secret"
	done
}

@test "no log, event, mail or cache bears a password, a token or a hash" {
	local wrong hash refresh_hash reset
	EMAIL=$(fresh_address) wrong=$(some_id)
	TOKEN='' post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 201
	USER_ID=$(jq .id <<<"$BODY")
	login
	get /users/me
	TOKEN='' post /auth/login "$(sign_in_as "$EMAIL" "$wrong")"
	TOKEN='' post /auth/login "$(sign_in_as "$wrong@example.com" "$wrong")"
	TOKEN='' post /auth/password/forgot "$(jq -cn --arg e "$EMAIL" '{email: $e}')"
	expect 202
	mail_of "$EMAIL" reset_password
	reset=$(token_in_mail)
	# what goes wrong, with a secret in it
	TOKEN='' post /auth/password/reset "{\"token\":\"$reset\",\"new_password\":\"short\"}"
	expect 422
	TOKEN='' post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 400
	TOKEN='' post /users/ "{\"name\":\"\",\"email\":\"x\",\"password\":\"$PASSWORD"
	expect 400
	TOKEN='' post /users/ "{\"name\":\"\",\"email\":\"x\",\"password\":\"$PASSWORD\"}"
	expect 422
	patch /users/me "{\"password\":\"$PASSWORD\"}"
	patch "/users/$USER_ID" "{\"password\":\"$PASSWORD\"}"
	expect 422
	[[ $BODY != *"$PASSWORD"* ]]
	TOKEN=${TOKEN}x get /users/me
	expect 401
	hash=$(hash_of "$EMAIL")
	refresh_hash=$(printf '%s' "$REFRESH" | sha256sum | cut -d' ' -f1)
	written() { grep -q "$USER_ID" "$USHER_VAR/log/auth.log"; }
	wait_for 5 written
	nowhere "$PASSWORD" "$wrong\"" "${TOKEN##*.}" "${TOKEN#*.}" "$REFRESH" "$reset" "${hash:7}" "$refresh_hash" "${JWT_SECRET_KEY:0:20}"
}

@test "errors of ours bear none either: the database away, the worker at debug" {
	local own=${DATABASE_URL#*://*:}
	worker_up LOG_LEVEL=debug LOG_SQL=1 SLOW_MS=0 DATABASE_URL="${DATABASE_URL/host=*/host=/nowhere}"
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 503
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "$PASSWORD")"
	expect 503
	wait_for 5 grep -q request.done "$WORKER_LOG"
	nowhere "$PASSWORD" "${own%%@*}" "${JWT_SECRET_KEY:0:20}"
}

@test "the address of who signs in is in no log whole" {
	login
	TOKEN='' post /users/ "$(sign_up_as "${EMAIL^^}" "$PASSWORD")"
	expect 400
	cat "$USHER_VAR"/log/*.log | grep -iF -- "$EMAIL" && fail "found: $EMAIL"
	true
}

@test "a worker forgets passwords and tokens as soon as it has answered" {
	local long new token
	new=new-$(some_id) token=$(some_id)$(some_id)
	EMAIL=$(fresh_address) long=$(printf 'long-%s-%s' "$(some_id)" "$(printf 'x%.0s' {1..60})")
	export -n PASSWORD # or it would be in the worker's environment
	worker_up RATE_LOGIN_ACCOUNT=0
	ask POST /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 201
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	REFRESH=$(jq -r .refresh_token <<<"$BODY")
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "$long")"
	ask POST /auth/login "$(sign_in_as "$EMAIL" "wrong-$PASSWORD")"
	expect 401
	ask POST /auth/login "{\"email\":\"$EMAIL\",\"password\":\"$PASSWORD" # not even JSON
	expect 400
	ask POST /auth/token "grant_type=password&username=$EMAIL&password=$PASSWORD" CONTENT_TYPE=application/x-www-form-urlencoded
	expect 200
	ask POST /auth/password/reset "{\"token\":\"$token\",\"new_password\":\"$new\"}"
	((STATUS >= 400))
	ask POST /auth/refresh "{\"refresh_token\":\"$REFRESH\"}"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY") ask POST /auth/password "{\"current_password\":\"$PASSWORD\",\"new_password\":\"$new\"}"
	expect 204
	ask GET /auth/login # the turn of the one before is over
	printf '%s\n' "$PASSWORD" "${long:0:20}" "$new" "$token" "$REFRESH" "${JWT_SECRET_KEY:0:20}" >"$BATS_TEST_TMPDIR/wanted"
	perl "$BATS_TEST_DIRNAME/lib/memory.pl" "$WORKER_PID" "$BATS_TEST_TMPDIR/wanted" >"$BATS_TEST_TMPDIR/found" || {
		[ $? = 3 ]
		skip "this machine lets nobody look into a worker"
	}
	# its own key it must know, and that is found: the search works
	[[ $(<"$BATS_TEST_TMPDIR/found") =~ ^[0-9]+\ "${JWT_SECRET_KEY:0:20}"$ ]] || fail "$(<"$BATS_TEST_TMPDIR/found")"
}

@test "outside tests no program leaves a core file, and nobody of its user may look into it" {
	worker_up USHER_ENV=production BCRYPT_COST=10
	ask GET /auth/login
	grep -qE '^Max core file size +0 +0 ' "/proc/$WORKER_PID/limits"
	((EUID == 0)) || run -1 cat "/proc/$WORKER_PID/environ"
	worker_down
	worker_up # a test's
	ask GET /auth/login
	((EUID == 0)) || cat "/proc/$WORKER_PID/environ" >/dev/null
}

@test "a secret setting is no longer in the worker's environment once it is read" {
	worker_up
	ask GET /auth/login
	run -1 grep -F "${JWT_SECRET_KEY:0:20}" "/proc/$WORKER_PID/environ"
}

@test "nor one of what mails bring, or of new passwords" {
	local new verify reset
	new=$(some_id)
	login
	mail_of "$EMAIL" welcome
	verify=$(token_in_mail)
	TOKEN='' post /auth/password/forgot "$(jq -cn --arg e "$EMAIL" '{email: $e}')"
	mail_of "$EMAIL" reset_password
	reset=$(token_in_mail)
	TOKEN='' post /auth/verify-email "{\"token\":\"$verify\"}"
	expect 204
	TOKEN='' post /auth/verify-email "{\"token\":\"$verify\"}"
	expect 422
	post /auth/password "{\"current_password\":\"$PASSWORD!\",\"new_password\":\"$new\"}"
	expect 422
	[[ $BODY != *"$PASSWORD"* && $BODY != *"$new"* ]]
	TOKEN='' post /auth/password/reset "{\"token\":\"$reset\",\"new_password\":\"$new\"}"
	expect 204
	mail_of "$EMAIL" password_changed
	nowhere "$verify" "$reset" "$PASSWORD" "$new"
}
