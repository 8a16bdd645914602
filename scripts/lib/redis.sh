# shellcheck shell=bash
# A Redis of our own: unix socket only, append-only file on, never evicting (it holds write-behind
# changes and sessions). REDIS_APPENDFSYNC=always makes those survive its kill -9 in any case.

redis_conf() {
	cat <<-EOF
		port 0
		unixsocket $(run_path)/redis.sock
		unixsocketperm 700
		pidfile $(pid_file redis)
		logfile $USHER_VAR/log/redis.log
		daemonize yes
		dir $USHER_VAR/redis
		save ""
		appendonly yes
		appendfsync ${REDIS_APPENDFSYNC:-everysec}
		maxmemory 256mb
		maxmemory-policy noeviction
	EOF
}

redis_start() {
	redis_conf >"$USHER_VAR/redis/redis.conf"
	redis-server "$USHER_VAR/redis/redis.conf"
	wait_for 10 redis_ready
}

redis_stop() { end redis 10; }
# "PONG" only once its data is loaded.
redis_ready() { [[ $(redis-cli -s "$(run_path)/redis.sock" ping 2>&1) == PONG ]]; }
redis_pids() { pid_of redis; }
redis_wipe() { rm -rf "$USHER_VAR/redis"; }
