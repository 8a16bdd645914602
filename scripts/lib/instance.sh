# shellcheck shell=bash
# Where an instance of the stack lies and what its programs are told. An instance is a folder
# (USHER_VAR) and a port (USHER_PORT); everything else is derived from these two, so that several
# run side by side. Owns the secrets: made once, 0600, never on a command line.

USHER_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
USHER_VAR=$(realpath -m "${USHER_VAR:-$USHER_ROOT/var}")
USHER_PORT=${USHER_PORT:-$(cat "$USHER_VAR/port" 2>/dev/null || echo 8080)} # kept for the next time
[[ $USHER_PORT =~ ^[1-9][0-9]{0,4}$ && $USHER_PORT -le 64521 ]] ||
	die "USHER_PORT is $USHER_PORT; it must be a number from 1 to 64521: the other ports follow it"
USHER_BUILD=${USHER_BUILD:-$USHER_ROOT/var/build}
USHER_BIN=${USHER_BIN:-$USHER_BUILD} # elsewhere: programs that are there already, nothing is built
USHER_RUN=$USHER_VAR/run # sockets and pid files
export USHER_ROOT USHER_VAR USHER_PORT USHER_BUILD USHER_BIN

BASE_URL=http://127.0.0.1:$USHER_PORT
KAFKA_PORT=$((USHER_PORT + 1012)) # 9092 for the default
KAFKA_CONTROLLER_PORT=$((USHER_PORT + 1013))
MAIL_PORT=$((USHER_PORT + 1014))

# Preferences: the environment wins, then $USHER_VAR/.env, then these. All clients of a dev stack
# share one address, so the rates per address are off.
PREFERENCES=(
	USHER_ENV=dev
	BCRYPT_COST=12
	RATE_LOGIN_IP=0
	RATE_SIGNUP_IP=0
	LOG_LEVEL=info
	LOG_FORMAT=json
	MAIL_FROM=no-reply@example.com
	SMTP_STARTTLS=if_offered
)

# instance_dirs: makes the folders. Sockets lie in $USHER_VAR/run, which is a link to a short
# folder under /tmp where the path is too long for a socket (107 bytes), holds characters that
# would need escaping in a URL, or can't be entered by the user that PostgreSQL runs as.
instance_dirs() {
	local boot
	boot=$(</proc/sys/kernel/random/boot_id)
	mkdir -p "$USHER_VAR"/{log,mail,redis,kafka}
	chmod 0711 "$USHER_VAR" # PostgreSQL's user passes through
	chmod 0700 "$USHER_VAR"/{log,mail,redis,kafka}
	echo "$USHER_PORT" >"$USHER_VAR/port"
	[[ -O $USHER_RUN/boot && $(<"$USHER_RUN/boot") == "$boot" ]] && return
	# none yet, or of an earlier boot: its pids are other people's now
	rm -rf "$USHER_RUN"
	mkdir "$USHER_RUN"
	if ! run_dir_fits; then
		rmdir "$USHER_RUN"
		ln -s "$(mktemp -d /tmp/usher.XXXXXX)" "$USHER_RUN"
	fi
	chmod 0711 "$USHER_RUN"/ # each file in it guards itself
	echo "$boot" >"$USHER_RUN/boot"
}

run_dir_fits() {
	local longest=$USHER_RUN/pg/.s.PGSQL.5432.lock
	((${#longest} <= 107)) && [[ $USHER_RUN =~ ^[A-Za-z0-9/._-]+$ ]] && others_can_enter "$USHER_RUN"
}

# others_can_enter DIR: can the user that PostgreSQL runs as reach DIR?
others_can_enter() {
	((EUID != 0)) || (cd / && runuser -u "$PG_USER" -- test -x "$1")
}

run_path() { realpath -m "$USHER_RUN"; } # the short one, where a link leads there

random_word() { head -c 32 /dev/urandom | base64 | tr -d '+/=\n' | cut -c1-40; }

# instance_secrets: sets OWNER_PASSWORD, SERVICE_PASSWORD, JWT_SECRET_KEY.
instance_secrets() {
	local file=$USHER_VAR/secrets
	if [[ ! -s $file ]]; then
		mkdir -p "$USHER_VAR"
		(
			umask 077
			for name in OWNER_PASSWORD SERVICE_PASSWORD JWT_SECRET_KEY; do
				echo "$name=$(random_word)"
			done >"$file.new"
			mv "$file.new" "$file"
		)
	fi
	# shellcheck disable=SC1090
	. "$file"
}

# instance_env: exports what the programs read. Mail goes to the stack's own server, unless
# USHER_SMTP_URL names another, or (empty) none.
instance_env() {
	local run row name
	run=$(run_path)
	instance_secrets
	if [[ -f $USHER_VAR/.env ]]; then
		while IFS= read -r row; do
			name=${row%%=*}
			[[ $row =~ ^[A-Z_]+= && -z ${!name+set} ]] && export "${row?}"
		done <"$USHER_VAR/.env"
	fi
	for row in "${PREFERENCES[@]}"; do
		name=${row%%=*}
		export "$name=${!name-${row#*=}}"
	done
	DATABASE_URL="postgresql://usher:$SERVICE_PASSWORD@/usher?host=$run/pg"
	DATABASE_SYNC_URL="postgresql://usher_owner:$OWNER_PASSWORD@/usher?host=$run/pg"
	PROFILE_DATABASE_URL="postgresql://usher:$SERVICE_PASSWORD@/usher_profile?host=$run/pg"
	PROFILE_DATABASE_SYNC_URL="postgresql://usher_owner:$OWNER_PASSWORD@/usher_profile?host=$run/pg"
	REDIS_URL="unix://$run/redis.sock"
	KAFKA_BOOTSTRAP_SERVERS=$(kafka_address)
	MIGRATIONS_DIR=$USHER_ROOT/sql/migrations
	PASSWORD_DENYLIST_FILE=$USHER_ROOT/src/share/common-passwords.txt
	MAIL_DIR=$USHER_VAR/mail
	METRICS_FILE=$run/metrics
	SMTP_URL=${USHER_SMTP_URL-smtp://127.0.0.1:$MAIL_PORT}
	PUBLIC_URL=$BASE_URL
	export BASE_URL DATABASE_URL DATABASE_SYNC_URL PROFILE_DATABASE_URL PROFILE_DATABASE_SYNC_URL \
		REDIS_URL KAFKA_BOOTSTRAP_SERVERS JWT_SECRET_KEY MIGRATIONS_DIR \
		PASSWORD_DENYLIST_FILE MAIL_DIR METRICS_FILE SMTP_URL PUBLIC_URL USHER_RUN
}

# instance_env_print: the same as lines for "eval", what the shell had before included.
instance_env_print() {
	local name row
	for name in BASE_URL DATABASE_URL DATABASE_SYNC_URL PROFILE_DATABASE_URL \
		PROFILE_DATABASE_SYNC_URL REDIS_URL KAFKA_BOOTSTRAP_SERVERS JWT_SECRET_KEY \
		MIGRATIONS_DIR PASSWORD_DENYLIST_FILE MAIL_DIR METRICS_FILE SMTP_URL PUBLIC_URL \
		USHER_VAR USHER_PORT USHER_RUN USHER_BIN; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done
	for row in "${PREFERENCES[@]}"; do
		name=${row%%=*}
		printf 'export %s=%q\n' "$name" "${!name}"
	done
}
