/*
 * A token: the first byte says whether the rest is one as it stands, or a header and claims,
 * a line each, which are signed here with the right key: so that what lies behind the
 * signature is reached.
 */
#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "clock.h"
#include "rnd.h"
#include "settings.h"
#include "token.h"

#define KEY "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0jK"

static const struct settings SETTINGS_USED = { .jwt_secret_key = KEY,
					       .jwt_algorithm = "HS256",
					       .jwt_expire_minutes = 30 };

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return token_init(&SETTINGS_USED) == OK ? 0 : 1;
}

static const char *
base64url(struct arena *a, const void *bytes, size_t len)
{
	char *out = arena_get(a, 4 * ((len + 2) / 3) + 1);

	rnd_base64url(bytes, len, out);
	return out;
}

static const char *
signed_here(struct arena *a, const char *text)
{
	const char *header = fuzz_line(a, &text), *both;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	both = arena_printf(a, "%s.%s", base64url(a, header, strlen(header)),
			    base64url(a, text, strlen(text)));
	HMAC(EVP_sha256(), KEY, sizeof(KEY) - 1, (const unsigned char *)both, strlen(both), mac,
	     &len);
	return arena_printf(a, "%s.%s", both, base64url(a, mac, len));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct claims c = { 0 }, again = { 0 };
	const char *text;

	if (size == 0) {
		arena_free(&a);
		return 0;
	}
	text = fuzz_text(a, data + 1, size - 1);
	if (data[0] & 1)
		text = signed_here(a, text);
	if (token_read(text, &c) == OK) {
		DEMAND(data[0] & 1); /* nobody else has the key */
		DEMAND(c.user_id > 0 && c.session > 0 && c.expires_s > clock_wall_s());
		DEMAND(token_read(text, &again) == OK && memcmp(&c, &again, sizeof(c)) == 0);
	}
	arena_free(&a);
	return 0;
}
