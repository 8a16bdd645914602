/* doc: bodies by the real tables of the user and the login; every fault named at once. */
#include "doc.h"

#include <jansson.h>

#include "auth.h"
#include "tap.h"
#include "user.h"

enum { DEEP = 5000 };

#define T(literal) "" literal, sizeof(literal) - 1
#define GOOD "\"name\":\"홍길동\",\"email\":\"a@example.com\",\"password\":\"correct horse\""

/* `faults`: "name:type" and, where it has a place, "line,column", each with a blank behind it. */
static const struct {
	const char *what;
	unsigned use;
	const char *text;
	size_t len;
	enum err e;
	const char *faults;
} BODIES[] = {
	{ "a good one", IN_CREATE, T("{" GOOD "}"), OK, "" },
	{ "with blanks around", IN_CREATE, T(" \r\n{" GOOD "}\t\n"), OK, "" },
	{ "with all that may be given", IN_CREATE,
	  T("{" GOOD ",\"age\":0,\"phone\":\"+82 (10)\",\"nickname\":\"길동\"}"), OK, "" },
	{ "nulls where they may be", IN_CREATE,
	  T("{" GOOD ",\"age\":null,\"phone\":null,\"nickname\":null}"), OK, "" },
	{ "nothing to change", IN_CHANGE, T("{}"), OK, "" },

	{ "no body", IN_CREATE, T(""), E_MALFORMED, ":json_ends 1,1 " },
	{ "blanks", IN_CREATE, T("  "), E_MALFORMED, ":json_ends 1,2 " },
	{ "half an object", IN_CREATE, T("{\"name\":"), E_MALFORMED, ":json_ends 1,8 " },
	{ "a comma too many", IN_CHANGE, T("{\"age\":1,}"), E_MALFORMED, ":json_invalid 1,10 " },
	{ "something behind it", IN_CHANGE, T("{\"age\":1} x"), E_MALFORMED,
	  ":json_invalid 1,11 " },
	{ "two objects", IN_CHANGE, T("{}{}"), E_MALFORMED, ":json_invalid 1,3 " },
	{ "single quotes", IN_CHANGE, T("{'age':1}"), E_MALFORMED, ":json_invalid 1,2 " },
	{ "a comment", IN_CHANGE, T("{/**/}"), E_MALFORMED, ":json_invalid 1,2 " },
	{ "a byte order mark", IN_CHANGE, T("\xef\xbb\xbf{}"), E_MALFORMED, ":json_invalid 1,1 " },
	{ "a key twice", IN_CHANGE, T("{\"age\":1,\"age\":2}"), E_MALFORMED,
	  ":json_duplicate 1,14 " },
	{ "a key twice, once escaped", IN_CHANGE, T("{\"age\":1,\"\\u0061ge\":2}"), E_MALFORMED,
	  ":json_duplicate 1,19 " },
	{ "an unknown key twice, further in", IN_CHANGE, T("{\"x\":{\"y\":1,\"y\":1}}"),
	  E_MALFORMED, ":json_duplicate 1,15 " },
	{ "NUL in a text", IN_CHANGE, T("{\"name\":\"a\\u0000b\"}"), E_INVALID,
	  "name:control_characters " },
	{ "NUL in a key", IN_CHANGE, T("{\"na\\u0000me\":1}"), E_MALFORMED, ":json_nul 1,13 " },
	{ "a bare NUL in a text", IN_CHANGE, T("{\"name\":\"a\0b\"}"), E_MALFORMED,
	  ":json_invalid 1,10 " },
	{ "a bare NUL behind it", IN_CHANGE, T("{}\0"), E_MALFORMED, ":json_invalid 1,3 " },
	{ "a bare line feed in a text", IN_CHANGE, T("{\"name\":\"a\nb\"}"), E_MALFORMED,
	  ":json_invalid 1,10 " },
	{ "bad UTF-8", IN_CHANGE, T("{\"name\":\"\xff\"}"), E_MALFORMED, ":string_unicode 1,9 " },
	{ "an overlong slash", IN_CHANGE, T("{\"name\":\"\xc0\xaf\"}"), E_MALFORMED,
	  ":string_unicode 1,9 " },
	{ "half a surrogate pair", IN_CHANGE, T("{\"name\":\"\\ud83d\"}"), E_MALFORMED,
	  ":json_invalid 1,16 " },
	{ "bad UTF-8 in a key", IN_CHANGE, T("{\"\xff\":1}"), E_MALFORMED, ":string_unicode 1,2 " },
	{ "a number beyond 64 bits", IN_CHANGE, T("{\"age\":9223372036854775808}"), E_MALFORMED,
	  ":json_number 1,26 " },
	{ "a number below 64 bits", IN_CHANGE, T("{\"age\":-9223372036854775809}"), E_MALFORMED,
	  ":json_number 1,27 " },
	{ "a real beyond the double", IN_CHANGE, T("{\"age\":1e400}"), E_MALFORMED,
	  ":json_number 1,12 " },
	{ "NaN", IN_CHANGE, T("{\"age\":NaN}"), E_MALFORMED, ":json_invalid 1,10 " },
	{ "a leading zero", IN_CHANGE, T("{\"age\":01}"), E_MALFORMED, ":json_invalid 1,8 " },
	{ "hexadecimal", IN_CHANGE, T("{\"age\":0x10}"), E_MALFORMED, ":json_invalid 1,9 " },

	{ "an array", IN_CREATE, T("[]"), E_INVALID, ":dict_type " },
	{ "a text", IN_CREATE, T("\"a\""), E_INVALID, ":dict_type " },
	{ "a number", IN_CREATE, T("7"), E_INVALID, ":dict_type " },
	{ "null", IN_CREATE, T("null"), E_INVALID, ":dict_type " },

	{ "nothing that is needed", IN_CREATE, T("{}"), E_INVALID,
	  "name:missing email:missing password:missing " },
	{ "to replace takes all but the password", IN_REPLACE, T("{}"), E_INVALID,
	  "name:missing email:missing " },
	{ "every value wrong", IN_CREATE,
	  T("{\"name\":1,\"email\":\"a\",\"password\":\"short\",\"age\":151,\"phone\":\"x\",\"nickname\":true,\"z\":1}"),
	  E_INVALID,
	  "name:string_type email:email password:string_too_short age:out_of_range phone:phone "
	  "nickname:string_type z:extra_forbidden " },
	{ "nulls where they may not be", IN_CREATE,
	  T("{\"name\":null,\"email\":null,\"password\":null}"), E_INVALID,
	  "name:null_forbidden email:null_forbidden password:null_forbidden " },
	{ "a real for a number", IN_CHANGE, T("{\"age\":1.0}"), E_INVALID, "age:int_type " },
	{ "an exponent for a number", IN_CHANGE, T("{\"age\":1e2}"), E_INVALID, "age:int_type " },
	{ "a text for a number", IN_CHANGE, T("{\"age\":\"30\"}"), E_INVALID, "age:int_type " },
	{ "true for a number", IN_CHANGE, T("{\"age\":true}"), E_INVALID, "age:int_type " },
	{ "an array for a number", IN_CHANGE, T("{\"age\":[1]}"), E_INVALID, "age:int_type " },
	{ "the greatest number", IN_CHANGE, T("{\"age\":9223372036854775807}"), E_INVALID,
	  "age:out_of_range " },
	{ "the least number", IN_CHANGE, T("{\"age\":-9223372036854775808}"), E_INVALID,
	  "age:out_of_range " },
	{ "less than nothing", IN_CHANGE, T("{\"age\":-1}"), E_INVALID, "age:out_of_range " },
	{ "minus zero", IN_CHANGE, T("{\"age\":-0}"), OK, "" },
	{ "an object for a text", IN_CHANGE, T("{\"name\":{}}"), E_INVALID, "name:string_type " },
	{ "blanks for a name", IN_CHANGE, T("{\"name\":\" \\t \"}"), E_INVALID,
	  "name:string_too_short " },
	{ "a control character in a name", IN_CHANGE, T("{\"name\":\"a\\u001bb\"}"), E_INVALID,
	  "name:control_characters " },
	{ "DEL in a name", IN_CHANGE, T("{\"name\":\"a\\u007fb\"}"), E_INVALID,
	  "name:control_characters " },
	{ "a key of another spelling", IN_CHANGE, T("{\"Name\":\"a\"}"), E_INVALID,
	  "Name:extra_forbidden " },
	{ "an empty key", IN_CHANGE, T("{\"\":1}"), E_INVALID, ":extra_forbidden " },
	{ "a very long key", IN_CHANGE,
	  T("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}"),
	  E_INVALID, "(a very long name):extra_forbidden " },
	{ "what only usher keeps", IN_CHANGE,
	  T("{\"id\":1,\"version\":1,\"login_count\":1,\"created_at\":\"\"}"), E_INVALID,
	  "id:extra_forbidden version:extra_forbidden login_count:extra_forbidden created_at:extra_forbidden " },
	{ "a hash", IN_CREATE, T("{" GOOD ",\"password_hash\":\"x\"}"), E_INVALID,
	  "password_hash:extra_forbidden " },
	{ "a password where it can't be changed", IN_CHANGE, T("{\"password\":\"correct horse\"}"),
	  E_INVALID, "password:extra_forbidden " },
	{ "an admin's fields at sign-up", IN_CREATE,
	  T("{" GOOD ",\"role\":\"admin\",\"status\":\"active\"}"), E_INVALID,
	  "role:extra_forbidden status:extra_forbidden " },
	{ "an admin's fields where they may be", IN_CHANGE | BY_ADMIN,
	  T("{\"role\":\"admin\",\"status\":\"inactive\"}"), OK, "" },
	{ "no such role", IN_CHANGE | BY_ADMIN, T("{\"role\":\"root\",\"status\":null}"), E_INVALID,
	  "role:enum status:null_forbidden " },
};

static const char *
faults_text(struct arena *a, const struct faults *fs)
{
	struct buf b = buf_new(a, 64);

	for (int i = 0; i < fs->n; i++) {
		buf_printf(&b, "%s:%s ", fs->at[i].name == NULL ? "" : fs->at[i].name,
			   msg_type(fs->at[i].msg));
		if (fs->at[i].line > 0)
			buf_printf(&b, "%d,%d ", fs->at[i].line, fs->at[i].column);
	}
	return b.text;
}

static void
test_bodies(struct arena *a)
{
	for (size_t i = 0; i < NELEM(BODIES); i++) {
		struct faults fs = { 0 };
		struct user u;
		enum err e =
			doc_read(a, &USER, BODIES[i].use, BODIES[i].text, BODIES[i].len, &u, &fs);

		ok(e == BODIES[i].e, "%s: %s", BODIES[i].what,
		   BODIES[i].e == OK ? "read" : err_row(BODIES[i].e)->name);
		is_text(faults_text(a, &fs), BODIES[i].faults, "with these faults");
	}
}

/* Limits are counted in characters of Hangul, three bytes each. */
static void
test_lengths(struct arena *a)
{
	static const struct {
		const char *member;
		int most;
	} LENGTHS[] = { { "name", 100 }, { "nickname", 50 }, { "password", 128 } };

	for (size_t i = 0; i < NELEM(LENGTHS); i++) {
		for (int n = LENGTHS[i].most; n <= LENGTHS[i].most + 1; n++) {
			struct buf b = buf_new(a, 512);
			struct faults fs = { 0 };
			struct user u;
			enum err e;

			buf_printf(&b, "{\"%s\":\"", LENGTHS[i].member);
			for (int k = 0; k < n; k++)
				buf_lit(&b, "홍");
			buf_lit(&b, "\"}");
			e = doc_read(a, &USER, IN_CREATE, b.text, b.len, &u, &fs);
			ok(e == E_INVALID && (strstr(faults_text(a, &fs), "string_too_long") !=
					      NULL) == (n > LENGTHS[i].most),
			   "%s of %d letters", LENGTHS[i].member, n);
		}
	}
}

static void
test_depth(struct arena *a)
{
	static const int DEPTHS[] = { 100, 2000, DEEP };
	static char text[3 * DEEP];

	for (size_t i = 0; i < NELEM(DEPTHS); i++) {
		struct faults fs = { 0 };
		struct user u;
		int n = DEPTHS[i], at = sprintf(text, "{\"name\":");
		enum err e;

		memset(text + at, '[', (size_t)n);
		memset(text + at + n, ']', (size_t)n);
		text[at + 2 * n] = '}';
		e = doc_read(a, &USER, IN_CHANGE, text, (size_t)(at + 2 * n + 1), &u, &fs);
		ok(e == (n == DEEP ? E_MALFORMED : E_INVALID), "%d arrays, one in another", n);
		memset(text, '[', sizeof(text));
		ok(doc_read(a, &USER, IN_CHANGE, text, (size_t)n, &u, &fs) == E_MALFORMED,
		   "%d that are not closed", n);
	}
}

static void
test_many_faults(struct arena *a)
{
	struct buf b = buf_new(a, 1024);
	struct faults fs = { 0 };
	struct user u;

	for (int i = 0; i < 500; i++)
		buf_printf(&b, "%c\"x%d\":%d", i == 0 ? '{' : ',', i, i);
	buf_char(&b, '}');
	is_int(doc_read(a, &USER, IN_CREATE, b.text, b.len, &u, &fs), E_INVALID,
	       "500 unknown fields are refused");
	is_int(fs.n, FAULTS_MOST, "and as many named as there is room for");
}

static bool
has(uint64_t bits, const char *name)
{
	return (bits >> (field_find(&USER, ~0u, name) - USER.field) & 1) != 0;
}

static void
test_values(struct arena *a)
{
	static const char BODY[] =
		"{\"name\":\"  홍 길동 \",\"email\":\"Hong@EXAMPLE.com\",\"age\":null,\"phone\":\"010\"}";
	struct faults fs = { 0 };
	struct user u;
	struct buf b = buf_new(a, 16);

	memset(&u, 0xff, sizeof(u));
	is_int(doc_read(a, &USER, IN_REPLACE, BODY, sizeof(BODY) - 1, &u, &fs), OK,
	       "a body is read over what was there");
	is_text(u.name, "홍 길동", "a text, as its rule left it");
	is_text(u.email, "Hong@example.com", "an address, as its rule left it");
	ok(u.age == NO_INT && u.nickname == NULL && u.password == NULL,
	   "what is null or absent is null");
	ok(has(u.given.set, "name") && has(u.given.set, "age") && !has(u.given.set, "nickname"),
	   "what was given is known");
	ok(has(u.given.null, "age") && !has(u.given.null, "name"),
	   "what was given as null is known");
	doc_print_given(&b, &USER, IN_ROW, &u);
	is_text(b.text,
		"{\"name\":\"홍 길동\",\"email\":\"Hong@example.com\",\"age\":null,\"phone\":\"010\"}",
		"only what was given is printed");
	b = buf_new(a, 16);
	doc_print_given(&b, &USER, IN_LOGIN_ROW, &u);
	is_text(b.text, "{}", "nothing of a use that was not given");
}

static void
test_printing(struct arena *a)
{
	struct user u = { .id = INT64_MAX,
			  .name = "\"홍\"\\\n",
			  .email = "a@example.com",
			  .age = NO_INT,
			  .status = "active",
			  .role = "user",
			  .login_count = 0,
			  .password = "secret-1",
			  .password_hash = "secret-2",
			  .version = 7,
			  .created_at = "2026-01-01T00:00:00.000000Z",
			  .updated_at = "2026-01-02T00:00:00.000000Z" };
	struct buf b = buf_new(a, 16);
	json_t *doc;

	doc_print(&b, &USER, SHOWN, &u);
	doc = json_loadb(b.text, b.len, JSON_REJECT_DUPLICATES, NULL);
	if (!ok(doc != NULL, "what is printed is JSON"))
		return;
	ok(json_integer_value(json_object_get(doc, "id")) == INT64_MAX, "a large number is whole");
	is_text(json_string_value(json_object_get(doc, "name")), u.name,
		"a text comes back as it was");
	ok(json_is_null(json_object_get(doc, "age")) && json_is_null(json_object_get(doc, "phone")),
	   "null is null");
	is_int((long long)json_object_size(doc), 11, "the fields of the contract and no other");
	ok(strstr(b.text, "secret") == NULL && json_object_get(doc, "version") == NULL,
	   "a secret is never among them");
	json_decref(doc);
}

struct bag {
	const char *data, *links;
};

static const struct shape BAG =
	SHAPE(struct bag,
	{ F_AS(struct bag, data, K_OBJECT), .use = 1, .max = 200 },
	{ F_AS(struct bag, links, K_LIST), .use = 1, .min = 0, .max = 3, .rule = rule_line });

static const struct {
	const char *what, *text, *printed, *faults; /* printed NULL: refused */
} BAGS[] = {
	{ "an empty object", "{\"data\": { } }", "{\"data\":{},\"links\":null}", "" },
	{ "every kind of value",
	  "{\"data\":{\"a\":[1,-2,0.1,1.0,-2e5,true,false,null,\"홍\\n\"],\"\":{\"b\":[]}}}",
	  "{\"data\":{\"a\":[1,-2,0.1,1.0,-200000.0,true,false,null,\"홍\\n\"],\"\":{\"b\":[]}},\"links\":null}",
	  "" },
	{ "the greatest and the least number",
	  "{\"data\":{\"a\":[9223372036854775807,-9223372036854775808]}}",
	  "{\"data\":{\"a\":[9223372036854775807,-9223372036854775808]},\"links\":null}", "" },
	{ "seventeen digits where they are needed", "{\"data\":{\"a\":0.30000000000000004}}",
	  "{\"data\":{\"a\":0.30000000000000004},\"links\":null}", "" },
	{ "reals beyond all integers, written out",
	  "{\"data\":{\"a\":[1e19,-1.25e17,123456789012345678.0]}}",
	  "{\"data\":{\"a\":[10000000000000000000.0,-125000000000000000.0,123456789012345680.0]},\"links\":null}",
	  "" },
	{ "reals next to nothing, written out", "{\"data\":{\"a\":[-2.5e-7,1e-5,1e-20,-0.0]}}",
	  "{\"data\":{\"a\":[-0.00000025,0.00001,0.00000000000000000001,-0.0]},\"links\":null}",
	  "" },
	{ "a real that is too large when written out", "{\"data\":{\"a\":1e200}}", NULL,
	  "data:too_big " },
	{ "a list, each as its rule leaves it", "{\"links\":[\" a \",\"b\"]}",
	  "{\"data\":null,\"links\":[\"a\",\"b\"]}", "" },
	{ "an empty list", "{\"links\":[]}", "{\"data\":null,\"links\":[]}", "" },
	{ "an array for an object", "{\"data\":[]}", NULL, "data:dict_type " },
	{ "a text for an object", "{\"data\":\"{}\"}", NULL, "data:dict_type " },
	{ "a real for an object", "{\"data\":1.5}", NULL, "data:dict_type " },
	{ "an object for a list", "{\"links\":{}}", NULL, "links:list_type " },
	{ "a text for a list", "{\"links\":\"a\"}", NULL, "links:list_type " },
	{ "a number in a list", "{\"links\":[\"a\",1]}", NULL, "links:string_type " },
	{ "an item that its rule refuses", "{\"links\":[\"a\\u0007\"]}", NULL,
	  "links:control_characters " },
	{ "one item too many", "{\"links\":[\"a\",\"b\",\"c\",\"d\"]}", NULL, "links:items " },
	{ "an object too large",
	  "{\"data\":{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}",
	  NULL, "data:too_big " },
};

static void
test_bags(struct arena *a)
{
	for (size_t i = 0; i < NELEM(BAGS); i++) {
		struct faults fs = { 0 };
		struct bag bag;
		struct buf b = buf_new(a, 16);
		enum err e = doc_read(a, &BAG, 1, BAGS[i].text, strlen(BAGS[i].text), &bag, &fs);

		ok(e == (BAGS[i].printed == NULL ? E_INVALID : OK), "%s: %s", BAGS[i].what,
		   BAGS[i].printed == NULL ? "refused" : "read");
		is_text(faults_text(a, &fs), BAGS[i].faults, "with these faults");
		doc_print(&b, &BAG, 1, &bag);
		if (e == OK)
			is_text(b.text, BAGS[i].printed, "and printed as it was");
	}
}

static void
test_sign_in(struct arena *a)
{
	static const char BODY[] = "{\"email\":\" not an address \",\"password\":\" x \"}",
			  EMPTY[] = "{\"email\":\"\"}";
	struct faults fs = { 0 };
	struct sign_in in;

	is_int(doc_read(a, &SIGN_IN, IN_CREATE, BODY, sizeof(BODY) - 1, &in, &fs), OK,
	       "a login is no place to judge an address");
	is_text(in.password, " x ", "a password is taken as received");
	is_int(doc_read(a, &SIGN_IN, IN_CREATE, EMPTY, sizeof(EMPTY) - 1, &in, &fs), E_INVALID,
	       "an empty login is refused");
	is_text(faults_text(a, &fs), "email:string_too_short password:missing ", "with its faults");
}

int
main(void)
{
	struct arena *a = arena_new(64 * 1024);

	doc_init();
	test_bodies(a);
	test_lengths(a);
	test_depth(a);
	test_many_faults(a);
	test_values(a);
	test_printing(a);
	test_bags(a);
	test_sign_in(a);
	arena_free(&a);
	return tap_end();
}
