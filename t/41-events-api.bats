#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# The event store over HTTP: what callers put in, what comes out, in which order, and the counts.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	export USER_ID
}

teardown() {
	for pid in ${OPEN-}; do kill "$pid" 2>/dev/null || true; done
}

# event TYPE [DATA [USER]]: a body
event() { jq -cn --arg t "$1" --argjson d "${2-{\}}" --argjson u "${3-null}" '{event_type: $t, data: $d} + if $u then {user_id: $u} else {} end'; }

fresh_type() { echo "t$(some_id)"; }

# transaction NAME: opens one, which writes what is echoed to descriptor $NAME
transaction() {
	local fifo=$BATS_TEST_TMPDIR/$1
	mkfifo "$fifo"
	psql -XqAt -v ON_ERROR_STOP=1 "$DATABASE_URL" <"$fifo" >"$fifo.out" 2>&1 3>&- &
	OPEN+=" $!"
	eval "exec {$1}>'$fifo'"
}

# tell NAME SQL: in that transaction, and wait until it is done
tell() {
	local out=$BATS_TEST_TMPDIR/$1.out mark
	mark=$(some_id)
	printf '%s;\n\\echo %s\n' "$2" "$mark" >&"${!1}"
	wait_for 10 grep -q "$mark" "$out" || cat "$out"
}

insert() { echo "INSERT INTO events (event_id, event_type, data) VALUES (gen_random_uuid(), '$1', '{\"n\":$2}')"; }

@test "a caller's own event is stored, on its way to Kafka, and bears no version" {
	local type version
	type=$(fresh_type) version=$(version_of "$USER_ID")
	# not by way of jq, which rounds
	post /events/ '{"event_type":"'"$type"'","data":{"items":[1,2.0,{"a":"홍길동"}],"big":9007199254740993,"tenth":0.1,"none":null}}'
	expect 202 'keys == ["event_id"]' '.event_id | test("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")'
	ID=$(jq -r .event_id <<<"$BODY")
	run -0 sql "SELECT user_id || ' ' || event_type || ' ' || (version IS NULL) || ' ' || request_id || ' ' || data::text
		FROM events WHERE event_id = :'id'" "id=$ID"
	[ "$output" = "$USER_ID $type true $(header X-Request-Id) {\"big\": 9007199254740993, \"none\": null, \"items\": [1, 2.0, {\"a\": \"홍길동\"}], \"tenth\": 0.1}" ]
	# the relay may have taken it already, but never its event
	run -0 sql "SELECT count(*) FROM outbox WHERE id = :'id' AND (aggregateid <> :'u' OR payload->>'event_type' <> :'t')" \
		"id=$ID" "u=$USER_ID" "t=$type"
	[ "$output" = 0 ]
	[ "$(version_of "$USER_ID")" = "$version" ]
}

@test "a bad event is refused, every fault at once" {
	post /events/ '{}'
	faulty body.event_type body.data
	for type in '' 1x 'a b' 'x;y' "$(printf 'a%.0s' {1..101})" 글 _x; do
		post /events/ "$(event "$type")"
		faulty body.event_type
	done
	for type in user_created USER_x user_ profile_updated; do
		post /events/ "$(event "$type")"
		faulty body.event_type
		fault body.event_type '.type == "reserved"'
	done
	for data in '[]' '"x"' 1 null true 1.5; do
		post /events/ "$(event x "$data")"
		faulty body.data
		fault body.data '.type == "dict_type" or .type == "null_forbidden"'
	done
	post /events/ "{\"event_type\":\"x\",\"data\":{\"a\":\"$(printf 'a%.0s' {1..16384})\"}}"
	faulty body.data
	fault body.data '.type == "too_big"'
	post /events/ '{"event_type":"x","data":{"a":1,"a":2}}'
	expect 400 '.code == "malformed"'
	post /events/ '{"event_type":"x","data":{},"user_id":0,"version":3}'
	faulty body.user_id body.version
	TYPE=text/plain post /events/ '{}'
	expect 415
}

@test "a very deep object is kept as it is" {
	local deep
	deep=$(printf '{"a":%.0s' {1..500})1$(printf '}%.0s' {1..500})
	post /events/ "{\"event_type\":\"deep\",\"data\":$deep}"
	expect 202
}

@test "an event of somebody else is an admin's to post, and somebody must be there" {
	local mine=$USER_ID
	fresh_admin
	post /events/ "$(event x '{}' "$ADMIN_ID")"
	expect 403 '.code == "forbidden"'
	post /events/ "$(event x '{}' "$mine")"
	expect 202
	as_admin post /events/ "$(event x '{}' "$mine")"
	expect 202
	as_admin post /events/ "$(event x '{}' 9007199254740991)"
	expect 404 '.code == "user_not_found"'
	TOKEN='' post /events/ "$(event x)"
	expect 401 '.code == "token_missing"'
}

@test "the store is read by admins, page by page, from a position on" {
	local type
	type=$(fresh_type)
	for n in 1 2 3 4 5; do post /events/ "$(event "$type" "{\"n\":$n}")"; done
	get /events/
	expect 403
	fresh_admin
	TOKEN=$ADMIN
	get "/events/?event_type=$type&limit=2"
	expect 200 'map(.data.n) == [1, 2]' 'all(keys == ["data","event_id","event_type","position","timestamp","user_id","version"])' \
		'all(.user_id == ($ENV.USER_ID | tonumber) and .version == null)' \
		'all(.timestamp | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$"))'
	[[ $(header Link) == "</api/v1/events/?limit=2&event_type=$type&after=$(jq -r '.[1].position' <<<"$BODY")>; rel=\"next\"" ]] ||
		came "expected a link"
	get "$BASE_URL$(header Link | sed -E 's/<(.*)>.*/\1/')"
	expect 200 'map(.data.n) == [3, 4]'
	get "/events/?event_type=$type&after=$(jq -r '.[1].position' <<<"$BODY")"
	expect 200 'map(.data.n) == [5]'
	[ -z "$(header Link)" ]
	get "/events/?event_type=$type&after=$(jq -r '.[0].position' <<<"$BODY")"
	expect 200 '. == []'
	get '/events/?limit=1'
	expect 200 'length == 1'
}

@test "a position is checked, as every parameter is" {
	local bad
	fresh_admin
	TOKEN=$ADMIN
	for bad in '' 1 1. .1 1.-1 -1.1 01.1 1.1.1 1x1 "1.1'" 99999999999999999999.1; do
		get "/events/?after=$bad"
		faulty query.after
	done
	get '/events/?limit=0&event_type=&user_id=1'
	faulty query.limit query.event_type query.user_id
	get '/events/?limit=1001'
	faulty query.limit
}

@test "an event that commits late is not passed by" {
	local type seen after
	type=$(fresh_type)
	fresh_admin
	TOKEN=$ADMIN
	transaction EARLY
	tell EARLY "BEGIN; $(insert "$type" 1)"
	transaction LATE
	tell LATE "BEGIN; $(insert "$type" 2)"
	sql "$(insert "$type" 3)" # commits at once, with the greatest place of the three

	get "/events/?event_type=$type"
	expect 200 '. == []' # 1 and 2 may still come before it
	tell LATE COMMIT
	get "/events/?event_type=$type"
	expect 200 '. == []'
	tell EARLY "$(insert "$type" 4); COMMIT" # of the oldest transaction, at the greatest place
	wait_for 20 all_four "$type"
	expect 200 'map(.data.n) == [1, 4, 2, 3]'
	seen=$(jq -c 'map(.data.n)' <<<"$BODY")

	# one at a time, each from where the one before it ended: the same
	after=0.0 came=()
	for _ in 1 2 3 4; do
		get "/events/?event_type=$type&limit=1&after=$after"
		expect 200 'length == 1'
		came+=("$(jq '.[0].data.n' <<<"$BODY")")
		after=$(jq -r '.[0].position' <<<"$BODY")
	done
	[ "$(printf '%s\n' "${came[@]}" | jq -cs .)" = "$seen" ]
}
all_four() {
	get "/events/?event_type=$1"
	jq -e 'length == 4' <<<"$BODY" >/dev/null
}

@test "a user's stream is its own, in order, and outlives it for an admin" {
	local mine=$USER_ID
	patch "/users/$mine" '{"age":30}'
	post /events/ "$(event cart.filled)"
	wait_for 20 stream_has "$mine" 4
	expect 200 'map(.event_type) == ["user_created","user_login","user_updated","cart.filled"]' \
		'map(.version) == [1, 2, 3, null]' '.[2].data == {"age": 30}' 'all(tostring | test("password|\\$2b") | not)'
	get "/users/$mine/events?limit=1"
	expect 200 'length == 1'
	get "/users/$mine/events?after=$(jq -r '.[0].position' <<<"$BODY")"
	expect 200 'length == 3'
	get "/users/$mine/events?event_type=x"
	faulty query.event_type
	get /users/x/events
	faulty path.id
	fresh_admin
	get "/users/$ADMIN_ID/events"
	expect 403
	delete "/users/$mine"
	expect 204
	TOKEN=$ADMIN
	wait_for 20 stream_has "$mine" 5
	expect 200 '.[-1].event_type == "user_deleted"'
	get /users/9223372036854775807/events
	expect 404 '.code == "user_not_found"'
	post "/users/$mine/events" '{}'
	expect 405
	[ "$(header Allow)" = 'GET, HEAD, OPTIONS' ]
}
stream_has() {
	get "/users/$1/events"
	jq -e "length == $2" <<<"$BODY" >/dev/null
}

@test "the counts come day by day, and in all" {
	get /stats
	expect 403
	fresh_admin
	TOKEN=$ADMIN
	export DAY
	# a day that nobody else counts
	DAY=$(sql "DELETE FROM stats_daily WHERE day = CURRENT_DATE - 300; INSERT INTO stats_daily (day, what, n)
		SELECT CURRENT_DATE - 300, what, n FROM (VALUES ('new_user', 3), ('login', 5), ('login_failed', 2), ('event', 11), ('update', 1)) v(what, n);
		SELECT CURRENT_DATE - 300")
	get '/stats?days=301'
	expect 200 '.days | length == 301' '.days[0] == {day: $ENV.DAY, new_users: 3, logins: 5, failed_logins: 2, events: 11}' \
		'.days[1] == {day: .days[1].day, new_users: 0, logins: 0, failed_logins: 0, events: 0}' \
		'.totals | keys == ["events","failed_logins","logins","new_users","users"]' '.totals.users > 1 and .totals.events >= 11'
	# where they are very many they are not counted
	admin_sql "UPDATE pg_class SET reltuples = 250000 WHERE oid = 'users'::regclass" usher
	get /stats
	admin_sql 'ANALYZE users' usher
	expect 200 '.totals.users == 250000'
	get /stats
	expect 200 '.days | length == 7 and (map(.day) | sort == . and unique == .)'
	get '/stats?days=1'
	expect 200 '.days | length == 1'
	for days in 0 367 -1 x ''; do
		get "/stats?days=$days"
		faulty query.days
	done
	run -0 usherctl stats --days 301
	[[ $output == *"$DAY"*' 3 '*' 5 '*' 2 '*' 11'* ]] || fail "$output"
	[[ $output == *'users now: '* ]]
	run -2 usherctl stats --days 0
}

@test "a word goes before a number, and only where it has a row" {
	get /users/me
	expect 200
	delete /users/me
	expect 405
	get /users/me/events
	expect 404 '.code == "not_found"'
}

@test "a page of long events ends after a megabyte, and the next goes on" {
	local type seen=0 pages=0 url
	type=$(fresh_type)
	sql "INSERT INTO events (event_id, event_type, data)
		SELECT gen_random_uuid(), :'t', jsonb_build_object('x', repeat('x', 16000)) FROM generate_series(1, 150)" "t=$type"
	fresh_admin
	url="$API/events/?event_type=$type&limit=1000"
	while [[ $url ]]; do
		as_admin get "$url"
		[ "$STATUS" = 200 ]
		((${#BODY} < 1200000)) || fail "a page of ${#BODY} bytes"
		((seen += $(jq length <<<"$BODY"), ++pages))
		url=$(header Link | sed -nE 's/^<([^>]*)>; rel="next"$/\1/p')
		[[ ! $url ]] || url=$BASE_URL$url
	done
	[ "$pages $seen" = "3 150" ]
}

@test "a body whose numbers are long when they are written out is refused, and takes no memory for it" {
	local before pid peak
	for pid in $("$USHER_DEV" pids read); do
		echo 5 >"/proc/$pid/clear_refs" # the peak begins anew
	done
	printf '{"event_type":"big","data":{"a":[%s1]}}' "$(printf '1e308,%.0s' {1..40000})" >"$BATS_TEST_TMPDIR/body"
	before=$(peak_kib)
	post /events/ "@$BATS_TEST_TMPDIR/body"
	faulty body.data
	peak=$(peak_kib)
	if ! grep -q libasan < <(ldd "$USHER_BIN/usher-api"); then
		((peak - before < 16384)) || fail "it took $((peak - before)) KiB"
	fi
}
# peak_kib: the largest that a reading worker has been
peak_kib() {
	local pid
	for pid in $("$USHER_DEV" pids read); do awk '/^VmHWM/ { print $2 }' "/proc/$pid/status"; done | sort -n | tail -n 1
}
