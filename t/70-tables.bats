#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Printed tables are the code's own: what the README and the operator's tool say can't drift.

load lib/api
load lib/stack
load lib/saga

README=$BATS_TEST_DIRNAME/../README.md

# block NAME: what stands in the README between <!-- NAME --> and <!-- /NAME -->
block() { sed -n "/^<!-- $1 -->/,/^<!-- \/$1 -->/p" "$README" | sed '1d;$d' | sed '/./,$!d'; }

# codes: "CODE STATUS" of every outcome in the code's table
codes() {
	tr -d '\n' <"$SOURCES/src/base/err.h" | grep -oP 'X\([A-Z_]+,\s*\d{3},\s*"[a-z_]+"' |
		sed -E 's/.*,\s*([0-9]{3}),\s*"([a-z_]+)"/\2 \1/'
}

# nginx_codes: the same of nginx's own errors
nginx_codes() {
	sed -n '/^map \$status \$usher_code/,/^}/p' "$SOURCES/nginx/usher/http.conf" |
		grep -oE '[0-9]{3} [a-z_]+;' | sed -E 's/([0-9]+) ([a-z_]+);/\2 \1/'
}

@test "the README's settings are those of usherctl config --markdown" {
	# where it was installed is each machine's own
	usherctl config --markdown | sed -E 's|`[^`]*(/share/usher/)|`…\1|' >"$BATS_TEST_TMPDIR/settings"
	block settings | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$BATS_TEST_TMPDIR/readme"
	diff "$BATS_TEST_TMPDIR/settings" "$BATS_TEST_TMPDIR/readme"
}

@test "the README's errors are those of usherctl errors, and these are all of the code's" {
	usherctl errors >"$BATS_TEST_TMPDIR/errors"
	diff "$BATS_TEST_TMPDIR/errors" <(block errors)
	diff <(codes | cut -d' ' -f1 | sort -u) <(grep -oP '^\| *`\K[a-z_]+(?=`)' "$BATS_TEST_TMPDIR/errors" | sort -u)
}

@test "the README documents every code of nginx's own errors too" {
	local code undocumented=''
	for code in $(nginx_codes | cut -d' ' -f1 | sort -u); do
		grep -q "\`$code\`" "$README" || undocumented+=" $code"
	done
	[ -z "$undocumented" ] || fail "nowhere in the README:$undocumented"
}

@test "nginx calls an error what the application calls it" {
	local code status
	while read -r code status; do
		codes | grep -q " $status$" || continue
		codes | grep -qx "$code $status" || fail "nginx says $code for $status, the application $(codes | grep " $status$" | xargs)"
	done < <(nginx_codes)
}

@test "nginx says of an error what the application says of it, in both languages" {
	local row code en ko
	while read -r code; do
		row=$(usherctl errors | grep "^| \`$code\` |")
		IFS='|' read -r _ _ _ row _ <<<"$row"
		en=${row%% · *} ko=${row##* · }
		[[ $(nginx_says en "$code") == "${en# }" ]] || fail "nginx says of $code: $(nginx_says en "$code"); the application:$en"
		[[ $(nginx_says ko "$code") == "${ko% }" ]] || fail "nginx says of $code: $(nginx_says ko "$code"); the application: $ko"
	done < <(nginx_codes | cut -d' ' -f1 | sort -u)
}
nginx_says() { sed -nE "s/^\s*$1:$2\s+\"(.*)\";/\1/p" "$SOURCES/nginx/usher/http.conf"; }

@test "usherctl tells what it can, and refuses what it can't" {
	local word
	run -0 usherctl --help
	for word in 'migrate up' 'migrate down' 'migrate status' 'migrate new' 'admin create' config 'cache flush' outbox 'dlq list' 'dlq show' 'dlq replay' version; do
		[[ $output == *"usherctl $word"* ]]
	done
	run -0 usherctl help
	run -2 usherctl
	run -2 usherctl sing
	run -2 usherctl migrate
	[[ $output == *'usherctl migrate --help'* && $(wc -l <<<"$output") == 1 ]]
	run -2 usherctl migrate sideways
	[[ $output == *"usherctl --help"* && $(wc -l <<<"$output") == 1 ]]
}

@test "usherctl tells of one command, or of those that begin alike" {
	run -0 usherctl mail list --help
	[[ $output == *"usherctl mail list"* && $(grep -c '^  usherctl' <<<"$output") == 1 ]]
	run -0 usherctl mail --help
	[[ $(grep -c '^  usherctl mail' <<<"$output") == 2 && $output != *outbox* ]]
}

@test "usherctl tells a failure once, in one line" {
	local away=postgresql://nobody:pw@127.0.0.1:1/none word
	for word in stats 'mail list' 'user unlock 1' 'events replay 1'; do
		# shellcheck disable=SC2086 # words
		run -1 env DATABASE_URL=$away "$USHER_BIN/usherctl" $word
		[ "$(grep -c refused <<<"$output")" = 1 ] || fail "$word: $output"
		[[ $output != *db.unreachable* ]] || fail "$word: $output"
	done
	run -1 env DATABASE_URL=$away DATABASE_SYNC_URL=$away "$USHER_BIN/usherctl" migrate up
	[ "$(grep -c refused <<<"$output")" = 1 ]
}

@test "usherctl knows no option that it does not have" {
	run -2 usherctl config --html
	run -2 usherctl migrate up --dry-run
	run -2 usherctl admin create --email "$(fresh_address)" --password-stdin --admin <<<"correct horse"
	run -2 usherctl version 2
	run -0 usherctl --version
	[ "$output" = "$(usherctl version)" ]
}

@test "every setting has a default or is required, and says what it is for" {
	local lines
	lines=$(usherctl config --markdown | tail -n +3)
	[ "$(wc -l <<<"$lines")" -gt 20 ]
	run -1 grep -vE '^\| `[A-Z_]+` \| (`[^|]+`|required|none) \| [^|]+ \| [^|]+ \|$' <<<"$lines"
}

@test "a worker has --help and --version, and refuses what it does not know" {
	run -0 timeout 5 "$USHER_BIN/usher-api" --help
	[[ $output == *usage* ]]
	run -0 timeout 5 "$USHER_BIN/usher-api" --version
	[[ $output =~ [0-9] ]]
	run -2 timeout 5 "$USHER_BIN/usher-api" --sing </dev/null
}

@test "the operator makes an admin, whose password comes by standard input" {
	local email
	email=$(fresh_address)
	run -0 usherctl admin create --email "$email" --name '관리자' --password-stdin <<<"correct horse"
	[[ $output == *created* && $output != *correct\ horse* ]]
	TOKEN='' post /auth/login "$(sign_in_as "$email" "correct horse")"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY")
	get /users/me
	expect 200 '.role == "admin" and .name == "관리자"'
	[ "$(events_of "$(jq .id <<<"$BODY")" | head -n 1)" = "1 user_created" ]
}

@test "the operator makes an admin of who is there, and leaves the password" {
	fresh_user
	run -0 usherctl admin create --email "${EMAIL^^}" --password-stdin <<<"another password"
	[[ $output == *"is an admin now; the password is unchanged"* ]]
	login
	get /users/
	expect 200
	[ "$(events_of "$USER_ID" | sed -n 2p)" = "2 user_updated" ]
	run -0 usherctl admin create --email "$EMAIL" --password-stdin <<<"another password"
	[[ $output == *"an admin already"* ]]
	[ "$(version_of "$USER_ID")" = 3 ]
}

@test "the operator is told what is wrong with an admin" {
	run -2 usherctl admin create --password-stdin <<<"correct horse"
	run -2 usherctl admin create --email "$(fresh_address)" <<<"correct horse"
	run -1 usherctl admin create --email nobody --password-stdin <<<"correct horse"
	[[ $output == *email* ]]
	run -1 usherctl admin create --email "$(fresh_address)" --password-stdin <<<"short"
	[[ $output == *password* && $output != *short* ]]
	run -1 usherctl admin create --email "$(fresh_address)" --password-stdin </dev/null
	run -1 usherctl admin create --email "$(fresh_address)" --password-stdin --name $'a\nb' <<<"correct horse"
	run -1 usherctl admin create --email "$(fresh_address)" --password-stdin <<<$'bad \xff\xfe utf-8'
}

@test "the README's calls are those of usherctl calls" {
	usherctl calls >"$BATS_TEST_TMPDIR/calls"
	diff "$BATS_TEST_TMPDIR/calls" <(block calls)
}

# One after the other, as a reader pastes them. Those that want a token of a mail or of an earlier
# answer are answered as documented; the user to sign up is there already.
@test "each curl of the README works, in the order of the table" {
	local curl call status count=0 U=$BASE_URL J='Content-Type: application/json' A ID SESSION SAGA
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	joined_up '{}'
	SAGA=$SAGA_ID
	fresh_admin
	login
	SESSION=$(claims "$TOKEN" | jq -r .sid)
	login
	A="Authorization: Bearer $TOKEN" ID=$USER_ID ADMIN="Authorization: Bearer $ADMIN"
	usherctl openapi >"$BATS_TEST_TMPDIR/openapi"
	while IFS=$'\t' read -r call curl; do
		((++count))
		curl=${curl//hong@example.com/$EMAIL}
		status=$(eval "${curl//correct horse battery/$PASSWORD} -o /dev/null -w '%{http_code}'")
		CALL=$call STATUS=$status jq -e '($ENV.CALL | split(" ")) as [$method, $path]
			| .paths[$path][$method | ascii_downcase].responses[$ENV.STATUS]' "$BATS_TEST_TMPDIR/openapi" >/dev/null ||
			fail "$call: $status is not in the document: $curl"
		[[ $status == 2* || $curl == *token\"* || $call == 'POST /api/v1/users'?(/with-profile) ]] || fail "$call: $status: $curl"
	done < <(usherctl calls | sed -nE 's/^\| `([^`]*)` \|.*\| `(curl [^`]*)` \|$/\1\t\2/p')
	((count > 15))
}
