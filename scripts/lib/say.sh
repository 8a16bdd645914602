# shellcheck shell=bash
# What the scripts print: one line per step with the time it took, and on a failure
# the log lines that explain it. Promises that no step fails in silence.

say() { printf '%s\n' "$*"; }
note() { printf '%-10s %s\n' "$1" "$2"; }
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# seconds_since START: whole and tenths, START being an earlier $EPOCHREALTIME.
seconds_since() {
	local ms=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 1000))
	printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# explain LOG...: the end of each log that has something to say.
explain() {
	local log
	for log; do
		if [[ -s $log ]]; then
			printf -- '--- the end of %s\n' "$log"
			grep -vE '^\s+(at|\.\.\.) ' "$log" | tail -n 15 | cut -c1-300 # no Java stacks
		fi
	done
}

# step NAME WHAT LOGS COMMAND...: runs COMMAND with its output in NAME's step log and prints one
# line. A COMMAND that fails ends the script, after the ends of that log and of LOGS (words).
# A subshell of its own, since "set -e" is off inside anything that stands in a condition: so
# steps talk to each other through files, never through variables.
step() {
	local name=$1 what=$2 logs=$3 began=$EPOCHREALTIME rc
	local log=$USHER_VAR/log/step-$name.log
	shift 3
	printf '%-10s %s ... ' "$name" "$what"
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	if ((rc == 0)); then
		printf '%s s%s\n' "$(seconds_since "$began")" "$(step_remark "$log")"
		return
	fi
	printf 'FAILED after %s s\n' "$(seconds_since "$began")"
	# shellcheck disable=SC2086 # LOGS is a list of words
	explain "$log" $logs >&2
	die "$name failed; its log: $log"
}

# A step adds a remark to its line by printing "remark: TEXT".
remark() { printf 'remark: %s\n' "$*"; }
step_remark() { sed -n 's/^remark: \(.*\)/ (\1)/p' "$1" | tr -d '\n'; }

# wait_for SECONDS COMMAND...: until COMMAND succeeds; fails when the time is over.
wait_for() {
	local until=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || return 1
		sleep 0.05
	done
}

# put_in_place NEW FOLDER THERE: NEW becomes FOLDER, unless somebody was quicker (THERE succeeds).
put_in_place() {
	if "$3"; then
		rm -rf "$1"
	else
		rm -rf "$2"
		mv "$1" "$2"
	fi
}
