#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Passwords: changed by who knows the old one, reset by who reads the account's mail.

load lib/api
load lib/stack
load lib/mail
load lib/fault

setup() {
	fresh_user
	login
	NEW=$(some_id)
	export NEW
}
teardown() {
	worker_down
	the_server_is_well
}

change_to() { jq -cn --arg o "$1" --arg n "$2" '{current_password: $o, new_password: $n}'; }
reset_with() { jq -cn --arg t "$1" --arg n "${2-$NEW}" '{token: $t, new_password: $n}'; }
forgotten() { jq -cn --arg e "$1" '{email: $e}'; }

# may_log_in PASSWORD, may_not_log_in PASSWORD
may_log_in() {
	TOKEN='' post /auth/login "$(sign_in_as "$EMAIL" "$1")"
	expect 200
}
may_not_log_in() {
	TOKEN='' post /auth/login "$(sign_in_as "$EMAIL" "$1")"
	expect 401 '.code == "bad_credentials"'
}

# ask_reset [N]: RESET, the token of the Nth mail that this asks for
ask_reset() {
	TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202 '. == {status: "accepted"}'
	mail_of "$EMAIL" reset_password "${1-1}"
	RESET=$(token_in_mail)
}

# session_is_over TOKEN: as every worker has it
session_is_over() {
	local TOKEN=$1
	every_worker 401
	get /users/me
	expect 401 '.code == "token_invalid"'
}

@test "a changed password is the only one from then on" {
	post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 204
	[ -z "$BODY" ]
	may_not_log_in "$PASSWORD"
	may_log_in "$NEW"
}

@test "a change ends the other sessions at once, and not the one that made it" {
	local mine other another
	mine=$TOKEN
	login
	other=$TOKEN
	get /users/me
	expect 200
	login
	another=$TOKEN
	TOKEN=$mine
	post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 204
	session_is_over "$other"
	session_is_over "$another"
	get /users/me
	expect 200
	[ "$(sql 'SELECT count(*) FROM sessions WHERE user_id = :id AND ended_at IS NULL' "id=$USER_ID")" = 1 ]
}

@test "a change is one event with a version, told to the user by mail, with no password in either" {
	post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 204
	[ "$(events_of "$USER_ID" | tail -n 1)" = "3 user_password_changed" ]
	[ "$(sql 'SELECT data FROM events WHERE user_id = :id AND version = 3' "id=$USER_ID")" = '{"by": "user"}' ]
	mail_of "$EMAIL" password_changed
	run -0 mail_says
	[[ $output == *"Subject: Your password was changed"* && $output != *"$NEW"* ]]
	get /users/me
	expect 200
	[ "$(header ETag)" = '"3"' ]
	run -1 grep -rlF -e "$NEW" -e "$PASSWORD" "$USHER_VAR/log"
}

@test "a wrong current password changes nothing, and is said in both languages" {
	post /auth/password "$(change_to "not $PASSWORD" "$NEW")"
	faulty body.current_password
	fault body.current_password '.type == "password_wrong" and .msg == "This is not the current password"'
	post /auth/password "$(change_to "not $PASSWORD" "$NEW")" -H 'Accept-Language: ko'
	fault body.current_password '.msg == "현재 비밀번호가 올바르지 않습니다"'
	may_log_in "$PASSWORD"
	[ "$(events_of "$USER_ID" | grep -c password_changed)" = 0 ]
}

@test "guesses at the current password count as those at the door do, and lock the account" {
	local i
	worker_up RATE_LOGIN_ACCOUNT=0
	for ((i = 1; i <= 10; i++)); do
		ask POST /auth/password "$(change_to "guess $i" "$NEW")"
		faulty body.current_password
	done
	# and now the right one is as wrong as any, here and there
	ask POST /auth/password "$(change_to "$PASSWORD" "$NEW")"
	faulty body.current_password
	ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 401
}

@test "the rate of guesses at an account holds here too" {
	local i
	worker_up RATE_LOGIN_ACCOUNT=2/60
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	ask POST /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 201
	TOKEN='' ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY")
	ask POST /auth/password "$(change_to wrong "$NEW")"
	faulty body.current_password
	ask POST /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 429
}

@test "a new password is held to the same rules as the first one" {
	post /auth/password "$(change_to "$PASSWORD" short)"
	faulty body.new_password
	fault body.new_password '.msg == "The password must have at least 8 characters"'
	post /auth/password "$(change_to "$PASSWORD" password123)"
	faulty body.new_password
	fault body.new_password '.type == "password_common"'
	post /auth/password "$(change_to "$PASSWORD" "$(printf 'x%.0s' {1..129})")"
	faulty body.new_password
	post /auth/password '{}'
	faulty body.current_password body.new_password
	post /auth/password '{"current_password":1,"new_password":null,"email":"a@b.example"}'
	faulty body.current_password body.new_password body.email
	may_log_in "$PASSWORD"
}

@test "two passwords that differ only after byte 72 are two, in a change too" {
	local long
	long=$(printf '한%.0s' {1..24})
	post /auth/password "$(change_to "$PASSWORD" "${long}하나")"
	expect 204
	may_not_log_in "${long}둘"
	may_log_in "${long}하나"
}

@test "nobody changes a password without being logged in" {
	TOKEN='' post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 401 '.code == "token_missing"'
	call GET /auth/password
	expect 405
}

@test "two changes at once: one wins, and the other is told" {
	local i
	for i in 1 2; do
		(
			mkdir "$BATS_TEST_TMPDIR/$i"
			BATS_TEST_TMPDIR+=/$i
			post /auth/password "$(change_to "$PASSWORD" "$NEW$i")"
			echo "$STATUS" >"$BATS_TEST_TMPDIR/status"
		) 3>&- &
	done
	wait
	# the second came while the first hashed, or found the password changed
	run -0 sort "$BATS_TEST_TMPDIR"/{1,2}/status
	[[ $output == $'204\n409' || $output == $'204\n422' ]]
	[ "$(events_of "$USER_ID" | grep -c password_changed)" = 1 ]
}

@test "a forgotten password is answered the same for whom we know and whom we don't" {
	local known head
	TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202
	known=$BODY
	head=$(grep -viE '^(date|x-request-id):' <<<"$HEAD")
	TOKEN='' post /auth/password/forgot "$(forgotten "nobody-$EMAIL")"
	expect 202
	[ "$BODY" = "$known" ]
	[ "$(grep -viE '^(date|x-request-id):' <<<"$HEAD")" = "$head" ]
	mail_of "$EMAIL" reset_password
	[ -z "$(mails_to "nobody-$EMAIL")" ]
}

@test "and costs the same statements" {
	worker_up LOG_SQL=1
	ask GET /users/me '' # what a new worker asks once is behind it
	expect 200
	ask POST /auth/password/forgot "$(forgotten "nobody-$EMAIL")"
	expect 202
	ask POST /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202
	wait_for 5 three_are_done
	[ "$(sed '1,/request.done/d' "$WORKER_LOG" | grep -oP '"stmt":"\K[a-z_]+')" = $'account_ask_reset\naccount_ask_reset' ]
}
three_are_done() { [[ $(grep -c request.done "$WORKER_LOG") == 3 ]]; }

@test "an inactive user is sent nothing, and told nothing" {
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 200
	TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202
	# what comes after it was processed
	fresh_user
	mail_of "$EMAIL" welcome
	[ "$(sql "SELECT count(*) FROM mail_outbox WHERE user_id = :id AND kind = 'reset_password'" "id=$USER_ID")" = 0 ]
}

@test "the sixth mail within an hour is not sent, to whom we don't know neither" {
	local i
	EMAIL="nobody-$EMAIL"
	for ((i = 0; i < 5; i++)); do
		TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
		expect 202
	done
	TOKEN='' post /auth/password/forgot "$(forgotten "${EMAIL^^}")"
	expect 429
}

@test "an address that is none is told so" {
	TOKEN='' post /auth/password/forgot '{"email":"nobody"}'
	faulty body.email
	TOKEN='' post /auth/password/forgot '{}'
	faulty body.email
}

@test "the mail's token sets a new password, once, and ends all sessions" {
	local old=$TOKEN
	ask_reset
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET")"
	expect 204
	session_is_over "$old"
	may_not_log_in "$PASSWORD"
	may_log_in "$NEW"
	[ "$(sql "SELECT data ->> 'by' FROM events WHERE user_id = :id AND event_type = 'user_password_changed'" "id=$USER_ID")" = reset ]
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET" "$PASSWORD")"
	faulty body.token
	fault body.token '.type == "one_time_token"'
	may_log_in "$NEW"
}

@test "two resets with one token at the same moment: one wins" {
	local how
	ask_reset
	worker_up # a second pool: on one core the first has one worker
	ask GET /users/me
	hold_row "$USER_ID" # so that they meet
	for how in post "ask POST"; do
		(
			mkdir "$BATS_TEST_TMPDIR/$how"
			BATS_TEST_TMPDIR+=/$how
			TOKEN='' $how /auth/password/reset "$(reset_with "$RESET" "$NEW-${how%% *}")"
			echo "$STATUS" >"$BATS_TEST_TMPDIR/status"
		) 3>&- &
		CHILDREN+=($!)
	done
	wait_for 2 rows_are_awaited 2
	let_row_go
	stop_asking
	[ "$(cat "$BATS_TEST_TMPDIR"/*/status | sort | tr '\n' ' ')" = "204 422 " ]
	[ "$(events_of "$USER_ID" | grep -c password_changed)" = 1 ]
}

@test "two tokens of one user at the same moment: one wins, the other is spent" {
	local first i
	ask_reset
	first=$RESET
	ask_reset 2
	for i in "$first" "$RESET"; do
		(
			mkdir "$BATS_TEST_TMPDIR/$i"
			BATS_TEST_TMPDIR+=/$i
			TOKEN='' post /auth/password/reset "$(reset_with "$i" "$NEW-$i")"
			echo "$STATUS" >"$BATS_TEST_TMPDIR/status"
		) 3>&- &
	done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR/$first/status" "$BATS_TEST_TMPDIR/$RESET/status" | sort | tr '\n' ' ')" = "204 422 " ]
}

@test "a reset lets in who was locked out" {
	sql "INSERT INTO login_failures (user_id, failed, locked_until) VALUES (:id, 10, now() + interval '15 minutes')" "id=$USER_ID"
	may_not_log_in "$PASSWORD"
	ask_reset
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET")"
	expect 204
	may_log_in "$NEW"
}

@test "a token is good for thirty minutes from its mail on" {
	ask_reset
	[ "$(sql "SELECT expires_at - created_at FROM one_time_tokens WHERE hash = sha256(:'t'::bytea)" "t=$RESET")" = 00:30:00 ]
	expired "$RESET"
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET")"
	faulty body.token
	may_log_in "$PASSWORD"
}

@test "a token dies with a password change, and with a change of address" {
	ask_reset
	post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 204
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET" "$PASSWORD")"
	faulty body.token
	ask_reset 2
	patch "/users/$USER_ID" "$(jq -cn --arg e "$(fresh_address)" '{email: $e}')"
	expect 200
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET" "$PASSWORD")"
	faulty body.token
}

@test "a mail that would bring a token is not sent once a password was set, nor when it comes too late" {
	the_server_says "RCPT $EMAIL 451 4.7.1 greylisted"
	TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202
	wait_for 20 reset_mail_has 'attempts > 0'
	post /auth/password "$(change_to "$PASSWORD" "$NEW")"
	expect 204
	reset_mail_has "state = 'dropped'"

	TOKEN='' post /auth/password/forgot "$(forgotten "$EMAIL")"
	expect 202
	wait_for 20 reset_mail_has 'attempts > 0'
	owner_sql "UPDATE mail_outbox SET waiting_since = now() - interval '31 minutes', next_try_at = now()
		WHERE user_id = :id AND state = 'waiting'" "id=$USER_ID"
	wait_for 20 reset_mail_has "state = 'dropped'"
	[ "$(mails_of "$EMAIL" reset_password | wc -l)" = 0 ]
}
# of the newest
reset_mail_has() {
	[[ $(sql "SELECT $1 FROM mail_outbox WHERE user_id = :id AND kind = 'reset_password' ORDER BY id DESC LIMIT 1" "id=$USER_ID") == t ]]
}

@test "a token is good for its own purpose only" {
	local verify
	mail_of "$EMAIL" welcome
	verify=$(token_in_mail)
	TOKEN='' post /auth/password/reset "$(reset_with "$verify")"
	faulty body.token
	ask_reset
	TOKEN='' post /auth/verify-email "$(jq -cn --arg t "$RESET" '{token: $t}')"
	faulty body.token
	# neither was spent by that
	TOKEN='' post /auth/verify-email "$(jq -cn --arg t "$verify" '{token: $t}')"
	expect 204
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET")"
	expect 204
}

@test "a password that may not be does not spend the token, and all faults are named" {
	ask_reset
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET" password123)"
	faulty body.new_password
	TOKEN='' post /auth/password/reset "$(reset_with guessed password123)"
	faulty body.new_password body.token
	TOKEN='' post /auth/password/reset '{}'
	faulty body.new_password body.token
	TOKEN='' post /auth/password/reset "$(reset_with "$RESET")"
	expect 204
}

@test "a guessed token is refused, in Korean too" {
	local guess
	for guess in x "$(some_id)" "$(printf 'A%.0s' {1..43})" "' OR true --"; do
		TOKEN='' post /auth/password/reset "$(reset_with "$guess")" -H 'Accept-Language: ko'
		faulty body.token
		fault body.token '.msg == "올바르지 않거나 이미 사용되었거나 만료되었습니다"'
	done
	TOKEN='' post /auth/password/reset "$(reset_with "$(printf 'A%.0s' {1..101})")"
	faulty body.token
}
