#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# /metrics: what Prometheus reads, summed over all workers whoever answers.

load lib/api
load lib/stack

metrics() {
	get "$BASE_URL/metrics"
	expect 200
}

# value 'NAME{LABELS}': as it stands in the last answer; 0 where it is not there
value() { awk -v name="$1" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' <<<"$BODY"; }

# answered METHOD ROUTE STATUS: how many requests so far
answered() {
	value "http_server_request_duration_seconds_count{http_request_method=\"$1\",http_route=\"$2\",http_response_status_code=\"$3\"}"
}

@test "every line is of the text format, and every figure has a sentence and a type" {
	metrics
	[ "$(header Content-Type)" = 'text/plain; version=0.0.4; charset=utf-8' ]
	run -1 grep -vE '^(# HELP [a-z_]+ .+|# TYPE [a-z_]+ (counter|gauge|histogram)|[a-z_]+(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? [0-9.]+)$' <<<"$BODY"
	[ -z "$(sed -nE 's/^([a-z_]+).*/\1/p' <<<"$BODY" | sed -E 's/_(bucket|sum|count)$//' | sort -u |
		comm -23 - <(sed -nE 's/^# TYPE ([a-z_]+) .*/\1/p' <<<"$BODY" | sort -u))" ]
	[ -z "$(sed -nE 's/^# TYPE //p' <<<"$BODY" | cut -d' ' -f1 | sort | uniq -d)" ]
	[ "$(tail -c 1 <"$BATS_TEST_TMPDIR/.body" | xxd -p)" = 0a ]
}

@test "a request is counted by its route's template and status, whichever worker answered" {
	local before i
	fresh_user
	login
	metrics
	before=$(answered GET '/api/v1/users/{id}' 200)
	for i in 1 2 3 4 5; do get "/users/$USER_ID"; done
	head_of "/users/$USER_ID"
	metrics
	(($(answered GET '/api/v1/users/{id}' 200) == before + 6)) || came "expected six more than $before"
	[[ $BODY != *"users/$USER_ID"* ]]
}

@test "what finds no route is counted without one" {
	local before
	metrics
	before=$(value 'http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="404"}')
	get /odd-place
	metrics
	(($(value 'http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="404"}') == before + 1))
	[[ $BODY != *odd-place* ]]
}

@test "each bucket has what the smaller ones have, and the last one all" {
	get "$BASE_URL/healthz"
	metrics
	awk '/^http_server_request_duration_seconds_bucket/ { if (labels($0) == last && $2 < n) exit 1; last = labels($0); n = $2 }
		/^http_server_request_duration_seconds_count/ { if ($2 != n) exit 1; seen = 1 }
		function labels(line) { sub(/,le=.*/, "", line); return line }
		END { if (!seen) exit 1 }' <<<"$BODY"
}

@test "what happens is counted: sign-ups, logins and those refused" {
	local signups logins failed
	metrics
	signups=$(value usher_signups_total) logins=$(value usher_logins_total) failed=$(value usher_logins_failed_total)
	fresh_user
	login
	TOKEN='' post /auth/login "$(sign_in_as "$EMAIL" 'not the password')"
	expect 401
	metrics
	(($(value usher_signups_total) > signups && $(value usher_logins_total) > logins && $(value usher_logins_failed_total) > failed))
}
