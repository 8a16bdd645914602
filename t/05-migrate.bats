#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Migrations: a schema that grows by files, can be taken back, and is never edited in place.
# Each test has a database and a folder of migrations of its own.

load lib/api
load lib/stack

setup() {
	SCRATCH=usher_t_$(some_id)
	admin_sql "CREATE DATABASE $SCRATCH OWNER usher_owner" >/dev/null
	admin_sql "GRANT CONNECT ON DATABASE $SCRATCH TO usher" >/dev/null
	export DATABASE_URL=${DATABASE_URL/\/usher\?//$SCRATCH?}
	export DATABASE_SYNC_URL=${DATABASE_SYNC_URL/\/usher\?//$SCRATCH?}
	export MIGRATIONS_DIR=$BATS_TEST_TMPDIR/migrations
	cp -r "$SOURCES/sql/migrations" "$MIGRATIONS_DIR"
	cd "$BATS_TEST_TMPDIR"
}

teardown() { admin_sql "DROP DATABASE IF EXISTS $SCRATCH WITH (FORCE)" >/dev/null; }

schema() { pg_dump -s "$DATABASE_SYNC_URL" | grep -vE '^(--|\\|$)'; }
how_many() { find "$MIGRATIONS_DIR" -name '*.up.sql' | wc -l; }
applied() { owner_sql 'SELECT count(*) FROM schema_migrations'; }

@test "up, down to nothing and up again leaves the same schema" {
	usherctl migrate up
	schema >first
	[ "$(applied)" = "$(how_many)" ]

	usherctl migrate down "$(how_many)"
	[ "$(applied)" = 0 ]
	[ "$(owner_sql "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind IN ('r', 'v', 'S')
		AND relnamespace = 'public'::regnamespace")" = schema_migrations ]
	[ -z "$(owner_sql "SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'public'::regnamespace")" ]

	usherctl migrate up
	schema >second
	diff first second
}

@test "each step down is undone by the step up that made it" {
	local n
	for ((n = 1; n <= $(how_many); n++)); do
		mkdir "upto$n"
		find "$MIGRATIONS_DIR" -name '*.sql' | sort | head -n $((2 * n)) | xargs -I{} cp {} "upto$n/"
		MIGRATIONS_DIR=$PWD/upto$n usherctl migrate up
		schema >"schema$n"
	done
	for ((n = $(how_many); n > 1; n--)); do
		usherctl migrate down
		schema | diff "schema$((n - 1))" -
	done
}

@test "up twice does nothing the second time, and says so" {
	usherctl migrate up
	run -0 usherctl migrate up
	[[ $output == *"nothing to do"* ]]
}

@test "an applied migration that was edited is refused, and named" {
	usherctl migrate up
	echo '-- an afterthought' >>"$MIGRATIONS_DIR/0001_users.up.sql"
	run -1 usherctl migrate up
	[[ $output == *0001_users*edited* ]]
	run -1 usherctl migrate down
	[[ $output == *0001_users*edited* ]]
	[ "$(applied)" = "$(how_many)" ]
}

@test "an applied migration whose file is gone is refused, and named" {
	local newest
	usherctl migrate up
	newest=$(find "$MIGRATIONS_DIR" -name '*.up.sql' | sort | tail -n 1)
	rm "$newest"
	run -1 usherctl migrate up
	[[ $output == *"$(basename "$newest" .up.sql)"* ]]
}

@test "two operators at once: every migration is applied once" {
	local i pids=()
	for i in 1 2 3; do
		usherctl migrate up >"out$i" 2>&1 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	[ "$(applied)" = "$(how_many)" ]
	[ "$(cat out* | grep -c '^applied')" = "$(how_many)" ]
}

@test "a migration that fails leaves nothing behind, and the ones before it stay" {
	local n
	n=$(printf %04d $(($(how_many) + 1)))
	echo 'CREATE TABLE half (id int); SELECT 1 / 0;' >"$MIGRATIONS_DIR/${n}_broken.up.sql"
	echo 'DROP TABLE half;' >"$MIGRATIONS_DIR/${n}_broken.down.sql"
	run -1 usherctl migrate up
	[[ $output == *"${n}_broken"*"division by zero"* ]]
	[ "$(applied)" = $((10#$n - 1)) ]
	[ -z "$(owner_sql "SELECT to_regclass('half')")" ]

	echo 'CREATE TABLE whole (id int);' >"$MIGRATIONS_DIR/${n}_broken.up.sql"
	usherctl migrate up
	[ "$(owner_sql "SELECT to_regclass('whole')")" = whole ]
}

@test "status tells what is applied and what is pending" {
	usherctl migrate up
	usherctl migrate new next_step
	run -0 usherctl migrate status
	[ "$(grep -c pending <<<"$output")" = 1 ]
	[[ $(grep pending <<<"$output") == *next_step* ]]
	[ "$(wc -l <<<"$output")" = "$(how_many)" ]
	[[ ${lines[0]} =~ 0001_users.*20[0-9][0-9]- ]]
}

@test "status is true where a file is missing, and says nothing of what it can't know" {
	usherctl migrate up
	rm "$MIGRATIONS_DIR"/0005_*
	run -1 usherctl migrate status
	run -1 grep pending <<<"$output"
	run -1 usherctl migrate status
	[[ $output == *"0005_login_failures  applied, but its file is not here"* ]]
	DATABASE_SYNC_URL="postgresql://usher_owner:x@/usher?host=$BATS_TEST_TMPDIR" run -1 usherctl migrate status
	[[ $output != *pending* && $output != *0001_users* ]]
}

@test "a file without a statement is said to be one" {
	local name
	name=$(printf %04d_nothing $(($(how_many) + 1)))
	usherctl migrate new nothing
	run -1 usherctl migrate up
	[[ $output == *"$name.up.sql: there is no statement in it"* ]]
	echo 'SELECT 1;' >"$MIGRATIONS_DIR/$name.up.sql"
	printf '/* nothing\nto do */\n-- here;\n' >"$MIGRATIONS_DIR/$name.down.sql"
	usherctl migrate up
	run -1 usherctl migrate down
	[[ $output == *"$name.down.sql: there is no statement in it"* ]]
}

@test "new makes the pair of files with the next number" {
	local n
	n=$(printf %04d $(($(how_many) + 1)))
	usherctl migrate new add_hat_size
	[ -f "$MIGRATIONS_DIR/${n}_add_hat_size.up.sql" ]
	[ -f "$MIGRATIONS_DIR/${n}_add_hat_size.down.sql" ]
	run ! usherctl migrate new '../elsewhere'
	run ! usherctl migrate new ''
}

@test "down takes a number of steps, and nothing else" {
	usherctl migrate up
	run -2 usherctl migrate down 0
	run -2 usherctl migrate down -1
	run -2 usherctl migrate down all
	[ "$(applied)" = "$(how_many)" ]
	usherctl migrate down
	[ "$(applied)" = $(($(how_many) - 1)) ]
	usherctl migrate down 100
	run -0 usherctl migrate down
	[[ $output == *"nothing to do"* ]]
}

@test "a database that can't be reached is said to be so" {
	export DATABASE_SYNC_URL="postgresql://usher_owner:x@/usher?host=$BATS_TEST_TMPDIR"
	run -1 usherctl migrate up
	[[ $output == *"No such file"* ]]
}

@test "the guide's nickname is a migration of its own" {
	[ -f "$SOURCES/sql/migrations/0002_nickname.up.sql" ]
	usherctl migrate up
	run -0 grep -il nickname "$MIGRATIONS_DIR"/*.sql
	[[ $output != *0001_users* ]]
}

@test "every statement of the programs fits the migrated schema: a worker says so at its start" {
	usherctl migrate up
	worker_up
	ask GET /users/me
	expect 401
	worker_down
	run ! grep -q '"level":"error"' "$WORKER_LOG"
}

@test "a worker does not serve a schema that its statements do not fit" {
	usherctl migrate up
	usherctl migrate down "$(($(how_many) - 1))" # only the first is left: no nickname
	worker_up
	wait_for 10 grep -q 'usherctl migrate up' "$WORKER_LOG"
	run ! wait "$WORKER_PID"
	worker_down
}
