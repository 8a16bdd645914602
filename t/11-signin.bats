#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Signing in: what the front door says, what it keeps to itself, and which tokens open what.

load lib/api
load lib/stack
load lib/fault

setup() { fresh_user; }
teardown() { worker_down; }

# refused_token TOKEN: opens nothing, and the answer says why without saying much.
refused_token() {
	TOKEN=$1 get /users/me
	[ "$STATUS" = 401 ] || came "expected this token to be refused: $1"
	expect 401 '.code == "token_invalid"'
	[[ $(header WWW-Authenticate) == 'Bearer error="invalid_token"' ]]
}

# claims_with JQ: of the token that is valid just now, changed so.
claims_with() { claims "$TOKEN" | jq -c "$1"; }
HS256='{"alg":"HS256","typ":"JWT"}'

# hash_is HASH: of the user at hand, by the hand of another system.
# (Not a change by usher: no version, no event.)
hash_is() {
	admin_sql "SET session_replication_role = replica; UPDATE users SET password_hash = '$1' WHERE id = $USER_ID" usher
}

@test "a login answers a token that opens what is the user's" {
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200 '.token_type == "bearer" and .expires_in == 1800' '.refresh_token | length >= 43' \
		'keys == ["access_token","expires_in","refresh_token","token_type"]'
	[ "$(header Cache-Control)" = no-store ]
	TOKEN=$(jq -r .access_token <<<"$BODY")
	get /users/me
	expect 200 '.id == ($ENV.USER_ID | tonumber)'
}

@test "the address's case does not matter at the door, nor do blanks around it or a trailing slash" {
	post /auth/login/ "$(sign_in_as "${EMAIL^^}" "$PASSWORD")"
	expect 200
	post /auth/login "$(sign_in_as " $EMAIL"$'\n' "$PASSWORD")"
	expect 200
	post /auth/login "$(sign_in_as "$EMAIL" " $PASSWORD")"
	expect 401
}

@test "a stranger and a wrong password get the same answer" {
	local known head
	post /auth/login "$(sign_in_as "$EMAIL" 'not the password')"
	expect 401 '.code == "bad_credentials"'
	known=$(jq -S 'del(.request_id)' <<<"$BODY")
	head=$(grep -viE '^(date|x-request-id|ratelimit):' <<<"$HEAD")

	post /auth/login "$(sign_in_as "nobody-$EMAIL" "$PASSWORD")"
	expect 401 '.code == "bad_credentials"'
	[ "$known" = "$(jq -S 'del(.request_id)' <<<"$BODY")" ]
	[ "$head" = "$(grep -viE '^(date|x-request-id|ratelimit):' <<<"$HEAD")" ]

	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 401 '.code == "bad_credentials"'
	[ "$known" = "$(jq -S 'del(.request_id)' <<<"$BODY")" ]
	[ "$head" = "$(grep -viE '^(date|x-request-id|ratelimit):' <<<"$HEAD")" ]
}

# least_us N COMMAND...: the least time that it takes of N; a busy machine only adds to it
least_us() {
	local i began times=() n=$1
	shift
	for ((i = 0; i < n; i++)); do
		began=${EPOCHREALTIME/[.,]/}
		"$@"
		times+=($((${EPOCHREALTIME/[.,]/} - began)))
	done
	printf '%s\n' "${times[@]}" | sort -n | head -n 1
}

@test "a stranger costs as much time as a wrong password" {
	local known unknown
	worker_up BCRYPT_COST=10
	ask POST /users/ "$(sign_up_as "cost-$EMAIL" "$PASSWORD")"
	expect 201
	known=$(least_us 7 ask POST /auth/login "$(sign_in_as "cost-$EMAIL" 'not the password')")
	unknown=$(least_us 7 ask POST /auth/login "$(sign_in_as "nobody-$EMAIL" 'not the password')")
	# a hash takes 50 ms; without it an answer takes a few
	((unknown * 2 > known && known * 2 > unknown)) || fail "known $known us, unknown $unknown us"
}

@test "a login names every bad field at once, and knows no others" {
	post /auth/login '{}'
	faulty body.email body.password
	post /auth/login '{"email":1,"password":[],"remember_me":true}'
	faulty body.email body.password body.remember_me
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" -H 'Accept-Language: ko' -X POST --url-query 'x=1'
	faulty query.x
}

@test "a wrong password is told in Korean too" {
	post /auth/login "$(sign_in_as "$EMAIL" 'not the password')" -H 'Accept-Language: ko'
	expect 401 '.detail == "이메일 또는 비밀번호가 올바르지 않습니다"'
}

@test "logins are counted" {
	login
	login
	get /users/me
	expect 200 '.login_count == 2'
}

@test "a login keeps the session and of its refresh token only the SHA-256" {
	local row
	login
	row=$(sql "SELECT user_id || ' ' || encode(refresh_hash, 'hex') || ' ' || user_agent FROM sessions WHERE id = :sid" \
		"sid=$(claims "$TOKEN" | jq .sid)")
	[[ $row == "$USER_ID $(printf '%s' "$REFRESH" | sha256sum | cut -d' ' -f1) curl/"* ]]
}

@test "two logins are two sessions" {
	local first
	login
	first=$(claims "$TOKEN" | jq .sid)
	login
	[ "$first" != "$(claims "$TOKEN" | jq .sid)" ]
	[ "$(sql 'SELECT count(*) FROM sessions WHERE user_id = :id' "id=$USER_ID")" = 2 ]
}

@test "a client with an odd name can log in" {
	local name
	for name in $'caf\xe9' $'\xf0\x9f\x99\x82' "$(printf 'x%.0s' {1..1000})" "'; --"; do
		post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" -A "$name"
		expect 200
	done
}

@test "without a token there is 401 and what would help" {
	TOKEN='' get /users/me
	expect 401 '.code == "token_missing"'
	[ "$(header WWW-Authenticate)" = Bearer ]
	get /users/me -H 'Accept-Language: ko'
	expect 401 '.detail == "접근 토큰이 필요합니다"'
}

@test "the scheme's case does not matter, its form does" {
	login
	local token=$TOKEN
	TOKEN=''
	get /users/me -H "Authorization: bearer $token"
	expect 200
	get /users/me -H "Authorization: BEARER $token"
	expect 200
	get /users/me -H "Authorization: Bearer   $token" # RFC 9110: one blank or more
	expect 200
	for odd in "Basic $token" "$token" "Bearer" "Bearer $token $token" "Bearer $token," "Bearer$token" "Bearer  "; do
		get /users/me -H "Authorization: $odd"
		expect 401
	done
}

@test "two Authorization headers are refused" {
	login
	get /users/me -H "Authorization: Bearer not.this.one"
	expect 400
	get /users/me -H "Authorization: Bearer $TOKEN"
	expect 400
}

@test "a token is never taken from the address" {
	login
	local token=$TOKEN
	TOKEN='' get "/users/me?access_token=$token"
	expect 401
}

@test "what is no token is refused" {
	login
	for odd in x . .. ... a.b a.b.c.d "$TOKEN." ".$TOKEN" "${TOKEN%.*}." "${TOKEN%.*}" "$TOKEN=" "${TOKEN/./..}" '{}' "${TOKEN:0:-1}"; do
		refused_token "$odd"
	done
}

@test "a token whose signature or text was touched is refused" {
	login
	refused_token "$(token_of "$HS256" "$(claims_with .)" 'another key of thirty-two bytes, or more')"
	refused_token "$(token_of "$HS256" "$(claims_with .)" '')"
	refused_token "${TOKEN%%.*}.$(claims_with '.sub = "1"' | base64url).${TOKEN##*.}"
	# the same, made with the right key, opens: the tests above test what they say
	TOKEN=$(token_of "$HS256" "$(claims_with .)")
	get /users/me
	expect 200
}

@test "a token with the algorithm none is refused, however it is written" {
	local alg
	login
	for alg in none None NONE nOnE; do
		refused_token "$(printf '{"alg":"%s","typ":"JWT"}' "$alg" | base64url).$(claims_with . | base64url)."
		refused_token "$(token_of "{\"alg\":\"$alg\"}" "$(claims_with .)")"
	done
	refused_token "$(printf '{"typ":"JWT"}' | base64url).$(claims_with . | base64url)."
}

@test "a token of another algorithm than the set one is refused, though its key is right" {
	login
	refused_token "$(token_of '{"alg":"HS512","typ":"JWT"}' "$(claims_with .)" "$JWT_SECRET_KEY" sha512)"
	refused_token "$(token_of '{"alg":"HS384","typ":"JWT"}' "$(claims_with .)" "$JWT_SECRET_KEY" sha384)"
	refused_token "$(token_of '{"alg":"RS256","typ":"JWT"}' "$(claims_with .)")"
}

@test "a token that has expired, or is of the future, is refused" {
	login
	refused_token "$(token_of "$HS256" "$(claims_with '.exp = (now | floor) - 1')")"
	refused_token "$(token_of "$HS256" "$(claims_with '.nbf = (now | floor) + 3600')")"
	refused_token "$(token_of "$HS256" "$(claims_with '.iat = (now | floor) + 3600')")"
}

@test "a token ends with its time, though it was good a moment ago" {
	login
	TOKEN=$(token_of "$HS256" "$(claims_with '.exp = (now | floor) + 5')")
	get /users/me
	expect 200
	ended() { get /users/me && [ "$STATUS" = 401 ]; }
	wait_for 10 ended
	expect 401 '.code == "token_invalid"'
}

@test "two logins that meet on an old hash are both let in" {
	local i pids=()
	admin_sql "SET session_replication_role = replica; UPDATE users SET
		password_hash = '$(foreign_hash "$PASSWORD" '$6$rounds=1000$somesalt$')' WHERE id = $USER_ID" usher
	worker_up # a second pool: on one core the first has one worker
	TOKEN='' ask GET /users/me
	hold_row "$USER_ID"
	(TOKEN='' post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" && expect 200) 3>&- &
	pids+=($!)
	(TOKEN='' ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")" && expect 200) 3>&- &
	pids+=($!)
	wait_for 10 rows_are_awaited 2
	let_row_go
	for i in "${pids[@]}"; do wait "$i"; done
	[[ $(hash_of "$EMAIL") == '$2b$'* ]]
}

@test "a token that lacks a claim, or has it of another kind, is refused" {
	local change
	login
	for change in 'del(.exp)' 'del(.sub)' 'del(.sid)' 'del(.iss)' 'del(.aud)' 'del(.jti)' 'del(.use)' 'del(.iat)' \
		'.exp = "9999999999"' '.exp = 9999999999.5' '.exp = -1' '.exp = null' '.iss = "elsewhere"' '.aud = "elsewhere"' '.use = "refresh"' \
		'.sub = 1' '.sub = "0\(.sub)"' '.sub = "\(.sub) "' '.sub = "-1"' '.sub = ""' '.sid = "1"' '.sid = 0' '.sid = -1'; do
		refused_token "$(token_of "$HS256" "$(claims_with "$change")")"
	done
}

@test "a token opens only with the session it was made for" {
	local other
	login
	other=$(claims_with .sid)
	fresh_user
	login
	refused_token "$(token_of "$HS256" "$(claims_with ".sid = $other")")"
	refused_token "$(token_of "$HS256" "$(claims_with '.sid = 9007199254740993')")"
}

@test "a very long token is refused, and does no harm" {
	local long
	long=$(printf 'a%.0s' {1..5000})
	TOKEN=$long.$long.$long get /users/me
	expect 431
	TOKEN=${long:0:2500}.${long:0:2500}.x get /users/me
	expect 401
	get "$BASE_URL/healthz"
	expect 200
}

@test "a refresh token is no access token" {
	login
	refused_token "$REFRESH"
}

@test "an inactive user's sessions end at once, and stay ended" {
	login
	get /users/me # now Redis knows the session
	expect 200
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200 '.status == "inactive"'
	refused_token "$TOKEN"
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 401

	as_admin patch "/users/$USER_ID" '{"status":"active"}'
	expect 200
	refused_token "$TOKEN"
	login
	get /users/me
	expect 200
}

@test "an inactive user's sessions end where Redis remembers none of it" {
	login
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	redis del "session:$(claims "$TOKEN" | jq .sid)"
	refused_token "$TOKEN"
}

@test "a deleted user's token ends" {
	login
	get /users/me # now Redis knows the session
	expect 200
	delete "/users/$USER_ID"
	expect 204
	refused_token "$TOKEN"
	redis del "session:$(claims "$TOKEN" | jq .sid)"
	refused_token "$TOKEN"
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 401 '.code == "bad_credentials"'
}

@test "a role is felt by the very next request on an old token" {
	login
	fresh_admin
	get /users/
	expect 403
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	expect 200 '.role == "admin"'
	get /users/
	expect 200
	as_admin patch "/users/$USER_ID" '{"role":"user"}'
	expect 200
	get /users/
	expect 403
}

@test "the operator's promotion is felt by the very next request too" {
	login
	get /users/
	expect 403
	usherctl admin create --email "$EMAIL" --password-stdin <<<"another password" >/dev/null
	get /users/
	expect 200
	# it promotes; whose account it was, it stays
	login
	[ "$(sql 'SELECT role FROM users WHERE id = :id' "id=$USER_ID")" = admin ]
}

@test "a token's own word on the role counts for nothing" {
	login
	TOKEN=$(token_of "$HS256" "$(claims_with '. + {role: "admin", is_admin: true, scope: "admin"}')")
	get /users/
	expect 403
}

@test "a session that Redis has lost is found in PostgreSQL, and kept in Redis again" {
	local key
	login
	key=session:$(claims "$TOKEN" | jq .sid)
	redis del "$key"
	get /users/me
	expect 200
	[[ $(redis get "$key") == *"$USER_ID user active "* ]]
	[ "$(redis ttl "$key")" -gt 1700 ]
}

@test "a session's record that is garbage is no key to anything" {
	local key junk
	login
	key=session:$(claims "$TOKEN" | jq .sid)
	for junk in 'admin' $'1\n1 admin active' "9"$'\n'"$USER_ID admin" "9"$'\n'"$USER_ID root active" ''; do
		redis set "$key" "$junk"
		get /users/
		[ "$STATUS" != 200 ] || came "expected no rights from the record: $junk"
	done
	redis del "$key"
	redis rpush "$key" x
	get /users/me
	expect 200
}

@test "hashes made elsewhere verify, and become bcrypt of the set cost" {
	local setting
	for setting in '$6$somesalt$' '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$' '$5$somesalt$' '$2a$05$abcdefghijklmnopqrstuu' '$2y$05$abcdefghijklmnopqrstuu' '$2b$04$abcdefghijklmnopqrstuu'; do
		fresh_user
		hash_is "$(foreign_hash "$PASSWORD" "$setting")"
		[[ $(hash_of "$EMAIL") == "${setting:0:3}"* ]] || fail "no such hash here: $setting"
		post /auth/login "$(sign_in_as "$EMAIL" 'not the password')"
		expect 401
		[[ $(hash_of "$EMAIL") == "${setting:0:3}"* ]]
		login
		[[ $(hash_of "$EMAIL") =~ ^\$2b\$0?$BCRYPT_COST\$ ]] || fail "$setting became $(hash_of "$EMAIL")"
		login
	done
}

@test "a long password of another system becomes one of ours" {
	PASSWORD=$(printf '아주긴비밀번호%.0s' 1 2 3 4 5)
	hash_is "$(foreign_hash "$PASSWORD" '$6$somesalt$')"
	login
	[[ $(hash_of "$EMAIL") == *'$2b$'* ]]
	login
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD!")"
	expect 401
}

@test "a hash of lower cost is renewed at the next login, one of higher cost is left" {
	worker_up BCRYPT_COST=6
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	[[ $(hash_of "$EMAIL") == '$2b$06$'* ]]
	worker_down
	worker_up BCRYPT_COST=5
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	[[ $(hash_of "$EMAIL") == '$2b$06$'* ]]
}

@test "a hash that can't be read opens nothing, and the log says so" {
	local broken
	for broken in x '*0' '$2b$' '$2b$04$short' '$9$unknown$' '$sha256' '$sha256$6$x$y'; do
		hash_is "$broken"
		post /auth/login "$(sign_in_as "$EMAIL" "$broken")"
		expect 401 '.code == "bad_credentials"'
	done
	wait_for 5 log_has hash_unreadable
}

@test "a failed login is an event without a version, and no secret in it" {
	post /auth/login "$(sign_in_as "$EMAIL" 'not the password')"
	expect 401
	[ "$(events_of "$USER_ID")" = $'1 user_created\nuser_login_failed' ]
	[ "$(sql "SELECT count(*) FROM events WHERE user_id = :id AND data::text LIKE '%not the password%'" "id=$USER_ID")" = 0 ]
}

@test "a failure of the database is not a wrong password" {
	worker_up DATABASE_URL="postgresql://usher:x@/usher?host=$BATS_TEST_TMPDIR"
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 503 '.code == "unavailable"'
}

@test "no password, hash or token is in the logs, the events, the outbox or Redis" {
	local secret hash
	PASSWORD=Wrong-$PASSWORD
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 401
	PASSWORD=${PASSWORD#Wrong-}
	login
	get /users/me
	patch "/users/$USER_ID" '{"nickname":"secretive"}'
	expect 200
	post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD" Twice)"
	expect 400
	patch "/users/$USER_ID" "{\"password\":\"$PASSWORD\"}"
	faulty body.password
	hash=$(hash_of "$EMAIL")
	wait_for 5 log_has "\"actor\":$USER_ID"
	for secret in "$PASSWORD" "$hash" "$TOKEN" "$REFRESH" "${TOKEN##*.}"; do
		run -1 grep -rlF -- "$secret" "$USHER_VAR/log" "$USHER_VAR/redis"
		[ "$(sql "SELECT count(*) FROM events e WHERE e::text LIKE '%' || :'s' || '%'" "s=$secret")" = 0 ]
		[ "$(sql "SELECT count(*) FROM outbox e WHERE e::text LIKE '%' || :'s' || '%'" "s=$secret")" = 0 ]
		[ "$(sql "SELECT count(*) FROM user_activities e WHERE e::text LIKE '%' || :'s' || '%'" "s=$secret")" = 0 ]
	done
}

@test "an address stands in the logs masked at most" {
	wait_for 5 log_has user.created
	run -1 grep -rlF -- "$EMAIL" "$USHER_VAR/log/read.log" "$USHER_VAR/log/auth.log" "$USHER_VAR/log/nginx-access.log"
}
