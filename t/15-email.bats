#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Addresses: proven by who reads their mail, and proven anew when they change.

load lib/api
load lib/stack
load lib/mail
load lib/fault

setup() { fresh_user; }
teardown() { worker_down; }

prove() { TOKEN='' post /auth/verify-email "$(jq -cn --arg t "$1" '{token: $t}')" "${@:2}"; }
is_proven() { [[ $(sql 'SELECT email_verified_at IS NOT NULL FROM users WHERE id = :id' "id=$USER_ID") == t ]]; }
data_of() { sql 'SELECT data FROM events WHERE user_id = :id AND version = :v' "id=$USER_ID" "v=$1"; }

# welcome_token: what the welcome mail bears
welcome_token() {
	mail_of "$EMAIL" welcome
	token_in_mail
}

@test "the welcome mail's token proves the address, which is an event and a new version" {
	run ! is_proven
	prove "$(welcome_token)"
	expect 204
	[ -z "$BODY" ]
	is_proven
	[ "$(events_of "$USER_ID" | tail -n 1)" = "2 user_email_verified" ]
	data_of 2 | jq -e '.email == $ENV.EMAIL and (.email_verified_at | startswith("20"))'
	[ "$(sql "SELECT (e.data ->> 'email_verified_at')::timestamptz = u.email_verified_at FROM events e JOIN users u
		ON u.id = e.user_id WHERE u.id = :id AND e.version = 2" "id=$USER_ID")" = t ]
	login
	get /users/me
	expect 200 'has("email_verified_at") | not'
}

@test "a token proves once; two requests at the same moment are one proof" {
	local token how
	token=$(welcome_token)
	worker_up # a second pool: on one core the first has one worker
	TOKEN='' ask GET /users/me
	hold_row "$USER_ID" # so that they meet
	for how in post "ask POST"; do
		(
			mkdir "$BATS_TEST_TMPDIR/$how"
			BATS_TEST_TMPDIR+=/$how
			TOKEN='' $how /auth/verify-email "{\"token\":\"$token\"}"
			echo "$STATUS" >"$BATS_TEST_TMPDIR/status"
		) 3>&- &
		CHILDREN+=($!)
	done
	wait_for 2 rows_are_awaited 2
	let_row_go
	stop_asking
	[ "$(cat "$BATS_TEST_TMPDIR"/*/status | sort | tr '\n' ' ')" = "204 422 " ]
	[ "$(events_of "$USER_ID" | grep -c user_email_verified)" = 1 ]
}

@test "another token of a proven address is taken and changes nothing" {
	prove "$(welcome_token)"
	expect 204
	sql "INSERT INTO mail_outbox (event_id, kind, user_id, recipient) VALUES (gen_random_uuid(), 'verify_email', :id, :'to')" \
		"id=$USER_ID" "to=$EMAIL"
	mail_of "$EMAIL" verify_email
	prove "$(token_in_mail)"
	expect 204
	[ "$(version_of "$USER_ID")" = 2 ]
}

@test "a token that is guessed, expired or no token at all proves nothing" {
	local token
	token=$(welcome_token)
	prove "$(some_id)"
	faulty body.token
	fault body.token '.type == "one_time_token"'
	prove "${token^^}" -H 'Accept-Language: ko'
	faulty body.token
	fault body.token '.msg == "올바르지 않거나 이미 사용되었거나 만료되었습니다"'
	expired "$token"
	prove "$token"
	faulty body.token
	post /auth/verify-email '{"token":""}'
	faulty body.token
	post /auth/verify-email '{"tokens":[]}'
	faulty body.token body.tokens
	run ! is_proven
}

@test "a new address is not proven; a link goes to it, and word to the old one" {
	local old=$EMAIL new
	new=$(fresh_address)
	prove "$(welcome_token)"
	expect 204
	login
	patch "/users/$USER_ID" "$(jq -cn --arg e "$new" '{email: $e}')"
	expect 200 ".email == \"$new\""
	run ! is_proven
	data_of 4 | jq -e --arg e "$new" '. == {email: $e, email_verified_at: null}'
	mail_of "$old" email_changed
	run -0 mail_says
	[[ $output == *"Subject: Your email address was changed"* && $output != *"#token"* && $output != *"$new"* ]]
	mail_of "$new" verify_email
	prove "$(token_in_mail)"
	expect 204
	is_proven
	[ "$(events_of "$USER_ID" | tail -n 1)" = "5 user_email_verified" ]
}

@test "a link to the address before proves nothing about the new one" {
	local token
	token=$(welcome_token)
	login
	patch "/users/$USER_ID" "$(jq -cn --arg e "$(fresh_address)" '{email: $e}')"
	expect 200
	prove "$token"
	faulty body.token
	run ! is_proven
}

@test "a PUT changes the address as a PATCH does, an admin's too, in the user's language" {
	local old new
	old=$(fresh_address) new=$(fresh_address)
	post /users/ "$(sign_up_as "$old" "$(some_id)")" -H 'Accept-Language: ko'
	expect 201
	USER_ID=$(jq .id <<<"$BODY")
	mail_of "$old" welcome
	fresh_admin
	as_admin put "/users/$USER_ID" "$(jq -cn --arg e "$new" '{name: "Kim", email: $e, role: "user"}')"
	expect 200
	mail_of "$old" email_changed
	mail_says | grep -qxF 'Subject: 이메일 주소가 변경되었습니다'
	mail_of "$new" verify_email
	mail_says | grep -qxF 'Subject: 새 이메일 주소를 확인해 주세요'
}

@test "a change of anything else leaves the proof, and sends no mail" {
	prove "$(welcome_token)"
	expect 204
	login
	patch "/users/$USER_ID" '{"nickname":"x"}'
	expect 200
	put "/users/$USER_ID" "$(jq -cn --arg e "$EMAIL" '{name: "Lee", email: $e}')"
	expect 200 '.name == "Lee"'
	is_proven
	data_of 5 | jq -e 'has("email_verified_at") | not'
	[ "$(sql 'SELECT count(*) FROM mail_outbox WHERE user_id = :id' "id=$USER_ID")" = 1 ]
}

@test "an address that is taken changes nothing and tells nobody" {
	local mine=$EMAIL
	login
	fresh_user
	patch "/users/$(claims "$TOKEN" | jq -r .sub)" "$(jq -cn --arg e "$EMAIL" '{email: $e}')"
	expect 400 '.code == "email_taken"'
	[ "$(sql "SELECT count(*) FROM mail_outbox WHERE recipient = :'to' AND kind <> 'welcome'" "to=$mine")" = 0 ]
}
