#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# nginx in front: its own errors are problem documents like ours, its limits hold, and what every
# answer must bear is there once.

load lib/api
load lib/stack

teardown() {
	local pool
	for pool in read auth; do
		[[ ! -S $USHER_RUN/$pool.away ]] || mv "$USHER_RUN/$pool.away" "$USHER_RUN/$pool.sock"
	done
}

# from_address ADDRESS PATH: dev's nginx takes this machine's word on who the client is
from_address() { call POST "$2" -H "X-Forwarded-For: $1" -H 'Content-Type: application/json' --data '{}'; }

# burst N ADDRESS PATH: N such requests on one connection; how many of each status
burst() {
	local i urls=()
	for ((i = 0; i < $1; i++)); do urls+=(-o /dev/null "$API$3"); done
	curl -sS -w '%{http_code}\n' -H "X-Forwarded-For: $2" -H 'Content-Type: application/json' --data '{}' "${urls[@]}" | sort | uniq -c | xargs
}

# an IPv4 address, an IPv6 /64, that no other test or earlier run has used
some_address() { echo "10.$((RANDOM % 256)).$((RANDOM % 256)).$((RANDOM % 254 + 1))"; }
some_network() { printf '2001:db8:%x:%x' "$RANDOM" "$RANDOM"; }

@test "a request without Host, or that is no HTTP, is a problem document" {
	raw 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'
	expect 400 '.code == "malformed"'
	raw 'GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'
	expect 400
	raw 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n'
	expect 400
	raw 'GET /a b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
	expect 400
	raw 'GET /%%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
	expect 400
	raw 'GET /%%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
	expect 400
}

@test "a request that can't be framed for certain is refused" {
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n'
	expect 400
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{}'
	expect 400
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n{}'
	expect 400
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n{}'
	((STATUS == 400 || STATUS == 413))
	expect "$STATUS"
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n'
	expect 501
	raw 'POST /api/v1/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n'
	expect 400
}

@test "an HTTP version that does not exist is refused" {
	raw 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'
	expect 505
}

@test "an address, or a header, that is too long is told so" {
	local long
	long=$(printf 'x%.0s' {1..9000})
	get "/users/$long"
	expect 414 '.code == "uri_too_long"'
	get /users/me -H "X-Long: $long"
	expect 431 '.code == "too_large"'
	get /users/me -H 'Accept-Language: ko' -H "X-Long: $long"
	expect 431
	[[ $BODY == *큽니다* ]]
}

@test "methods that nginx refuses by itself are a problem too" {
	call TRACE /users/me
	expect 405 '.code == "method_not_allowed"'
	raw 'CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
	((STATUS == 400 || STATUS == 405))
	expect "$STATUS"
}

@test "what is nobody's is not found, and nginx's own places are nobody's" {
	local path
	for path in / /index.html /api /api/v1x /api/v2/users /.usher/problem /.usher/login /.usher/signup /favicon.ico /../etc/passwd /healthz/x; do
		get "$BASE_URL$path"
		((STATUS == 404 || STATUS == 400)) || came "expected nothing at $path"
		expect "$STATUS"
	done
}

@test "metrics are not for strangers" {
	get "$BASE_URL/metrics" -H 'X-Forwarded-For: 203.0.113.9'
	expect 403 '.code == "forbidden"'
}

@test "nginx's own errors bear the caller's request id if it is sane, and are told in Korean" {
	get "$BASE_URL/nothing" -H 'X-Request-Id: mine-1' -H 'Accept-Language: ko-KR,ko;q=0.9'
	expect 404 '.request_id == "mine-1"' '.detail == "요청한 경로를 찾을 수 없습니다"'
	get "$BASE_URL/nothing" -H 'X-Request-Id: "mine'
	expect 404 '.request_id != "\"mine"'
	get "$BASE_URL/nothing"
	expect 404 '.detail == "There is nothing at this path"'
}

@test "security headers are on every answer, once" {
	local path name
	fresh_user
	login
	for path in "$API/users/me" "$API/users/$USER_ID" "$API/nothing" "$BASE_URL/nothing" "$BASE_URL/healthz"; do
		get "$path"
		for name in X-Content-Type-Options Referrer-Policy X-Frame-Options Content-Security-Policy X-Request-Id Content-Type; do
			[ "$(header "$name" | wc -l)" = 1 ] || came "expected $name once at $path"
		done
		[ "$(header X-Content-Type-Options)" = nosniff ]
		[ "$(header X-Frame-Options)" = DENY ]
		[ "$(header Server)" = nginx ] || came "expected no version of the server"
	done
	get "/users/$USER_ID" -H 'If-None-Match: "2"'
	expect 304
	[ "$(header Referrer-Policy)" = no-referrer ]
}

@test "nothing that is a user's own, or a token, may be stored on the way" {
	fresh_user
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	[ "$(header Cache-Control)" = no-store ]
	login
	get /users/me
	[[ $(header Cache-Control) == *private* ]]
	get /users/me -H 'Accept-Encoding: gzip'
	[ -z "$(header Content-Encoding)" ]
}

@test "a body with a password in it is held in memory, never on disk" {
	local before
	before=$(grep -c 'temporary file' "$USHER_VAR/log/nginx.log" || true)
	jq -cn '{name: "x", email: "x", password: ("secret" * 40000)}' >"$BATS_TEST_TMPDIR/body"
	post /events/ "@$BATS_TEST_TMPDIR/body"
	expect 401
	post /users/ "@$BATS_TEST_TMPDIR/body" # no sign-up is as long
	expect 413 '.code == "too_large"'
	jq -cn '{name: "x", email: "x", password: ("secret" * 5000)}' >"$BATS_TEST_TMPDIR/body"
	post /users/ "@$BATS_TEST_TMPDIR/body"
	expect 422
	[ "$(grep -c 'temporary file' "$USHER_VAR/log/nginx.log" || true)" = "$before" ]
}

@test "logins from one address are limited, and told when to come again" {
	local address counts began=$SECONDS
	address=$(some_address)
	counts=$(burst 90 "$address" /auth/login)
	[[ $counts =~ ([0-9]+)\ 422\ ([0-9]+)\ 429 ]] || fail "$counts"
	# 60 at once, and one more each second
	((BASH_REMATCH[1] >= 60 && BASH_REMATCH[1] <= 62 + SECONDS - began)) || fail "$counts in $((SECONDS - began)) s"
	# a burst as large as the drops let in again needs no waiting here: the next one is still refused
	from_address "$address" /auth/login
	((STATUS == 429 || STATUS == 422))
	counts=$(burst 5 "$address" /auth/login/)
	[[ $counts == *429* ]] || fail "the trailing slash is a way around: $counts"
}

@test "a refusal for too many requests is a problem with Retry-After, in Korean too" {
	local address
	address=$(some_address)
	burst 25 "$address" /users/
	call POST /users -H "X-Forwarded-For: $address" --data '{}' -H 'Accept-Language: ko'
	expect 429 '.code == "slow_down"' '.detail | test("요청이 너무 많습니다")'
	[ "$(header Retry-After)" = 60 ]
}

@test "a limit is one client's: another is let in, and reading is not limited with it" {
	local address
	address=$(some_address)
	burst 30 "$address" /users/
	from_address "$address" /users/
	expect 429
	from_address "$(some_address)" /users/
	expect 422
	from_address "$address" /auth/login
	expect 422
	call GET /users/me -H "X-Forwarded-For: $address"
	expect 401
}

@test "requests that send mails are limited, whatever other reading goes on" {
	local address counts
	address=$(some_address)
	counts=$(burst 25 "$address" /auth/password/forgot)
	[[ $counts =~ ([0-9]+)\ 429$ && ${BASH_REMATCH[1]} -le 4 && ${BASH_REMATCH[1]} -ge 3 ]] || fail "$counts"
	from_address "$address" /auth/password/forgot/
	expect 429 '.code == "slow_down"'
	[ "$(header Retry-After)" = 60 ]
	call GET /users/me -H "X-Forwarded-For: $address"
	expect 401
	from_address "$(some_address)" /auth/password/forgot
	[ "$STATUS" != 429 ]
}

@test "an IPv6 client is its /64" {
	local network
	network=$(some_network)
	burst 30 "$network::1" /users/
	from_address "$network::2:3" /users/
	expect 429
	from_address "$(some_network)::1" /users/
	expect 422
}

@test "this machine's own clients are not limited in the dev stack" {
	[[ $(burst 80 127.0.0.1 /auth/login) == "80 422" ]]
}

@test "while the pool that hashes is away reading goes on, and the rest is told to come again" {
	fresh_user
	login
	mv "$USHER_RUN/auth.sock" "$USHER_RUN/auth.away"
	get /users/me
	expect 200
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	((STATUS == 502 || STATUS == 503)) || came "expected the pool to be away"
	expect "$STATUS" '.code == "unavailable"'
	[[ $(header Retry-After) =~ ^[0-9]+$ ]]
	mv "$USHER_RUN/auth.away" "$USHER_RUN/auth.sock"
	login
}

@test "while the pool that reads is away signing in goes on, and it is back at once" {
	fresh_user
	mv "$USHER_RUN/read.sock" "$USHER_RUN/read.away"
	# a connection that nginx has kept may still serve; a new one can't be made
	login
	mv "$USHER_RUN/read.away" "$USHER_RUN/read.sock"
	get /users/me
	expect 200
}

@test "no path is answered by a page of nginx's own, not even one that lacks its slash" {
	for path in /api/v1 /api /docs/nothing /.usher/problem /.usher/login /bench; do
		get "$BASE_URL$path"
		expect 404 '.code == "not_found"'
		post "$BASE_URL$path" '{}'
		[[ $STATUS == 40[45] ]]
		expect "$STATUS" '.code == "not_found" or .code == "method_not_allowed"'
	done
}
