# shellcheck shell=bash
# The stack: its components in the order of their start, and the steps that bring a bare machine to
# a running system. Sources the rest of the library; a script needs to source only this.

set -euo pipefail

for part in say instance daemon packages build docs postgres redis kafka mail eventd api nginx; do
	# shellcheck disable=SC1090
	. "$(dirname "${BASH_SOURCE[0]}")/$part.sh"
done

# Each has NAME_start, NAME_stop, NAME_ready and NAME_pids; where it needs them, NAME_restart
# (better than stop and start), NAME_wipe, NAME_logs.
COMPONENTS=(postgres redis kafka mail eventd api nginx)

defined() { declare -F "$1" >/dev/null; }

component_known() {
	[[ " ${COMPONENTS[*]} " == *" $1 "* ]] || die "no component $1; there are: ${COMPONENTS[*]}"
}

component_logs() {
	if defined "$1_logs"; then "$1_logs"; else echo "$USHER_VAR/log/$1.log"; fi
}

# component ACTION NAME: start, stop or restart, as a step of its own.
component() {
	local action=$1 name=$2 did
	case $action in
	start)
		if "${name}_ready"; then
			note "$name" "is up"
			return
		fi
		did=start
		;;
	stop) did=stop ;;
	restart)
		if ! "${name}_ready"; then
			did=start
		elif defined "${name}_restart"; then
			did=restart
		else
			component stop "$name"
			did=start
		fi
		;;
	esac
	step "$name" "$did" "$(component_logs "$name")" "${name}_$did"
}

# stack_each ACTION [NAME...]: each after those that it needs, however they are named; stopping goes backwards.
stack_each() {
	local action=$1 name list=()
	shift
	for name; do component_known "$name"; done
	for name in "${COMPONENTS[@]}"; do
		if (($# == 0)) || [[ " $* " == *" $name "* ]]; then list+=("$name"); fi
	done
	if [[ $action == stop ]]; then mapfile -t list < <(printf '%s\n' "${list[@]}" | tac); fi
	for name in "${list[@]}"; do component "$action" "$name"; done
}

# stack_prepare PACKAGE...: besides those that the build needs.
stack_prepare() {
	mkdir -p "$USHER_VAR/log"
	step packages "what apt has to bring" "" packages_install "${PACKAGES_BUILD[@]}" "$@"
	instance_dirs
	step build "programs" "" build
}

migrate() {
	instance_env
	cd "$USHER_VAR"
	"$USHER_BIN/usherctl" migrate up
}

# ports_check: of a component that is not there yet, is each port free?
ports_check() {
	alive nginx || port_free "$USHER_PORT" || exit 1
	alive kafka || { port_free "$KAFKA_PORT" && port_free "$KAFKA_CONTROLLER_PORT"; } || exit 1
	alive mail || port_free "$MAIL_PORT" || exit 1
}

# stack_up: from whatever there is to a running system. Servers that run are left alone; the
# programs and nginx take up what has changed. KAFKA_WANTED is "real" or "embedded".
stack_up() {
	instance_dirs
	ports_check
	alive kafka || kafka_choose "${KAFKA_WANTED:-real}"
	stack_each start postgres redis kafka mail
	step migrate "schema" "" migrate
	docs_choose "$(run_path)/docs"
	stack_each restart eventd api nginx
}

stack_down() { stack_each stop; }

# stack_wipe: the data and the sockets' folder; secrets and logs stay.
stack_wipe() {
	local name
	for name in "${COMPONENTS[@]}"; do
		if defined "${name}_wipe"; then "${name}_wipe"; fi
	done
	rm -rf "$(run_path)" "$USHER_RUN"
}

# stack_status: a line each; fails unless all are up.
stack_status() {
	local name state rc=0
	for name in "${COMPONENTS[@]}"; do
		state=up
		"${name}_ready" || {
			state=down
			rc=1
		}
		printf '%-10s %-5s %s\n' "$name" "$state" "$("${name}_pids" | tr '\n' ' ')"
	done
	return "$rc"
}

port_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || {
		echo "port $1 is taken by another server; set USHER_PORT to another base"
		return 1
	}
}
