# shellcheck shell=bash
# A mail server of our own, which sends nothing on: each mail becomes a file in $USHER_VAR/mail.
# MAIL_SINK_OPTIONS are further words for it (scripts/lib/mail-sink --help).

mail_start() {
	port_free "$MAIL_PORT"
	# shellcheck disable=SC2086 # options are a list of words
	daemon mail "$USHER_VAR/log/mail.log" /usr/bin/python3 "$USHER_ROOT/scripts/lib/mail-sink" \
		--port "$MAIL_PORT" --dir "$USHER_VAR/mail" ${MAIL_SINK_OPTIONS-}
	wait_for 10 mail_ready_or_dead || true
	mail_ready
	remark "smtp://127.0.0.1:$MAIL_PORT, mails are in $USHER_VAR/mail"
}

mail_stop() { end mail 5; }
mail_ready() { alive mail && ! port_free "$MAIL_PORT" >/dev/null; }
mail_ready_or_dead() { mail_ready || ! alive mail; }
mail_pids() { pid_of mail; }
mail_wipe() { rm -rf "$USHER_VAR/mail"; }
