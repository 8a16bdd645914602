/*
 * db: one connection, its statements, and what each SQLSTATE means.
 *
 * A statement goes out by PQsendQueryPrepared and is waited for with a deadline of our
 * own, since the server's statement_timeout says nothing when the network is gone.
 */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"

enum {
	TRIES = 4, /* of a statement or scope that keeps losing races */
	CONNECT_S = 3,
	HARD_MS = 8000, /* past this the connection is given up; above the server's 5 s */
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MOST_MS = 2000,
};

struct db {
	const struct db_conf *conf;
	PGconn *conn;
	bool within; /* inside a transaction scope */
	bool raced;  /* the scope failed in a way that is worth another try of the whole */
	bool remake; /* the scope's connection is no good any more */
	bool away;   /* said once, until it is back */
	int64_t backoff_ms, next_try_us;
	char constraint[64], complaint[512];
};

static const char SESSION[] =
	"SET timezone = 'UTC'; SET datestyle = 'ISO'; SET client_encoding = 'UTF8';"
	"SET idle_in_transaction_session_timeout = '10s'; SET standard_conforming_strings = on;";
static const char BOUNDS[] = "SET statement_timeout = '5s'; SET lock_timeout = '2s';";

/* What a SQLSTATE, or its first letters, means. The first row that fits counts. */
static const struct meaning {
	const char *state;
	enum err err;
	bool again; /* failed before it ran, or was rolled back whole: repeat it */
	bool reconnect;
	bool logged;
} MEANINGS[] = {
	/* clang-format off */
	/* state  err            again  reconnect logged */
	{ "23505", E_CONFLICT,    false, false, false }, /* unique_violation */
	{ "23503", E_CONFLICT,    false, false, false }, /* foreign_key_violation */
	{ "40001", E_BUSY,        true,  false, false }, /* serialization_failure */
	{ "40P01", E_BUSY,        true,  false, false }, /* deadlock_detected */
	{ "55P03", E_BUSY,        false, false, true },	 /* lock_not_available */
	{ "57014", E_BUSY,        false, false, true },	 /* query_canceled: statement_timeout */
	{ "53",    E_BUSY,        false, true,  true },	 /* out of disk, memory, connections */
	{ "26000", E_UNAVAILABLE, true,  true,  false }, /* prepared statement gone */
	{ "0A000", E_UNAVAILABLE, true,  true,  false }, /* cached plan does not fit any more */
	{ "25006", E_UNAVAILABLE, false, true,  true },	 /* this host is read-only now */
	{ "57P",   E_UNAVAILABLE, false, true,  true },	 /* shutting down, starting up */
	{ "08",    E_UNAVAILABLE, false, true,  true },	 /* connection exception */
	{ "22021", E_INVALID,     false, false, false }, /* not UTF-8 */
	{ "22P05", E_INVALID,     false, false, false }, /* \u0000 */
	{ "22007", E_INVALID,     false, false, false }, /* invalid_datetime_format */
	{ "22008", E_INVALID,     false, false, false }, /* datetime_field_overflow */
	{ "22009", E_INVALID,     false, false, false }, /* invalid_time_zone_displacement_value */
	{ "",      E_BUG,         false, false, true },
	/* clang-format on */
};

static const struct meaning NO_STATE = { "", E_UNAVAILABLE, false, true, true };

static const struct meaning *
meaning_of(const char *state)
{
	const struct meaning *m = MEANINGS;

	if (state == NULL)
		return &NO_STATE;
	while (strncmp(state, m->state, strlen(m->state)) != 0)
		m++;
	return m;
}

struct db *
db_open(const struct db_conf *conf)
{
	struct db *db = must_alloc(sizeof(*db));

	*db = (struct db){ .conf = conf };
	return db;
}

static void
drop(struct db *db)
{
	PQfinish(db->conn);
	db->conn = NULL;
}

void
db_close(struct db **db)
{
	if (*db == NULL)
		return;
	drop(*db);
	free(*db);
	*db = NULL;
}

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from == NULL ? "" : from);
}

const char *
db_complaint(const struct db *db)
{
	return db->complaint;
}

const char *
db_constraint(const struct db *db)
{
	return db->constraint;
}

/* libpq knows postgresql:// and postgres:// only; SQLAlchemy's driver suffix is dropped. */
static const char *
plain_url(const char *url, char *room, size_t size)
{
	const char *plus = strchr(url, '+'), *slashes = strstr(url, "://");

	if (plus == NULL || slashes == NULL || plus > slashes)
		return url;
	snprintf(room, size, "%.*s%s", (int)(plus - url), url, slashes);
	return room;
}

/* One or several, with commas; each may be left out. */
static bool
ports_are_good(const char *p)
{
	for (; *p != '\0'; p += *p == ',') {
		size_t digits = strspn(p, "0123456789");
		long port = digits == 0 || digits > 5 ? 1 : strtol(p, NULL, 10);

		if (digits > 5 || port < 1 || port > 65535 ||
		    (p[digits] != '\0' && p[digits] != ','))
			return false;
		p += digits;
	}
	return true;
}

bool
db_url_is_good(const char *url)
{
	char room[2048];
	PQconninfoOption *all = PQconninfoParse(plain_url(url, room, sizeof(room)), NULL);
	bool good = all != NULL && strstr(url, "://") != NULL;

	explicit_bzero(room, sizeof(room));
	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "port") == 0 && o->val != NULL)
			good = good && ports_are_good(o->val);
	}
	PQconninfoFree(all);
	return good;
}

const char *
db_url_user(struct arena *a, const char *url)
{
	char room[2048];
	PQconninfoOption *all = PQconninfoParse(plain_url(url, room, sizeof(room)), NULL);
	const char *user = NULL;

	explicit_bzero(room, sizeof(room));
	for (PQconninfoOption *o = all; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "user") == 0 && o->val != NULL)
			user = arena_text(a, o->val);
	}
	PQconninfoFree(all);
	return user;
}

/*
 * Connecting
 */

static void
ignore_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

static PGconn *
connect_now(const struct db_conf *conf)
{
	char room[2048], wait[8];
	const char *const words[] = { "dbname",
				      "connect_timeout",
				      "fallback_application_name",
				      "keepalives_idle",
				      "keepalives_interval",
				      "keepalives_count",
				      "tcp_user_timeout",
				      NULL };
	const char *const values[] = { plain_url(conf->url, room, sizeof(room)),
				       wait,
				       conf->program,
				       "10",
				       "3",
				       "3",
				       "8000",
				       NULL };
	PGconn *conn;

	snprintf(wait, sizeof(wait), "%d", CONNECT_S);
	conn = PQconnectdbParams(words, values, 1);
	explicit_bzero(room, sizeof(room));
	if (conn != NULL)
		PQsetNoticeReceiver(conn, ignore_notice, NULL);
	return conn;
}

static bool
simple(PGconn *conn, const char *sql)
{
	PGresult *r = PQexec(conn, sql);
	bool good = PQresultStatus(r) == PGRES_COMMAND_OK;

	PQclear(r);
	return good;
}

/* Read the answers to all prepares that were sent; the first that failed is told. */
static bool
prepared(struct db *db, int sent)
{
	bool good = true;

	while (sent >= 0) {
		PGresult *r = PQgetResult(db->conn);
		ExecStatusType st = PQresultStatus(r);

		if (r == NULL) {
			if (PQstatus(db->conn) == CONNECTION_BAD)
				return false;
			continue; /* each answer is followed by a NULL, the sync is not */
		}
		sent--;
		if (st == PGRES_FATAL_ERROR && good) {
			copy(db->complaint, sizeof(db->complaint), PQresultErrorMessage(r));
			good = false;
		}
		PQclear(r);
	}
	return good;
}

/* Prepare every statement of every table, in one round trip. */
static bool
prepare_all(struct db *db)
{
	int sent = 0;

	if (db->conf->sets == NULL)
		return true;
	if (!PQenterPipelineMode(db->conn))
		return false;
	for (const struct db_set *const *set = db->conf->sets; *set != NULL; set++) {
		for (int i = 0; i < (*set)->n; i++, sent++)
			PQsendPrepare(db->conn, (*set)->stmt[i].name, (*set)->stmt[i].sql, 0, NULL);
	}
	return PQpipelineSync(db->conn) && prepared(db, sent) && PQexitPipelineMode(db->conn);
}

/* All that a session needs after connecting: it is lost with every connection. */
static enum err
session_begin(struct db *db)
{
	const char *encoding = PQparameterStatus(db->conn, "server_encoding");

	if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
		return log_fail(E_BUG, EV("db.not_utf8"), KS("encoding", encoding));
	if (!simple(db->conn, SESSION) || (!db->conf->patient && !simple(db->conn, BOUNDS)))
		return E_UNAVAILABLE;
	if (prepare_all(db))
		return OK;
	if (PQstatus(db->conn) == CONNECTION_BAD)
		return E_UNAVAILABLE;
	return log_fail(E_BUG, EV("db.statement_refused"), KS("why", db->complaint),
			KS("mend", "usherctl migrate up"));
}

/* Spread over half of itself, so that workers do not all knock at once. */
static void
back_off(struct db *db)
{
	int64_t ms = db->backoff_ms * 2;

	db->backoff_ms = ms < BACKOFF_FIRST_MS	? BACKOFF_FIRST_MS
			 : ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS
						: ms;
	ms = db->backoff_ms / 2 + rnd_below((uint32_t)db->backoff_ms / 2 + 1);
	db->next_try_us = clock_read_us() + ms * 1000;
}

/* Leave the server alone for a while, and for as long as it kept us waiting. E_BUG has been
 * said by who found it. */
static enum err
went_away(struct db *db, enum err e, int64_t took_us)
{
	if (e == E_UNAVAILABLE) {
		copy(db->complaint, sizeof(db->complaint),
		     db->conn == NULL ? "" : PQerrorMessage(db->conn));
		if (!db->away)
			log_error(EV("db.unreachable"), KS("why", db->complaint));
		db->away = true;
	}
	drop(db);
	back_off(db);
	db->next_try_us += took_us;
	return e;
}

static enum err
reconnect(struct db *db)
{
	int64_t from = clock_read_us();
	enum err e;

	drop(db);
	if (from < db->next_try_us)
		return E_UNAVAILABLE;
	db->conn = connect_now(db->conf);
	if (db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK)
		return went_away(db, E_UNAVAILABLE, clock_read_us() - from);
	if ((e = session_begin(db)) != OK)
		return went_away(db, e, clock_read_us() - from);
	metric_add(METRIC_DB_CONNECTS, 1);
	if (db->away)
		log_warn(EV("db.back"));
	db->away = false;
	db->backoff_ms = 0;
	return OK;
}

/* PQstatus tells the past: a connection that has something to say while nobody asked was
 * ended by the server, or is about to be. One poll, no round trip. */
static bool
still_good(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	if (PQstatus(conn) != CONNECTION_OK)
		return false;
	if (poll(&p, 1, 0) == 0)
		return true;
	if (!PQconsumeInput(conn))
		return false;
	return PQstatus(conn) == CONNECTION_OK && poll(&p, 1, 0) == 0;
}

enum err
db_ready(struct db *db)
{
	if (db->conn != NULL && still_good(db->conn))
		return OK;
	return reconnect(db);
}

/*
 * Running
 */

/* Wait until the whole answer is here; false when it does not come in time. */
static bool
wait_answer(PGconn *conn, int64_t deadline_us)
{
	while (PQisBusy(conn)) {
		struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };
		int64_t left_ms = (deadline_us - clock_read_us()) / 1000;
		int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;

		if (n == 0)
			return false;
		if (n < 0 && errno != EINTR)
			return false;
		if (!PQconsumeInput(conn))
			return true; /* the broken connection is the answer */
	}
	return true;
}

/* The last result of what was sent; NULL when there is none. */
static PGresult *
answer(struct db *db)
{
	PGresult *last = NULL, *r;
	int64_t deadline =
		clock_read_us() + (db->conf->patient ? 3600 : 1) * HARD_MS * INT64_C(1000);

	for (;;) {
		if (!wait_answer(db->conn, deadline)) {
			PQclear(last);
			copy(db->complaint, sizeof(db->complaint), "no answer in time");
			drop(db);
			return NULL;
		}
		if ((r = PQgetResult(db->conn)) == NULL)
			return last;
		PQclear(last);
		last = r;
	}
}

static PGresult *
send_and_wait(struct db *db, const struct db_stmt *st, const char *const *args)
{
	if (!PQsendQueryPrepared(db->conn, st->name, st->args, args, NULL, NULL, 0))
		return NULL;
	return answer(db);
}

static bool
worked(const PGresult *r)
{
	ExecStatusType st = PQresultStatus(r);

	return st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK;
}

/* The message may quote values where the data is at fault (classes 22 and 23): left out. */
static void
log_broken(const struct db *db, const struct db_stmt *st, const PGresult *r, const char *state)
{
	bool quotes =
		state != NULL && (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0);
	const char *why =
		r == NULL ? db->complaint : PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	log_error(EV("db.failed"), KS("stmt", st->name), KS("sqlstate", state),
		  KS("why", quotes ? "values not shown" : why));
}

/* What an unsuccessful result means; drops the connection where it is no good any more. */
static enum err
judge(struct db *db, const struct db_stmt *st, const PGresult *r, bool *again_r)
{
	const char *state = r == NULL ? NULL : PQresultErrorField(r, PG_DIAG_SQLSTATE);
	bool lost = db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK;
	const struct meaning *m = meaning_of(state);
	enum err e = m->err;

	copy(db->constraint, sizeof(db->constraint),
	     r == NULL ? NULL : PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME));
	if (r != NULL)
		copy(db->complaint, sizeof(db->complaint), PQresultErrorMessage(r));
	if (lost && st->writes)
		e = E_UNCERTAIN; /* it may have been committed just before */
	*again_r = !db->within && (lost ? !st->writes : m->again);
	db->raced = !lost && m->again;
	db->remake = lost || m->reconnect;
	if (m->logged && !*again_r) {
		metric_add(METRIC_DB_FAILURES, 1);
		log_broken(db, st, r, state);
	}
	if (db->remake && !db->within)
		drop(db);
	return e;
}

static void
pause_for_race(int try)
{
	poll(NULL, 0, (int)rnd_below(5u << try) + 1);
}

static void
log_timing(const struct db *db, const struct db_stmt *st, int64_t took_us)
{
	metric_add(METRIC_DB_STATEMENTS, 1);
	if (db->conf->log_sql)
		log_info(EV("db.ran"), KS("stmt", st->name), KMS("ms", took_us));
	if (db->conf->slow_us > 0 && took_us > db->conf->slow_us)
		log_warn(EV("db.was_slow"), KS("stmt", st->name), KMS("ms", took_us));
}

/* The result of the statement in *r_r, to be cleared by the caller; OK or why not. */
static enum err
run(struct db *db, const struct db_stmt *st, const char *const *args, PGresult **r_r)
{
	enum err e = OK;
	bool again = true;

	*r_r = NULL;
	for (int try = 0; again && try < TRIES; try++) {
		int64_t from = clock_read_us();

		if (db->within && db->conn == NULL)
			return E_UNAVAILABLE;
		if (!db->within && (e = db_ready(db)) != OK)
			return e;
		*r_r = send_and_wait(db, st, args);
		log_timing(db, st, clock_read_us() - from);
		if (worked(*r_r))
			return OK;
		e = judge(db, st, *r_r, &again);
		PQclear(*r_r);
		*r_r = NULL;
		if (again && e == E_BUSY)
			pause_for_race(try);
	}
	return e;
}

static void
load_row(struct arena *a, const PGresult *r, int row, const struct shape *s, unsigned use,
	 void *out)
{
	int column = 0;

	shape_clear(s, out);
	for (const struct field *f = s->field; f->name != NULL; f++) {
		if ((f->use & use) == 0)
			continue;
		assert(column < PQnfields(r));
		if (!PQgetisnull(r, row, column))
			field_load(a, f, out, PQgetvalue(r, row, column));
		column++;
	}
	assert(column == PQnfields(r));
}

enum err
db_many(struct db *db, struct arena *a, const struct db_stmt *st, const char *const *args,
	const struct shape *s, unsigned use, void *rows_r, int *n_r)
{
	PGresult *r;
	enum err e = run(db, st, args, &r);
	char *rows;

	*n_r = 0;
	if (e != OK)
		return e;
	*n_r = PQntuples(r);
	rows = arena_get(a, s->size * (size_t)(*n_r + 1));
	for (int i = 0; i < *n_r; i++)
		load_row(a, r, i, s, use, rows + s->size * (size_t)i);
	PQclear(r);
	memcpy(rows_r, &rows, sizeof(rows));
	return OK;
}

enum err
db_one(struct db *db, struct arena *a, const struct db_stmt *st, const char *const *args,
       const struct shape *s, unsigned use, void *out_r)
{
	PGresult *r;
	enum err e = run(db, st, args, &r);

	if (e != OK)
		return e;
	if (PQntuples(r) == 0)
		e = E_NOT_FOUND;
	else
		load_row(a, r, 0, s, use, out_r);
	PQclear(r);
	return e;
}

enum err
db_do(struct db *db, const struct db_stmt *st, const char *const *args, int64_t *changed_r)
{
	PGresult *r;
	enum err e = run(db, st, args, &r);

	if (e == OK && changed_r != NULL)
		*changed_r = atoll(PQcmdTuples(r));
	PQclear(r);
	return e;
}

/*
 * Transactions and scripts
 */

static const struct db_stmt BEGIN = { "BEGIN", NULL, 0, false };
static const struct db_stmt COMMIT = { "COMMIT", NULL, 0, true };
static const struct db_stmt SCRIPT = { "script", NULL, 0, true };

/* A command outside the tables; its result's tag must be `tag` if one is given. */
static enum err
command(struct db *db, const struct db_stmt *as, const char *sql, const char *tag)
{
	PGresult *r = db->conn != NULL && PQsendQuery(db->conn, sql) ? answer(db) : NULL;
	bool again, good = worked(r), tagged = !good || tag == NULL || !strcmp(PQcmdStatus(r), tag);
	enum err e = good ? OK : judge(db, as, r, &again);

	PQclear(r);
	if (!tagged)
		e = log_fail(E_BUG, EV("db.commit_rolled_back"));
	return e;
}

static enum err
rollback(struct db *db, enum err e)
{
	if (db->conn != NULL && !simple(db->conn, "ROLLBACK"))
		drop(db);
	return e;
}

static enum err
once_within(struct db *db, enum err (*body)(void *arg), void *arg)
{
	enum err e;

	if ((e = command(db, &BEGIN, "BEGIN", NULL)) != OK)
		return e;
	if ((e = body(arg)) != OK)
		return rollback(db, e);
	/* A transaction that failed inside answers COMMIT with OK and the tag ROLLBACK. */
	return command(db, &COMMIT, "COMMIT", "COMMIT");
}

enum err
db_within(struct db *db, enum err (*body)(void *arg), void *arg)
{
	enum err e = OK;
	int try = 0;

	assert(!db->within);
	do {
		if (try > 0)
			pause_for_race(try);
		if ((e = db_ready(db)) != OK)
			return e;
		db->raced = db->remake = false;
		db->within = true;
		e = once_within(db, body, arg);
		db->within = false;
		if (db->remake)
			drop(db);
	} while (e != OK && db->raced && ++try < TRIES);
	return e;
}

enum err
db_script(struct db *db, const char *sql)
{
	enum err e = OK;

	if (!db->within)
		e = db_ready(db);
	return e == OK ? command(db, &SCRIPT, sql, NULL) : e;
}

const char *
db_array(struct arena *a, const int64_t *ids, int n)
{
	struct buf b = buf_new(a, (size_t)n * 12 + 2);

	buf_char(&b, '{');
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_char(&b, ',');
		buf_int(&b, ids[i]);
	}
	buf_char(&b, '}');
	return b.text;
}

const char *
db_int(struct arena *a, int64_t n)
{
	struct buf b;

	if (n == NO_INT)
		return NULL;
	b = buf_new(a, 24);
	buf_int(&b, n);
	return b.text;
}
