# shellcheck shell=bash
# The daemon: its roles, kept alive by the same small master as the pools.

eventd_ready_file() { printf '%s/eventd.ready' "$USHER_RUN"; }

eventd_start() {
	instance_env
	cd "$USHER_VAR" # its .env is the instance's
	if ! alive eventd; then
		rm -f "$(eventd_ready_file)"
		daemon eventd "$USHER_VAR/log/eventd.log" "$USHER_ROOT/scripts/lib/pool-master" 1 \
			"$USHER_BIN/usher-eventd" --ready-file "$(eventd_ready_file)"
	fi
	wait_for 15 eventd_ready_or_dead || true
	eventd_ready
}

eventd_stop() { end eventd 15; }

# Have all roles begun? A daemon that was killed leaves the file, but not the process.
eventd_ready() {
	local pid
	alive eventd && pid=$(cat "$(eventd_ready_file)" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}
eventd_ready_or_dead() { eventd_ready || ! alive eventd; }

# The daemon and its roles; the rest of the process group is the master, a shell.
eventd_pids() { pool_pids eventd; }
