#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The whole face at once: what is promised of every call is tried on every call, by the list that
# the interface prints of itself; and each code of the closed list is provoked somewhere.

load lib/api
load lib/stack
load lib/fault
load lib/front

DOCUMENT=$BATS_FILE_TMPDIR/openapi.json

setup_file() { usherctl openapi >"$DOCUMENT"; }

teardown() {
	worker_down
	front_down
	mend_here
}

mend_here() {
	thaw_all
	if [[ ${HOLDER_PID-} ]]; then kill "$HOLDER_PID" 2>/dev/null || true; fi
	if [[ ${SCRATCH-} ]]; then admin_sql "DROP DATABASE IF EXISTS $SCRATCH WITH (FORCE)" >/dev/null; fi
}

# calls: "METHOD PATH" of all, a number of ours in the place of {id}
calls() {
	jq -r '.paths | to_entries[] | .key as $path | .value | keys[] | "\(ascii_upcase) \($path)"' "$DOCUMENT" |
		sed "s/{id}/$USER_ID/"
}

# somebody new, and an admin's token
people() {
	fresh_user
	fresh_admin
	TOKEN=$ADMIN
}

# at PATH: the whole URL
at() { printf '%s%s' "$BASE_URL" "$1"; }

# try METHOD PATH: as a caller would, an empty object where a body is wanted
try() {
	case $1 in
	POST | PUT | PATCH) send "$1" "$(at "$2")" '{}' ;;
	*) call "$1" "$(at "$2")" ;;
	esac
}

# many [CURL OPTION...] < "URL" lines: all of them on few connections, with the token if set; ANSWERS
# gets a line for each: status, media type, URL
many() {
	local url
	ANSWERS=$(while IFS= read -r url; do printf 'url = "%s"\noutput = /dev/null\n' "$url"; done |
		curl -sS -g --path-as-is -K - -w '%{http_code} %{content_type} %{url}\n' --max-time 60 \
			${TOKEN:+-H "Authorization: Bearer $TOKEN"} "$@")
}

# all_were REGEX: the status of each
all_were() {
	[[ $ANSWERS ]] || fail "nothing was asked"
	run -1 grep -vE "^($1) application/(problem\\+)?json " <<<"$ANSWERS"
}

@test "every GET answers HEAD, with the same head and no body" {
	local method path names
	people
	head_names() { sed -n 's/^\([A-Za-z-]*\):.*/\1/p' <<<"$HEAD" | grep -viE '^(date|x-cache|connection|transfer-encoding|content-length)$' | sort; }
	while read -r method path; do
		[[ $method == GET ]] || continue
		get "$(at "$path")"
		names=$STATUS$'\n'$(head_names)
		head_of "$(at "$path")"
		[ "$STATUS"$'\n'"$(head_names)" = "$names" ] || came "expected of HEAD $path: $names"
	done < <(calls)
}

@test "OPTIONS says of every path what it allows, and of no other path anything" {
	local method path expected
	people
	while read -r method path; do
		TOKEN='' call OPTIONS "$(at "$path")"
		expect 204
		expected=$({
			calls | awk -v p="$path" '$2 == p { print $1; if ($1 == "GET") print "HEAD" }'
			echo OPTIONS
		} | sort | xargs)
		[ "$(header Allow | tr -d , | tr ' ' '\n' | sort | xargs)" = "$expected" ] || came "expected of $path: $expected"
	done < <(calls)
	TOKEN='' call OPTIONS /nothing
	expect 404 '.code == "not_found"'
}

@test "a parameter that a call does not know is refused, whatever the call" {
	local method body
	people
	for method in GET POST PUT PATCH DELETE; do
		body=()
		[[ $method != P* ]] || body=(-H 'Content-Type: application/json' --data '{}')
		many -X "$method" "${body[@]}" < <(
			calls | awk -v m="$method" -v u="$BASE_URL" '$1 == m && $2 !~ /auth\/token/ { print u $2 "?nonsense=1" }')
		all_were 422
	done
	get "/users/$USER_ID?nonsense=1&%EC%97%86%EC%9D%8C"
	faulty query.nonsense query.없음
	fault query.없음 '.type == "extra_forbidden"'
	get "/users/$USER_ID"
	expect 200 # no DELETE among them did anything
}

@test "a parameter given twice is refused, whatever its value" {
	people
	many < <(jq -r --arg u "$BASE_URL" --arg id "$USER_ID" '.paths | to_entries[] | .key as $path | .value.get // empty
		| .parameters[] | select(.in == "query")
		| .name as $n | (.schema | .examples[0] // .default // .enum[0] // "x" | @uri) as $v
		| "\($u)\($path | sub("\\{id\\}"; $id))?\($n)=\($v)&\($n)=\($v)"' "$DOCUMENT")
	all_were 422
	get '/users/?limit=1&limit=1&limit=3'
	faulty query.limit query.limit
	fault query.limit '.type == "repeated"'
}

@test "a number is written in plain digits, in a query and in a path" {
	local odd=(%2B1 -1 %201 1%20 + 01 00 -0 1.0 1. 1e2 0x10 1_0 1,0 %D9%A1 %EF%BC%91 9223372036854775808
		99999999999999999999 1%0A 1%09 NaN null true "1'" '1;2' %25)
	people
	many < <(printf "$API/users/?limit=%s\n" "${odd[@]}" '' && printf "$API/users/%s/activities\n" "${odd[@]}" 0)
	all_were 422
	get '/users/?limit=01'
	faulty query.limit
	get /users/%2B1
	faulty path.id
	get '/users/9223372036854775807'
	expect 404 '.code == "user_not_found"'
}

@test "no odd way of writing a path leads anywhere" {
	local path
	people
	many < <(calls | sed -n 's/^GET //p' | while read -r path; do
		printf "$BASE_URL%s\n" "/$path" "${path%/*}//${path##*/}" "$path/." "$path/.." "$path%2F" "$path%00" \
			"${path%/*}%2F${path##*/}" "$path;x=1" "$path%3Fx=1" "$path." "${path^^}" "$path%20" "$path/%2e" "$path//"
	done | grep -v "^$BASE_URL%")
	all_were '404|405|400|422'
}

@test "a long path and a long query are looked at, a longer one is refused" {
	local long
	people
	long=$(printf 'x%.0s' {1..7000})
	get "/$long"
	expect 404 '.code == "not_found"'
	get "/users/$long"
	faulty path.id
	get "/users/?$long=1"
	faulty 'query.(not shown)'
	get "/users/?status=$long"
	faulty query.status
	get "/users/?$(printf 'limit=1&%.0s' {1..800})"
	expect 422 '.errors | length <= 32'
	[ "${#BODY}" -lt 8000 ]
	get "/users/?${long}${long}"
	expect 414 '.code == "uri_too_long"'
	get "/$long$long"
	expect 414
}

@test "an unknown method is refused, and a known one that a path lacks, whatever the path" {
	local method
	people
	for method in PROPFIND get TRACE; do
		TOKEN='' many -X "$method" < <(calls | awk -v u="$BASE_URL" '!seen[$2]++ { print u $2 }')
		all_were '405|400'
	done
	call PROPFIND "/users/$USER_ID"
	expect 405 '.code == "method_not_allowed"'
}

#
# Browsers from elsewhere
#

@test "a preflight touches no store: it is answered as well where there is none" {
	local method path said
	people
	worker_up LOG_SQL=1 DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR" REDIS_URL="unix://$BATS_TEST_TMPDIR/none"
	wait_for 5 grep -q unreachable "$WORKER_LOG" # which it finds when it starts
	said=$(wc -l <"$WORKER_LOG")
	while read -r method path; do
		ask OPTIONS "${path#/api/v1}" '' HTTP_ORIGIN=https://a.example "HTTP_ACCESS_CONTROL_REQUEST_METHOD=$method" \
			HTTP_ACCESS_CONTROL_REQUEST_HEADERS=authorization
		expect 204
		[[ $(header Access-Control-Allow-Methods) == *"$method"* ]] || came "expected $method to be allowed"
		[[ $(header Access-Control-Allow-Headers) == *Authorization*Content-Type*Idempotency-Key* ]]
		[ "$(header Access-Control-Allow-Origin)" = '*' ]
		[[ $(header Access-Control-Max-Age) -gt 0 ]]
	done < <(calls | grep /api/v1)
	grep -q request.done "$WORKER_LOG"
	run -1 grep -vE 'request.(done|was_slow)' < <(tail -n "+$((said + 1))" "$WORKER_LOG") # no word of a store
	ask GET "/users/$USER_ID"
	expect 503 # the stores are away indeed
}

# open HEADERS...: what an answer to any origin must bear, and must not
open_to_any() {
	[ "$(header Access-Control-Allow-Origin)" = '*' ] || came "expected any origin to be let in, once"
	[ -z "$(header Access-Control-Allow-Credentials)" ] || came "expected no credentials"
	[[ $(header Access-Control-Expose-Headers) == *Link*Location*ETag*Retry-After*RateLimit*X-Request-Id* ]] ||
		came "expected the headers to be exposed"
}

@test "any origin may read every answer, errors and 304 too, without credentials" {
	local origin=(-H 'Origin: https://a.example')
	people
	get "/users/$USER_ID" "${origin[@]}"
	expect 200
	open_to_any
	get "/users/$USER_ID" "${origin[@]}" -H "If-None-Match: $(header ETag)"
	expect 304
	open_to_any
	delete "/users/$USER_ID" "${origin[@]}" -H 'If-Match: "99"'
	expect 412 '.code == "stale_version"'
	open_to_any
	patch "/users/$USER_ID" '{"x":1}' "${origin[@]}"
	expect 422
	open_to_any
	get /nothing "${origin[@]}"
	expect 404
	open_to_any
	TOKEN='' get /users/me "${origin[@]}"
	expect 401
	open_to_any
	delete "/users/$USER_ID" "${origin[@]}"
	expect 204
	open_to_any
	get "/users/$ADMIN_ID"
	[ -z "$(header Access-Control-Allow-Origin)" ] # nobody asked
}

@test "where origins are listed these alone are let in, by name and with credentials, errors and 304 too" {
	people
	worker_up CORS_ALLOW_ORIGINS=https://a.example
	named() {
		[ "$(header Access-Control-Allow-Origin)" = https://a.example ] || came "expected the origin's name"
		[ "$(header Access-Control-Allow-Credentials)" = true ] || came "expected credentials"
		[[ $(header Vary) == *Origin* ]] || came "expected Vary: Origin"
	}
	ask GET "/users/$USER_ID" '' HTTP_ORIGIN=https://a.example
	expect 200
	named
	ask GET "/users/$USER_ID" '' HTTP_ORIGIN=https://a.example HTTP_IF_NONE_MATCH='*'
	expect 304
	named
	ask GET /nothing '' HTTP_ORIGIN=https://a.example
	expect 404
	named
	ask OPTIONS "/users/$USER_ID" '' HTTP_ORIGIN=https://a.example HTTP_ACCESS_CONTROL_REQUEST_METHOD=PUT
	expect 204
	named
	ask OPTIONS "/users/$USER_ID" '' HTTP_ORIGIN=https://b.example HTTP_ACCESS_CONTROL_REQUEST_METHOD=PUT
	[ -z "$(header Access-Control-Allow-Origin)" ]
	[[ $(header Vary) == *Origin* ]]
	ask GET "/users/$USER_ID"
	[ -z "$(header Access-Control-Allow-Origin)" ]
	[[ $(header Vary) == *Origin* ]] # a cache must not give this one to a.example
}

#
# The front's own errors
#

@test "each error of nginx's own is a whole problem in both languages, and browsers elsewhere may read it" {
	local status
	front_up
	for status in $(front_statuses); do
		front "/give/$status" -H 'Origin: https://a.example'
		expect "$status" '.title != "Error"' '.detail | test("could not be handled") | not'
		[ "$(header Access-Control-Allow-Origin)" = '*' ]
		[ -z "$(header Access-Control-Allow-Credentials)" ]
		[[ $(header Access-Control-Expose-Headers) == *Retry-After*X-Request-Id* ]]
		front "/give/$status" -H 'Accept-Language: ko'
		expect "$status" '.detail | test("[가-힣]")'
		[ -z "$(header Access-Control-Allow-Origin)" ]
	done
	front /give/504
	expect 504 '.code == "timeout"'
}

@test "a listed origin may read nginx's own errors with credentials, and no other may" {
	front_up 'https://a.example https://a.example; default "";'
	front /give/504 -H 'Origin: https://a.example'
	[ "$(header Access-Control-Allow-Origin)" = https://a.example ]
	[ "$(header Access-Control-Allow-Credentials)" = true ]
	[[ $(header Vary) == *Origin* ]]
	front /give/504 -H 'Origin: https://b.example'
	[ -z "$(header Access-Control-Allow-Origin)$(header Access-Control-Allow-Credentials)" ]
}

@test "nginx heeds quality values" {
	local language expected
	front_up
	while IFS='|' read -r language expected; do
		front /give/404 -H "Accept-Language: $language"
		[ "$(header Content-Language)" = "$expected" ] || came "expected $expected for $language"
	done <<-'EOF_'
		ko|ko
		KO-kr|ko
		ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7|ko
		en;q=0.5, ko|ko
		fr, ko;q=0.2|ko
		ko;q=0.2, en|en
		ko;q=0, en;q=0.1|en
		ko;q=0|en
		en-US,en;q=0.5|en
		en, ko|en
		fr|en
		korean|en
		*|en
	EOF_
}

#
# The closed list of codes
#

@test "internal: what is our own mistake is said to be, and nothing of it" {
	SCRATCH=usher_t_$(some_id)
	admin_sql "CREATE DATABASE $SCRATCH OWNER usher_owner" >/dev/null
	DATABASE_URL=${DATABASE_URL/\/usher\?//$SCRATCH?} DATABASE_SYNC_URL=${DATABASE_SYNC_URL/\/usher\?//$SCRATCH?}
	usherctl migrate up >/dev/null
	worker_up REDIS_URL="unix://$BATS_TEST_TMPDIR/none"
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "$(some_id)")"
	expect 201
	owner_sql 'ALTER TABLE events RENAME COLUMN request_id TO renamed'
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "$(some_id)")" HTTP_ACCEPT_LANGUAGE=ko
	expect 500 '.code == "internal"' '.detail == "서버 내부 오류가 발생했습니다"'
	[[ $BODY != *request_id\ does* && $BODY != *events* ]]
	wait_for 5 grep -q '"level":"error"' "$WORKER_LOG"
}

# waiting: the worker's backend that waits for the row that hold_row holds (the daemon's may wait too)
waiting() {
	sql "SELECT w.pid FROM pg_stat_activity w, pg_stat_activity h WHERE h.pid = ANY (pg_blocking_pids(w.pid))
		AND w.application_name = 'usher-api' AND h.query LIKE '%id = ' || :'id' || ' FOR UPDATE%'" "id=$USER_ID"
}
is_waiting() { [[ $(waiting) ]]; }

@test "uncertain: a change whose answer never came is not called done, nor failed" {
	local asking
	fresh_user
	login
	worker_up
	hold_row "$USER_ID"
	(
		ask PATCH "/users/$USER_ID" '{"age":1}'
		expect 503 '.code == "uncertain"'
		touch "$BATS_TEST_TMPDIR/told"
	) 3>&- &
	asking=$!
	wait_for 5 is_waiting
	freeze "$(waiting)" # its connection stays, and says nothing more
	wait "$asking"
	[ -e "$BATS_TEST_TMPDIR/told" ]
}

@test "each code of the closed list is provoked by a test" {
	local code missing=''
	for code in $(usherctl errors | sed -nE 's/^\| `([a-z_]+)`.*/\1/p'); do
		grep -qE "code == \"$code\"|(declined|gives.*|all_give) [0-9]+ $code\b" "$BATS_TEST_DIRNAME"/*.bats "$BATS_TEST_DIRNAME"/lib/api.bash || missing+=" $code"
	done
	[ -z "$missing" ] || fail "no test provokes:$missing"
}
