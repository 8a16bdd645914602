/*
 * db against the PostgreSQL at DATABASE_URL, partly through a relay of our own that cuts the
 * connection or goes silent at the very place that is wanted. It needs no table.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "arena.h"
#include "clock.h"
#include "db.h"
#include "log.h"
#include "tap.h"

static struct arena *arena;
static struct db *db;

/*
 * Statements
 */

struct row {
	int64_t n;
	const char *text;
	bool yes;
};

static const struct shape NUMBER = SHAPE(struct row, { F(struct row, n), .use = 1 });
static const struct shape ROW =
	SHAPE(struct row,
	{ F(struct row, n), .use = 1 },
	{ F(struct row, text), .use = 1 },
	{ F(struct row, yes), .use = 1 });

enum { ECHO, SERIES, PID, DIVIDE, SLEEP, LOCK, LOCK_HERE, UNLOCK, CHANGE, SETTING, END_OF, TEXT };

static const struct db_stmt SQL[] = {
	[ECHO] = { "t_echo", "SELECT $1::bigint", 1, false },
	[SERIES] = { "t_series", "SELECT n, 'x' || n, n % 2 = 0 FROM generate_series(1, $1::int) n",
		     1, false },
	[PID] = { "t_pid", "SELECT pg_backend_pid()", 0, false },
	[DIVIDE] = { "t_divide", "SELECT 1 / $1::int", 1, false },
	[SLEEP] = { "t_sleep", "SELECT 1 FROM pg_sleep($1::float)", 1, false },
	[LOCK] = { "t_lock", "SELECT 1 FROM pg_advisory_xact_lock($1::bigint)", 1, false },
	[LOCK_HERE] = { "t_lock_here", "SELECT 1 FROM pg_advisory_lock($1::bigint)", 1, false },
	[UNLOCK] = { "t_unlock", "SELECT 1 FROM pg_advisory_unlock($1::bigint)", 1, false },
	[CHANGE] = { "t_change", "SELECT $1::bigint", 1, true }, /* or so db believes */
	[SETTING] = { "t_setting", "SELECT 1, current_setting($1), true", 1, false },
	[END_OF] = { "t_end",
		     "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
		     " WHERE pid = $1::int",
		     1, false },
	[TEXT] = { "t_text", "SELECT 1, $1::text, true", 1, false },
};
static const struct db_set SET = { SQL, NELEM(SQL) };
static const struct db_set *const SETS[] = { &SET, NULL };

static const struct db_stmt BROKEN_SQL[] = { { "t_broken", "SELECT nothing FROM nowhere", 0,
					       false } };
static const struct db_set BROKEN = { BROKEN_SQL, 1 };
static const struct db_set *const BROKEN_SETS[] = { &SET, &BROKEN, NULL };

/*
 * Around the tests
 */

static int64_t
ms_since(int64_t start_us)
{
	return (clock_read_us() - start_us) / 1000;
}

static bool
within(int64_t start_us, int64_t least_ms, int64_t most_ms)
{
	int64_t took = ms_since(start_us);

	if (took < least_ms || took > most_ms)
		printf("#   took %lld ms\n", (long long)took);
	return took >= least_ms && took <= most_ms;
}

/* A handle of its own; the conf is kept by it. */
static struct db *
open_at(const char *url)
{
	struct db_conf *conf = arena_get(arena, sizeof(*conf));

	*conf = (struct db_conf){ .url = url, .program = "db_test", .sets = SETS };
	return db_open(conf);
}

static enum err
number(struct db *of, int statement, const char *arg, int64_t *n_r)
{
	struct row r = { 0 };
	enum err e = db_one(of, arena, &SQL[statement], ARGS(arg), &NUMBER, 1, &r);

	*n_r = r.n;
	return e;
}

static enum err
run(struct db *of, int statement, const char *arg)
{
	int64_t n;

	return number(of, statement, arg, &n);
}

static int64_t
pid_of(struct db *of)
{
	int64_t pid = 0;

	return number(of, PID, NULL, &pid) == OK ? pid : -1;
}

/* Another session ends the handle's, and waits until it is gone. */
static void
end_session(struct db *killer, struct db *of)
{
	const char *pid = db_int(arena, pid_of(of));
	int64_t n = 1;

	for (int i = 0; i < 200 && n > 0; i++) {
		if (number(killer, END_OF, pid, &n) != OK)
			break;
		poll(NULL, 0, 5);
	}
}

/*
 * Results
 */

static void
test_rows(void)
{
	struct row *rows, r;
	int64_t n;
	int count;

	is_int(db_ready(db), OK, "there is a connection");
	is_int(number(db, ECHO, "-9223372036854775807", &n), OK, "a number is read");
	is_int(n, -9223372036854775807LL, "with all its digits");
	is_int(db_many(db, arena, &SQL[SERIES], ARGS("3"), &ROW, 1, &rows, &count), OK,
	       "so are rows");
	ok(count == 3 && rows[2].n == 3 && strcmp(rows[2].text, "x3") == 0 && rows[1].yes &&
		   !rows[2].yes,
	   "with each of their columns");
	is_int(db_many(db, arena, &SQL[SERIES], ARGS("0"), &ROW, 1, &rows, &count), OK,
	       "no rows are no error");
	is_int(count, 0, "but none");
	is_int(db_one(db, arena, &SQL[SERIES], ARGS("0"), &ROW, 1, &r), E_NOT_FOUND,
	       "where one is wanted it is not found");
	is_int(number(db, ECHO, NULL, &n), OK, "null goes out as null");
	ok(n == NO_INT, "and comes back as null");
	is_int(db_one(db, arena, &SQL[TEXT], ARGS("'; DROP TABLE users; --"), &ROW, 1, &r), OK,
	       "a value is");
	is_text(r.text, "'; DROP TABLE users; --", "never SQL");
	is_int(db_one(db, arena, &SQL[TEXT], ARGS("\xff\xfe"), &ROW, 1, &r), E_INVALID,
	       "text that is no UTF-8 is the caller's fault");
	is_int(run(db, DIVIDE, "0"), E_BUG, "a statement that can't be run is ours");
	is_int(run(db, DIVIDE, "1"), OK, "and harms no other");
}

static void
test_session(void)
{
	struct row r;
	static const char *const WANT[][2] = {
		{ "TimeZone", "UTC" },	       { "statement_timeout", "5s" },
		{ "lock_timeout", "2s" },      { "idle_in_transaction_session_timeout", "10s" },
		{ "client_encoding", "UTF8" },
	};

	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < NELEM(WANT); i++) {
			r.text = NULL;
			if (db_one(db, arena, &SQL[SETTING], ARGS(WANT[i][0]), &ROW, 1, &r) != OK)
				printf("#   not answered\n");
			is_text(r.text, WANT[i][1],
				turn == 0 ? WANT[i][0] : "the same after connecting again");
		}
		end_session(db, db);
	}
}

static void
test_bad_schema(void)
{
	struct db_conf conf = { .url = getenv("DATABASE_URL"),
				.program = "db_test",
				.sets = BROKEN_SETS };
	struct db *broken = db_open(&conf);

	is_int(db_ready(broken), E_BUG,
	       "a statement that does not fit the schema is found at start");
	ok(strstr(db_complaint(broken), "nowhere") != NULL, "and the server's words about it kept");
	db_close(&broken);
	ok(broken == NULL, "closing clears the pointer");
}

/*
 * Sessions that end
 */

static void
test_idle_ended(struct db *killer)
{
	int64_t before = pid_of(db), n = 0;
	enum err e;

	end_session(killer, db);
	is_int(run(db, ECHO, "1"), OK,
	       "a session that was ended while idle is made again for a read");
	ok(pid_of(db) != before, "it is another");
	end_session(killer, db);
	is_int(number(db, CHANGE, "7", &n), OK, "also for a change: it had not been sent");
	end_session(killer, db);
	e = db_ready(db);
	is_int(e, OK, "also when only asked");
}

static enum err
echo_body(void *arg)
{
	int *runs = arg;

	++*runs;
	return run(db, ECHO, "1");
}

static void
test_statements_gone(void)
{
	int runs = 0;
	enum err first;

	is_int(db_script(db, "DEALLOCATE ALL"), OK, "(the prepared statements are taken away)");
	is_int(run(db, ECHO, "1"), OK, "they are prepared again, and the statement run");
	is_int(db_script(db, "DEALLOCATE ALL"), OK, "(again)");
	first = db_within(db, echo_body, &runs);
	ok(first == OK || first == E_UNAVAILABLE, "in a transaction that may cost one");
	is_int(db_within(db, echo_body, &runs), OK, "but not the next");
	is_int(run(db, ECHO, "1"), OK, "(whatever happened, all is well now)");
}

/*
 * Transactions
 */

static enum err
failing_body(void *arg)
{
	*(enum err *)arg = run(db, DIVIDE, "0");
	return OK; /* pretends that nothing happened */
}

static enum err
refusing_body(void *arg)
{
	enum err e = run(db, LOCK, arg);

	return e != OK ? e : E_FORBIDDEN;
}

static void
test_scopes(struct db *killer)
{
	enum err inside = OK;
	int runs = 0;

	is_int(db_within(db, echo_body, &runs), OK, "a transaction is committed");
	is_int(runs, 1, "after one run");
	is_int(db_within(db, failing_body, &inside), E_BUG,
	       "a COMMIT that is answered by ROLLBACK is an error");
	is_int(inside, E_BUG, "as was the statement before it");
	is_int(db_within(db, refusing_body, "11"), E_FORBIDDEN,
	       "what the body returns is returned");
	is_int(run(killer, LOCK, "11"), OK, "and what it did rolled back");
	end_session(killer, db);
	is_int(db_within(db, echo_body, &runs), OK,
	       "a session that ended while idle is made again first");
}

/*
 * Races, with another process
 */

struct race {
	struct db *db;
	const char *first, *second;
	int runs;
};

static enum err
race_body(void *arg)
{
	struct race *r = arg;
	enum err e;

	r->runs++;
	if ((e = run(r->db, LOCK, r->first)) != OK)
		return e;
	if (r->runs == 1)
		poll(NULL, 0, 300); /* the other takes its first meanwhile */
	return run(r->db, LOCK, r->second);
}

static void
test_deadlock(void)
{
	int *runs = mmap(NULL, sizeof(*runs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	struct race r = { .db = open_at(getenv("DATABASE_URL")), .first = "21", .second = "22" };
	int status = -1;
	pid_t child = fork();
	enum err e;

	if (child == 0) {
		struct race o = { .db = r.db, .first = "22", .second = "21" };

		e = db_within(o.db, race_body, &o); /* connects at first use: its own */
		*runs = o.runs;
		_exit(e == OK ? 0 : 1);
	}
	e = db_within(r.db, race_body, &r);
	waitpid(child, &status, 0);
	is_int(e, OK, "of two that stand in each other's way this one gets through");
	is_int(status, 0, "and so does the other");
	ok(r.runs + *runs >= 3, "since one of them was run again: %d and %d runs", r.runs, *runs);
	db_close(&r.db);
}

static enum err
lock_body(void *arg)
{
	int *runs = arg;

	++*runs;
	return run(db, LOCK, "31");
}

static void
test_timeouts(struct db *holder)
{
	int64_t start = clock_read_us();
	int runs = 0;

	is_int(run(db, SLEEP, "60"), E_BUSY, "a statement that takes for ever is ended");
	ok(within(start, 4500, 6000), "after five seconds, and not tried again");
	is_int(run(holder, LOCK_HERE, "31"), OK, "(somebody holds a lock)");
	start = clock_read_us();
	is_int(run(db, LOCK, "31"), E_BUSY, "waiting for it ends too");
	ok(within(start, 1800, 3000), "after two seconds");
	start = clock_read_us();
	is_int(db_within(db, lock_body, &runs), E_BUSY, "also in a transaction");
	ok(within(start, 1800, 3000) && runs == 1,
	   "after two seconds: it was no race, so it is not run again (%d)", runs);
	is_int(run(holder, UNLOCK, "31"), OK, "(given back)");
	is_int(db_within(db, lock_body, &runs), OK, "then it goes through");
}

/*
 * The relay: what the client sends goes to the server, until a word in it tells otherwise.
 */

enum { CUT_SOON = 1, CUT_LATE, SILENCE };

static struct {
	volatile int connections, cuts, cuts_wanted, cut_at_commit, deaf;
} * relay;
static pid_t relay_pid;
static int relay_socket;
static char relay_dir[64], relay_url[2048], server_path[256];

static bool
has(const char *data, ssize_t n, const char *word)
{
	return memmem(data, (size_t)n, word, strlen(word)) != NULL;
}

static int
told(const char *data, ssize_t n)
{
	if (has(data, n, "SILENCE"))
		return SILENCE;
	if (has(data, n, "COMMIT") && relay->cut_at_commit)
		return CUT_LATE;
	if (relay->cuts >= relay->cuts_wanted)
		return 0;
	return has(data, n, "CUT-SOON") ? CUT_SOON : has(data, n, "CUT-LATE") ? CUT_LATE : 0;
}

static bool
pass(int from, int to)
{
	char data[65536];
	ssize_t n = read(from, data, sizeof(data));

	return n > 0 && write(to, data, (size_t)n) == n;
}

/* What the client has said; false: the connection is over. */
static bool
pass_watched(int client, int server)
{
	char data[65536];
	ssize_t n = read(client, data, sizeof(data));
	int what = n > 0 ? told(data, n) : 0;
	struct pollfd p = { .fd = client, .events = POLLIN };

	if (n <= 0)
		return false;
	if (what == SILENCE) {
		poll(&p, 1, 30000); /* until the client gives up */
		return false;
	}
	if (what != 0)
		relay->cuts++;
	if (what == CUT_SOON)
		return false;
	if (write(server, data, (size_t)n) != n)
		return false;
	if (what == CUT_LATE) {
		struct pollfd s = { .fd = server, .events = POLLIN };

		poll(&s, 1, 5000); /* the server has done it */
		return false;
	}
	return true;
}

static int
connect_server(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", server_path);
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? fd : -1;
}

static void
relay_one(int client)
{
	int server = connect_server();
	struct pollfd p[2] = { { .fd = client, .events = POLLIN },
			       { .fd = server, .events = POLLIN } };

	relay->connections++;
	while (server >= 0 && poll(p, 2, 60000) > 0) {
		if (p[0].revents != 0 && !pass_watched(client, server))
			break;
		if (p[1].revents != 0 && !pass(server, client))
			break;
	}
	close(client);
	if (server >= 0)
		close(server);
}

static void
serve(void)
{
	struct pollfd p = { .fd = relay_socket, .events = POLLIN };

	while (poll(&p, 1, 60000) > 0) {
		if (relay->deaf)
			poll(NULL, 0, 10);
		else
			relay_one(accept(relay_socket, NULL, NULL));
	}
	_exit(0);
}

/* Where PostgreSQL listens; false where that is no unix socket. */
static bool
find_server(const char *url)
{
	PGconn *c = PQconnectdb(url);
	bool found = PQstatus(c) == CONNECTION_OK && PQhost(c)[0] == '/';

	if (found)
		snprintf(server_path, sizeof(server_path), "%s/.s.PGSQL.%s", PQhost(c), PQport(c));
	PQfinish(c);
	return found;
}

static void
relay_open(const char *url)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	relay = mmap(NULL, sizeof(*relay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	snprintf(relay_dir, sizeof(relay_dir), "/tmp/db_test.%d", (int)getpid());
	snprintf(relay_url, sizeof(relay_url), "%s%chost=%s&port=5432", url,
		 strchr(url, '?') == NULL ? '?' : '&', relay_dir);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.5432", relay_dir);
	relay_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	if (mkdir(relay_dir, 0700) != 0 ||
	    bind(relay_socket, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(relay_socket, 16) != 0)
		abort();
	relay_pid = fork();
	if (relay_pid == 0)
		serve();
}

static void
relay_close(void)
{
	char path[128];

	kill(relay_pid, SIGKILL);
	waitpid(relay_pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", relay_dir);
	unlink(path);
	rmdir(relay_dir);
}

static void
cut_next(int n)
{
	relay->cuts = 0;
	relay->cuts_wanted = n;
}

static enum err
say(struct db *of, const char *word, bool writes)
{
	struct db_stmt st = SQL[TEXT];
	struct row r;

	st.writes = writes;
	return db_one(of, arena, &st, ARGS(word), &ROW, 1, &r);
}

static void
test_cut(struct db *far)
{
	is_int(db_ready(far), OK, "(through the relay)");
	cut_next(1);
	is_int(say(far, "CUT-LATE", false), OK, "a read whose answer was cut off is asked again");
	is_int(relay->cuts, 1, "(it was cut)");
	cut_next(1);
	is_int(say(far, "CUT-SOON", false), OK, "also one that never reached the server");
	cut_next(1);
	is_int(say(far, "CUT-LATE", true), E_UNCERTAIN,
	       "a change whose answer was cut off is uncertain");
	is_int(relay->cuts, 1, "and was sent once");
	is_int(say(far, "fine", true), OK, "the next one is well");
	cut_next(1);
	is_int(say(far, "CUT-SOON", true), E_UNCERTAIN,
	       "who could tell it from one that never arrived");
	cut_next(100);
	is_int(say(far, "CUT-LATE", false), E_UNAVAILABLE,
	       "a read that is cut off each time is given up");
	ok(relay->cuts <= 4, "after %d tries", relay->cuts);
	cut_next(0);
	is_int(say(far, "fine", false), OK, "and all is well again");
}

static struct db *far_db;

static enum err
far_body(void *arg)
{
	int *runs = arg;

	++*runs;
	return say(far_db, "change", true);
}

static enum err
far_cut_body(void *arg)
{
	int *runs = arg;

	++*runs;
	return say(far_db, "CUT-LATE", true);
}

static void
test_cut_scope(struct db *far)
{
	int runs = 0;
	enum err e;

	far_db = far;
	relay->cut_at_commit = 1;
	is_int(db_within(far, far_body, &runs), E_UNCERTAIN,
	       "a COMMIT whose answer was cut off is uncertain");
	is_int(runs, 1, "and not run again");
	relay->cut_at_commit = 0;
	is_int(db_within(far, far_body, &runs), OK, "the next transaction is well");
	cut_next(1);
	runs = 0;
	e = db_within(far, far_cut_body, &runs);
	ok(e == E_UNAVAILABLE || e == E_UNCERTAIN, "one that is cut in its middle fails");
	is_int(runs, 1, "and is not run again");
	cut_next(0);
	is_int(db_within(far, far_body, &runs), OK, "the next is well");
}

static void
test_silence(struct db *far)
{
	int64_t start = clock_read_us();

	is_int(say(far, "SILENCE", true), E_UNCERTAIN,
	       "a server that says nothing is given up, a change uncertain");
	ok(within(start, 7000, 9000), "in eight seconds");
	relay->deaf = 1;
	start = clock_read_us();
	is_int(say(far, "fine", false), E_UNAVAILABLE, "one that does not let us in too");
	ok(within(start, 2000, 4500), "in three");
	start = clock_read_us();
	is_int(say(far, "fine", false), E_UNAVAILABLE, "then it is left alone");
	ok(within(start, 0, 50), "and a call fails at once");
	relay->deaf = 0;
	start = clock_read_us();
	while (say(far, "fine", false) != OK && ms_since(start) < 10000)
		poll(NULL, 0, 20);
	ok(ms_since(start) < 5000, "back after %lld ms, nothing had to be done for it",
	   (long long)ms_since(start));
}

static void
test_nobody_there(void)
{
	struct db *nobody = open_at("postgresql://nobody@/x?host=/tmp/db_test.nobody");
	int64_t start = clock_read_us();
	int unavailable = 0;

	for (int i = 0; i < 1000; i++)
		unavailable += run(nobody, ECHO, "1") == E_UNAVAILABLE;
	is_int(unavailable, 1000, "a thousand calls without any server fail");
	ok(within(start, 0, 500), "within half a second");
	is_int(db_within(nobody, echo_body, &unavailable), E_UNAVAILABLE,
	       "so does a transaction, before it begins");
	is_int(unavailable, 1000, "(its body was not run)");
	db_close(&nobody);
}

static void
test_helpers(void)
{
	is_text(db_array(arena, (const int64_t[]){ 1, -2, INT64_MAX }, 3),
		"{1,-2,9223372036854775807}", "numbers become an array");
	is_text(db_array(arena, NULL, 0), "{}", "an empty one too");
	is_text(db_int(arena, NO_INT), NULL, "no number is null");
	is_text(db_int(arena, -5), "-5", "a number is its digits");
	is_text(db_url_user(arena, "postgresql+asyncpg://me:pw@host/db"), "me",
		"a driver suffix of other languages is let pass");
	is_text(db_url_user(arena, "nonsense://x"), NULL, "nonsense has no user");
}

int
main(void)
{
	const char *url = getenv("DATABASE_URL");
	struct db *second, *far;

	signal(SIGPIPE, SIG_IGN);
	if (url == NULL || *url == '\0') {
		printf("1..0 # SKIP DATABASE_URL is not set\n");
		return 0;
	}
	arena = arena_new(1 << 16);
	if (!find_server(url)) {
		printf("1..0 # SKIP PostgreSQL is not at a unix socket\n");
		return 0;
	}
	relay_open(url); /* forks: before anything is open */
	log_init("db_test", "text", getenv("DB_TEST_LOG") == NULL ? "error" : "info");
	if (getenv("DB_TEST_LOG") == NULL && freopen("/dev/null", "w", stderr) == NULL)
		abort();
	clock_tick();
	db = open_at(url);
	second = open_at(url);
	far = open_at(relay_url);
	test_deadlock(); /* forks too */
	test_helpers();
	test_rows();
	test_session();
	test_bad_schema();
	test_idle_ended(second);
	test_statements_gone();
	test_scopes(second);
	test_timeouts(second);
	test_cut(far);
	test_cut_scope(far);
	test_silence(far);
	test_nobody_there();
	db_close(&db);
	db_close(&second);
	db_close(&far);
	relay_close();
	arena_free(&arena);
	return tap_end();
}
