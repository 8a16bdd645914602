# shellcheck shell=bash
# Beside api and stack, for what follows by mail: the mails that the stack's own server took, and
# the parts that it plays.

: "${MAIL_DIR:?set by: eval \"\$(scripts/dev env)\"}"

# mails_to ADDRESS: their files, oldest first. mail_to ADDRESS [N]: MAIL, the file of its Nth, once
# it has come.
mails_to() { grep -lxF "To: <$1>"$'\r' "$MAIL_DIR"/*.eml 2>/dev/null | sort || true; }
mail_to() {
	wait_for 20 mails_have_come "$1" "${2-1}"
	MAIL=$(mails_to "$1" | sed -n "${2-1}p")
}
mails_have_come() { (($(mails_to "$1" | wc -l) >= $2)); }

# mail_of ADDRESS KIND [N]: the same of those of a kind (mail_outbox.kind).
mails_of() { mails_to "$1" | xargs -r grep -lE "^Message-ID: <[0-9a-f-]+\.$2@" | sort || true; }
mail_of() {
	wait_for 20 mails_of_have_come "$1" "$2" "${3-1}"
	MAIL=$(mails_of "$1" "$2" | sed -n "${3-1}p")
}
mails_of_have_come() { (($(mails_of "$1" "$2" | wc -l) >= $3)); }

# mail_says: its headers, decoded, a blank line and its text, as an independent reader sees them.
mail_says() {
	python3 - "$MAIL" <<-'PYTHON'
		import email, email.policy, sys
		m = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
		assert not m.defects and not any(v.defects for v in m.values()), (m.defects, m.items())
		print("\n".join(f"{k}: {v}" for k, v in m.items()), m.get_content(), sep="\n\n")
	PYTHON
}

# token_in_mail: what its link bears.
token_in_mail() { mail_says | grep -oP '#token=\K[A-Za-z0-9_-]+'; }

# expired TOKEN: its time is over.
expired() { sql "UPDATE one_time_tokens SET expires_at = now() WHERE hash = sha256(:'t'::bytea)" "t=$1"; }

# the_server_says LINE...: "STAGE ADDRESS ANSWER", until the_server_is_well.
the_server_says() {
	printf '%s\n' "$@" >"$MAIL_DIR/.play.new"
	mv "$MAIL_DIR/.play.new" "$MAIL_DIR/.play"
}
the_server_is_well() { rm -f "$MAIL_DIR/.play"; }

# outbox_row ADDRESS COLUMN, has_state ADDRESS STATE
outbox_row() { sql "SELECT $2 FROM mail_outbox WHERE recipient = :'to' ORDER BY id LIMIT 1" "to=$1"; }
has_state() { [[ $(outbox_row "$1" state) == "$2" ]]; }
tried() { (($(outbox_row "$1" attempts) >= $2)); }

#
# Senders of one's own
#

# sender_up [NAME=VALUE...]: a daemon of the mail role alone, beside the stack's. Sets SENDER.
sender_up() {
	: >"$BATS_TEST_TMPDIR/sender.log"
	(
		cd "$BATS_TEST_TMPDIR"
		exec env SMTP_TIMEOUT_SECONDS=2 MAIL_RETRY_SECONDS=1 METRICS_FILE="$BATS_TEST_TMPDIR/metrics" "$@" \
			"$USHER_BIN/usher-eventd" --role mail
	) >>"$BATS_TEST_TMPDIR/sender.log" 2>&1 3>&- &
	SENDER=$!
	wait_for 10 grep -q '"role.began"' "$BATS_TEST_TMPDIR/sender.log"
}

# sender_instead [NAME=VALUE...]: the same in place of the stack's, which is frozen until senders_down.
sender_instead() {
	senders_down
	STACK_SENDER=$(ps -o pid=,comm= -p "$("$USHER_DEV" pids eventd | paste -sd,)" | awk '$2 == "usher-mail" { print $1 }')
	[[ $STACK_SENDER ]] || fail "the stack's daemon has no mail role"
	kill -STOP "$STACK_SENDER"
	sender_up "$@"
}

# sender_killed: at once, with its role's process.
sender_killed() {
	# shellcheck disable=SC2046 # words
	kill -KILL "$SENDER" $(ps -o pid= --ppid "$SENDER")
	wait "$SENDER" 2>/dev/null || true
	SENDER=
}

senders_down() {
	if [[ ${SENDER-} ]]; then
		kill "$SENDER" 2>/dev/null || true
		wait "$SENDER" 2>/dev/null || true
	fi
	if [[ ${STACK_SENDER-} ]]; then kill -CONT "$STACK_SENDER" 2>/dev/null || true; fi
	SENDER='' STACK_SENDER=''
}
