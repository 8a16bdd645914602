#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# The same request sent twice with its Idempotency-Key is done once and answered twice.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
	KEY=$(some_id)
}
teardown() { worker_down; }

# keyed METHOD... : with the key
keyed() { "$@" -H "Idempotency-Key: $KEY"; }

# kept_as KEY: what the table has for it
kept_as() { printf %s "$1" | sha256sum | cut -d' ' -f1; }

events_like() { sql "SELECT count(*) FROM events WHERE event_type = :'t'" "t=$1"; }

@test "an event posted twice is one event, and both times the same answer" {
	local first type
	type=t$(some_id)
	keyed post /events/ "{\"event_type\":\"$type\",\"data\":{}}"
	expect 202
	first=$BODY
	keyed post /events/ "{\"event_type\":\"$type\",\"data\":{}}"
	expect 202
	[ "$BODY" = "$first" ]
	[ "$(events_like "$type")" = 1 ]
	# without it, it is another
	post /events/ "{\"event_type\":\"$type\",\"data\":{}}"
	expect 202
	[ "$(events_like "$type")" = 2 ]
}

@test "a sign-up sent again gets the same user, headers too, even when it has changed since" {
	local first location etag body
	body=$(sign_up_as "$(fresh_address)" "$(some_id)")
	TOKEN='' keyed post /users/ "$body"
	expect 201
	first=$BODY location=$(header Location) etag=$(header ETag)
	owner_sql "UPDATE users SET age = 44 WHERE id = :u" "u=$(jq .id <<<"$first")"
	TOKEN='' keyed post /users/ "$body"
	expect 201
	[ "$BODY" = "$first" ]
	[ "$(header Location)" = "$location" ]
	[ "$(header ETag)" = "$etag" ]
	TOKEN='' keyed post /users "$body" # a collection is the same without its slash
	expect 201
	[ "$BODY" = "$first" ]
	TOKEN='' post /users/ "$body"
	expect 400 '.code == "email_taken"'
}

@test "an activity is added once" {
	keyed post "/users/$USER_ID/activities" '{"activity_type":"page.viewed"}'
	expect 201
	FIRST=$BODY
	export FIRST
	keyed post "/users/$USER_ID/activities" '{"activity_type":"page.viewed"}'
	expect 201 '. == ($ENV.FIRST | fromjson)'
	get "/users/$USER_ID/activities"
	expect 200 'map(select(.activity_type == "page.viewed")) | length == 1'
}

@test "the same key with another body or another call is refused" {
	keyed post /events/ '{"event_type":"a","data":{}}'
	expect 202
	keyed post /events/ '{"event_type":"a","data":{"n":1}}'
	expect 422 '.errors == [.errors[0]] and .errors[0].loc == ["header","Idempotency-Key"]' '.errors[0].type == "idempotency_key_used"'
	keyed post "/users/$USER_ID/activities" '{"activity_type":"a"}'
	expect 422
}

@test "the same body to the same call about somebody else is another request" {
	fresh_admin
	TOKEN=$ADMIN
	keyed post "/users/$USER_ID/activities" '{"activity_type":"a"}'
	expect 201
	keyed post "/users/$ADMIN_ID/activities" '{"activity_type":"a"}'
	faulty header.Idempotency-Key
}

@test "a stranger's key is its address's own" {
	local body
	body=$(sign_up_as "$(fresh_address)")
	worker_up
	TOKEN='' ask POST /users/ "$body" HTTP_IDEMPOTENCY_KEY="$KEY"
	expect 201
	TOKEN='' ask POST /users/ "$body" HTTP_IDEMPOTENCY_KEY="$KEY"
	expect 201
	TOKEN='' ask POST /users/ "$body" HTTP_IDEMPOTENCY_KEY="$KEY" REMOTE_ADDR=192.0.2.2
	expect 400 '.code == "email_taken"'
}

@test "another caller's key is its own" {
	local mine
	keyed post /events/ '{"event_type":"a","data":{}}'
	expect 202
	mine=$BODY
	fresh_user
	login
	keyed post /events/ '{"event_type":"a","data":{}}'
	expect 202
	[ "$BODY" != "$mine" ]
}

@test "what was refused is not kept: the request may be mended and sent again" {
	keyed post /events/ '{"event_type":"user_x","data":{}}'
	expect 422
	keyed post /events/ '{"event_type":"x","data":{},"user_id":9007199254740991}'
	expect 403
	keyed post /events/ '{"event_type":"x","data":{}}'
	expect 202
	TOKEN='' KEY=$KEY-2 keyed post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 400 '.code == "email_taken"'
	[ "$(sql "SELECT count(*) FROM idempotency_keys WHERE key = :'k'" "k=$(kept_as "$KEY-2")")" = 0 ]
}

@test "a key is 1 to 255 visible characters" {
	local bad
	for bad in "$(printf 'a%.0s' {1..256})" 'a b' $'\xed\x99\x8d'; do
		KEY=$bad keyed post /events/ '{"event_type":"a","data":{}}'
		expect 422 '.errors[0].loc == ["header","Idempotency-Key"]'
	done
	KEY=$(printf 'a%.0s' {1..255}) keyed post /events/ '{"event_type":"a","data":{}}'
	expect 202
}

@test "after a day the key is free again, whether or not it was swept" {
	local first
	keyed post /events/ '{"event_type":"a","data":{}}'
	expect 202
	first=$BODY
	owner_sql "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = :'k'" "k=$(kept_as "$KEY")"
	keyed post /events/ '{"event_type":"b","data":{}}'
	expect 202
	[ "$BODY" != "$first" ]
}

@test "ten twins at once do it once, and each hears the same or that another is at it" {
	local n type answers
	type=t$(some_id)
	for n in {1..10}; do
		curl -sS -o "$BATS_TEST_TMPDIR/twin$n" -w '%{http_code}\n' "$API/events/" -H "Authorization: Bearer $TOKEN" \
			-H "Idempotency-Key: $KEY" -H 'Content-Type: application/json' -d "{\"event_type\":\"$type\",\"data\":{}}" \
			>"$BATS_TEST_TMPDIR/status$n" 3>&- &
	done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/status* | sort -u | grep -vxE '202|409')" = '' ]
	answers=$(for n in {1..10}; do grep -qx 202 "$BATS_TEST_TMPDIR/status$n" && cat "$BATS_TEST_TMPDIR/twin$n" && echo; done | sort -u | wc -l)
	[ "$answers" = 1 ]
	[ "$(events_like "$type")" = 1 ]
}

# twin BODY: a transaction that has the key and has not ended, as of the same request with BODY
twin() {
	local fifo=$BATS_TEST_TMPDIR/first hash
	hash=$(printf '%s\nPOST /api/v1/events\n%s' "$KEY" "$1" | sha256sum | cut -d' ' -f1)
	mkfifo "$fifo"
	psql -XqAt "$DATABASE_URL" <"$fifo" >"$fifo.out" 3>&- &
	exec {FIRST}>"$fifo"
	printf "BEGIN; INSERT INTO idempotency_keys (caller, key, request_hash, status, body)
		VALUES ('user %s', '%s', '%s', 202, '{\"event_id\":\"first\"}');\n\\\\echo held\n" "$USER_ID" "$(kept_as "$KEY")" "$hash" >&"$FIRST"
	wait_for 10 grep -q held "$fifo.out"
}
somebody_waits() { [[ $(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO idempotency_keys%'") != 0 ]]; }

@test "a twin waits for the first and answers as it did, when that has ended well" {
	local type=t$(some_id) body
	body="{\"event_type\":\"$type\",\"data\":{}}"
	twin "$body"
	curl -sS "$API/events/" -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $KEY" -H 'Content-Type: application/json' \
		-d "$body" >"$BATS_TEST_TMPDIR/second" 3>&- &
	SECOND=$!
	wait_for 10 somebody_waits
	echo 'COMMIT;' >&"$FIRST"
	exec {FIRST}>&-
	wait "$SECOND"
	[ "$(<"$BATS_TEST_TMPDIR/second")" = '{"event_id":"first"}' ]
	[ "$(events_like "$type")" = 0 ]
}

@test "a twin whose first one failed does the work" {
	local type=t$(some_id) body
	body="{\"event_type\":\"$type\",\"data\":{}}"
	twin "$body"
	curl -sS "$API/events/" -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $KEY" -H 'Content-Type: application/json' \
		-d "$body" >"$BATS_TEST_TMPDIR/second" 3>&- &
	SECOND=$!
	wait_for 10 somebody_waits
	echo 'ROLLBACK;' >&"$FIRST"
	exec {FIRST}>&-
	wait "$SECOND"
	[ "$(events_like "$type")" = 1 ]
}

@test "while a twin is at it for longer than that, the other gets 409" {
	twin '{"event_type":"a","data":{}}'
	keyed post /events/ '{"event_type":"a","data":{}}'
	exec {FIRST}>&-
	expect 409 '.code == "conflict"'
}
