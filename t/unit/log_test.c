/* log: one event, one line, whatever is in it; and the scope that every line bears. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "tap.h"
#include "text.h"

enum { ROOM = 256 * 1024 };

static struct arena *arena;
static int log_fd;

/* What was logged since the last call. */
static const char *
logged(void)
{
	char *text = arena_get(arena, ROOM);
	ssize_t n;

	log_flush();
	n = pread(log_fd, text, ROOM - 1, 0);
	if (n < 0 || ftruncate(log_fd, 0) != 0 || lseek(log_fd, 0, SEEK_SET) != 0)
		abort();
	return text;
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static const char *const HOSTILE[] = {
	"a\n{\"level\":\"error\",\"event\":\"forged\"}",
	"a\r\nINFO forged",
	"\x1b[2J\x1b[1;1Hforged",
	"a\",\"event\":\"forged",
	"\\",
	"\"",
	"a\x7f\x08\x08",
	"\x01\x02\x1f",
};

static void
test_forging(bool as_text)
{
	for (size_t i = 0; i < NELEM(HOSTILE); i++) {
		const struct log_scope scope = { .request_id = HOSTILE[i],
						 .traceparent = HOSTILE[i],
						 .route = HOSTILE[i] };
		const char *line;
		json_t *doc;

		log_in(&scope);
		log_info(EV("thing.happened"), KS("value", HOSTILE[i]));
		log_in(NULL);
		line = logged();
		is_int(lines(line), 1, "a value makes no second line");
		ok(strcspn(line, "\r\x1b\x7f\x08\x01\x02\x1f") == strlen(line),
		   "nor brings it a control character");
		if (as_text)
			continue;
		doc = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		if (!ok(doc != NULL, "the line is JSON, and has no key twice"))
			continue;
		is_text(json_string_value(json_object_get(doc, "value")), HOSTILE[i],
			"and the value comes back as it was");
		is_text(json_string_value(json_object_get(doc, "event")), "thing.happened",
			"and the event is ours");
		json_decref(doc);
	}
}

static void
test_json(void)
{
	const struct log_scope scope = { "r-1", "00-t-p-01", "/users/{id}", 42 }, empty = { 0 };
	const char *line;
	json_t *doc;

	log_in(&scope);
	log_warn(EV("thing.happened"), KS("text", NULL), KI("n", INT64_MIN), KMS("ms", 1234567));
	log_in(&empty);
	line = logged();
	if ((doc = json_loads(line, 0, NULL)) == NULL) {
		ok(false, "a line is JSON: %s", line);
		return;
	}
	is_text(json_string_value(json_object_get(doc, "level")), "warn", "its level");
	is_text(json_string_value(json_object_get(doc, "program")), "log_test", "its program");
	is_int(json_integer_value(json_object_get(doc, "pid")), getpid(), "its process");
	is_int((long long)strlen(json_string_value(json_object_get(doc, "time"))), 27, "its time");
	ok(json_is_null(json_object_get(doc, "text")), "no text is null");
	is_int(json_integer_value(json_object_get(doc, "n")), INT64_MIN, "a number");
	ok(strstr(line, "\"ms\":1234.567,") != NULL, "a duration in milliseconds");
	is_text(json_string_value(json_object_get(doc, "request_id")), "r-1",
		"the scope's request");
	is_text(json_string_value(json_object_get(doc, "traceparent")), "00-t-p-01",
		"the scope's trace");
	is_text(json_string_value(json_object_get(doc, "route")), "/users/{id}",
		"the scope's route");
	is_int(json_integer_value(json_object_get(doc, "actor")), 42, "the scope's actor");
	json_decref(doc);

	log_info(EV("thing.happened"));
	line = logged();
	ok(strstr(line, "request_id") == NULL && strstr(line, "actor") == NULL,
	   "an empty scope leaves nothing");
	log_in(NULL);
	log_info(EV("thing.happened"));
	ok(strstr(logged(), "route") == NULL, "nor does none");
}

static void
test_levels(void)
{
	const char *line;

	log_debug(EV("too.low"));
	is_text(logged(), "", "below the level nothing is logged");
	log_init("log_test", "json", "ERROR");
	log_warn(EV("too.low"));
	is_text(logged(), "", "the level can be said in upper case");
	log_init("log_test", "json", "debug");
	log_debug(EV("was.logged"));
	ok(strstr(logged(), "was.logged") != NULL, "at debug all is");
	log_init("log_test", "json", "info");
	is_int(log_fail(E_UNAVAILABLE, EV("thing.failed"), KI("n", 1)), E_UNAVAILABLE,
	       "log_fail returns what it was given");
	line = logged();
	ok(strstr(line, "\"level\":\"error\"") != NULL &&
		   strstr(line, "\"outcome\":\"UNAVAILABLE\"") != NULL,
	   "and logs it by name, as an error");
}

static void
test_text(void)
{
	const char *line;

	log_init("log_test", "text", "info");
	log_info(EV("thing.happened"), KS("who", "a b"), KI("n", 3));
	line = logged();
	ok(strstr(line, " info log_test[") != NULL, "text: level and program");
	ok(strstr(line, "]") != NULL &&
		   strstr(line, " event=\"thing.happened\" who=\"a b\" n=3\n") != NULL,
	   "text: pairs");
	test_forging(true);
}

static void
test_gathering(void)
{
	char late[32];

	log_info(EV("thing.happened"));
	ok(pread(log_fd, late, 1, 0) == 0, "info waits for the end of the turn");
	log_error(EV("thing.broke"));
	ok(pread(log_fd, late, 1, 0) == 1, "an error does not");
	is_int(lines(logged()), 2, "and takes along what waited");
	for (int i = 0; i < 1500; i++)
		log_info(EV("thing.happened"), KI("n", i));
	ok(strstr(logged(), "\"n\":1499}") != NULL, "much is written in good time");
}

/* To a pipe: pieces that can't be interleaved with another worker's. In packet mode a read
 * answers one write. */
static void
test_pipe(void)
{
	int fd[2], whole = 0, pieces = 0, saved = dup(STDERR_FILENO);
	static char piece[64 * 1024];
	ssize_t n;

	if (pipe2(fd, O_DIRECT | O_NONBLOCK) != 0 || dup2(fd[1], STDERR_FILENO) < 0)
		abort();
	log_init("log_test", "json", "info");
	for (int i = 0; i < 100; i++)
		log_info(EV("thing.happened"),
			 KS("filler",
			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
	log_flush();
	while ((n = read(fd[0], piece, sizeof(piece))) > 0) {
		pieces++;
		whole += n <= 4096 && piece[0] == '{' && piece[n - 1] == '\n';
	}
	ok(pieces > 1 && whole == pieces,
	   "%d writes to a pipe, each of whole lines and at most 4096 bytes", pieces);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd[0]);
	close(fd[1]);
	log_init("log_test", "json", "info");
}

static const struct {
	const char *address, *masked;
} ADDRESSES[] = {
	{ "hong@example.com", "h***@example.com" },
	{ "h@example.com", "h***@example.com" },
	{ "a@b@example.com", "a***@example.com" },
	{ "no address", "***" },
	{ "", "***" },
	{ "홍길동@example.com", "홍***@example.com" },
	{ "@example.com", "***@example.com" },
};

int
main(void)
{
	char path[] = "log_test.XXXXXX";

	arena = arena_new(2 * ROOM);
	log_fd = mkostemp(path, O_APPEND);
	unlink(path);
	if (log_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		return 1;
	log_init("log_test", "json", "info");
	test_levels();
	test_json();
	test_forging(false);
	test_gathering();
	test_pipe();
	test_text();
	for (size_t i = 0; i < NELEM(ADDRESSES); i++)
		is_text(log_masked(arena, ADDRESSES[i].address), ADDRESSES[i].masked,
			"an address is shown enough to recognise");
	arena_free(&arena);
	return tap_end();
}
