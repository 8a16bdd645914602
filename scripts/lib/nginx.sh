# shellcheck shell=bash
# An nginx of our own in front: nginx/dev.conf.in around the very snippet files that others include
# in theirs, with this instance's port and sockets.

NGINX_HOME=$USHER_VAR/nginx
# Measured on two cores with 64 clients: one is as fast as two (60 000 echoes/s), its p99 lower
# (3 against 4 to 5 ms; while logins hash, 8 against 14 to 20).
NGINX_WORKERS=${USHER_NGINX_WORKERS:-$((($(nproc) + 1) / 2))}

nginx_conf() {
	local file run user=
	run=$(run_path)
	((EUID != 0)) || user="user $(id -un) $(id -gn);" # the sockets are ours alone
	mkdir -p "$NGINX_HOME/usher" "$NGINX_HOME/tmp"
	for file in "$USHER_ROOT"/nginx/usher/*.conf; do
		sed -e "s|unix:/run/usher/|unix:$run/|" -e "s|/usr/share/usher/docs/|$run/docs/|" "$file" >"$NGINX_HOME/usher/${file##*/}"
	done
	cp "$USHER_ROOT/nginx/dev-exempt.conf" "$NGINX_HOME/usher/exempt.conf"
	sed -e "s|@USER@|$user|" -e "s|@PORT@|$USHER_PORT|" -e "s|@RUN@|$run|" \
		-e "s|@LOG@|$USHER_VAR/log|" -e "s|@WORKERS@|$NGINX_WORKERS|" \
		"$USHER_ROOT/nginx/dev.conf.in" >"$NGINX_HOME/nginx.conf"
}

nginx_command() {
	"$(type -P nginx || echo /usr/sbin/nginx)" -p "$NGINX_HOME" -c nginx.conf -e "$USHER_VAR/log/nginx.log" "$@"
}

nginx_start() {
	port_free "$USHER_PORT"
	nginx_conf
	nginx_command -t
	nginx_command
	wait_for 5 nginx_ready
	remark "$BASE_URL"
}

# A reload: takes up the configuration, drops nothing.
nginx_restart() {
	nginx_conf
	nginx_command -t
	nginx_command -s reload
	remark reloaded
}

nginx_stop() { end nginx 5; }
nginx_ready() { alive nginx && curl -s -o /dev/null "$BASE_URL/nginx-is-up"; }
nginx_pids() { pid_of nginx; }
nginx_wipe() { rm -rf "$NGINX_HOME"; }
