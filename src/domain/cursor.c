/* cursor: 15 bytes, 20 letters of base64url: list, direction, id, hash of these. */
#include "cursor.h"

#include <string.h>

#include "rnd.h"

enum { SAID = 10, HASHED = 5, BYTES = SAID + HASHED, LETTERS = 20 };

static void
pack(struct cursor c, unsigned char out[BYTES])
{
	unsigned char digest[SHA256_SIZE];

	out[0] = (unsigned char)c.list;
	out[1] = c.backwards ? '<' : '>';
	for (int i = 0; i < 8; i++)
		out[2 + i] = (unsigned char)((uint64_t)c.id >> (56 - 8 * i));
	rnd_sha256(out, SAID, digest);
	memcpy(out + SAID, digest, HASHED);
}

const char *
cursor_print(struct arena *a, struct cursor c)
{
	unsigned char bytes[BYTES];
	char *text = arena_get(a, 4 * ((BYTES + 2) / 3) + 1);

	pack(c, bytes);
	rnd_base64url(bytes, BYTES, text);
	return text;
}

/* What base64url's letters stand for, as bytes; false for any other letter. */
static bool
unpack(const char *text, unsigned char out[BYTES])
{
	static const char LETTER[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	int n = 0;

	for (int i = 0, have = 0; i < LETTERS; i++) {
		const char *at = text[i] == '\0' ? NULL : strchr(LETTER, text[i]);

		if (at == NULL)
			return false;
		bits = bits << 6 | (uint32_t)(at - LETTER);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		out[n++] = (unsigned char)(bits >> have);
	}
	return text[LETTERS] == '\0';
}

bool
cursor_read(const char *text, char list, struct cursor *out_r)
{
	unsigned char bytes[BYTES], again[BYTES];
	struct cursor c = { .list = list };
	uint64_t id = 0;

	if (!unpack(text, bytes))
		return false;
	c.backwards = bytes[1] == '<';
	for (int i = 0; i < 8; i++)
		id = id << 8 | bytes[2 + i];
	c.id = (int64_t)id;
	pack(c, again);
	if (memcmp(bytes, again, BYTES) != 0 || c.id < 0)
		return false;
	*out_r = c;
	return true;
}

enum msg
cursor_rule(struct arena *a, const char *text, char list, const char **out_r)
{
	struct cursor c;

	*out_r = arena_text(a, text);
	return cursor_read(text, list, &c) ? MSG_OK : MSG_CURSOR;
}
