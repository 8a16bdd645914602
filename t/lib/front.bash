# shellcheck shell=bash
# Beside api and stack, for nginx's own part: an nginx of one's own, on a socket, with the stack's own
# configuration.

# front_up [ORIGINS]: FRONT, its folder. Each error of its tables is given by /give/STATUS; a worker has a
# tenth of a second. Before WORKER if that is set (a worker's socket, or none), else before the stack's pools. With
# STRICT set nobody is exempt from its limits, and one is too many soon.
front_up() {
	local status
	FRONT=$BATS_TEST_TMPDIR/front
	cp -r "$USHER_VAR/nginx" "$FRONT"
	mkdir -p "$FRONT/tmp"
	[[ ! ${1-} ]] || echo "$1" >"$FRONT/usher/origins.conf"
	for status in $(front_statuses); do
		echo "location = /give/$status { return ${status/431/494}; }" # its own name for it
	done >"$FRONT/usher/give.conf"
	sed -i -e "s|^pid .*|pid $FRONT/nginx.pid;|" -e "s|listen 127[^;]*;|listen unix:$FRONT/sock; include usher/give.conf;|" \
		-e "s|[^ ]*/log/|$FRONT/|" "$FRONT/nginx.conf"
	sed -i -e 's/fastcgi_read_timeout .*/fastcgi_read_timeout 100ms;/' "$FRONT/usher/fastcgi.conf"
	[[ ! ${WORKER-} ]] || sed -i "s|server unix:[^ ]*|server unix:$WORKER|" "$FRONT/usher/http.conf"
	if [[ ${STRICT-} ]]; then
		: >"$FRONT/usher/exempt.conf"
		sed -i 's/ burst=.*/;/' "$FRONT/usher/server.conf"
	fi
	sed -i 's/ deny all;//' "$FRONT/usher/server.conf" # whoever finds the socket is on this machine
	"$(type -P nginx || echo /usr/sbin/nginx)" -p "$FRONT" -c nginx.conf -e "$FRONT/error.log" 3>&-
	wait_for 5 test -S "$FRONT/sock"
}

front_down() {
	if [[ ${FRONT-} && -s $FRONT/nginx.pid ]]; then kill "$(<"$FRONT/nginx.pid")"; fi
	FRONT=
}

# shellcheck disable=SC2016 # nginx's own
front_statuses() {
	sed -n '/^map \$status \$usher_title/,/^}/p' "$SOURCES/nginx/usher/http.conf" | grep -oE '\b[45][0-9]{2}\b' | sort -u
}

# front PATH [CURL OPTION...]
front() { call GET "http://front$1" --unix-socket "$FRONT/sock" "${@:2}"; }
