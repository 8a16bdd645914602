#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Mail: what follows an event by mail is sent once, in the user's language, whatever the server does.

load lib/api
load lib/stack
load lib/mail
load lib/fault

teardown() {
	the_server_is_well
	senders_down
	[[ ! -e $BATS_TEST_TMPDIR/mail-changed ]] || dev restart mail
}

eventd_log() { cat "$USHER_VAR/log/eventd.log" "$BATS_TEST_TMPDIR"/sender*.log 2>/dev/null; }

@test "who signs up is welcomed, once, with a link to prove the address" {
	fresh_user
	mail_to "$EMAIL"
	run -0 mail_says
	[[ $output == *"Subject: Welcome"* && $output == *"From: no-reply@example.com"* ]]
	[[ $output == *"$BASE_URL/verify-email#token="* ]]
	[[ $output == *"Auto-Submitted: auto-generated"* ]]
	wait_for 5 has_state "$EMAIL" sent
	[ "$(outbox_row "$EMAIL" attempts)" = 1 ]
}

@test "a Korean is written to in Korean, and any mail reader can read it" {
	EMAIL=$(fresh_address)
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")" -H 'Accept-Language: ko-KR,ko;q=0.9'
	expect 201
	mail_to "$EMAIL"
	run -0 mail_says
	[[ $output == *"Subject: 가입을 환영합니다. 이메일 주소를 확인해 주세요"* ]]
	[[ $output == *"3일 안에 한 번만"* && $output == *"#token="* ]]
	run -1 grep -nP '[^\x00-\x7F]|.{77,}' <(tr -d '\r' <"$MAIL" | sed 1d)
}

@test "the Message-ID is made from the event's id" {
	local event
	fresh_user
	event=$(sql "SELECT event_id FROM events WHERE user_id = :id AND version = 1" "id=$USER_ID")
	mail_to "$EMAIL"
	grep -qxF "Message-ID: <$event.welcome@example.com>"$'\r' "$MAIL"
}

@test "nothing that a user typed is in a mail" {
	EMAIL=$(fresh_address)
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)" 'Visit http://evil.example now')"
	expect 201
	mail_to "$EMAIL"
	run -1 grep -i evil "$MAIL"
}

@test "an event that comes twice is one mail" {
	local event
	fresh_user
	mail_to "$EMAIL"
	event=$(sql "SELECT event_id FROM events WHERE user_id = :id AND version = 1" "id=$USER_ID")
	# the relay says it again, as after a death between Kafka's word and its own
	owner_sql "INSERT INTO outbox (id, aggregateid, type, payload) SELECT event_id, user_id::text, event_type,
		json_build_object('event_id', event_id, 'event_type', event_type, 'user_id', user_id, 'version', version,
		'data', data, 'timestamp', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))
		FROM events WHERE event_id = :'e'" "e=$event"
	# what comes after it on the same key was processed: so it was, too
	login
	wait_for 20 last_was_processed "$USER_ID"
	[ "$(sql "SELECT count(*) FROM mail_outbox WHERE event_id = :'e'" "e=$event")" = 1 ]
	[ "$(mails_to "$EMAIL" | wc -l)" = 1 ]
}
last_was_processed() {
	[[ $(sql "SELECT count(*) FROM processed_events WHERE consumer = 'effects' AND event_id =
		(SELECT event_id FROM events WHERE user_id = :id ORDER BY version DESC LIMIT 1)" "id=$1") == 1 ]]
}

@test "a link's token is nowhere but in the mail" {
	local token
	fresh_user
	mail_to "$EMAIL"
	token=$(token_in_mail)
	[ ${#token} = 43 ]
	[ "$(sql "SELECT purpose || ' ' || address FROM one_time_tokens WHERE hash = sha256(:'t'::bytea)" "t=$token")" = \
		"verify_email $EMAIL" ]
	run -1 grep -rlF -- "$token" "$USHER_VAR/log"
	[ "$(PGOPTIONS='-c search_path=public' pg_dump -a "$DATABASE_SYNC_URL" | grep -cF -- "$token")" = 0 ]
	run -1 grep -F -- "$EMAIL" "$USHER_VAR/log/eventd.log"
}

@test "a server that says 'not now' is asked again, later and later, and the mail arrives" {
	EMAIL=$(fresh_address)
	the_server_says "RCPT $EMAIL 451 4.7.1 greylisted, $EMAIL"
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 tried "$EMAIL" 2
	[ "$(outbox_row "$EMAIL" state)" = waiting ]
	[ "$(outbox_row "$EMAIL" last_error)" = "451 4.7.1" ]
	the_server_is_well
	mail_to "$EMAIL"
	wait_for 5 has_state "$EMAIL" sent
	[ -z "$(outbox_row "$EMAIL" last_error)" ]
}

@test "a server that says no is not asked again; the mail is seen and can be put back" {
	EMAIL=$(fresh_address)
	the_server_says "RCPT $EMAIL 550 5.1.1 no such user"
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 has_state "$EMAIL" failed
	[ "$(outbox_row "$EMAIL" attempts)" = 1 ]
	run -0 usherctl mail list --state failed
	[[ $output == *"550 5.1.1"* && $output != *"$EMAIL"* ]]
	run -0 usherctl mail list
	[[ $output == *"550 5.1.1"* ]]
	run -0 usherctl mail list --state sent
	[[ $output != *"550 5.1.1"* ]]
	run -2 usherctl mail list --state lost
	[[ $output == *"waiting sent kept failed dropped"* ]]
	the_server_is_well
	run -0 usherctl mail retry "$(outbox_row "$EMAIL" id)"
	[ "$output" = "1 mail waits to be sent" ]
	mail_to "$EMAIL"
}

@test "a mail that is refused after its text was sent is refused all the same" {
	EMAIL=$(fresh_address)
	the_server_says "DATA $EMAIL 554 5.7.1 looks like spam"
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 has_state "$EMAIL" failed
	[ "$(outbox_row "$EMAIL" last_error)" = "554 5.7.1" ]
	run -0 mails_to "$EMAIL"
	[ -z "$output" ]
}

@test "a mail that has waited too long is given up, and says why" {
	EMAIL=$(fresh_address)
	the_server_says "DATA $EMAIL 452 4.3.1 disk full"
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 tried "$EMAIL" 1
	owner_sql "UPDATE mail_outbox SET waiting_since = now() - interval '49 hours' WHERE recipient = :'to'" "to=$EMAIL"
	wait_for 20 has_state "$EMAIL" failed
	[ "$(outbox_row "$EMAIL" last_error)" = "452 4.3.1" ]
}

@test "a server that hangs holds up nobody else for long, and no signal to end" {
	local other
	EMAIL=$(fresh_address) other=$(fresh_address)
	the_server_says "RCPT $EMAIL hang"
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 tried "$EMAIL" 1
	post /users/ "$(sign_up_as "$other" "$(some_id)")"
	expect 201
	mail_to "$other"
	wait_for 20 tried "$EMAIL" 2
	the_server_is_well
	mail_to "$EMAIL"
}

@test "a server that is away is waited for, and said to be so once" {
	local before
	dev stop mail
	before=$(eventd_log | grep -c '"mail.server_away"') || true
	fresh_user
	wait_for 20 tried "$EMAIL" 2
	[ "$(outbox_row "$EMAIL" state)" = waiting ]
	[[ $(outbox_row "$EMAIL" last_error) == *connect* ]]
	[ "$(eventd_log | grep -c '"mail.server_away"')" = $((before + 1)) ]
	dev start mail
	mail_to "$EMAIL"
	wait_for 5 server_is_said_to_be_back
}
server_is_said_to_be_back() { eventd_log | tail -n 20 | grep -q '"mail.server_back"'; }

@test "a mail that waits for a user who is gone is dropped" {
	EMAIL=$(fresh_address) PASSWORD=$(some_id)
	the_server_says "RCPT $EMAIL 451 4.7.1 greylisted"
	post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD")"
	expect 201
	USER_ID=$(jq .id <<<"$BODY")
	wait_for 20 tried "$EMAIL" 1
	login
	delete "/users/$USER_ID"
	expect 204
	the_server_is_well
	wait_for 20 has_state "$EMAIL" dropped
	run -0 mails_to "$EMAIL"
	[ -z "$output" ]
}

@test "a sender that is killed with a mail in hand: another sends it when the claim is over" {
	EMAIL=$(fresh_address)
	the_server_says "RCPT $EMAIL hang"
	sender_instead SMTP_TIMEOUT_SECONDS=60
	post /users/ "$(sign_up_as "$EMAIL" "$(some_id)")"
	expect 201
	wait_for 20 tried "$EMAIL" 1
	the_server_is_well
	sender_killed
	has_state "$EMAIL" waiting
	# the claim ends by itself, in two minutes; here at once
	owner_sql "UPDATE mail_outbox SET next_try_at = now() WHERE recipient = :'to'" "to=$EMAIL"
	senders_down
	mail_to "$EMAIL"
	wait_for 5 has_state "$EMAIL" sent
}

@test "a sender that waits for a silent server ends when it is told to, and gives no mail up for that" {
	local began
	EMAIL=$(fresh_address)
	the_server_says "RCPT $EMAIL hang"
	sender_instead SMTP_TIMEOUT_SECONDS=60
	a_mail "$EMAIL" "waiting_since" "now() - interval '49 hours'"
	wait_for 20 tried "$EMAIL" 1
	began=$SECONDS
	kill "$SENDER"
	wait "$SENDER" || true
	((SECONDS - began < 8))
	has_state "$EMAIL" waiting
}
# a_mail ADDRESS COLUMN VALUE: one that bears no link
a_mail() {
	owner_sql "INSERT INTO mail_outbox (event_id, kind, recipient, $2) VALUES (gen_random_uuid(), 'password_changed', :'to', $3)" \
		"to=$1"
}

@test "a mail that ends its senders comes back ever later, and fails at last" {
	EMAIL=$(fresh_address)
	the_server_says "RCPT $EMAIL hang"
	sender_instead SMTP_TIMEOUT_SECONDS=60
	a_mail "$EMAIL" unsettled 3
	wait_for 20 tried "$EMAIL" 1
	sender_killed
	# two minutes at first, doubled three times
	[ "$(outbox_row "$EMAIL" "next_try_at BETWEEN now() + interval '14 minutes' AND now() + interval '16 minutes'")" = t ]
	senders_down
	owner_sql "UPDATE mail_outbox SET next_try_at = now(), unsettled = 8 WHERE recipient = :'to'" "to=$EMAIL"
	wait_for 20 has_state "$EMAIL" failed
	[[ $(outbox_row "$EMAIL" last_error) == *senders* ]]
	# put back it begins anew
	the_server_is_well
	run -0 usherctl mail retry "$(outbox_row "$EMAIL" id)"
	mail_to "$EMAIL"
	wait_for 5 has_state "$EMAIL" sent
	[ "$(outbox_row "$EMAIL" unsettled)" = 0 ]
}

@test "two daemons share the mails, each sent once" {
	fresh_user
	mail_to "$EMAIL"
	sender_up
	# so many more at once that one sender is not done with them before the other looks
	owner_sql "INSERT INTO mail_outbox (event_id, kind, user_id, recipient) SELECT gen_random_uuid(), 'welcome', :id, :'to'
		FROM generate_series(1, 150)" "id=$USER_ID" "to=$EMAIL"
	wait_for 60 nothing_waits_for "$EMAIL"
	[ "$(mails_to "$EMAIL" | wc -l)" = 151 ]
	wait_for 5 grep -q '"mail.sent"' "$BATS_TEST_TMPDIR/sender.log"
}
nothing_waits_for() {
	[[ $(sql "SELECT count(*) FROM mail_outbox WHERE recipient = :'to' AND state = 'waiting'" "to=$1") == 0 ]]
}

@test "without a server mails are kept, without a token, until the operator puts them back" {
	sender_instead SMTP_URL=
	fresh_user
	wait_for 20 has_state "$EMAIL" kept
	[ "$(sql 'SELECT count(*) FROM one_time_tokens WHERE user_id = :id' "id=$USER_ID")" = 0 ]
	wait_for 5 eventd_has '"mail.kept"'
	eventd_log | grep '"mail.kept"' | tail -n 1 | jq -e '.to == "u***@example.com" and .kind == "welcome"'
	senders_down
	run -0 usherctl mail retry all
	mail_to "$EMAIL"
}
eventd_has() { eventd_log | grep -q "$1"; }

@test "a server with STARTTLS and a login gets both, by a certificate that we trust" {
	local with_login=${SMTP_URL/:\/\//://usher:s3cret@}
	cd "$BATS_TEST_TMPDIR"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1 \
		-addext subjectAltName=IP:127.0.0.1 2>/dev/null
	touch mail-changed
	dev stop mail
	MAIL_SINK_OPTIONS="--tls $PWD/cert.pem $PWD/key.pem --login usher:s3cret" dev start mail
	sender_instead SMTP_URL="$with_login" SMTP_CA_FILE="$PWD/cert.pem" SMTP_STARTTLS=required
	fresh_user
	mail_to "$EMAIL"
	head -n 1 "$MAIL" | grep -q 'tls=yes login=yes'

	# one whose certificate nobody vouches for gets nothing, and no login
	sender_instead SMTP_URL="$with_login"
	fresh_user
	wait_for 20 has_an_error "$EMAIL"
	[[ $(outbox_row "$EMAIL" last_error) == *certificate* ]]

	# nor does one that offers no TLS, where a login would go in plain
	dev restart mail
	sender_instead SMTP_URL="$with_login"
	fresh_user
	wait_for 20 has_an_error "$EMAIL"
	[[ $(outbox_row "$EMAIL" last_error) == *SSL* ]]
	run -1 grep -rl s3cret "$USHER_VAR/log" "$BATS_TEST_TMPDIR/sender.log"
}
has_an_error() { [[ $(outbox_row "$1" last_error) ]]; }

@test "SMTP_URL, MAIL_FROM and PUBLIC_URL that are none stop the daemon at its start" {
	local bad
	refused() {
		run env "$@" timeout 10 "$USHER_BIN/usher-eventd" --role mail
		[ "$status" = 2 ] && [[ $output == *"${1%%=*}"* && $output != *hunter2* ]] || fail "$*: $output"
	}
	for bad in example.com http://mail.example smtp:// smtp://user:hunter2@ 'smtp://h ost'; do refused SMTP_URL="$bad"; done
	for bad in nobody 'a@b.example>' $'a@b.example\nBcc: c@d.example'; do refused MAIL_FROM="$bad"; done
	for bad in example.com ftp://h 'http://h/#x'; do refused PUBLIC_URL="$bad"; done
	refused MAIL_FROM= SMTP_URL=smtp://127.0.0.1
}
