/* log: lines are built in a buffer of their own, so a log call never allocates anew. */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"

enum {
	GATHERED = 48 * 1024, /* flushed at the latest when this much is waiting */
	ATOMIC = 4096,	      /* a write of up to PIPE_BUF to a pipe is never interleaved */
};

enum log_level log_level = LOG_INFO;

static const char *const LEVELS[] = { "debug", "info", "warn", "error" };
static const char *program = "usher";
static const struct log_scope *scope;
static struct arena *memory;
static struct buf out;
static bool as_text, to_pipe, held;
static int pid;

void
log_init(const char *name, const char *format, const char *level)
{
	struct stat st;

	program = name;
	pid = (int)getpid();
	as_text = strcmp(format, "text") == 0;
	to_pipe = fstat(STDERR_FILENO, &st) != 0 || !S_ISREG(st.st_mode);
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (strcasecmp(level, LEVELS[i]) == 0)
			log_level = (enum log_level)i;
	}
}

void
log_in(const struct log_scope *s)
{
	scope = s;
}

static void
put_ms(struct buf *b, int64_t us)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld.%03d", (long long)(us / 1000), (int)(us % 1000));
	buf_text(b, text);
}

static void
put_pair(const struct pair *p)
{
	buf_text(&out, as_text ? " " : ",\"");
	buf_text(&out, p->key);
	buf_text(&out, as_text ? "=" : "\":");
	if (p->kind == P_TEXT)
		buf_json(&out, p->text);
	else if (p->kind == P_MS)
		put_ms(&out, p->n);
	else
		buf_int(&out, p->n);
}

static void
put_scope(void)
{
	const struct log_scope *s = scope;

	if (s == NULL)
		return;
	if (s->request_id != NULL)
		put_pair(&KS("request_id", s->request_id));
	if (s->traceparent != NULL)
		put_pair(&KS("traceparent", s->traceparent));
	if (s->route != NULL)
		put_pair(&KS("route", s->route));
	if (s->actor != 0)
		put_pair(&KI("actor", s->actor));
}

static void
put_head(enum log_level level)
{
	char time[28];

	clock_print(clock_wall_us(), time);
	if (as_text) {
		buf_printf(&out, "%s %s %s[%d]", time, LEVELS[level], program, pid);
		return;
	}
	buf_lit(&out, "{\"time\":\"");
	buf_text(&out, time);
	buf_lit(&out, "\",\"level\":\"");
	buf_text(&out, LEVELS[level]);
	buf_lit(&out, "\",\"program\":\"");
	buf_text(&out, program);
	buf_lit(&out, "\",\"pid\":");
	buf_int(&out, pid);
}

void
log_write(enum log_level level, const struct pair *pairs, int n)
{
	if (memory == NULL) {
		memory = arena_new(GATHERED + 16 * 1024);
		out = buf_new(memory, GATHERED);
	}
	put_head(level);
	for (int i = 0; i < n; i++)
		put_pair(&pairs[i]);
	put_scope();
	buf_text(&out, as_text ? "\n" : "}\n");
	if ((level >= LOG_WARN && !held) || out.len > GATHERED / 2)
		log_flush();
}

enum err
log_write_fail(enum err e, const struct pair *pairs, int n)
{
	struct pair all[16];
	int most = (int)NELEM(all) - 1;

	n = n < most ? n : most;
	memcpy(all, pairs, (size_t)n * sizeof(*pairs));
	all[n] = KS("outcome", err_row(e)->name);
	log_write(LOG_ERROR, all, n + 1);
	return e;
}

void
log_hold(void)
{
	held = true;
}

void
log_drop(void)
{
	if (memory != NULL) {
		arena_reset(memory);
		out = buf_new(memory, GATHERED);
	}
}

/* How much to hand to one write: whole lines, at most ATOMIC bytes of them to a pipe. */
static size_t
next_piece(const char *text, size_t len)
{
	size_t n = len;

	if (!to_pipe || len <= ATOMIC)
		return len;
	for (n = ATOMIC; n > 0 && text[n - 1] != '\n'; n--)
		;
	return n > 0 ? n : (size_t)((const char *)memchr(text, '\n', len) - text) + 1;
}

void
log_flush(void)
{
	const char *text = out.text;
	size_t left = out.len;

	while (left > 0) {
		ssize_t n = write(STDERR_FILENO, text, next_piece(text, left));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nowhere to complain to: the lines are lost */
		text += n;
		left -= (size_t)n;
	}
	log_drop();
}

const char *
log_masked(struct arena *a, const char *email)
{
	const char *domain = strrchr(email, '@');
	int first = domain != NULL && domain != email; /* bytes of the first letter */

	while (first > 0 && ((unsigned char)email[first] & 0xc0) == 0x80)
		first++;
	return domain == NULL ? "***" : arena_printf(a, "%.*s***%s", first, email, domain);
}
