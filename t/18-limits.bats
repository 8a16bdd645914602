#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# How often: what is counted, by whom, what the answer says of it, and what happens without Redis.

load lib/api
load lib/stack

setup() { EMAIL=$(fresh_address) PASSWORD=$(some_id) CLIENT=$(some_client); }
teardown() {
	worker_down
	"$USHER_DEV" start redis >/dev/null
}

# an IPv4 address that no other test or earlier run has used
some_client() { echo "10.$((RANDOM % 256)).$((RANDOM % 256)).$((RANDOM % 254 + 1))"; }

# log_in_from CLIENT [EMAIL]: with a wrong password; of the worker, as nginx would pass it on
log_in_from() { ask POST /auth/login "$(sign_in_as "${2-$(fresh_address)}" wrong)" REMOTE_ADDR="$1"; }

@test "a client may log in so often, and is told how often and when again" {
	worker_up RATE_LOGIN_IP=3/300
	log_in_from "$CLIENT"
	expect 401
	[[ $(header RateLimit-Policy) == *'"login-ip";q=3;w=300'* ]] || came "expected the policy"
	[[ $(header RateLimit) == *'"login-ip";r=2;t=100'* ]] || came "expected what is left"
	log_in_from "$CLIENT"
	log_in_from "$CLIENT"
	expect 401
	[[ $(header RateLimit) == *'"login-ip";r=0;t='* ]]
	log_in_from "$CLIENT"
	expect 429 '.code == "slow_down"'
	(($(header Retry-After) > 90 && $(header Retry-After) <= 100)) || came "expected to be told to wait for one"
	[[ $(header RateLimit) == '"login-ip";r=0;t='* ]] || came "expected no other limit to be asked"
}

@test "another client is let in meanwhile" {
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$CLIENT"
	log_in_from "$CLIENT"
	expect 429
	log_in_from "$(some_client)"
	expect 401
}

@test "an IPv6 client is its /64, and IPv4 in IPv6's clothes is IPv4" {
	local network
	network=$(printf '2001:db8:%x:%x' "$RANDOM" "$RANDOM")
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$network::1"
	expect 401
	log_in_from "$network:ffff:2:3:4"
	expect 429
	log_in_from "::ffff:$CLIENT"
	expect 401
	log_in_from "$CLIENT"
	expect 429
}

@test "a client is who nginx says it is, whatever the client says" {
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$CLIENT"
	ask POST /auth/login "$(sign_in_as "$EMAIL" wrong)" REMOTE_ADDR="$CLIENT" HTTP_X_FORWARDED_FOR=192.0.2.77 \
		HTTP_X_REAL_IP=192.0.2.77 HTTP_FORWARDED=for=192.0.2.77 HTTP_REMOTE_ADDR=192.0.2.77
	expect 429
}

@test "an account is logged in to so often, from wherever, however it is written" {
	worker_up RATE_LOGIN_ACCOUNT=2/300 RATE_LOGIN_IP=0
	log_in_from "$(some_client)" "$EMAIL"
	expect 401
	[ -z "$(header RateLimit)$(header RateLimit-Policy)" ] # what others did there is nobody's business
	log_in_from "$(some_client)" "${EMAIL^^}"
	log_in_from "$(some_client)" "$EMAIL"
	expect 429
	[[ $(header RateLimit-Policy) == '"login-account";q=2;w=300' ]]
	[[ $(header Retry-After) -gt 100 ]]
	# whether there is such an account is not told by that
	[ "$(sql "SELECT count(*) FROM users WHERE email = :'e'" "e=$EMAIL")" = 0 ]
}

@test "the OAuth 2 form is no way around them" {
	worker_up RATE_LOGIN_IP=2/300 RATE_LOGIN_ACCOUNT=1/300
	by_form() {
		ask POST /auth/token "grant_type=password&username=$1&password=wrong" REMOTE_ADDR="$CLIENT" \
			CONTENT_TYPE=application/x-www-form-urlencoded
	}
	log_in_from "$CLIENT" "$EMAIL"
	by_form "$EMAIL"
	[ "$STATUS" = 429 ]
	[[ $(header RateLimit) == *'"login-account";r=0;'* && $(header Retry-After) -gt 100 ]]
	by_form "$(fresh_address)"
	[ "$STATUS" = 429 ]
	[[ $(header RateLimit) == '"login-ip";r=0;'* ]]
}

@test "where both limits count the answer tells of the client's, and of the account's where that refuses" {
	worker_up RATE_LOGIN_IP=60/60 RATE_LOGIN_ACCOUNT=1/300
	log_in_from "$CLIENT" "$EMAIL"
	expect 401
	[[ $(header RateLimit-Policy) == '"login-ip";q=60;w=60' ]]
	[[ $(header RateLimit) == '"login-ip";r=59;t=1' ]]
	log_in_from "$CLIENT" "$EMAIL"
	expect 429
	[[ $(header RateLimit-Policy) == '"login-account";q=1;w=300, "login-ip";q=60;w=60' ]]
	[[ $(header RateLimit) == '"login-account";r=0;t='*', "login-ip";r='* ]]
}

@test "a refresh by the OAuth 2 form is no login" {
	fresh_user && login
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$CLIENT"
	expect 401
	ask POST /auth/token "grant_type=refresh_token&refresh_token=$REFRESH" REMOTE_ADDR="$CLIENT" \
		CONTENT_TYPE=application/x-www-form-urlencoded
	expect 200
	[ -z "$(header RateLimit)" ]
	log_in_from "$CLIENT"
	expect 429
}

@test "a user changes its address so often, whether the new one is free or taken; an admin any number of times" {
	local taken
	fresh_user && login && taken=$EMAIL
	fresh_user && login
	fresh_admin
	worker_up RATE_EMAIL_ACCOUNT=2/300
	to() { jq -cn --arg e "$1" '{email: $e}'; }
	ask PATCH "/users/$USER_ID" "$(to "$taken")"
	expect 400 '.code == "email_taken"'
	ask PATCH "/users/$USER_ID" "$(to "$(fresh_address)")"
	expect 200
	EMAIL=$(jq -r .email <<<"$BODY")
	ask PATCH "/users/$USER_ID" "$(to "$taken")"
	expect 429
	[[ $(header RateLimit-Policy) == '"email-account";q=2;w=300' ]]
	ask PATCH "/users/$USER_ID" '{"name":"Lee"}' # all else goes on, and so does the address that it has
	expect 200
	ask PUT "/users/$USER_ID" "$(to "$EMAIL" | jq -c '.name = "Lee"')"
	expect 200
	for _ in 1 2 3; do
		TOKEN=$ADMIN ask PATCH "/users/$USER_ID" "$(to "$(fresh_address)")"
		expect 200
	done
}

@test "sign-ups of one client are counted, good ones and bad ones" {
	worker_up RATE_SIGNUP_IP=2/3600
	ask POST /users/ '{}' REMOTE_ADDR="$CLIENT"
	expect 422
	ask POST /users "$(sign_up_as "$EMAIL")" REMOTE_ADDR="$CLIENT"
	expect 201
	[[ $(header RateLimit) == '"signup-ip";r=0;t='* ]]
	ask POST /users/ "$(sign_up_as "$(fresh_address)")" REMOTE_ADDR="$CLIENT"
	expect 429
	# a limit of its own: the client may still log in
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" REMOTE_ADDR="$CLIENT"
	expect 200
}

@test "who is refused for coming too often costs no hash and no statement" {
	local before
	worker_up RATE_LOGIN_IP=1/300 RATE_LOGIN_ACCOUNT=1/300 LOG_SQL=1 SLOW_MS=0
	log_in_from "$CLIENT" "$EMAIL"
	log_in_from "$(some_client)" "$EMAIL"
	expect 429
	wait_for 5 grep -q login-account "$WORKER_LOG"
	before=$(grep -c '"event":"db' "$WORKER_LOG" || true)
	log_in_from "$CLIENT"
	log_in_from "$(some_client)" "$EMAIL"
	expect 429
	wait_for 5 grep -q login-ip "$WORKER_LOG"
	[ "$(grep '"event":"request.limited"' "$WORKER_LOG" | jq -r 'select(.request_id and .route).policy' | xargs)" = "login-account login-ip login-account" ]
	[ "$(grep -c '"event":"db' "$WORKER_LOG" || true)" = "$before" ]
	[ "$before" -gt 0 ]
}

@test "a limit that is off is not counted and not spoken of" {
	worker_up RATE_LOGIN_IP=0 RATE_LOGIN_ACCOUNT=0
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do log_in_from "$CLIENT" "$EMAIL"; done
	expect 401
	[ -z "$(header RateLimit)$(header RateLimit-Policy)" ]
}

@test "the count is one for all workers, and its keys end with their window" {
	local key
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$CLIENT"
	worker_down
	worker_up RATE_LOGIN_IP=1/300
	log_in_from "$CLIENT" "$EMAIL"
	expect 429
	key=rl:login-ip:$CLIENT
	(($(redis ttl "$key") > 0 && $(redis ttl "$key") <= 300))
	# no address of mail is in any key
	log_in_from "$(some_client)" "$EMAIL"
	redis --scan --pattern 'rl:*' >"$BATS_TEST_TMPDIR/keys"
	grep -q '^rl:login-account:[0-9a-f]*$' "$BATS_TEST_TMPDIR/keys"
	run -1 grep -i "${EMAIL%@*}" "$BATS_TEST_TMPDIR/keys"
}

@test "many at once are counted right" {
	local i statuses pids=()
	worker_up RATE_LOGIN_IP=5/300
	for i in {1..20}; do
		(log_in_from "$CLIENT" && echo "$STATUS" >"$BATS_TEST_TMPDIR/status.$i") &
		pids+=($!)
	done
	wait "${pids[@]}"
	statuses=$(cat "$BATS_TEST_TMPDIR"/status.* | sort | uniq -c | xargs)
	[ "$statuses" = "5 401 15 429" ] || fail "$statuses"
}

@test "without Redis logging in goes on, and nothing is said of limits" {
	fresh_user
	"$USHER_DEV" stop redis >/dev/null
	worker_up RATE_LOGIN_IP=1/300 RATE_LOGIN_ACCOUNT=1/300
	for _ in 1 2 3; do ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" REMOTE_ADDR="$CLIENT"; done
	expect 200
	[ -z "$(header RateLimit)" ]
	"$USHER_DEV" start redis >/dev/null
	counts() { log_in_from "$CLIENT" && [ "$STATUS" = 429 ]; }
	wait_for 10 counts
}

@test "a limit that makes no sense stops a worker" {
	local bad
	cd "$BATS_TEST_TMPDIR"
	for bad in 10 10/ /60 0/60 10/0 -1/60 10001/60 10/86401 ten/minute; do
		run env RATE_SIGNUP_IP="$bad" "$USHER_BIN/usher-api" </dev/null
		[ "$status" = 2 ] || fail "it started with $bad"
		[[ $output == *RATE_SIGNUP_IP* && $output == *COUNT/SECONDS* ]] || fail "it said: $output"
	done
}
