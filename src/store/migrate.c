/* migrate: files in a folder, rows in a table, and the difference. */
#include "migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "db.h"
#include "rnd.h"
#include "text.h"

enum { MIGRATIONS_MOST = 9999 };

#define UP_END ".up.sql"
#define DOWN_END ".down.sql"

struct step {
	int64_t number;
	const char *name;     /* "0001_users" */
	const char *checksum; /* of the file, or as applied */
	const char *applied_at;
};

static const struct shape STEP = SHAPE(struct step,
	{ F(struct step, number), .use = 1 },
	{ F(struct step, name), .use = 1 },
	{ F(struct step, checksum), .use = 1 },
	{ F(struct step, applied_at), .use = 1 });

enum { APPLIED, RECORD, FORGET, SET_ROLE };

/* clang-format off */
static const struct db_stmt SQL[] = {
	[APPLIED] = { "migrate_applied",
		"SELECT number, name, checksum, to_char(applied_at, 'YYYY-MM-DD HH24:MI:SS TZ')"
		" FROM schema_migrations ORDER BY number", 0, false },
	[RECORD] = { "migrate_record",
		"INSERT INTO schema_migrations (number, name, checksum) VALUES ($1::int, $2, $3)", 3, true },
	[FORGET] = { "migrate_forget",
		"DELETE FROM schema_migrations WHERE number = $1::int", 1, true },
	[SET_ROLE] = { "migrate_set_role",
		"SELECT set_config('usher.service_role', $1, false)", 1, false },
};
/* clang-format on */

static const struct db_set STATEMENTS = { SQL, NELEM(SQL) };
static const struct db_set *const SETS[] = { &STATEMENTS, NULL };

/* Any number, always the same: what two runs meet at. */
static const char PREPARE[] = "SELECT pg_advisory_lock(7305808869231650162);"
			      "CREATE TABLE IF NOT EXISTS schema_migrations ("
			      " number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
			      " applied_at timestamptz NOT NULL DEFAULT now())";

/* A run: two connections, one that holds the lock, one that works; files against rows. */
struct run {
	const struct migrate *m;
	struct db_conf locker_conf, worker_conf;
	struct db *locker, *db;
	struct step *file, *row;
	int files, rows;
	bool known; /* what is applied */
	/* the step that is being made */
	const struct step *step;
	const char *sql;
	bool up;
};

/* One line: two texts with something between them. */
static void
say(const struct migrate *m, const char *between, const char *a, const char *b)
{
	m->say(arena_printf(m->arena, "%s%s%s", a, between, b));
}

static const char *
read_file(const struct migrate *m, const char *name, const char *end)
{
	const char *path = arena_printf(m->arena, "%s/%s%s", m->dir, name, end);
	struct buf b = buf_new(m->arena, 4096);
	FILE *f = fopen(path, "re");
	char piece[4096];
	size_t n;

	if (f == NULL) {
		say(m, ": ", path, strerror(errno));
		return NULL;
	}
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(&b, piece, n);
	fclose(f);
	return b.text;
}

static const char *
checksum(struct arena *a, const char *text)
{
	unsigned char digest[SHA256_SIZE];
	char *hex = arena_get(a, 2 * SHA256_SIZE + 1);

	rnd_sha256(text, strlen(text), digest);
	rnd_hex(digest, sizeof(digest), hex);
	return hex;
}

static int
is_up_file(const struct dirent *d)
{
	size_t len = strlen(d->d_name), end = strlen(UP_END);

	return len > end + 5 && strspn(d->d_name, "0123456789") == 4 && d->d_name[4] == '_' &&
	       strcmp(d->d_name + len - end, UP_END) == 0;
}

/* The files of the folder as steps, by number. */
static enum err
list_files(const struct migrate *m, struct step **steps_r, int *n_r)
{
	struct dirent **found;
	enum err e = OK;

	*n_r = scandir(m->dir, &found, is_up_file, alphasort);
	if (*n_r < 0) {
		say(m, ": ", m->dir, strerror(errno));
		return E_NOT_FOUND;
	}
	*steps_r = arena_get(m->arena, (size_t)(*n_r + 1) * sizeof(**steps_r));
	for (int i = 0; i < *n_r; i++) {
		struct step *s = &(*steps_r)[i];
		const char *sql;

		s->number = atoi(found[i]->d_name);
		s->name = arena_textn(m->arena, found[i]->d_name,
				      strlen(found[i]->d_name) - strlen(UP_END));
		sql = read_file(m, s->name, UP_END);
		s->checksum = sql == NULL ? "" : checksum(m->arena, sql);
		if (sql == NULL || s->number != i + 1) {
			say(m, "", "out of order or unreadable: ", s->name);
			e = E_CONFLICT;
		}
		free(found[i]);
	}
	free(found);
	return e;
}

/* Every applied step must still be there as it was. */
static enum err
compare(const struct run *r)
{
	for (int i = 0; i < r->rows; i++) {
		bool there = i < r->files && strcmp(r->row[i].name, r->file[i].name) == 0;

		if (there && strcmp(r->row[i].checksum, r->file[i].checksum) == 0)
			continue;
		say(r->m, ": ", r->row[i].name,
		    there ? "was edited after it was applied; undo the edit and write a new migration"
			  : "was applied, but its file is not here");
		return E_CONFLICT;
	}
	return OK;
}

static enum err
complain(const struct run *r, const struct db *db, const char *what, enum err e)
{
	const char *why = db_complaint(db);

	say(r->m, ": ", what, *why == '\0' ? err_row(e)->en : why);
	return e;
}

static enum err
begin(struct run *r, const struct migrate *m)
{
	enum err e;

	*r = (struct run){ .m = m };
	r->locker_conf = (struct db_conf){ .url = m->url, .program = "usherctl", .patient = true };
	r->worker_conf = r->locker_conf;
	r->worker_conf.sets = SETS;
	r->locker = db_open(&r->locker_conf);
	r->db = db_open(&r->worker_conf);
	if ((e = db_script(r->locker, PREPARE)) != OK)
		return complain(r, r->locker, "the database", e);
	e = db_many(r->db, m->arena, &SQL[APPLIED], NULL, &STEP, 1, &r->row, &r->rows);
	if (e != OK)
		return complain(r, r->db, "schema_migrations", e);
	r->known = true;
	if ((e = list_files(m, &r->file, &r->files)) != OK)
		return e;
	if ((e = db_do(r->db, &SQL[SET_ROLE], ARGS(m->service_role), NULL)) != OK)
		return complain(r, r->db, "usher.service_role", e);
	return compare(r);
}

static enum err
end(struct run *r, enum err e)
{
	db_close(&r->db);
	db_close(&r->locker);
	return e;
}

static enum err
step_body(void *arg)
{
	struct run *r = arg;
	const char *number = db_int(r->m->arena, r->step->number);
	enum err e;

	if ((e = db_script(r->db, r->sql)) != OK)
		return e;
	if (!r->up)
		return db_do(r->db, &SQL[FORGET], ARGS(number), NULL);
	return db_do(r->db, &SQL[RECORD], ARGS(number, r->step->name, r->step->checksum), NULL);
}

/* Is there anything but blanks and comments? */
static bool
has_statement(const char *sql)
{
	const char *end;

	while (*(sql += strspn(sql, " \t\r\n;")) != '\0') {
		if (strncmp(sql, "--", 2) == 0)
			sql += strcspn(sql, "\n");
		else if (strncmp(sql, "/*", 2) == 0 && (end = strstr(sql, "*/")) != NULL)
			sql = end + 2;
		else
			return true;
	}
	return false;
}

static enum err
make_step(struct run *r, const struct step *s, bool up)
{
	enum err e;

	r->step = s;
	r->up = up;
	r->sql = read_file(r->m, s->name, up ? UP_END : DOWN_END);
	if (r->sql == NULL)
		return E_NOT_FOUND;
	if (!has_statement(r->sql)) {
		say(r->m, ": ", arena_printf(r->m->arena, "%s%s", s->name, up ? UP_END : DOWN_END),
		    "there is no statement in it");
		return E_INVALID;
	}
	if ((e = db_within(r->db, step_body, r)) != OK)
		return complain(r, r->db, s->name, e);
	say(r->m, " ", up ? "applied" : "taken back", s->name);
	return OK;
}

enum err
migrate_up(const struct migrate *m)
{
	struct run r;
	enum err e = begin(&r, m);

	for (int i = r.rows; e == OK && i < r.files; i++)
		e = make_step(&r, &r.file[i], true);
	if (e == OK && r.rows == r.files)
		say(m, "", "nothing to do, the schema is up to date", "");
	return end(&r, e);
}

enum err
migrate_down(const struct migrate *m, int steps)
{
	struct run r;
	enum err e = begin(&r, m);

	if (e == OK && r.rows == 0)
		say(m, "", "nothing to do, none is applied", "");
	for (int i = r.rows - 1; e == OK && i >= 0 && i >= r.rows - steps; i--)
		e = make_step(&r, &r.row[i], false);
	return end(&r, e);
}

static const struct step *
step_named(const struct step *steps, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(steps[i].name, name) == 0)
			return &steps[i];
	}
	return NULL;
}

enum err
migrate_status(const struct migrate *m)
{
	struct run r;
	enum err e = begin(&r, m);

	for (int i = 0; r.known && i < r.files; i++) {
		const struct step *row = step_named(r.row, r.rows, r.file[i].name);

		say(m, "  ", r.file[i].name, row == NULL ? "pending" : row->applied_at);
	}
	for (int i = 0; r.known && i < r.rows; i++) {
		if (step_named(r.file, r.files, r.row[i].name) == NULL)
			say(m, "  ", r.row[i].name, "applied, but its file is not here");
	}
	return end(&r, e);
}

static enum err
make_file(const struct migrate *m, const char *name, const char *end, const char *text)
{
	const char *path = arena_printf(m->arena, "%s/%s%s", m->dir, name, end);
	FILE *f = fopen(path, "wxe");
	bool good = f != NULL && fputs(text, f) >= 0;

	if (f != NULL && fclose(f) != 0)
		good = false;
	if (!good) {
		say(m, ": ", path, strerror(errno));
		return E_CONFLICT;
	}
	say(m, " ", "made", path);
	return OK;
}

enum err
migrate_new(const struct migrate *m, const char *name)
{
	static const char LETTERS[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	struct step *steps;
	int n;
	enum err e = list_files(m, &steps, &n);
	const char *full = arena_printf(m->arena, "%04d_%s", n + 1, name);

	if (e != OK)
		return e;
	if (*name == '\0' || strspn(name, LETTERS) != strlen(name) || n >= MIGRATIONS_MOST) {
		say(m, ": ", name, "letters, digits and '_' only");
		return E_INVALID;
	}
	if ((e = make_file(m, full, UP_END, "-- Why this change:\n")) != OK)
		return e;
	return make_file(m, full, DOWN_END, "-- Takes it back:\n");
}
