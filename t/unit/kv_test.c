/*
 * kv against the Redis at REDIS_URL, and against a fake one that can be made to hang, drip,
 * talk nonsense and hang up.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <poll.h>

#include <hiredis/hiredis.h>

#include "clock.h"
#include "kv.h"
#include "log.h"
#include "tap.h"

enum {
	WAIT_MS = 100,
	QUICK_MS = 40, /* no wait was in it */
};

static struct kv *kv;
static redisContext *other; /* another client, who sees and does what it likes */
static char prefix[48];

/*
 * Around the tests
 */

static int64_t
ms_since(int64_t start_us)
{
	return (clock_read_us() - start_us) / 1000;
}

static const char *
key(const char *name)
{
	static char room[8][64];
	static int at;

	at = (at + 1) % 8;
	snprintf(room[at], sizeof(room[at]), "%s%s", prefix, name);
	return room[at];
}

/* A command by the other client; its answer is not of interest. */
static void
redis(const char *format, ...)
{
	redisReply *r;
	va_list ap;

	va_start(ap, format);
	r = redisvCommand(other, format, ap);
	va_end(ap);
	if (r == NULL || r->type == REDIS_REPLY_ERROR)
		printf("#   %s: %s\n", format, r == NULL ? other->errstr : r->str);
	freeReplyObject(r);
}

/* What lies at the key, for the other client; NULL if nothing. */
static const char *
lies_at(const char *at)
{
	static char room[256];
	redisReply *r = redisCommand(other, "GET %s", at);
	bool text = r != NULL && r->type == REDIS_REPLY_STRING;

	snprintf(room, sizeof(room), "%s", text ? r->str : "");
	freeReplyObject(r);
	return text ? room : NULL;
}

static struct kv_put
record(const char *at, int64_t version, const char *value)
{
	return (struct kv_put){
		.key = at, .version = version, .value = value, .len = strlen(value), .ttl_s = 60
	};
}

static enum err
put(struct kv *to, const char *at, int64_t version, const char *value)
{
	struct kv_put p = record(at, version, value);

	return kv_put(to, &p, 1);
}

/* A turn that asks for one key: what was heard, in memory of our own; NULL for a miss. */
static const char *
turn(struct kv *of, const char *at)
{
	static char room[256];
	const char *text;
	size_t len;
	int slot = kv_ask(of, at);

	kv_hear(of);
	text = kv_heard(of, slot, &len);
	if (text != NULL)
		snprintf(room, sizeof(room), "%.*s", (int)len, text);
	kv_turn_over(of);
	return text == NULL ? NULL : room;
}

/* Turns until the key is heard, or for so long. */
static bool
heard_within(struct kv *of, const char *at, int64_t ms)
{
	int64_t start = clock_read_us();

	while (turn(of, at) == NULL) {
		if (ms_since(start) > ms)
			return false;
		poll(NULL, 0, 5);
	}
	return true;
}

/*
 * Against Redis
 */

static void
test_newer_stays(void)
{
	const char *at = key("newer");

	is_int(put(kv, at, 2, "2\ntwo"), OK, "a record is put");
	is_text(lies_at(at), "2\ntwo", "and lies there");
	is_int(put(kv, at, 1, "1\none"), OK, "an older one is answered");
	is_text(lies_at(at), "2\ntwo", "and changes nothing");
	is_int(put(kv, at, 2, "2\nagain"), OK, "so is one of the same version");
	is_text(lies_at(at), "2\ntwo", "which changes nothing either");
	is_int(put(kv, at, 10, "10\nten"), OK, "versions are numbers, not text");
	is_text(lies_at(at), "10\nten", "10 is newer than 2");
	is_int(put(kv, at, 9007199254740991, "9007199254740991\n"), OK, "up to 2^53 - 1");
	is_int(put(kv, at, 9007199254740990, "9007199254740990\n"), OK, "exactly");
	is_text(lies_at(at), "9007199254740991\n", "the greater one stays");
	redis("SET %s %s", at, "no version");
	is_int(put(kv, at, 1, "1\none"), OK, "what has no version");
	is_text(lies_at(at), "1\none", "is older than any");
}

static void
test_many_puts(void)
{
	struct kv_put puts[100];
	char at[100][64], value[100][16];
	int there = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(at[i], sizeof(at[i]), "%smany%d", prefix, i);
		snprintf(value[i], sizeof(value[i]), "%d\n", i + 1);
		puts[i] = record(at[i], i + 1, value[i]);
	}
	is_int(kv_put(kv, puts, 100), OK, "a hundred records are put together");
	for (int i = 0; i < 100; i++)
		there += lies_at(at[i]) != NULL && strcmp(lies_at(at[i]), value[i]) == 0;
	is_int(there, 100, "and all lie there");
}

static void
test_put_soon(void)
{
	struct kv_put puts[KV_SOON_MOST + 3];
	char at[KV_SOON_MOST + 3][64], value[KV_SOON_MOST + 3][16];
	int there = 0, most = KV_SOON_MOST + 3;

	is_int(kv_settle(kv), OK, "with nothing waiting there is nothing to settle");
	for (int i = 0; i < most; i++) {
		snprintf(at[i], sizeof(at[i]), "%ssoon%d", prefix, i);
		snprintf(value[i], sizeof(value[i]), "%d\n", i + 1);
		puts[i] = record(at[i], i + 1, value[i]);
	}
	for (int i = 0; i < 3; i++)
		kv_put_soon(kv, &puts[i]);
	is_int(kv_unsettled(kv), 3, "what is put soon waits");
	ok(lies_at(at[0]) == NULL, "and is not there yet");
	for (int i = 3; i < most; i++)
		kv_put_soon(kv, &puts[i]);
	is_int(kv_unsettled(kv), 3, "where there are too many, the first go ahead");
	is_int(kv_settle(kv), OK, "settling brings the rest");
	is_int(kv_unsettled(kv), 0, "and none waits");
	for (int i = 0; i < most; i++)
		there += lies_at(at[i]) != NULL && strcmp(lies_at(at[i]), value[i]) == 0;
	is_int(there, most, "all lie there");
}

static void
test_turns(void)
{
	const char *a = key("a"), *b = key("b"), *list = key("list");
	size_t len = 0;
	int at_a, at_b, at_list, at_none;
	const char *text;

	redis("SET %s %b", a, "1\nx\0y", (size_t)5);
	redis("SET %s %s", b, "");
	redis("LPUSH %s element", list);
	at_a = kv_ask(kv, a);
	at_list = kv_ask(kv, list);
	at_none = kv_ask(kv, key("none"));
	at_b = kv_ask(kv, b);
	is_int(kv_ask(kv, "a key that is far too long for any that we make ourselves"), -1,
	       "a key that is too long is not asked for");
	ok(kv_heard(kv, at_a, &len) == NULL, "nothing is heard before it was listened to");
	kv_hear(kv);
	text = kv_heard(kv, at_a, &len);
	ok(text != NULL && len == 5 && memcmp(text, "1\nx\0y", 5) == 0,
	   "bytes come back as they are");
	text = kv_heard(kv, at_b, &len);
	ok(text != NULL && len == 0, "an empty value is one");
	ok(kv_heard(kv, at_none, &len) == NULL, "a key that is not there is a miss");
	ok(kv_heard(kv, at_list, &len) == NULL, "so is one of another type, and it hurts no other");
	ok(kv_heard(kv, 4, &len) == NULL && kv_heard(kv, -1, &len) == NULL,
	   "so is an unknown slot");
	kv_turn_over(kv);
	ok(kv_heard(kv, at_a, &len) == NULL, "after the turn it is gone");
}

static void
test_put_later(void)
{
	const char *at = key("later");
	struct kv_put p = record(at, 3, "3\nthree"), older = record(at, 2, "2\ntwo");

	kv_put_later(kv, &p);
	kv_turn_over(kv);
	is_text(turn(kv, at), "3\nthree", "what was put later is heard in the next turn");
	for (int i = 0; i < 1000; i++)
		kv_put_later(kv, &older);
	kv_turn_over(kv);
	is_text(turn(kv, at), "3\nthree",
		"a thousand of them are no trouble, and older ones refused");
	/* what was loaded before the connection was another's may be older than what Redis has lost */
	(void)kv_ask(kv, at);
	kv_hear(kv);
	redis("DEL %s", at);
	redis("CLIENT KILL TYPE normal SKIPME yes");
	is_int(kv_put(kv,
		      &(struct kv_put){ .key = key("other"),
					.version = 1,
					.value = "1\n",
					.len = 2,
					.ttl_s = 60 },
		      1),
	       OK, "a new connection");
	kv_put_later(kv, &older);
	kv_turn_over(kv);
	ok(turn(kv, at) == NULL, "a put of before a new connection is left out");
}

static void
test_many_asked(void)
{
	const char *at = key("crowd");
	size_t len;
	int slot[600], good = 0, refused = 0;

	redis("SET %s %s", at, "1\n");
	for (int i = 0; i < 600; i++)
		slot[i] = kv_ask(kv, at);
	kv_hear(kv);
	for (int i = 0; i < 600; i++) {
		good += slot[i] >= 0 && kv_heard(kv, slot[i], &len) != NULL;
		refused += slot[i] < 0 && kv_heard(kv, slot[i], &len) == NULL;
	}
	kv_turn_over(kv);
	ok(good >= 128 && good + refused == 600, "more keys than there is room for are misses");
}

static void
test_lost_script(void)
{
	const char *at = key("script");
	struct kv_put p = record(at, 2, "2\ntwo");
	bool there = false;

	redis("SCRIPT FLUSH");
	is_int(put(kv, at, 1, "1\none"), OK, "a script that was lost is loaded again");
	is_text(lies_at(at), "1\none", "and the record put");
	redis("SCRIPT FLUSH");
	for (int i = 0; i < 20 && !there; i++) {
		kv_put_later(kv, &p);
		kv_turn_over(kv);
		turn(kv, key("none"));
		there = lies_at(at) != NULL && strcmp(lies_at(at), "2\ntwo") == 0;
	}
	ok(there, "also for what is put later, some turns after");
}

/* Counted once in a round trip of its own; was it let in? */
static bool
let_in(struct kv *of, struct kv_rate *r)
{
	kv_rate(of, r);
	return r->heard && !r->too_many;
}

static void
test_rates(void)
{
	const char *a = key("a"), *text;
	struct kv_rate r = { .key = key("rate"), .count = 3, .seconds = 300 }, many[5], *second;
	size_t len;
	int in = 0, slot;

	for (int i = 0; i < 3; i++)
		ok(let_in(kv, &r) && r.left == 2 - i, "of three at once the %d. is let in", i + 1);
	ok(r.rest_ms > 299000 && r.rest_ms <= 300000, "they are forgotten in 300 s");
	ok(!let_in(kv, &r) && r.heard && r.left == 0, "the fourth is not");
	ok(r.wait_ms > 98000 && r.wait_ms <= 100000, "it may come again in 100 s");
	ok(!let_in(kv, &r) && r.wait_ms <= 100000, "and to have been refused costs nothing");

	redis("SET %s %s", a, "1\n");
	slot = kv_ask(kv, a);
	for (int i = 0; i < 5; i++) {
		many[i] = (struct kv_rate){ .key = key("many"), .count = 3, .seconds = 60 };
		kv_ask_rate(kv, &many[i]);
	}
	kv_hear(kv);
	text = kv_heard(kv, slot, &len);
	for (int i = 0; i < 5; i++)
		in += many[i].heard && !many[i].too_many;
	ok(in == 3 && !many[2].too_many && many[3].too_many, "of one turn's five three are let in");
	second = &(struct kv_rate){ .key = key("own"), .count = 1, .seconds = 60 };
	ok(let_in(kv, second) && !let_in(kv, second), "one more can be asked for after that");
	ok(text != NULL && strcmp(text, "1\n") == 0, "and keys of the turn are still there");
	kv_turn_over(kv);

	r = (struct kv_rate){ .key = key("quick"), .count = 10, .seconds = 1 };
	while (let_in(kv, &r))
		;
	poll(NULL, 0, (int)r.wait_ms);
	ok(let_in(kv, &r), "who waits as long as he is told is let in");
}

static void
test_rates_without_redis(void)
{
	struct kv *k = kv_open("unix:///tmp/kv_test.nobody", WAIT_MS, 0);
	struct kv_rate r = { .key = key("rate"), .count = 1, .seconds = 60 };

	kv_rate(k, &r);
	ok(!r.heard, "without Redis nothing is counted");
	kv_close(&k);

	redis("SCRIPT FLUSH");
	r = (struct kv_rate){ .key = key("flushed"), .count = 1, .seconds = 60 };
	ok(let_in(kv, &r) && !let_in(kv, &r), "a script that was lost is loaded again, and counts");
	redis("SCRIPT FLUSH");
	kv_ask_rate(kv, &r);
	kv_hear(kv);
	ok(r.heard && r.too_many, "also within a turn");
	kv_turn_over(kv);
	redis("RPUSH %s x", key("odd"));
	r = (struct kv_rate){ .key = key("odd"), .count = 1, .seconds = 60 };
	kv_rate(kv, &r);
	ok(!r.heard, "what Redis can't count is not counted");
	redis("SET %s 99999999999999999", key("future"));
	r = (struct kv_rate){ .key = key("future"), .count = 1, .seconds = 60 };
	ok(let_in(kv, &r), "a time that can't be is no debt");
}

static void
test_wrong_type(void)
{
	const char *good = key("good"), *list = key("puton");
	int misses = 0;

	redis("SET %s %s", good, "1\n");
	redis("LPUSH %s element", list);
	ok(put(kv, list, 1, "1\n") != OK, "a put that Redis refuses is told of");
	for (int i = 0; i < 5; i++)
		misses += turn(kv, good) == NULL;
	is_int(misses, 0, "and is no reason to leave Redis alone");
	ok(heard_within(kv, good, 3000), "it is used again in any case");
}

static void
test_killed_connection(void)
{
	const char *at = key("killed");

	redis("SET %s %s", at, "1\n");
	redis("CLIENT KILL TYPE normal SKIPME yes");
	is_text(turn(kv, at), "1\n",
		"a connection that was closed while idle is made again at once");
	redis("CLIENT KILL TYPE normal SKIPME yes");
	is_int(put(kv, at, 2, "2\n"), OK, "also for a put");
	redis("CLIENT KILL TYPE normal SKIPME yes");
	ok(kv_ready(kv), "also for the question whether Redis is there");
}

/*
 * Against the fake
 */

enum manner {
	SOUND,
	SILENT,
	SILENT_READER,
	HANGS_UP,
	NONSENSE,
	LOADING,
	TOO_FEW,
	DRIPS,
	OF_NO_MIND
};

/* Shared with its process. */
static struct {
	volatile int manner, connections, commands;
} * fake;
static pid_t fake_pid;
static int fake_socket;
static char fake_url[160];

static void
tell(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return;
}

static void
tell_many(int fd, const char *command)
{
	int n = atoi(command + 1) - 1;
	char head[16];

	snprintf(head, sizeof(head), "*%d\r\n", fake->manner == TOO_FEW ? n - 1 : n);
	tell(fd, head);
	for (int i = 0; i < n - (fake->manner == TOO_FEW); i++)
		tell(fd, "$2\r\n1\n\r\n");
}

/* One byte after the other, each of them in time. */
static void
drip(int fd)
{
	static const char ANSWER[] = "*1\r\n$20\r\n12345678901234567890\r\n";

	for (const char *p = ANSWER; *p != '\0' && fake->manner == DRIPS; p++) {
		if (send(fd, p, 1, MSG_NOSIGNAL) != 1)
			return;
		poll(NULL, 0, WAIT_MS / 2);
	}
}

/* False: hang up. */
static bool
answer(int fd, const char *command)
{
	bool reads = strstr(command, "MGET") != NULL;

	fake->commands++;
	switch (fake->manner) {
	case SILENT:
		return true;
	case HANGS_UP:
		return false;
	case NONSENSE:
		tell(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
		return true;
	case SILENT_READER:
		if (reads)
			return true;
		break;
	case LOADING:
		if (reads)
			return tell(fd, "-LOADING Redis is loading the dataset in memory\r\n"),
			       true;
		break;
	case DRIPS:
		if (reads)
			return drip(fd), true;
		break;
	case OF_NO_MIND:
		if (reads)
			return tell(fd, ":1\r\n"), true;
		break;
	default:
		break;
	}
	if (reads)
		tell_many(fd, command);
	else if (strstr(command, "SCRIPT") != NULL)
		tell(fd, "$40\r\n0123456789012345678901234567890123456789\r\n");
	else if (strstr(command, "PING") != NULL)
		tell(fd, "+PONG\r\n");
	else
		tell(fd, ":1\r\n");
	return true;
}

/* One connection at a time is enough; a new one takes the place of the old. */
static void
serve(void)
{
	struct pollfd p[2] = { { .fd = fake_socket, .events = POLLIN },
			       { .fd = -1, .events = POLLIN } };
	char command[8192];

	for (;;) {
		ssize_t n;

		if (poll(p, 2, 60000) <= 0)
			_exit(0);
		if ((p[0].revents & POLLIN) != 0) {
			close(p[1].fd);
			p[1].fd = accept(fake_socket, NULL, NULL);
			p[1].revents = 0;
			fake->connections++;
		}
		if (p[1].revents == 0)
			continue;
		n = read(p[1].fd, command, sizeof(command) - 1);
		command[n > 0 ? n : 0] = '\0';
		if (n <= 0 || !answer(p[1].fd, command)) {
			close(p[1].fd);
			p[1].fd = -1;
		}
	}
}

static void
fake_open(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/kv_test.%d", (int)getpid());
	snprintf(fake_url, sizeof(fake_url), "unix://%s", at.sun_path);
	fake_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fake_socket, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fake_socket, 64) != 0)
		abort();
	fake_pid = fork();
	if (fake_pid == 0)
		serve();
}

static void
fake_close(void)
{
	kill(fake_pid, SIGKILL);
	waitpid(fake_pid, NULL, 0);
	unlink(fake_url + strlen("unix://"));
}

/* A handle whose connection to the fake is made and well; `manner` from then on. */
static struct kv *
connected_then(enum manner manner)
{
	struct kv *k = kv_open(fake_url, WAIT_MS, 0);

	fake->manner = SOUND;
	if (turn(k, "k") == NULL)
		printf("#   the fake is not heard\n");
	fake->manner = manner;
	return k;
}

static void
test_bad_manners(void)
{
	static const struct {
		enum manner manner;
		const char *name;
		int most_ms;
	} MANNERS[] = {
		{ SILENT, "is silent", 2 * WAIT_MS + QUICK_MS },
		{ SILENT_READER, "is silent when asked", 2 * WAIT_MS + QUICK_MS },
		{ HANGS_UP, "hangs up", QUICK_MS },
		{ NONSENSE, "talks nonsense", QUICK_MS },
		{ LOADING, "is loading", QUICK_MS },
		{ TOO_FEW, "answers too little", QUICK_MS },
		{ OF_NO_MIND, "answers something else", QUICK_MS },
		{ DRIPS, "drips", 3 * WAIT_MS },
	};

	for (size_t i = 0; i < NELEM(MANNERS); i++) {
		struct kv *k = connected_then(MANNERS[i].manner);
		int64_t start = clock_read_us(), took;
		int misses = 0;

		misses += turn(k, "k") == NULL;
		took = ms_since(start);
		if (!ok(misses == 1 && took <= MANNERS[i].most_ms,
			"a Redis that %s is a miss, in time", MANNERS[i].name))
			printf("#   %d misses, %lld ms\n", misses, (long long)took);
		fake->manner = SOUND;
		ok(heard_within(k, "k", 3000), "and is used again once it has stopped that");
		kv_close(&k);
	}
}

/* The breaker: away for long costs little. */
static void
test_long_away(enum manner manner, const char *name)
{
	struct kv *k = connected_then(manner);
	int64_t start, worst = 0, sum = 0;
	int slow = 0, before = fake->connections;

	for (int i = 0; i < 1000; i++) {
		start = clock_read_us();
		turn(k, "k");
		worst = ms_since(start) > worst ? ms_since(start) : worst;
		slow += ms_since(start) >= WAIT_MS / 2;
		sum += ms_since(start);
		poll(NULL, 0, 2);
	}
	ok(slow <= 15, "%s for %lld ms and 1000 turns: %d of them waited", name,
	   (long long)sum + 2000, slow);
	ok(worst <= 2 * WAIT_MS + QUICK_MS, "the longest for %lld ms", (long long)worst);
	ok(fake->connections - before <= 20, "%d new connections were tried",
	   fake->connections - before);
	fake->manner = SOUND;
	ok(heard_within(k, "k", 2000), "it is found again within two seconds");
	kv_close(&k);
}

/* What hiredis forgets when it connects again: the time limit. */
static void
test_limit_after_reconnect(void)
{
	struct kv *k = connected_then(HANGS_UP);
	int64_t start;

	turn(k, "k");
	fake->manner = SOUND;
	ok(heard_within(k, "k", 3000), "a connection is made again");
	fake->manner = SILENT;
	start = clock_read_us();
	turn(k, "k");
	ok(ms_since(start) >= WAIT_MS - 5 && ms_since(start) <= 2 * WAIT_MS + QUICK_MS,
	   "and its waits have an end as well: %lld ms", (long long)ms_since(start));
	start = clock_read_us();
	is_int(put(k, "k", 1, "1\n"), E_UNAVAILABLE, "a put right after that fails");
	ok(ms_since(start) <= QUICK_MS, "at once");
	start = clock_read_us();
	kv_close(&k);
	ok(ms_since(start) <= QUICK_MS, "so does closing");
}

static void
test_nobody_there(void)
{
	struct kv *k = kv_open("unix:///tmp/kv_test.nobody", WAIT_MS, 0);
	int64_t start = clock_read_us();
	struct kv_put p = record("k", 1, "1\n");

	for (int i = 0; i < 500; i++) {
		kv_put_later(k, &p);
		if (turn(k, "k") != NULL)
			break;
	}
	ok(ms_since(start) <= 200, "500 turns without any Redis cost %lld ms",
	   (long long)ms_since(start));
	is_int(kv_put(k, &p, 1), E_UNAVAILABLE, "a put is told");
	ok(!kv_ready(k), "it is not ready");
	kv_close(&k);
	ok(k == NULL, "closing clears the pointer");
}

static void
test_addresses(void)
{
	static const char *const GOOD[] = { "redis://localhost",    "redis://localhost:6379",
					    "redis://h:1/15",	    "redis://:pw@h:6379/0",
					    "redis://user:p@w@h/1", "unix:///run/r.sock" };
	static const char *const BAD[] = { "",
					   "localhost",
					   "redis://",
					   "redis://:6379",
					   "redis://h:x",
					   "redis://h:70000",
					   "redis://h/x",
					   "redis://h/-1",
					   "rediss://h",
					   "unix://r.sock",
					   "unix://",
					   "redis://pw@h" };

	for (size_t i = 0; i < NELEM(GOOD); i++)
		ok(kv_url_is_good(GOOD[i]), "an address: %s", GOOD[i]);
	for (size_t i = 0; i < NELEM(BAD); i++)
		ok(!kv_url_is_good(BAD[i]), "no address: \"%s\"", BAD[i]);
}

int
main(void)
{
	const char *url = getenv("REDIS_URL");

	signal(SIGPIPE, SIG_IGN);
	if (url == NULL || strncmp(url, "unix://", 7) != 0) {
		printf("1..0 # SKIP REDIS_URL is not set to a unix socket\n");
		return 0;
	}
	fake_open(); /* forks: before anything is open */
	log_init("kv_test", "text", "error");
	clock_tick();
	snprintf(prefix, sizeof(prefix), "kvt%d:", (int)getpid());
	other = redisConnectUnix(url + 7);
	kv = kv_open(url, WAIT_MS, 0);
	if (!ok(other != NULL && other->err == 0 && kv_ready(kv), "Redis is there"))
		return tap_end();
	test_addresses();
	test_newer_stays();
	test_many_puts();
	test_put_soon();
	test_turns();
	test_put_later();
	test_many_asked();
	test_lost_script();
	test_rates();
	test_rates_without_redis();
	test_wrong_type();
	test_killed_connection();
	test_bad_manners();
	test_long_away(SILENT, "silent");
	test_long_away(HANGS_UP, "hanging up");
	test_limit_after_reconnect();
	test_nobody_there();
	kv_close(&kv);
	redisFree(other);
	fake_close();
	return tap_end();
}
