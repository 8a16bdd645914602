#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Settings: a wrong one stops a program at its start with one line that a person can act on.

load lib/api
load lib/stack

setup() { cd "$BATS_TEST_TMPDIR"; }
teardown() { worker_down; }

# refused NAME=VALUE...: a worker with these does not start; one line names the first NAME, and never
# a secret's value.
refused() {
	run env "$@" "$USHER_BIN/usher-api" </dev/null
	[ "$status" -ne 0 ] || fail "it started with $*"
	[ "$(wc -l <<<"$output")" = 1 ] || fail "expected one line, not: $output"
	[[ $output == *"${1%%=*}"* && ($output == *found*allowed* || $output == *'is not set; wanted'*) ]] || fail "it said: $output"
}

@test "a value that is no number, or out of range, stops a worker" {
	local bad
	for bad in abc 0 -1 1e3 0x10 ' 5' 99999999999999999999 1441; do refused JWT_EXPIRE_MINUTES="$bad"; done
	[[ $output == *1441* && $output == *"1 to 1440"* ]]
	refused CACHE_TTL_SECONDS=0
	refused SLOW_MS=never
	refused LOG_SQL=perhaps
}

@test "a word that is none of the choices stops a worker" {
	refused JWT_ALGORITHM=none
	[[ $output == *none* && $output == *HS256* ]]
	refused LOG_FORMAT=xml
	refused DEFAULT_LANGUAGE=fr
	refused CACHE_WRITE_STRATEGY=hope
}

@test "an address of a database, or a topic, that can't be one stops a worker" {
	local bad
	for bad in postgresql+asyncpg://u:hunter2@h:notaport/db postgresql://h:0/db postgresql://h:65536/db 'postgresql://h:1,i:x/db' \
		'postgresql://u:hunter2@h/db?foo=bar' 'host=h dbname=db'; do
		refused DATABASE_URL="$bad"
		[[ $output != *hunter2* ]]
	done
	refused PROFILE_DATABASE_URL=postgresql://h:notaport/db
	for bad in 'bad topic' . .. a/b 사용자; do refused KAFKA_TOPIC="$bad"; done
	run -0 env 'DATABASE_URL=postgresql+asyncpg://u:p@h:1,[::1]:65535,k/db?sslmode=disable' KAFKA_TOPIC=a.b_c-1 usherctl config
}

@test "the cost of bcrypt is 4 to 15, and below 10 only in a test" {
	refused BCRYPT_COST=3 USHER_ENV=test
	refused BCRYPT_COST=16 USHER_ENV=test
	refused BCRYPT_COST=9 USHER_ENV=dev
	refused BCRYPT_COST=4 USHER_ENV=production
}

@test "the guide's placeholder for the token's key is refused, and so is whatever is guessed as easily" {
	refused JWT_SECRET_KEY=your-secret-key
	refused JWT_SECRET_KEY=your-secret-key-your-secret-key-your-secret-key
	refused JWT_SECRET_KEY=your-256-bit-secretyour-256-bit-secret
	refused JWT_SECRET_KEY=changethis-changethis-changethis-changethis
	refused JWT_SECRET_KEY=0123456789abcdef0123456789abcde # 31
	refused JWT_SECRET_KEY=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
	refused JWT_SECRET_KEY=
}

@test "a complaint about a secret does not show it" {
	refused JWT_SECRET_KEY=shortsecret
	[[ $output != *shortsecret* && $output == *"11 bytes"* ]]
	refused DATABASE_URL=mysql://u:hunter2@h/db
	[[ $output != *hunter2* ]]
	refused REDIS_URL=http://:hunter2@localhost
	[[ $output != *hunter2* ]]
}

@test "without a database's address there is no worker" {
	refused DATABASE_URL=
	[[ $output == *'DATABASE_URL is not set'* ]]
}

@test "a worker without a socket on descriptor 0 says what it wants" {
	run ! "$USHER_BIN/usher-api" </dev/null
	[[ $output == *socket* ]]
}

@test "the environment wins over .env, and .env over the default" {
	printf '%s\n' '# a comment' 'SLOW_MS=321' "export LOG_LEVEL='warn'" 'DEFAULT_LANGUAGE="ko"' >.env
	unset LOG_LEVEL
	run -0 env SLOW_MS=123 "$USHER_BIN/usherctl" config
	grep -qE '^SLOW_MS +123 +# environment$' <<<"$output"
	grep -qE '^LOG_LEVEL +warn +# .env$' <<<"$output"
	grep -qE '^DEFAULT_LANGUAGE +ko +# .env$' <<<"$output"
	grep -qE '^JWT_ALGORITHM +HS256 +# default$' <<<"$output"
}

@test "a wrong value in .env is refused like one of the environment" {
	echo 'SLOW_MS=soon' >.env
	refused SLOW_MS=
	[[ $output == *soon* ]]
}

@test "a line of .env that assigns nothing stops a program, and is told by its number" {
	printf '%s\n' '# a comment' '' 'SLOW_MS=9' 'JWT_SECRET_KEY: hush' >.env
	run ! "$USHER_BIN/usher-api" </dev/null
	[[ $output == *".env, line 4: not NAME=value"* && $output != *hush* ]]
	[ "$(wc -l <<<"$output")" = 1 ]
}

@test "config prints all settings and no secret" {
	run -0 usherctl config
	[[ $output != *"$JWT_SECRET_KEY"* && $output != *"$DATABASE_URL"* && $output != *"$REDIS_URL"* ]]
	run ! grep -E 'postgresql://[^`]' <<<"$output"
	run -0 usherctl config
	grep -qE '^JWT_SECRET_KEY +\*\*\*' <<<"$output"
	grep -qE '^DATABASE_URL +\*\*\*' <<<"$output"
	grep -qE "^BCRYPT_COST +$BCRYPT_COST +# environment" <<<"$output"
}

@test "an address that has not the form of one stops a worker" {
	local bad
	for bad in nonsense 'a b:1' :9092 localhost:0 localhost:70000 localhost:9092, 'kafka.example:port'; do
		refused KAFKA_BOOTSTRAP_SERVERS="$bad"
	done
	for bad in a.example https://a.example/ 'https://a.example, b' 'https://*' '*,https://a.example' null; do
		refused CORS_ALLOW_ORIGINS="$bad"
	done
	for bad in http://:80 http://h:port https://u:p@h; do refused PUBLIC_URL="$bad"; done
	run -0 env KAFKA_BOOTSTRAP_SERVERS='a.example:9092, [::1]:9093,SASL_SSL://b:1' PUBLIC_URL=https://a.example:8443/x \
		CORS_ALLOW_ORIGINS='https://a.example, http://localhost:3000' "$USHER_BIN/usherctl" config
}

@test "a name in .env that begins like a setting and is none is told, once" {
	printf '%s\n' RATE_LOGIN_IPS=1/1 SLOW_MS=9 OTHER_THING=1 >.env
	run -0 --separate-stderr "$USHER_BIN/usherctl" config
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"no setting RATE_LOGIN_IPS;"* && $stderr != *OTHER* && $stderr != *SLOW_MS* ]]
	[ "${#stderr_lines[@]}" = 1 ]
}

@test "a file that a setting names and nobody can read is told by the setting's name" {
	run -1 env JWT_ALGORITHM=ES256 JWT_PRIVATE_KEY_FILE="$PWD/none" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *JWT_PRIVATE_KEY_FILE*"$PWD/none"*'No such file'* && $output != *BUG* ]]
	run -1 env JWT_KEYS_DIR="$PWD/none" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *JWT_KEYS_DIR*"$PWD/none"*'No such file'* && $output != *BUG* ]]
	run -1 env PASSWORD_DENYLIST_FILE="$PWD/none" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *PASSWORD_DENYLIST_FILE*"$PWD/none"*'No such file'* && $output != *BUG* ]]
}

@test "the guide's DATABASE_URL, driver suffix and all, is understood" {
	run -0 env DATABASE_SYNC_URL="${DATABASE_SYNC_URL/postgresql:/postgresql+asyncpg:}" \
		DATABASE_URL="${DATABASE_URL/postgresql:/postgresql+asyncpg:}" "$USHER_BIN/usherctl" migrate status
	[[ $output == *0001_users* ]]
	worker_up DATABASE_URL="${DATABASE_URL/postgresql:/postgresql+asyncpg:}"
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "correct horse")"
	expect 201
}

@test "DEFAULT_LANGUAGE is what is spoken to who names none" {
	worker_up DEFAULT_LANGUAGE=ko
	ask GET /users/me
	expect 401 '.detail == "접근 토큰이 필요합니다"'
	ask GET /users/me '' HTTP_ACCEPT_LANGUAGE=en
	expect 401 '.detail == "An access token is required"'
}

@test "PASSWORD_MIN sets the shortest password, and the sentence says it" {
	worker_up PASSWORD_MIN=12
	ask POST /users/ "$(sign_up_as "$(fresh_address)" 12345678abc)" HTTP_ACCEPT_LANGUAGE=ko
	faulty body.password
	fault body.password '.msg == "비밀번호는 12자 이상이어야 합니다"'
	ask POST /users/ "$(sign_up_as "$(fresh_address)" 12345678abcd)"
	expect 201
}

@test "the passwords that everybody tries are refused, in whatever case" {
	local common
	worker_up
	for common in password1 12345678 QWERTYUIOP Iloveyou; do
		ask POST /users/ "$(sign_up_as "$(fresh_address)" "$common")"
		faulty body.password
	done
	[[ $BODY == *password_common* && $BODY != *loveyou* ]]
	worker_down
	worker_up PASSWORD_DENYLIST_FILE=/dev/null
	ask POST /users/ "$(sign_up_as "$(fresh_address)" password1)"
	expect 201
}

@test "a list of passwords that is out of order, or not there, stops a worker and says what to do" {
	printf '%s\n' b a >common
	run -1 env PASSWORD_DENYLIST_FILE="$PWD/common" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *'"line":2'*'LC_ALL=C sort -u'* ]]
	run -1 env PASSWORD_DENYLIST_FILE="$PWD/none" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *denylist.unreadable*"$PWD/none"* ]]
}

@test "PASSWORD_DENYLIST_FILE names passwords that are refused" {
	printf '%s\r\n' 'letmein123' '하나둘셋넷다섯여섯일곱' >common
	worker_up PASSWORD_DENYLIST_FILE="$PWD/common"
	ask POST /users/ "$(sign_up_as "$(fresh_address)" letmein123)"
	faulty body.password
	ask POST /users/ "$(sign_up_as "$(fresh_address)" 하나둘셋넷다섯여섯일곱)"
	faulty body.password
	ask POST /users/ "$(sign_up_as "$(fresh_address)" letmein1234)"
	expect 201
}

@test "JWT_EXPIRE_MINUTES is the life of a token, and JWT_ALGORITHM its signature" {
	fresh_user
	worker_up JWT_EXPIRE_MINUTES=7 JWT_ALGORITHM=HS512
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200 '.expires_in == 420'
	TOKEN=$(jq -r .access_token <<<"$BODY")
	claims "$TOKEN" | jq -e '.exp - .iat == 420'
	unbase64url "${TOKEN%%.*}" | jq -e '.alg == "HS512"'
	ask GET /users/me
	expect 200
	# and the others, set to HS256, do not take it though the key is theirs
	get /users/me
	expect 401 '.code == "token_invalid"'
}

@test "CORS_ALLOW_ORIGINS: any origin without credentials, or listed ones with" {
	worker_up
	ask GET /users/me '' HTTP_ORIGIN=https://evil.example
	[ "$(header Access-Control-Allow-Origin)" = '*' ]
	[ -z "$(header Access-Control-Allow-Credentials)" ]
	worker_down

	worker_up CORS_ALLOW_ORIGINS='https://a.example, https://b.example'
	ask GET /users/me '' HTTP_ORIGIN=https://b.example
	[ "$(header Access-Control-Allow-Origin)" = 'https://b.example' ]
	[ "$(header Access-Control-Allow-Credentials)" = true ]
	[[ $(header Vary) == *Origin* ]]
	for origin in https://evil.example https://b.example.evil https://a.exampl null '*' 'https://a.example,'; do
		ask GET /users/me '' HTTP_ORIGIN="$origin"
		[ -z "$(header Access-Control-Allow-Origin)" ]
		[[ $(header Vary) == *Origin* ]]
	done
}

@test "LOG_FORMAT text is for people, LOG_SQL names statements and never their values" {
	worker_up LOG_FORMAT=text LOG_SQL=1
	ask POST /users/ "$(sign_up_as "$(fresh_address)" "$(some_id)" 'Kilroy Was Here')"
	expect 201
	wait_for 5 grep -q user_create "$WORKER_LOG"
	wait_for 5 grep -q request.done "$WORKER_LOG"
	run ! grep -q '^{' "$WORKER_LOG"
	run ! grep -qi kilroy "$WORKER_LOG"
}
