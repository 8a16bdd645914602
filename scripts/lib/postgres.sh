# shellcheck shell=bash
# A PostgreSQL of our own: UTF-8 with the ctype of C.UTF-8 (pg_trgm must see Hangul letters), unix
# socket only, passwords by SCRAM. Two roles: usher_owner owns both databases and runs migrations,
# usher may only read and write. PostgreSQL refuses to run as root and then runs as PG_USER.

PG_USER=postgres
PG_BIN=${PG_BIN:-/usr/lib/postgresql/15/bin}
PG_LINK=$USHER_VAR/postgres # the cluster's home: a folder, or a link where PG_USER can't come here
postgres_home() { realpath -m "$PG_LINK"; }

as_pg() { if ((EUID == 0)); then runuser -u "$PG_USER" -- "$@"; else "$@"; fi; }
# As the server's superuser, by peer: no password anywhere.
pg_admin() { psql -X -q -v ON_ERROR_STOP=1 -h "$(run_path)/pg" -U postgres "$@"; }

postgres_place() {
	local home
	mkdir -p "$USHER_RUN/pg"
	if [[ ! -d $PG_LINK/ ]]; then
		mkdir -p "$PG_LINK"
		if ! others_can_enter "$PG_LINK"; then
			home=/var/lib/usher/$(cksum <<<"$USHER_VAR" | cut -d' ' -f1)
			mkdir -p "$home"
			rmdir "$PG_LINK"
			ln -s "$home" "$PG_LINK"
		fi
	fi
	((EUID != 0)) || chown "$PG_USER:" "$(postgres_home)" "$USHER_RUN/pg"
	ln -sfn "$(postgres_home)/server.log" "$USHER_VAR/log/postgres.log"
}

postgres_init() {
	local home=$1
	as_pg "$PG_BIN/initdb" -D "$home/new" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
		--auth=peer --no-instructions
	as_pg tee "$home/new/pg_hba.conf" >/dev/null <<-EOF
		local all postgres peer map=admin
		local all all scram-sha-256
	EOF
	as_pg tee "$home/new/pg_ident.conf" >/dev/null <<-EOF
		admin $(id -un) postgres
		admin postgres postgres
	EOF
	as_pg mv "$home/new" "$home/data" # only a whole cluster bears the name
}

# For two cores shared with everything else, on one machine. Durable, as it will be in production.
postgres_conf() {
	cat <<-EOF
		listen_addresses = ''
		unix_socket_directories = '$(run_path)/pg'
		unix_socket_permissions = 0777 # every role proves itself
		max_connections = 100
		shared_buffers = 256MB
		effective_cache_size = 1GB
		work_mem = 8MB
		maintenance_work_mem = 64MB
		max_wal_size = 2GB
		checkpoint_timeout = 15min
		random_page_cost = 1.1
		max_worker_processes = 4
		max_parallel_workers_per_gather = 0
		jit = off
		autovacuum_naptime = 10s
		password_encryption = scram-sha-256
		timezone = UTC
		log_timezone = UTC
		log_line_prefix = '%m [%p] %u@%d '
		log_min_duration_statement = 200ms
		log_lock_waits = on
	EOF
}

# What the service may do in its databases is for the migrations to say. Its parameters and the
# DETAIL of its errors hold personal data: neither is logged.
postgres_roles() {
	local db
	pg_admin -d postgres <<-EOF
		SET log_min_duration_statement = -1;
		SELECT 'CREATE ROLE ' || r FROM unnest('{usher_owner,usher}'::text[]) r
		WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec
		ALTER ROLE usher_owner LOGIN PASSWORD '$OWNER_PASSWORD';
		ALTER ROLE usher LOGIN PASSWORD '$SERVICE_PASSWORD';
		ALTER ROLE usher SET log_parameter_max_length = 0;
		ALTER ROLE usher SET log_error_verbosity = terse;
		SELECT 'CREATE DATABASE ' || d || ' OWNER usher_owner' FROM unnest('{usher,usher_profile}'::text[]) d
		WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = d) \gexec
	EOF
	for db in usher usher_profile; do
		pg_admin -d postgres <<-EOF
			REVOKE ALL ON DATABASE $db FROM PUBLIC;
			GRANT CONNECT ON DATABASE $db TO usher;
		EOF
	done
}

postgres_start() {
	local home
	postgres_place
	home=$(postgres_home)
	cd "$home"
	[[ -d $home/data ]] || postgres_init "$home"
	postgres_conf | as_pg tee "$home/data/postgresql.auto.conf" >/dev/null
	as_pg "$PG_BIN/pg_ctl" -D "$home/data" -l "$home/server.log" -w -t 60 start
	instance_secrets
	postgres_roles
}

postgres_stop() {
	[[ $(postgres_pids) ]] || return 0
	cd / && as_pg "$PG_BIN/pg_ctl" -D "$(postgres_home)/data" -w -t 60 -m fast stop
}
postgres_ready() { "$PG_BIN/pg_isready" -q -h "$(run_path)/pg"; }
postgres_pids() { head -n 1 "$PG_LINK/data/postmaster.pid" 2>/dev/null || true; }
postgres_wipe() { rm -rf "$(postgres_home)" "$PG_LINK"; }
