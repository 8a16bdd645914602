# shellcheck shell=bash
# Programs that run in the background: a pid file, a log, an end. Promises that a program outlives
# the script that started it and inherits none of its files.

# close_inherited: whoever started us may hold pipes open (bats does, on fd 3) and would wait for
# every process that has them; nothing that outlives us may.
close_inherited() {
	local fd
	for fd in "/proc/$BASHPID/fd/"*; do
		fd=${fd##*/}
		if ((fd > 2 && fd < 255)); then eval "exec $fd>&-"; fi
	done
}

pid_file() { printf '%s/%s.pid' "$USHER_RUN" "$1"; }

# pid_of NAME: as its pid file says. The number of one that ended may be somebody else's by now, who is
# younger than the file: then it is nobody's.
pid_of() {
	local file pid age now written
	file=$(pid_file "$1")
	pid=$(cat "$file" 2>/dev/null) || return 0
	age=$(ps -o etimes= -p "${pid:-0}") && printf -v now '%(%s)T' -1 && written=$(stat -c %Y "$file" 2>/dev/null) &&
		((age + 1 < now - written)) && return 0
	echo "$pid"
}

# alive NAME: is the process of its pid file there, and not a zombie?
alive() {
	local pid
	pid=$(pid_of "$1")
	[[ $pid ]] && kill -0 "$pid" 2>/dev/null && [[ $(ps -o stat= -p "$pid") != Z* ]]
}

# daemon NAME LOG COMMAND...: in a session, and so a process group, of its own. Whether it lives on
# is the caller's question.
daemon() {
	local name=$1 log=$2
	shift 2
	rm -f "$(pid_file "$name")"
	# shellcheck disable=SC2016 # the inner shell's words
	setsid bash -c 'echo $$ >"$0"; exec "$@"' "$(pid_file "$name")" "$@" \
		</dev/null >>"$log" 2>&1 &
	wait_for 5 test -s "$(pid_file "$name")"
}

# end NAME SECONDS [SIGNAL]: asks, waits, and then takes what is left of its group by force.
end() {
	local name=$1 seconds=$2 signal=${3:-TERM} pid
	pid=$(pid_of "$name")
	[[ $pid ]] || {
		rm -f "$(pid_file "$name")"
		return 0
	}
	kill -s "$signal" "$pid" 2>/dev/null || true
	wait_for "$seconds" gone "$pid" || remark "$name did not end in $seconds s and was killed"
	kill -s KILL -- "-$pid" 2>/dev/null || true
	rm -f "$(pid_file "$name")"
}

# gone PID: neither it nor, where it leads a group, any of its group; a zombie is as good as gone.
gone() {
	[[ -z $(ps -eo pid=,pgid=,stat= | awk -v p="$1" '($1 == p || $2 == p) && $3 !~ /^Z/') ]]
}
