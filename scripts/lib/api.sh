# shellcheck shell=bash
# The pools of usher-api workers. A pool is one listening unix socket, its workers and their
# pool-master. A restart drops nothing: the new pool binds its socket under another name, is asked
# until it answers, and is renamed over the old one; then the old workers drain.

# name, workers, niceness, options of usher-api. Hashing takes a core for a fifth of a second: its
# pool has a worker per core and gives way to the reading one.
POOLS=(
	"read 2 0"
	"auth $(nproc) 10 --batch 1"
)

# pool_start NAME WORKERS NICE PROGRAM [ARG...]: in place of the running pool of that name, if any.
# The bench starts its echo pool with this.
pool_start() {
	local name=$1 workers=$2 nice=$3 sock
	shift 3
	sock=$(run_path)/$name.sock
	pool_drained "$name" # one old generation at most
	rm -f "$sock.new"
	[[ -f $(pid_file "$name") ]] && mv "$(pid_file "$name")" "$(pid_file "$name.old")"
	cd "$USHER_VAR" # its .env is the instance's
	# libpq brings libldap, and that a TLS library which no worker uses: 0.8 MB of each
	export GNUTLS_NO_IMPLICIT_INIT=1
	daemon "$name" "$USHER_VAR/log/$name.log" "$(type -P spawn-fcgi)" -n -s "$sock.new" -b 1024 -M 0660 \
		-- /usr/bin/nice -n "$nice" "$USHER_ROOT/scripts/lib/pool-master" "$workers" "$@"
	wait_for 10 pool_answers_or_dead "$name" "$sock.new" || true
	if ! pool_answers "$sock.new"; then
		end "$name" 1
		rm -f "$sock.new"
		[[ -f $(pid_file "$name.old") ]] && mv "$(pid_file "$name.old")" "$(pid_file "$name")"
		echo "the pool $name does not answer; an old one, if any, goes on"
		return 1
	fi
	mv "$sock.new" "$sock"
	kill -TERM "$(pid_of "$name.old")" 2>/dev/null || true
}

# pool_drained NAME: waits until its former generation has ended, by force after 20 s.
pool_drained() {
	if [[ -f $(pid_file "$1.old") ]]; then end "$1.old" 20; fi
}

# pool_stop NAME: new connections are refused at once, what was queued or under way is answered.
pool_stop() {
	rm -f "$(run_path)/$1.sock"
	if alive nginx; then end "$1" 20; else end "$1" 5; fi
	pool_drained "$1"
}

# pool_answers SOCKET: does a worker answer there? (Any answer will do, a 503 too.)
pool_answers() {
	[[ -S $1 && $(env -i REQUEST_METHOD=GET REQUEST_URI=/healthz SERVER_PROTOCOL=HTTP/1.1 \
		REMOTE_ADDR=127.0.0.1 timeout 2 "$(type -P cgi-fcgi)" -bind -connect "$1" 2>/dev/null) ]]
}

pool_answers_or_dead() { pool_answers "$2" || ! alive "$1"; }

pool_names() { printf '%s\n' "${POOLS[@]%% *}"; }
# pool_pids NAME: its workers; the rest of its process group is the pool-master, a shell.
pool_pids() {
	ps -eo pid=,pgid=,stat=,comm= |
		awk -v group="$(pid_of "$1")" '$2 == group && $3 !~ /^Z/ && $4 != "bash" { print $1 }'
}

# Also the way to restart: pools that run are replaced.
api_start() {
	local row name workers nice options
	instance_env
	for row in "${POOLS[@]}"; do
		read -r name workers nice options <<<"$row"
		# shellcheck disable=SC2086 # options are a list of words
		pool_start "$name" "$workers" "$nice" "$USHER_BIN/usher-api" $options
		echo "$name: $workers workers"
	done
}

api_restart() { api_start; }

api_stop() {
	local name
	for name in $(pool_names); do pool_stop "$name" & done
	wait
}

api_ready() {
	local name
	for name in $(pool_names); do
		[[ -S $(run_path)/$name.sock && $(pool_pids "$name") ]] || return 1
	done
}

api_pids() {
	local name
	for name in $(pool_names); do pool_pids "$name"; done
}
api_logs() { pool_names | sed "s|.*|$USHER_VAR/log/&.log|" | tr '\n' ' '; }
