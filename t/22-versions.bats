#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Versions: every change counts one up and is one event, and who changes something may say which
# version it was that he saw.

load lib/api
load lib/stack

setup() {
	fresh_user
	login # version 2
}

teardown() {
	worker_down
	[[ ! ${RELAY_HELD-} ]] || "$USHER_DEV" start eventd 3>&-
}

# event N JQ: of the user's Nth event
event() {
	sql "SELECT to_jsonb(e) FROM events e WHERE user_id = :id ORDER BY position OFFSET :n - 1 LIMIT 1" "id=$USER_ID" "n=$1" >"$BATS_TEST_TMPDIR/event"
	jq -e "$2" "$BATS_TEST_TMPDIR/event" >/dev/null || fail "of event $1, expected $2" "$(cat "$BATS_TEST_TMPDIR/event")"
}

# gapless USER_ID: versions 1, 2, 3 … and the newest is the user's
gapless() {
	[ -z "$(sql 'SELECT version FROM (SELECT version, row_number() OVER (ORDER BY version) AS n FROM events
		WHERE user_id = :id AND version IS NOT NULL) e WHERE version <> n' "id=$1")" ]
	[ "$(sql 'SELECT max(version) FROM events WHERE user_id = :id' "id=$1")" = "$(version_of "$1")" ]
}

# together N FORMAT: N PATCHes at once, each with FORMAT's body for its number; their statuses, sorted
together() {
	local i args=()
	for ((i = 1; i <= $1; i++)); do
		# shellcheck disable=SC2059 # it is a format
		args+=(${args[0]+--next} -sS -X PATCH -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'
			${IF_MATCH:+-H "If-Match: $IF_MATCH"} --data "$(printf "$2" "$i")" -o /dev/null -w '%{http_code}\n' "$API/users/$USER_ID")
	done
	curl -Z --parallel-immediate --parallel-max "$1" "${args[@]}" | sort | uniq -c | xargs
}

@test "the ETag is the version: 1 when created, one more for each login and change" {
	get "/users/$USER_ID"
	[ "$(header ETag)" = '"2"' ]
	login
	get "/users/$USER_ID"
	[ "$(header ETag)" = '"3"' ]
	patch "/users/$USER_ID" '{"age":1}'
	[ "$(header ETag)" = '"4"' ]
	put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\"}"
	[ "$(header ETag)" = '"5"' ]
	get "/users/$USER_ID"
	[ "$(header ETag)" = '"5"' ]
	gapless "$USER_ID"
}

@test "who has the newest version already gets 304 and no body" {
	local tag
	for tag in '"2"' 'W/"2"' '"7", "2"' '"1",W/"2","9"' '*'; do
		get "/users/$USER_ID" -H "If-None-Match: $tag"
		expect 304
		[ -z "$BODY" ]
		[ "$(header ETag)" = '"2"' ]
		[ -n "$(header Cache-Control)" ]
		head_of /users/me -H "If-None-Match: $tag"
		expect 304
	done
	redis del "user:$USER_ID"
	get "/users/$USER_ID" -H 'If-None-Match: "2"'
	expect 304
	[ "$(header X-Cache)" = MISS ]
}

@test "who has another version, or no version of ours, gets the page" {
	local tag
	for tag in '"1"' '"3"' '"22"' '"2x"' '"02"' '"+2"' '" 2"' '2' '"x2"' '"-2"' '""' '"' 'W/' ',' '"18446744073709551618"'; do
		get "/users/$USER_ID" -H "If-None-Match: $tag"
		[ "$STATUS" = 200 ] || came "expected the page for If-None-Match: $tag"
	done
}

@test "a change goes through if the version it names is the newest" {
	patch "/users/$USER_ID" '{"age":1}' -H 'If-Match: "2"'
	expect 200 '.age == 1'
	patch "/users/$USER_ID" '{"age":2}' -H 'If-Match: "1", "3"'
	expect 200
	patch "/users/$USER_ID" '{"age":3}' -H 'If-Match: *'
	expect 200
	put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\"}" -H 'If-Match: "5"'
	expect 200
	delete "/users/$USER_ID" -H 'If-Match: "6"'
	expect 204
}

@test "a change is refused if the version it names is stale, weak or no version" {
	local tag
	for tag in '"1"' '"3"' 'W/"2"' '2' '"2x"' '"02"' '"+2"' '" 2"' '""' '"' 'x' '"1", W/"2"'; do
		patch "/users/$USER_ID" '{"age":1}' -H "If-Match: $tag"
		[ "$STATUS" = 412 ] || came "expected 412 for If-Match: $tag"
		expect 412 '.code == "stale_version"'
		put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\"}" -H "If-Match: $tag"
		expect 412
		delete "/users/$USER_ID" -H "If-Match: $tag"
		expect 412
	done
	[ "$(version_of "$USER_ID")" = 2 ]
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}' -H 'If-Match: "1"'
	expect 412
	get "/users/$USER_ID"
	expect 200 '.status == "active"'
}

@test "a stale change is refused though it would change nothing" {
	patch "/users/$USER_ID" '{"age":1}'
	patch "/users/$USER_ID" '{"age":1}' -H 'If-Match: "2"'
	expect 412
}

@test "who changes nobody is told so, whatever version he names" {
	fresh_admin
	as_admin patch /users/4611686018427387904 '{"age":1}' -H 'If-Match: "1"'
	expect 404
	as_admin delete /users/4611686018427387904 -H 'If-Match: "1"'
	expect 404
}

@test "of several changes to one version at once, one goes through" {
	[ "$(IF_MATCH='"2"' together 6 '{"age":%d}')" = "1 200 5 412" ]
	[ "$(version_of "$USER_ID")" = 3 ]
	gapless "$USER_ID"
}

@test "changes at once are all made, one after another, none lost and no version left out" {
	together 12 '{"age":%d}'
	together 2 '{"nickname":"%d"}'
	patch "/users/$USER_ID" '{"age":99}'
	gapless "$USER_ID"
	get "/users/$USER_ID"
	expect 200 '.age == 99 and (.nickname == "1" or .nickname == "2")'
	[ "$(version_of "$USER_ID")" = "$(sql 'SELECT count(*) FROM events WHERE user_id = :id' "id=$USER_ID")" ]
}

@test "changes of different fields at once both last" {
	local round
	fresh_admin
	for round in 1 2 3 4 5; do
		curl -sS -Z -o /dev/null -X PATCH -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' --data "{\"age\":$round}" \
			"$API/users/$USER_ID" --next -sS -o /dev/null -X PATCH -H "Authorization: Bearer $ADMIN" -H 'Content-Type: application/json' \
			--data "{\"phone\":\"$round\"}" "$API/users/$USER_ID" \
			--next -sS -o /dev/null -H 'Content-Type: application/json' --data "$(sign_in_as "$EMAIL" "$PASSWORD")" "$API/auth/login"
		get "/users/$USER_ID"
		expect 200 ".age == $round and .phone == \"$round\" and .login_count == 1 + $round"
	done
	gapless "$USER_ID"
}

@test "a change that changes nothing is no new version and no event" {
	patch "/users/$USER_ID" '{"age":1}'
	patch "/users/$USER_ID" '{"age":1}'
	expect 200 '.age == 1'
	[ "$(header ETag)" = '"3"' ]
	patch "/users/$USER_ID" "{\"email\":\"$EMAIL\"}"
	expect 200
	[ "$(version_of "$USER_ID")" = 3 ]
	[ "$(events_of "$USER_ID" | wc -l)" = 3 ]
}

@test "every change of a user is one event, in order" {
	patch "/users/$USER_ID" '{"age":1}'
	post /auth/login "$(sign_in_as "$EMAIL" 'not the password')"
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	delete "/users/$USER_ID"
	[ "$(events_of "$USER_ID")" = '1 user_created
2 user_login
3 user_updated
user_login_failed
4 user_updated
5 user_deleted' ]
}

@test "a refused change is no event" {
	patch "/users/$USER_ID" '{"age":999}'
	patch "/users/$USER_ID" '{"role":"admin"}'
	patch "/users/$USER_ID" '{"age":1}' -H 'If-Match: "1"'
	delete "/users/$USER_ID" -H 'If-Match: "1"'
	[ "$(events_of "$USER_ID" | wc -l)" = 2 ]
}

@test "user_created tells the whole user, user_updated what changed, user_deleted what was" {
	event 1 '.event_type == "user_created" and .data.email == $ENV.EMAIL and .data.name == $ENV.NAME
		and .data.status == "active" and .data.role == "user" and .data.age == null'
	patch "/users/$USER_ID" '{"age":30,"name":"새 이름"}'
	event 3 '.event_type == "user_updated" and .data == {age: 30, name: "새 이름"}'
	patch "/users/$USER_ID" '{"age":null,"name":"새 이름"}'
	event 4 '.data == {age: null}'
	delete "/users/$USER_ID"
	event 5 '.event_type == "user_deleted" and .version == 5 and .data.email == $ENV.EMAIL and .data.name == "새 이름"'
}

@test "an event bears no password and no hash" {
	local n
	for n in 1 2; do event "$n" '[.. | strings] | all(contains("$2b$") or contains($ENV.PASSWORD) | not)'; done
	event 1 '.data | has("password") or has("password_hash") | not'
}

@test "every event has an id of its own, a UUIDv7" {
	patch "/users/$USER_ID" '{"age":1}'
	event 3 '.event_id | test("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")'
	[ "$(sql 'SELECT count(DISTINCT event_id) FROM events WHERE user_id = :id' "id=$USER_ID")" = 3 ]
	[ "$(sql 'SELECT count(*) FROM events WHERE event_id IS NULL')" = 0 ]
}

@test "an event names the request that it came of" {
	local id trace=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
	id=test-$(some_id)
	patch "/users/$USER_ID" '{"age":1}' -H "X-Request-Id: $id" -H "traceparent: $trace"
	event 3 ".request_id == \"$id\" and .traceparent == \"$trace\""
	patch "/users/$USER_ID" '{"age":2}' -H "traceparent: $trace-and-more"
	event 4 '.traceparent == null'
	[ "$(sql 'SELECT request_id FROM events WHERE user_id = :id AND version = 4' "id=$USER_ID")" = "$(header X-Request-Id)" ]
}

@test "an event has its row in the outbox: the message as the contract wants it, keyed by the user" {
	RELAY_HELD=1
	"$USHER_DEV" stop eventd 3>&-
	patch "/users/$USER_ID" '{"age":30}'
	event 3 .event_id
	sql "SELECT json_build_object('key', aggregateid, 'type', type, 'of', aggregatetype, 'request', request_id, 'message', payload)
		FROM outbox WHERE id = :'e'" "e=$(jq -r .event_id "$BATS_TEST_TMPDIR/event")" >"$BATS_TEST_TMPDIR/row"
	jq -e --slurpfile e "$BATS_TEST_TMPDIR/event" '.key == $ENV.USER_ID and .type == "user_updated" and .of == "user"
		and .request == $e[0].request_id and (.message | keys == ["data","event_id","event_type","timestamp","user_id","version"])
		and .message.event_id == $e[0].event_id and .message.data == {age: 30} and .message.version == 3
		and .message.user_id == ($ENV.USER_ID | tonumber)
		and (.message.timestamp | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{6}Z$"))' "$BATS_TEST_TMPDIR/row"
}

@test "what has happened can't be changed, by the service as little as by the owner" {
	local role statement
	for role in sql owner_sql; do
		for statement in "UPDATE events SET event_type = 'x' WHERE user_id = $USER_ID" "DELETE FROM events WHERE user_id = $USER_ID" \
			"DELETE FROM events WHERE false" "TRUNCATE events"; do
			run ! "$role" "$statement"
			[[ $output == *append-only* || $output == *"permission denied"* ]]
		done
	done
	[ "$(events_of "$USER_ID" | wc -l)" = 2 ]
}

@test "the service can't change the schema" {
	run ! sql 'DROP TABLE outbox'
	run ! sql 'CREATE TABLE mine (id int)'
	run ! sql 'ALTER TABLE events DISABLE TRIGGER ALL'
	run ! sql 'DELETE FROM schema_migrations'
}

@test "the database counts versions and keeps times, whoever writes" {
	[ "$(sql "BEGIN; UPDATE users SET version = 77, created_at = 'epoch', updated_at = 'epoch', age = 1 WHERE id = :id;
		SELECT version || ' ' || (created_at > 'epoch') || ' ' || (updated_at > created_at) FROM users WHERE id = :id; ROLLBACK" \
		"id=$USER_ID")" = "3 true true" ]
}

@test "a PUT that nginx sends twice takes effect once" {
	local body attempt
	attempt=$(some_id)
	body="{\"name\":\"twice\",\"email\":\"$EMAIL\"}"
	worker_up
	ask PUT "/users/$USER_ID" "$body" USHER_REQUEST_ID="$attempt" HTTP_IF_MATCH='"2"'
	expect 200
	[ "$(header ETag)" = '"3"' ]
	ask PUT "/users/$USER_ID" "$body" USHER_REQUEST_ID="$attempt" HTTP_IF_MATCH='"2"'
	expect 200 '.name == "twice"'
	[ "$(header ETag)" = '"3"' ]
	[ "$(events_of "$USER_ID" | wc -l)" = 3 ]
	# another request with that version is stale
	ask PUT "/users/$USER_ID" "$body" USHER_REQUEST_ID="$(some_id)" HTTP_IF_MATCH='"2"'
	expect 412
}

@test "a DELETE that nginx sends twice takes effect once, and is not told to have failed" {
	local attempt
	attempt=$(some_id)
	fresh_admin
	worker_up
	TOKEN=$ADMIN ask DELETE "/users/$USER_ID" '' USHER_REQUEST_ID="$attempt"
	expect 204
	TOKEN=$ADMIN ask DELETE "/users/$USER_ID" '' USHER_REQUEST_ID="$attempt"
	expect 204
	[ "$(events_of "$USER_ID" | grep -c user_deleted)" = 1 ]
	TOKEN=$ADMIN ask DELETE "/users/$USER_ID" '' USHER_REQUEST_ID="$(some_id)"
	expect 404
}

@test "a user's own DELETE that nginx sends twice takes effect once, and is not told to have failed" {
	local attempt
	attempt=$(some_id)
	worker_up
	ask DELETE "/users/$USER_ID" '' USHER_REQUEST_ID="$attempt"
	expect 204
	ask DELETE "/users/$USER_ID" '' USHER_REQUEST_ID="$attempt"
	expect 204
	[ "$(events_of "$USER_ID" | grep -c user_deleted)" = 1 ]
}
