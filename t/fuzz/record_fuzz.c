/* Records of Redis: of a user and of a session, whichever way round. */
#include "fuzz.h"

#include "session.h"
#include "user.h"

enum { ID = 42 };

static void
read_user(const char *text, size_t len)
{
	struct page p = { 0 };

	if (user_record_read(text, len, ID, &p) != HEARD)
		return;
	DEMAND(p.id == ID && p.version >= 0 && p.hit);
	DEMAND(p.len >= 2 && p.body[0] == '{' && p.body[p.len - 1] == '}');
	DEMAND(p.body > text && p.body + p.len == text + len);
}

static void
read_session(const char *text, size_t len)
{
	struct session s;

	if (session_record_read(text, len, ID, &s) != HEARD)
		return;
	DEMAND(s.id == ID && s.user.id >= 1 && s.user.version >= 1);
	DEMAND(text_among(s.user.role, "user admin") && strcmp(s.user.status, "active") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	const char *text = fuzz_text(a, data, size);

	read_user(text, size);
	read_session(text, size);
	arena_free(&a);
	return 0;
}
