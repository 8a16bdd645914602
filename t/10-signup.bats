#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Signing up: who gets in, what is kept of them, and what they are told otherwise.

load lib/api
load lib/stack

setup() {
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	export EMAIL PASSWORD
}

teardown() { worker_down; }

# with JQ: the body of a sign-up of EMAIL, changed so.
with() { sign_up_as "$EMAIL" "$PASSWORD" | jq -c "$1"; }

# in_order: a sign-up with each of these (jq) values of a FIELD succeeds; out_of_order: is refused for it
in_order() {
	local field=$1 value
	shift
	for value; do
		EMAIL=$(fresh_address)
		post /users/ "$(with ".$field = $value")"
		[ "$STATUS" = 201 ] || came "expected $field = $value to be taken"
	done
}
out_of_order() {
	local field=$1 value
	shift
	for value; do
		post /users/ "$(with ".$field = $value")"
		[ "$STATUS" = 422 ] || came "expected $field = $value to be refused"
		faulty "body.$field"
	done
}

how_many() { sql "SELECT count(*) FROM users WHERE lower(email) = lower(:'e')" "e=$EMAIL"; }

@test "a sign-up answers 201 with the whole user, where it lies and its version" {
	post /users/ "$(with '. + {name: "홍길동", age: 30, phone: "+82 (0)10-1234-5678", nickname: "길동"}')"
	expect 201 '.name == "홍길동" and .email == $ENV.EMAIL and .age == 30 and .nickname == "길동"' \
		'.phone == "+82 (0)10-1234-5678" and .status == "active" and .role == "user" and .login_count == 0' \
		'keys == (["id","name","email","age","phone","nickname","status","role","login_count","created_at","updated_at"] | sort)'
	[ "$(header Location)" = "/api/v1/users/$(jq .id <<<"$BODY")" ]
	[ "$(header ETag)" = '"1"' ]
	[ "$(header Content-Type)" = application/json ]
}

@test "what was left out is null" {
	post /users/ "$(with .)"
	expect 201 '.age == null and .phone == null and .nickname == null'
	EMAIL=$(fresh_address)
	post /users/ "$(with '. + {age: null, phone: null, nickname: null}')"
	expect 201 '.age == null and .phone == null and .nickname == null'
}

@test "times bear their zone: RFC 3339 in UTC with microseconds" {
	post /users/ "$(with .)"
	expect 201 '[.created_at, .updated_at] | all(test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$"))' \
		'(.created_at | sub("\\.[0-9]+"; "") | fromdate) - now | fabs < 60'
}

@test "no answer ever shows the password or its hash" {
	local hash
	post /users/ "$(with .)"
	hash=$(hash_of "$EMAIL")
	[[ $BODY != *"$PASSWORD"* && $BODY != *"$hash"* && $BODY != *'$2'* && $BODY != *password* ]]
	post /users/ "$(with '.age = 999')"
	faulty body.age
	[[ $BODY != *"$PASSWORD"* ]]
	EMAIL=$(fresh_address)
	post /users/ "$(with '.password = "Secret7"')"
	faulty body.password
	[[ $BODY != *Secret7* ]]
}

@test "the collection answers with and without its trailing slash" {
	post /users "$(with .)"
	expect 201
	EMAIL=$(fresh_address)
	post /users/ "$(with .)"
	expect 201
}

@test "an address that is taken is 400, in the guide's words where they are understood" {
	post /users/ "$(with .)"
	expect 201
	post /users/ "$(with .)"
	expect 400 '.code == "email_taken"'
	post /users/ "$(with .)" -H 'Accept-Language: ko-KR'
	expect 400 '.detail == "이미 존재하는 이메일입니다"'
	[ "$(how_many)" = 1 ]
}

@test "an address is one whatever its case" {
	post /users/ "$(with .)"
	expect 201
	EMAIL=${EMAIL^^}
	post /users/ "$(with .)"
	expect 400 '.code == "email_taken"'
	[ "$(how_many)" = 1 ]
}

@test "an address is kept as it was given, its domain in lower case" {
	EMAIL=Mixed.${EMAIL/example.com/ExAmPle.COM}
	post /users/ "$(with .)"
	expect 201 '.email == ($ENV.EMAIL | sub("ExAmPle.COM"; "example.com"))'
}

@test "only ASCII letters are folded: no locale makes two people one" {
	local id
	id=$(some_id)
	EMAIL=kelvin$id@example.com
	post /users/ "$(with .)"
	expect 201
	EMAIL=$'\u212a'elvin$id@example.com # the Kelvin sign, which lower() can turn into k
	post /users/ "$(with .)"
	expect 201
	EMAIL=ilker$id@example.com
	post /users/ "$(with .)"
	expect 201
	EMAIL=$'\u0130'lker$id@example.com # the dotted capital I
	post /users/ "$(with .)"
	expect 201
}

@test "two sign-ups of one address at once, in different case: one 201, one 400, one row" {
	local round answers
	for round in 1 2 3 4 5 6 7 8; do
		EMAIL=$(fresh_address)
		with . >"$BATS_TEST_TMPDIR/a"
		with '.email |= ascii_upcase' >"$BATS_TEST_TMPDIR/b"
		answers=$(curl -sS --no-progress-meter -Z -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' \
			--data-binary "@$BATS_TEST_TMPDIR/a" "$API/users/" --next -o /dev/null -w '%{http_code}\n' \
			-H 'Content-Type: application/json' --data-binary "@$BATS_TEST_TMPDIR/b" "$API/users/" | sort | xargs)
		[ "$answers" = "201 400" ] || fail "round $round: $answers"
		[ "$(how_many)" = 1 ]
	done
	# and of the one that lost, nothing lies about
	[ "$(sql "SELECT count(*) FROM events WHERE lower(data ->> 'email') = lower(:'e')" "e=$EMAIL")" = 1 ]
	[ "$(sql "SELECT count(*) FROM outbox WHERE lower(payload #>> '{data,email}') = lower(:'e')" "e=$EMAIL")" -le 1 ]
}

@test "every bad field is named at once" {
	post /users/ '{"name":"  ","email":"nobody","password":"short","age":151,"phone":"call me","nickname":7,"role":"admin","hat":1}'
	faulty body.name body.email body.password body.age body.phone body.nickname body.role body.hat
	fault body.name '.type == "string_too_short"'
	fault body.nickname '.type == "string_type"'
	fault body.hat '.type == "extra_forbidden"'
}

@test "what must be there is named when it is missing" {
	post /users/ '{}'
	faulty body.name body.email body.password
	fault body.email '.type == "missing"'
	post /users/ '{"name":null,"email":null,"password":null}'
	faulty body.name body.email body.password
}

@test "faults are told in Korean to who asks for it, in the guide's sentences" {
	post /users/ "$(with '.password = "1234567" | .age = 200')" -H 'Accept-Language: ko'
	faulty body.password body.age
	fault body.password '.msg == "비밀번호는 8자 이상이어야 합니다"'
	fault body.age '.msg == "나이는 0-150 사이여야 합니다"'
	post /users/ "$(with '.password = "1234567" | .age = -1')"
	fault body.password '.msg | test("8")'
	fault body.age '.msg | test("0.*150")'
}

@test "a name has 1 to 100 characters, blanks around it do not count" {
	in_order name '"x"' '"가" * 100' '"  Kim  "' '"Kim \"the\" O'"'"'Neil \\ <b>&amp;\u2603"' '"🙂 Σωκράτης"' '"a\u00a0b"'
	post /users/ "$(with ".email = \"$(fresh_address)\" | .name = \"\u3000 홍 길동\\t\"")"
	expect 201 '.name == "홍 길동"'
	out_of_order name '""' '"   "' '"\u3000"' '"x" * 101' '"가" * 101' 7 true '["x"]' '{}' null
}

@test "a name bears no control characters, nor letters that turn or hide the others" {
	out_of_order name '"a\nb"' '"a\tb"' '"a\u001bb"' '"a\u007fb"' '"a\u0085b"' '"a\u202eb"' '"a\u2066b"' '"a\u200bb"' '"a\ufeffb"'
}

@test "a name comes back as it went in, even where it looks like SQL or markup" {
	export ODD="Robert'); DROP TABLE users;-- \$1 %s \\ \"<script>\" {} 🙂"
	post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD" "$ODD")"
	expect 201 '.name == $ENV.ODD'
	login
	get /users/me
	expect 200 '.name == $ENV.ODD'
	[ "$(sql "SELECT name FROM users WHERE email = :'e'" "e=$EMAIL")" = "$ODD" ]
}

@test "an age is a whole number from 0 to 150" {
	in_order age 0 150 null
	out_of_order age -1 151 1.5 '"30"' true '[30]' '{}'
	# as they are written here; jq would write them otherwise
	for number in 30.0 1e2 9223372036854775807 -9223372036854775808; do
		post /users/ "$(with . | sed "s/}$/,\"age\":$number}/")"
		faulty body.age
	done
}

@test "a telephone number has at most 20 of digits, space, + - ( )" {
	in_order phone '"010-1234-5678"' '"+82 (0)10 1234 5678"' '"12345678901234567890"' null
	out_of_order phone '"123456789012345678901"' '"ext. 7"' '"０１０"' '"1/2"' 10
}

@test "a nickname has at most 50 characters" {
	in_order nickname '"가" * 50' null
	out_of_order nickname '"가" * 51' '"a\nb"' 5
}

@test "an address must look like one, as pydantic's EmailStr sees it" {
	local odd
	odd=$(some_id)
	in_order email "\"a.b+c-d_e$odd@example.com\"" "\"!#\$%&'*+-/=?^_\`{|}~$odd@example.com\"" "\"$odd@sub.example.co.uk\"" \
		"\"$odd@xn--bcher-kva.example\"" "\"홍길동$odd@example.com\"" "\"  $odd@blanks.example  \"" "\"$odd@예시.한국\""
	out_of_order email '""' '"nobody"' '"@example.com"' '"a@"' '"a@b"' '"a@localhost"' '"a@x.test"' '"a@x.invalid"' \
		'"a@x.local"' '"a@1.in-addr.arpa"' '"a@example..com"' '"a@.example.com"' '"a@example.com."' '"a@-x.example.com"' \
		'"a@x-.example.com"' '"a@ex_ample.com"' '"a@ab--cd.example.com"' '".a@example.com"' '"a.@example.com"' \
		'"a..b@example.com"' '"a b@example.com"' '"a@b@example.com"' '"\"a\"@example.com"' '"a@[127.0.0.1]"' \
		'"a@127.0.0.1"' '"a@exam ple.com"' '"a,b@example.com"' '"a<b>@example.com"' '"a\nb@example.com"' \
		'("a" * 65) + "@example.com"' '"a@" + ("b" * 64) + ".com"' '"a@" + ("b." * 130) + "com"' 7 '["a@example.com"]'
}

@test "no blank or invisible letter hides in an address" {
	out_of_order email '"a\u00a0b@example.com"' '"a\u3000b@example.com"' '"a\u200bb@example.com"' '"a\u202eb@example.com"' \
		'"a@exa\u00a0mple.com"' '"a@exa\u200bmple.com"'
}

@test "an address has at most 255 bytes" {
	local local_part domain
	local_part=$(printf '%-64s' "$(some_id)" | tr ' ' a)
	domain=$(printf 'b%.0s' {1..60}).$(printf 'c%.0s' {1..60}).$(printf 'd%.0s' {1..60}).com
	in_order email "\"$local_part@$domain\"" # 251
	out_of_order email "\"$local_part@xxxx.$domain\"" # 256
}

@test "a password has 8 to 128 characters, Hangul like any other" {
	in_order password '"8-to-x-Z"' '"가나다라마바사아"' '"x" * 128' '"가" * 128' '"        "' '"🙂" * 8'
	out_of_order password '"1234567"' '"가나다라마바사"' '"x" * 129' '"가" * 129' '""' null 12345678
}

@test "a password is taken as received: its blanks count, its case counts" {
	post /users/ "$(with '.password = "  Blanks Count  "')"
	expect 201
	post /auth/login "$(sign_in_as "$EMAIL" '  Blanks Count  ')"
	expect 200
	post /auth/login "$(sign_in_as "$EMAIL" 'Blanks Count')"
	expect 401
	post /auth/login "$(sign_in_as "$EMAIL" '  blanks count  ')"
	expect 401
}

@test "nobody signs up as an admin, or chooses an id" {
	out_of_order role '"admin"' '"user"'
	out_of_order status '"active"'
	out_of_order id 1
	out_of_order login_count 7
	out_of_order created_at '"2020-01-01T00:00:00Z"'
	out_of_order version 7
	out_of_order password_hash '"x"'
	[ "$(how_many)" = 0 ]
}

@test "what is stored is bcrypt of the set cost" {
	local hash
	post /users/ "$(with .)"
	hash=$(hash_of "$EMAIL")
	[[ $hash =~ ^\$2b\$0?${BCRYPT_COST}\$[./A-Za-z0-9]{53}$ ]]
	[ "$(foreign_hash "$PASSWORD" "$hash")" = "$hash" ]

	EMAIL=$(fresh_address)
	worker_up BCRYPT_COST=10 USHER_ENV=dev
	ask POST /users/ "$(with .)"
	expect 201
	[[ $(hash_of "$EMAIL") == '$2b$10$'* ]]
}

@test "one password twice is two hashes" {
	local first
	post /users/ "$(with .)"
	first=$(hash_of "$EMAIL")
	EMAIL=$(fresh_address)
	post /users/ "$(with .)"
	[ "$first" != "$(hash_of "$EMAIL")" ]
}

@test "a password of 25 Hangul is not cut: each of them counts" {
	PASSWORD=$(printf '비밀번호%.0s' 1 2 3 4 5 6)안 # 25 characters, 75 bytes
	post /users/ "$(with .)"
	expect 201
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	post /auth/login "$(sign_in_as "$EMAIL" "${PASSWORD%안}녕")"
	expect 401
	post /auth/login "$(sign_in_as "$EMAIL" "${PASSWORD%안}")"
	expect 401
}

@test "two passwords that differ only after byte 72 are two passwords" {
	local same
	same=$(printf 'x%.0s' {1..72})
	PASSWORD=${same}a
	post /users/ "$(with .)"
	expect 201
	post /auth/login "$(sign_in_as "$EMAIL" "${same}b")"
	expect 401
	post /auth/login "$(sign_in_as "$EMAIL" "$same")"
	expect 401
	post /auth/login "$(sign_in_as "$EMAIL" "${same}a")"
	expect 200
	# by way of SHA-256, under a tag of its own; never plain bcrypt of what it can't see
	[[ $(hash_of "$EMAIL") != '$2'* && $(hash_of "$EMAIL") == *'$2b$'* ]]
}

@test "72 bytes go to bcrypt as they are" {
	PASSWORD=$(printf '가%.0s' {1..24})
	post /users/ "$(with .)"
	expect 201
	[ "$(foreign_hash "$PASSWORD" "$(hash_of "$EMAIL")")" = "$(hash_of "$EMAIL")" ]
}

@test "what stands for a long password does not open its account" {
	local hash digest
	PASSWORD=$(printf 'long%.0s' {1..20})
	post /users/ "$(with .)"
	expect 201
	digest=$(printf '%s' "$PASSWORD" | openssl dgst -sha256 -binary | base64)
	post /auth/login "$(sign_in_as "$EMAIL" "$digest")"
	expect 401
	hash=$(hash_of "$EMAIL")
	post /auth/login "$(sign_in_as "$EMAIL" "${hash:0:100}")"
	expect 401
}

@test "a failure of the database is neither \"email taken\" nor a user" {
	worker_up DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR"
	ask POST /users/ "$(with .)"
	expect 503 '.code == "unavailable"'
	[ "$(how_many)" = 0 ]
}

@test "a sign-up whose commit fails leaves nothing: no user, no event, no record in Redis" {
	local id before
	owner_sql "CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100''; END'; CREATE CONSTRAINT TRIGGER refuse_at_commit
		AFTER INSERT OR UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		WHEN (NEW.name = 'Fails At Commit') EXECUTE FUNCTION refuse_at_commit()"
	before=$(sql 'SELECT count(*) FROM outbox')
	post /users/ "$(with '.name = "Fails At Commit"')"
	owner_sql 'DROP TRIGGER refuse_at_commit ON users; DROP FUNCTION refuse_at_commit'
	expect 503
	[ "$(how_many)" = 0 ]
	id=$(($(sql 'SELECT max(id) FROM users') + 1))
	[ "$(sql "SELECT count(*) FROM events WHERE data ->> 'email' = :'e'" "e=$EMAIL")" = 0 ]
	[ "$(sql "SELECT count(*) FROM outbox WHERE payload::text LIKE '%Fails At Commit%'")" = 0 ]
	[ "$(redis exists "user:$id")" = 0 ]
}
