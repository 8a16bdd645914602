#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Requests that make no sense: each gets its own 4xx, in a problem document, in the caller's
# language. (That every refusal in all other files is a whole problem document, expect sees to.)

load lib/api
load lib/stack

setup() {
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	export EMAIL PASSWORD
}

teardown() {
	worker_down
	[[ ! ${HOLDER-} ]] || kill "$HOLDER" 2>/dev/null || true
}

# malformed BODY...: each is 400 wherever a body is read
malformed() {
	local body
	for body; do
		post /users/ "$body"
		[ "$STATUS" = 400 ] || came "expected 400 for: ${body:0:100}"
		expect 400 '.code == "malformed"'
		post /auth/login "$body"
		expect 400 '.code == "malformed"'
	done
}

# times N TEXT
times() { printf "%0$1d" 0 | sed "s/0/$2/g"; }

@test "an empty body is malformed" {
	malformed '' ' ' $'\r\n'
}

@test "what is not JSON is malformed" {
	malformed '{' '}' '{"name":}' "{'name':'x'}" '{"name":"x",}' '{"name":"x"} {}' '{"name":"x"}x' 'name=x' '<name>x</name>' \
		'// x' '{"name":NaN}' '{"name":Infinity}' '{"age":01}' '{"age":+1}' '{"age":.5}' '{"name":"x' $'{"name":"a\nb"}' 'nul' $'\xef\xbb\xbf{}'
}

@test "JSON that is no object is a fault of the body" {
	local body
	for body in '[]' '"x"' 1 true null '[{"name":"x"}]'; do
		post /users/ "$body"
		faulty body
		fault body '.type == "dict_type"'
	done
}

@test "a key given twice is malformed, however it is written" {
	malformed '{"name":"a","name":"b"}' '{"name":"a","n\u0061me":"a"}' '{"hat":{"a":1,"a":2}}' '{"hat":1,"hat":1}'
}

@test "what is malformed is told why and where, in both languages, and not repeated" {
	told() { expect 400 ".errors == [{loc: [\"body\"], msg: \"$1\", type: \"$2\", line: $3, column: $4}]"; }
	post /users/ $'{\n "name": "hush",\n "name": "hush"}'
	told 'An object may have a name only once' json_duplicate 3 7
	[[ $BODY != *hush* ]]
	post /users/ $'{"password":\nhush}'
	told 'Must be JSON; here it is not' json_invalid 2 4
	[[ $BODY != *hush* ]]
	post /users/ '{"name":"x"' -H 'Accept-Language: ko'
	told 'JSON 이 완성되기 전에 끝났습니다' json_ends 1 11
	post /users/ ''
	told 'The JSON ends before it is complete' json_ends 1 1
	post /users/ '{"age":1e400}'
	told 'A number must fit into 64 bits' json_number 1 12
	post /users/ '{"na\u0000me":"a"}'
	told 'May not contain a NUL character' json_nul 1 13
	post /users/ $'{"name":"\xff"}'
	told 'Must be valid UTF-8' string_unicode 1 9
	post /users/ "$(times 5000 '[')"
	told 'Must not be nested so deeply' json_depth 1 2049
}

@test "what is not UTF-8 is malformed" {
	malformed $'{"name":"\xff"}' $'{"name":"\xc0\xaf"}' $'{"name":"\xed\xa0\x80"}' $'{"name":"\xf5\x80\x80\x80"}' $'{"name":"\xea\xb0"}' \
		$'{"\xff":1}' '{"name":"\ud800"}' '{"name":"\udc00x"}' '{"name":"\ud800\u0041"}'
	printf '{"name":"\xbc\xd3\xb1\xe6\xb5\xbf"}' >"$BATS_TEST_TMPDIR/euc-kr"
	malformed "@$BATS_TEST_TMPDIR/euc-kr"
}

@test "a NUL in a value is named with what else is wrong" {
	post /users/ '{"name":"a\u0000b","email":"x@example.com\u0000","password":"12345678\u00009","age":200,"phone":"\u0000"}'
	faulty body.name body.email body.password body.age body.phone
	fault body.password '.type == "control_characters"'
	post /auth/login '{"email":"x@example.com","password":"a\u0000b"}'
	faulty body.password
	fresh_user
	login
	post "/users/$USER_ID/activities" '{"activity_type":"x","data":{"a":[{"b":"\u0000"}]}}'
	faulty body.data
	put "/users/$USER_ID/profile" '{"bio":"a\u0000","links":["https://example.com/\u0000"]}'
	faulty body.bio body.links
	post /events/ '{"event_type":"x","data":{"a":"\u0000"}}'
	faulty body.data
}

@test "a NUL in a key, or a raw one, is malformed" {
	malformed '{"na\u0000me":"a"}' '{"x":{"na\u0000me":"a"}}'
	printf '{"name":"a\0b"}' >"$BATS_TEST_TMPDIR/nul"
	malformed "@$BATS_TEST_TMPDIR/nul"
	printf '{"name":"x"}\0' >"$BATS_TEST_TMPDIR/nul"
	malformed "@$BATS_TEST_TMPDIR/nul"
}

@test "a number beyond 64 bits is malformed" {
	malformed '{"age":9223372036854775808}' '{"age":-9223372036854775809}' '{"age":1e400}' "{\"age\":$(times 5000 9)}"
}

@test "five thousand nested arrays are malformed, and do no harm" {
	malformed "$(times 5000 '[')" "$(times 5000 '[')$(times 5000 ']')" "{\"name\":$(times 5000 '[')$(times 5000 ']')}" \
		"$(times 5000 '{"a":')1$(times 5000 '}')"
	get "$BASE_URL/healthz"
	expect 200
}

@test "a body of 256 KiB is taken, one of 32 KiB by what hashes a password; one byte more is too large" {
	sign_up_as "$EMAIL" | tr -d '\n' >"$BATS_TEST_TMPDIR/body"
	blown_up 32768 post /users/ 201
	login
	printf '{"event_type":"a"}' >"$BATS_TEST_TMPDIR/body"
	blown_up 262144 post /events/ 422
}
# blown_up BYTES CALL PATH STATUS: the body with blanks behind it
blown_up() {
	local file=$BATS_TEST_TMPDIR/body
	printf "%$(($1 - $(stat -c %s "$file")))s" '' >>"$file"
	"$2" "$3" "@$file"
	expect "$4"
	printf ' ' >>"$file"
	"$2" "$3" "@$file"
	expect 413 '.code == "too_large"'
}

@test "a body of 3 MB is too large, with and without a length" {
	head -c 3000000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/large"
	post /users/ "@$BATS_TEST_TMPDIR/large"
	expect 413 '.code == "too_large"'
	post /users/ "@$BATS_TEST_TMPDIR/large" -H 'Transfer-Encoding: chunked'
	expect 413
	post /auth/login "@$BATS_TEST_TMPDIR/large" -H 'Accept-Language: ko'
	expect 413
	[[ $BODY == *요청* ]]
}

@test "a body sent in pieces is a body" {
	post /users/ "$(sign_up_as "$EMAIL")" -H 'Transfer-Encoding: chunked'
	expect 201
}

@test "a body that is refused unread does not disturb the next request on its connection" {
	local answers
	head -c 250000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/long"
	answers=$(curl -sS -o /dev/null -w '%{http_code} ' --data-binary "@$BATS_TEST_TMPDIR/long" -X PATCH "$API/users/1" \
		--next -sS -o /dev/null -w '%{http_code} ' --data-binary "@$BATS_TEST_TMPDIR/long" "$API/nothing" \
		--next -sS -o /dev/null -w '%{http_code} ' --data-binary "@$BATS_TEST_TMPDIR/long" -X GET "$BASE_URL/healthz" \
		--next -sS -o /dev/null -w '%{http_code} %{num_connects}' "$BASE_URL/healthz")
	[ "$answers" = "401 404 200 200 0" ]
}

@test "another media type than JSON is refused" {
	local type
	for type in text/plain application/x-www-form-urlencoded 'multipart/form-data; boundary=x' application/jsonx text/json \
		application/xml 'application/json+x' json x; do
		TYPE=" $type" post /users/ "$(sign_up_as "$EMAIL")"
		[ "$STATUS" = 415 ] || came "expected 415 for $type"
		expect 415 '.code == "unsupported_media_type"'
	done
	for type in 'application/json;charset=utf-8' 'Application/JSON ; charset="utf-8"'; do
		TYPE=" $type" post /users/ '{}'
		expect 422
	done
	TYPE='' post /users/ "$(sign_up_as "$EMAIL")"
	expect 201
}

@test "a great many faults are answered in bounds" {
	post /users/ "$(jq -cn '[range(1500) | {"key": "hat\(.)", "value": 1}] | from_entries')"
	expect 422 '.errors | length > 20'
	[ "${#BODY}" -lt 20000 ]
	post /users/ "{\"$(times 10000 x)\":1}"
	expect 422 '.errors | length == 4'
	[ "${#BODY}" -lt 2000 ]
}

@test "a strange key comes back as JSON, whatever is in it" {
	post /users/ '{"\"}],\"x\":[<script>":1,"모자":2,"a\u001bb":3}'
	expect 422 '.errors | map(.loc[1]) | contains(["\"}],\"x\":[<script>", "모자", "a\u001bb"])'
}

@test "the caller's language is spoken, English where it is none of ours" {
	local row
	while IFS='|' read -r language expected; do
		get /users/me -H "Accept-Language: $language"
		expect 401
		case $expected in
		ko) [[ $BODY == *토큰* ]] ;;
		en) [[ $BODY == *token\ is\ required* ]] ;;
		esac || came "expected $expected for $language"
		[[ $(header Vary) == *Accept-Language* ]]
	done <<-'EOF_'
		ko|ko
		KO-kr|ko
		ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7|ko
		en;q=0.5, ko;q=0.8|ko
		fr, ko;q=0.2|ko
		ko;q=0.2, en|en
		ko;q=0, en;q=0.1|en
		ko;q=0|en
		en-US,en;q=0.5|en
		fr|en
		korean|en
		*|en
		;;,,q=|en
	EOF_
}

@test "every sentence is there in both languages" {
	local name en ko count=0
	while IFS=$'\t' read -r name en ko; do
		((++count))
		[[ $en && $ko && $en != "$ko" ]] || fail "$name: $en, $ko"
		LC_ALL=C grep -q $'[\xea-\xed]' <<<"$ko" || fail "$name: $ko"
	done < <(tr -d '\n\134' <"$SOURCES/src/base/err.h" | grep -oP 'X\([A-Z_]+,\s*\d+,.*?"[^"]*",\s*"[^"]*"\)' |
		sed -E 's/X\(([A-Z_]+),.*"([^"]*)",\s*"([^"]*)"\)/\1\t\2\t\3/')
	((count > 15))
}

@test "a problem's request id leads to its line in the log" {
	local id
	id=find-me-$(some_id)
	get /users/me -H "X-Request-Id: $id"
	expect 401 ".request_id == \"$id\""
	wait_for 5 log_has "\"request_id\":\"$id\""
	program_logs | grep "$id" | jq -e '.status == 401 and .route == "/api/v1/users/me" and .method == "GET"'
}

@test "every line of the log is one JSON object, whatever callers send" {
	local id log=$USHER_VAR/log/read.log from
	id=odd-$(some_id)
	from=$(stat -c %s "$log") # what killed workers left behind is another test's
	get /users/me -H "X-Request-Id: $id" -A $'\xff\xfe\x1b[31m"}' -H $'traceparent: \xff' -H $'Origin: "\\'
	call $'GET' "/%0d%0a{\"level\":\"error\"}" -H "X-Request-Id: $id-2"
	wait_for 5 log_has "$id-2"
	tail -c "+$((from + 1))" "$log" | jq -es 'length >= 2 and all(has("time") and has("level"))' >/dev/null
}

@test "a sane request id is the caller's, an insane one is replaced" {
	local id
	for id in abc A-1_b.c 0 "$(times 64 x)"; do
		get "$BASE_URL/healthz" -H "X-Request-Id: $id"
		expect 200
		[ "$(header X-Request-Id)" = "$id" ]
	done
	for id in ' ' 'a b' 'a,b' '<b>' "$(times 65 x)" 'ü' $'\xff' 'a"b' 'a;b' 'a:b' 'a/b'; do
		get "$BASE_URL/healthz" -H "X-Request-Id: $id"
		expect 200
		[ "$(header X-Request-Id)" != "$id" ]
	done
}

@test "two requests without an id get two" {
	local first
	get "$BASE_URL/healthz"
	first=$(header X-Request-Id)
	get "$BASE_URL/healthz"
	[ "$first" != "$(header X-Request-Id)" ]
}

@test "a failure of PostgreSQL is 503, never \"not found\" and never \"email taken\"" {
	fresh_admin
	fresh_user
	get "$BASE_URL/healthz"
	worker_up DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR"
	ask POST /users/ "$(sign_up_as "$(fresh_address)")"
	expect 503 '.code == "unavailable"'
	ask POST /users/ "$(sign_up_as "$EMAIL")" HTTP_ACCEPT_LANGUAGE=ko
	expect 503 '.detail | test("서비스")'
	TOKEN=$ADMIN get "/users/$ADMIN_ID" # its session is in Redis now
	redis del "user:$USER_ID"
	TOKEN=$ADMIN ask GET "/users/$USER_ID"
	expect 503
	TOKEN=$ADMIN ask PATCH "/users/$USER_ID" '{"age":1}'
	expect 503
	[[ $BODY != *usher@* && $BODY != *"No such file"* ]]
}

@test "a user that somebody holds is 503 in a moment, not a hang, and free again afterwards" {
	local began=$SECONDS
	fresh_user
	login
	mkfifo "$BATS_TEST_TMPDIR/hold"
	psql -Xq "$DATABASE_URL" <"$BATS_TEST_TMPDIR/hold" 3>&- >/dev/null &
	HOLDER=$!
	exec 7>"$BATS_TEST_TMPDIR/hold"
	echo "BEGIN; SELECT * FROM users WHERE id = $USER_ID FOR UPDATE;" >&7
	held() { [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%id = $USER_ID FOR UPDATE%'")" = 1 ]; }
	wait_for 5 held
	patch "/users/$USER_ID" '{"age":1}'
	expect 503 '.code == "busy"'
	((SECONDS - began < 12))
	get "/users/$USER_ID"
	expect 200 '.age == null'
	exec 7>&-
	wait "$HOLDER"
	HOLDER=
	patch "/users/$USER_ID" '{"age":1}'
	expect 200
}
