# shellcheck shell=bash
# The daemon: relay, consumer, flush and the rest. Skipped as long as the build makes none.

eventd_absent() { [[ ! -x $USHER_BIN/usher-eventd ]]; }

eventd_start() {
	instance_env
	cd "$USHER_VAR" # its .env is the instance's
	daemon eventd "$USHER_VAR/log/eventd.log" "$USHER_BIN/usher-eventd"
	sleep 0.2 # a bad setting ends it at once
	alive eventd
}

eventd_stop() { end eventd 15; }
eventd_ready() { alive eventd; }
eventd_pids() { pid_of eventd; }
