#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Each call gives each error that the interface lists for it. What follows from a row of the route
# table is tried on all the calls that list it ("all_give"); what is a call's own, one by one ("gives").

load lib/api
load lib/stack
load lib/fault
load lib/front
load lib/saga

LISTS=$BATS_FILE_TMPDIR/lists # "METHOD PATH STATUS CODE" for each error that a call lists

setup_file() {
	usherctl openapi | jq -r '. as $doc | .paths | to_entries[] | (.key | sub("^/api/v1"; "")) as $path | .value | to_entries[]
		| "\(.key | ascii_upcase) \($path)" as $call | .value.responses | to_entries[] | select(.key >= "400") | .key as $status
		| .value | if has("$ref") then $doc.components.responses[."$ref" | split("/") | last] else . end
		| if [.. | ."$ref"? // empty] | any(test("OauthError")) then "oauth" else .. | .enum? // empty | .[] end
		| "\($call) \($status) \(.)"' | sort >"$LISTS"
}

teardown() {
	thaw_all
	worker_down
	front_down
	[[ ! ${FAULT_PID-} ]] || kill "$FAULT_PID"
	if [[ ${HOLDER_PID-} ]]; then kill "$HOLDER_PID" 2>/dev/null || true; fi
}

# gives CALL STATUS CODE: it just did, and its list has it.
gives() {
	[[ $STATUS == "$2" ]] || came "expected $2 of $1, not $STATUS"
	case $3 in
	oauth) jq -e 'has("error")' >/dev/null <<<"$BODY" || came "expected an error of OAuth of $1" ;;
	*) CODE=$3 expect "$2" '.code == $ENV.CODE' || fail "that was $1" ;;
	esac
	grep -qxF "$*" "$LISTS" || fail "$1 does not list $2 $3"
}

# all_give STATUS CODE HOW...: HOW CALL, for all calls that list it and have no line of their own below.
all_give() {
	local call n=0
	while read -r call; do
		! grep -qF "gives '$call' $1 $2" "$BATS_TEST_FILENAME" || continue
		"${@:3}" "$call"
		gives "$call" "$1" "$2"
		((++n))
	done < <(sed -n "s/ $1 $2\$//p" "$LISTS")
	((n > 0)) || fail "no call lists $1 $2"
}

# people: USER_ID, somebody new who is logged in and to whom PROOF was sent; and an admin
people() {
	fresh_user
	login
	fresh_admin
	PROOF=$(head -c 32 /dev/urandom | base64url)
	export PROOF
	sql "INSERT INTO one_time_tokens (hash, purpose, user_id, address, expires_at)
		VALUES (sha256(:'t'::bytea), 'reset_password', :u, :'e', now() + interval '30 minutes')" "t=$PROOF" "u=$USER_ID" "e=$EMAIL"
}

# well CALL: sets WAY, TYPE and WHAT, the path and the body of one that would succeed; WHO, its token
well() {
	WAY=${1#* } WHAT='' TYPE=application/json WHO=$TOKEN
	case $1 in
	*' /auth/'*) ;;
	*) WHO=$ADMIN ;;
	esac
	case $1 in
	'GET /users/search') WAY+='?q=kim' ;;
	'PATCH /users/{id}') WHAT='{"age":30}' ;;
	'PUT /users/{id}') WHAT=$(jq -cn '{name: "Kim", email: $ENV.EMAIL}') ;;
	'POST /users') WHAT=$(sign_up_as "$(fresh_address)") ;;
	'POST /users/with-profile') WHAT=$(EMAIL=$(fresh_address) && joined '{}') ;;
	'POST /users/{id}/activities') WHAT='{"activity_type":"page.viewed"}' ;;
	'PUT /users/{id}/profile') WHAT='{}' ;;
	'POST /events') WHAT='{"event_type":"cart.filled","data":{}}' ;;
	'POST /auth/login') WHAT=$(sign_in_as "$EMAIL" "$PASSWORD") ;;
	'POST /auth/refresh') WHAT=$(jq -cn --arg t "$REFRESH" '{refresh_token: $t}') ;;
	'POST /auth/token') WHAT="grant_type=password&username=$EMAIL&password=$PASSWORD" TYPE=application/x-www-form-urlencoded ;;
	'POST /auth/password') WHAT=$(jq -cn '{current_password: $ENV.PASSWORD, new_password: "battery staple horse"}') ;;
	'POST /auth/password/forgot') WHAT=$(jq -cn '{email: $ENV.EMAIL}') ;;
	'POST /auth/password/reset') WHAT=$(jq -cn '{token: $ENV.PROOF, new_password: "battery staple horse"}') ;;
	'POST /auth/verify-email') WHAT=$(jq -cn '{token: $ENV.PROOF}') ;;
	'GET /sagas/{id}') WAY=/sagas/01985d8e-7c0a-7d51-9f3e-0242ac120002 ;;
	'DELETE /auth/sessions/{id}') WAY=/auth/sessions/9007199254740991 ;;
	esac
	WAY=${WAY/\{id\}/$USER_ID}
	case $WAY in
	/healthz | /readyz | /metrics | /openapi.json) WAY=$BASE_URL$WAY ;;
	esac
}

# ask_well CALL [NAME=VALUE...]: of the worker. send_well CALL [CURL OPTION...]: of the stack.
ask_well() {
	well "$1"
	redis del "user:$USER_ID" "user:$ADMIN_ID" "user:$(claims "$WHO" | jq .sub)" >/dev/null # or it needs no other store
	TOKEN=$WHO ask "${1%% *}" "$WAY" "$WHAT" "CONTENT_TYPE=$TYPE" "${@:2}"
}
send_well() {
	well "$1"
	TOKEN=$WHO send "${1%% *}" "$WAY" "$WHAT" "${@:2}"
}

#
# What follows from the table
#

@test "the list of a call is what this file provokes, and each of it is in the interface's list" {
	local call status code
	[ "$(wc -l <"$LISTS")" -gt 300 ]
	while read -r call status code; do
		grep -qE "^	all_give $status $code " "$BATS_TEST_FILENAME" ||
			grep -qF "	gives '${call/|/ }' $status $code" "$BATS_TEST_FILENAME" || fail "nothing provokes $status $code of $call"
	done < <(sed 's/ /|/' "$LISTS")
}

without_token() { TOKEN='' ADMIN='' send_well "$1"; }
with_a_bad_token() { TOKEN=$TOKEN.x ADMIN=$ADMIN.x send_well "$1"; }
without_the_right() { ADMIN=$TOKEN USER_ID=$ADMIN_ID send_well "$1"; }
of_nobody() { USER_ID=9007199254740991 send_well "$1"; }
of_an_old_version() { send_well "$1" -H 'If-Match: "99"'; }

@test "each call that wants a token, rights, a user or a version refuses to go without" {
	local version
	people
	version=$(version_of "$USER_ID")
	all_give 401 token_missing without_token
	all_give 401 token_invalid with_a_bad_token
	all_give 403 forbidden without_the_right
	all_give 404 user_not_found of_nobody
	all_give 412 stale_version of_an_old_version
	[ "$(version_of "$USER_ID")" = "$version" ] # nothing of it was done
	get "/users/$USER_ID"
	expect 200
}

# with_body CALL BODY [CURL OPTION...]: the call as it would succeed, but for that
with_body() {
	well "$1"
	TOKEN=$WHO send "${1%% *}" "$WAY" "${@:2}"
}
half_written() {
	well "$1"
	if [[ $WHAT ]]; then
		with_body "$1" '{'
	else
		send_well "$1" -H 'Authorization: Bearer a' -H 'Authorization: Bearer b'
	fi
}
with_an_unknown_parameter() {
	well "$1"
	TOKEN=$WHO send "${1%% *}" "$WAY$([[ $WAY == *\?* ]] && echo '&' || echo '?')nonsense=1" "$WHAT"
}
no_object() {
	well "$1"
	if [[ $WHAT == '{'* ]]; then with_body "$1" '[]'; else with_an_unknown_parameter "$1"; fi
}
too_large() { with_body "$1" "@$BATS_TEST_TMPDIR/large"; }
as_text() {
	well "$1"
	TYPE=text/plain TOKEN=$WHO send "${1%% *}" "$WAY" "$WHAT"
}
with_a_long() { # HEADER or PATH
	local long
	long=$(printf 'x%.0s' {1..9000})
	if [[ $1 == header ]]; then send_well "$2" -H "X-Long: $long"; else call "${2%% *}" "${2#* }?$long"; fi
}

@test "each call refuses what is half written, unknown, too large or of another type" {
	people
	head -c 300000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/large"
	all_give 400 malformed half_written
	all_give 400 oauth with_an_unknown_parameter
	all_give 413 too_large too_large
	all_give 414 uri_too_long with_a_long path
	all_give 415 unsupported_media_type as_text
	all_give 422 invalid with_an_unknown_parameter
	all_give 422 invalid no_object
	all_give 431 too_large with_a_long header
}

#
# What is our own fault
#

# fault_up: a worker whose statements can be made to fail. fault MODE, as of lib/pgfault.py.
fault_up() {
	local dir=$BATS_TEST_TMPDIR/pg host=${DATABASE_URL##*host=}
	host=${host%%&*}
	mkdir -p "$dir"
	fault ''
	python3 "$BATS_TEST_DIRNAME/lib/pgfault.py" "$host/.s.PGSQL.5432" "$dir/.s.PGSQL.5432" "$dir/mode" >"$dir/log" 2>&1 3>&- &
	FAULT_PID=$!
	wait_for 10 test -S "$dir/.s.PGSQL.5432"
	worker_up DATABASE_URL="${DATABASE_URL/$host/$dir}" PROFILE_DATABASE_URL="${PROFILE_DATABASE_URL/$host/$dir}"
}
fault() { echo "$1" >"$BATS_TEST_TMPDIR/pg/mode"; }

@test "each call that asks the database says so when a statement is wrong, and no more" {
	people
	fault_up
	fault XX000
	all_give 500 internal ask_well
	all_give 500 oauth ask_well
}

@test "each call that asks the database is refused for now while that has no room" {
	people
	fault_up
	fault 53100
	all_give 503 busy ask_well
	all_give 503 oauth ask_well
}

@test "each call that asks the database is refused for now while that is away" {
	people
	worker_up DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR" PROFILE_DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR"
	all_give 503 unavailable ask_well
}

ask_anew() { # by new people, as it is done
	fault ''
	people
	fault lost
	ask_well "$1"
}

@test "each call that changes something says that the outcome is not known, where the answer is lost" {
	fault_up
	all_give 503 uncertain ask_anew
}

# before_it CALL: of an nginx of one's own
before_it() {
	well "$1"
	WAY=${WAY#"$BASE_URL"}
	case $WAY in
	/healthz | /readyz | /metrics | /openapi.json) ;;
	*) WAY=/api/v1$WAY ;;
	esac
	TOKEN=$WHO send "${1%% *}" "http://front$WAY" "$WHAT" --unix-socket "$FRONT/sock"
}

@test "each call is refused for now while there is no worker, and when none answers in time" {
	people
	WORKER=$BATS_TEST_TMPDIR/none front_up
	all_give 502 unavailable before_it
	front_down
	worker_up
	front_up
	freeze "$WORKER_PID"
	all_give 504 timeout before_it
}

#
# Each call's own
#

@test "an address that is taken is refused wherever one is given" {
	local taken
	fresh_user
	taken=$EMAIL
	people
	post /users "$(sign_up_as "$taken")"
	gives 'POST /users' 400 email_taken
	post /users/with-profile "$(EMAIL=$taken && joined '{}')"
	gives 'POST /users/with-profile' 400 email_taken
	patch "/users/$USER_ID" "$(jq -cn --arg e "$taken" '{email: $e}')"
	gives 'PATCH /users/{id}' 400 email_taken
	put "/users/$USER_ID" "$(jq -cn --arg e "$taken" '{name: "Kim", email: $e}')"
	gives 'PUT /users/{id}' 400 email_taken
}

@test "the last admin stays one" {
	people
	admin_sql "SET session_replication_role = replica; UPDATE users SET role = 'user' WHERE role = 'admin' AND id <> $ADMIN_ID" usher
	as_admin patch "/users/$ADMIN_ID" '{"role":"user"}'
	gives 'PATCH /users/{id}' 409 last_admin
	as_admin put "/users/$ADMIN_ID" "$(jq -cn --arg e "$(fresh_address)" '{name: "Kim", email: $e, status: "inactive"}')"
	gives 'PUT /users/{id}' 409 last_admin
	as_admin delete "/users/$ADMIN_ID"
	gives 'DELETE /users/{id}' 409 last_admin
}

keyed() { send_well "$1" -H "Idempotency-Key: $(some_id)"; }

@test "who comes while the first with the same key is at it for long is told to come again" {
	people
	coproc HOLDER { exec psql -XqAt "$DATABASE_SYNC_URL" 3>&- 2>&1; }
	printf 'BEGIN;\nLOCK TABLE idempotency_keys IN EXCLUSIVE MODE;\n\\echo held\n' >&"${HOLDER[1]}"
	read -rt 10 _ <&"${HOLDER[0]}"
	all_give 409 conflict keyed
}

is_waiting() { [[ $(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usher-api' AND wait_event_type = 'Lock'") != 0 ]]; }

@test "a password that another request changes meanwhile is not changed again" {
	local asking
	people
	hold_row "$USER_ID"
	(
		send_well 'POST /auth/password'
		gives 'POST /auth/password' 409 conflict
		touch "$BATS_TEST_TMPDIR/told"
	) 3>&- &
	asking=$!
	wait_for 5 is_waiting
	printf "UPDATE users SET password_hash = '*' WHERE id = %s;\nCOMMIT;\n\\q\n" "$USER_ID" >&"${HOLDER[1]}"
	wait "$asking"
	[ -e "$BATS_TEST_TMPDIR/told" ]
}

@test "what is not there is said to be missing by its own name" {
	people
	send_well 'GET /users/{id}/profile'
	gives 'GET /users/{id}/profile' 404 profile_not_found
	send_well 'GET /sagas/{id}'
	gives 'GET /sagas/{id}' 404 saga_not_found
	send_well 'DELETE /auth/sessions/{id}'
	gives 'DELETE /auth/sessions/{id}' 404 session_not_found
	as_admin post /events '{"event_type":"cart.filled","data":{},"user_id":9007199254740991}'
	gives 'POST /events' 404 user_not_found
}

@test "who was deleted a moment ago, and whose session is not over yet, is not there" {
	local gone
	fresh_user
	login
	gone=user:$USER_ID
	delete "/users/$USER_ID"
	expect 204
	people
	redis copy "$gone" "user:$USER_ID" replace >/dev/null
	get /users/me
	gives 'GET /users/me' 404 user_not_found
}

@test "what is somebody else's, and what is for this machine alone, is forbidden" {
	people
	post /events "{\"event_type\":\"cart.filled\",\"data\":{},\"user_id\":$ADMIN_ID}"
	gives 'POST /events' 403 forbidden
	get "$BASE_URL/metrics" -H 'X-Forwarded-For: 192.0.2.1'
	gives 'GET /metrics' 403 forbidden
}

@test "wrong credentials and used tokens open nothing" {
	people
	post /auth/login "$(sign_in_as "$EMAIL" wrong)"
	gives 'POST /auth/login' 401 bad_credentials
	post /auth/refresh '{"refresh_token":"Zk2Tq0mXc4VbN8sJ1rLwP7dYhG5uEaO3iKfMxRtBvCnQyWzSj6lDpHgUe9oIA_4X2k7"}'
	gives 'POST /auth/refresh' 401 refresh_invalid
}

twice() {
	ask_well "$1" REMOTE_ADDR="$CLIENT"
	ask_well "$1" REMOTE_ADDR="$CLIENT"
}

@test "who comes too often is told to slow down" {
	CLIENT=10.$((RANDOM % 256)).$((RANDOM % 256)).$((RANDOM % 254 + 1))
	people
	worker_up RATE_{LOGIN_IP,LOGIN_ACCOUNT,SIGNUP_IP,FORGOT_ACCOUNT,EMAIL_ACCOUNT}=1/300
	all_give 429 slow_down twice
	ask PATCH "/users/$USER_ID" "$(jq -cn --arg e "$(fresh_address)" '{email: $e}')"
	ask PATCH "/users/$USER_ID" "$(jq -cn --arg e "$(fresh_address)" '{email: $e}')"
	gives 'PATCH /users/{id}' 429 slow_down
	ask PUT "/users/$USER_ID" "$(jq -cn --arg e "$(fresh_address)" '{name: "Kim", email: $e}')"
	gives 'PUT /users/{id}' 429 slow_down
	all_give 429 oauth twice
}

@test "nginx too tells who hashes too many passwords to slow down" {
	people
	STRICT=1 front_up
	before_it 'POST /auth/password/reset'
	before_it 'POST /auth/password/reset'
	gives 'POST /auth/password/reset' 429 slow_down
}
