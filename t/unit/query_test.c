/* query: percent-encoding, and every parameter that is wrong named at once. */
#include "query.h"

#include "directory.h"
#include "tap.h"

struct search {
	const char *q;
	int64_t limit;
	bool exact;
};

static const struct shape SEARCH = SHAPE(struct search,
	{ F(struct search, q), .use = 1, .need = 1, .min = 1, .max = 10 },
	{ F(struct search, limit), .use = 1, .min = 1, .max = 100, .def = "10" },
	{ F(struct search, exact), .use = 1 });

/* What is read of it, "q limit exact"; or NULL, and the faults as "name:type ". */
static const struct {
	const char *what, *text, *read, *faults;
} SEARCHES[] = {
	{ "plain", "q=abc&limit=5&exact=1", "abc 5 1", "" },
	{ "defaults", "q=abc", "abc 10 0", "" },
	{ "a plus is a blank", "q=a+b", "a b 10 0", "" },
	{ "a coded plus is a plus", "q=a%2Bb", "a+b 10 0", "" },
	{ "upper and lower hexadecimal", "q=%4a%4A", "JJ 10 0", "" },
	{ "coded signs of the form itself", "q=%26%3D%25", "&=% 10 0", "" },
	{ "a second equals sign belongs to the value", "q=a=b", "a=b 10 0", "" },
	{ "Hangul", "q=%ED%99%8D%EA%B8%B8%EB%8F%99", "홍길동 10 0", "" },
	{ "Hangul as it is", "q=홍", "홍 10 0", "" },
	{ "a coded name", "%71=a", "a 10 0", "" },
	{ "empty pairs", "&&q=a&", "a 10 0", "" },
	{ "a percent sign alone", "q=100%", "100% 10 0", "" },
	{ "a percent sign before one digit", "q=%4", "%4 10 0", "" },
	{ "a percent sign before no digits", "q=%zz", "%zz 10 0", "" },
	{ "decoded once only", "q=%2541", "%41 10 0", "" },
	{ "ten letters of three bytes", "q=홍홍홍홍홍홍홍홍홍홍", "홍홍홍홍홍홍홍홍홍홍 10 0", "" },

	{ "nothing", "", NULL, "q:missing " },
	{ "no value", "q", NULL, "q:string_too_short " },
	{ "an empty value", "q=", NULL, "q:string_too_short " },
	{ "eleven letters", "q=홍홍홍홍홍홍홍홍홍홍홍", NULL, "q:string_too_long " },
	{ "bad UTF-8", "q=%FF", NULL, "q:string_unicode " },
	{ "half a letter", "q=%ED%99", NULL, "q:string_unicode " },
	{ "a surrogate", "q=%ED%A0%80", NULL, "q:string_unicode " },
	{ "NUL", "q=a%00b", NULL, "q:string_unicode " },
	{ "NUL in a name", "q%00=a&q=a", NULL, "(not shown):extra_forbidden " },
	{ "twice", "q=a&q=b", NULL, "q:repeated " },
	{ "twice, once coded", "q=a&%71=a", NULL, "q:repeated " },
	{ "three times", "q=a&q=a&q=a", NULL, "q:repeated q:repeated " },
	{ "an unknown name", "q=a&x=1", NULL, "x:extra_forbidden " },
	{ "a name of another spelling", "q=a&Q=a", NULL, "Q:extra_forbidden " },
	{ "no name", "q=a&=1", NULL, ":extra_forbidden " },
	{ "a name of bad UTF-8", "q=a&%FF=1", NULL, "(not shown):extra_forbidden " },
	{ "a very long name",
	  "q=a&xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=1", NULL,
	  "(not shown):extra_forbidden " },
	{ "several at once", "limit=0&x=1&exact=maybe", NULL,
	  "limit:out_of_range x:extra_forbidden exact:bool_type q:missing " },
};

/* The list's: skip and limit, or its faults. */
static const struct {
	const char *text, *read, *faults;
} LISTS[] = {
	{ "", "0 100 -", "" },
	{ "skip=0&limit=1&status=active", "0 1 active", "" },
	{ "limit=1000&status=inactive", "0 1000 inactive", "" },
	{ "skip=1099511627776", "1099511627776 100 -", "" },
	{ "skip=1099511627777", NULL, "skip:out_of_range " },
	{ "skip=-1", NULL, "skip:out_of_range " },
	{ "skip=9223372036854775808", NULL, "skip:int_parsing " },
	{ "skip=18446744073709551617", NULL, "skip:int_parsing " },
	{ "skip=1e3", NULL, "skip:int_parsing " },
	{ "skip=1.0", NULL, "skip:int_parsing " },
	{ "skip=+1", NULL, "skip:int_parsing " },
	{ "skip=01", NULL, "skip:int_parsing " },
	{ "skip=", NULL, "skip:int_parsing " },
	{ "skip", NULL, "skip:int_parsing " },
	{ "skip=%31%30", "10 100 -", "" },
	{ "skip=١", NULL, "skip:int_parsing " },
	{ "limit=0", NULL, "limit:out_of_range " },
	{ "limit=1001", NULL, "limit:out_of_range " },
	{ "limit=5&limit=5", NULL, "limit:repeated " },
	{ "status=", NULL, "status:enum " },
	{ "status=Active", NULL, "status:enum " },
	{ "status=active'--", NULL, "status:enum " },
	{ "skip=x&limit=0&status=x&cursor=1", NULL,
	  "skip:int_parsing limit:out_of_range status:enum cursor:cursor " },
};

static const char *
faults_text(struct arena *a, const struct faults *fs)
{
	struct buf b = buf_new(a, 64);

	for (int i = 0; i < fs->n; i++)
		buf_printf(&b, "%s:%s ", fs->at[i].name, msg_type(fs->at[i].msg));
	return b.text;
}

static void
check(struct arena *a, const char *what, const char *read, const char *faults, enum err e,
      const char *got, const struct faults *fs)
{
	ok(e == (read == NULL ? E_INVALID : OK), "%s: %s", what, read == NULL ? "refused" : "read");
	is_text(faults_text(a, fs), faults, "with these faults");
	if (read != NULL)
		is_text(got, read, "with these values");
}

/* What a link to another page repeats of the request. */
static void
test_printing(struct arena *a)
{
	static const struct {
		const char *text, *printed;
	} LINKS[] = {
		{ "", "?cursor=x%2F1%20%ED%99%8D" },
		{ "limit=100&skip=5", "?cursor=x%2F1%20%ED%99%8D" },
		{ "limit=7&status=active", "?limit=7&status=active&cursor=x%2F1%20%ED%99%8D" },
	};

	for (size_t i = 0; i < NELEM(LINKS); i++) {
		struct faults fs = { 0 };
		struct user_list l;
		struct buf b = buf_new(a, 16);

		is_int(query_read(a, &USER_LIST, LINKS[i].text, &l, &fs), OK, LINKS[i].text);
		query_print(&b, &USER_LIST, &l, "cursor", "x/1 홍");
		is_text(b.text, LINKS[i].printed, "the same, on another page");
	}
}

int
main(void)
{
	struct arena *a = arena_new(16 * 1024);
	struct faults none = { 0 };

	for (size_t i = 0; i < NELEM(SEARCHES); i++) {
		struct faults fs = { 0 };
		struct search s;
		enum err e;

		memset(&s, 0xff, sizeof(s));
		e = query_read(a, &SEARCH, SEARCHES[i].text, &s, &fs);
		check(a, SEARCHES[i].what, SEARCHES[i].read, SEARCHES[i].faults, e,
		      e == OK ? arena_printf(a, "%s %lld %d", s.q, (long long)s.limit, s.exact)
			      : NULL,
		      &fs);
	}
	for (size_t i = 0; i < NELEM(LISTS); i++) {
		struct faults fs = { 0 };
		struct user_list l;
		enum err e = query_read(a, &USER_LIST, LISTS[i].text, &l, &fs);

		check(a, LISTS[i].text, LISTS[i].read, LISTS[i].faults, e,
		      arena_printf(a, "%lld %lld %s", (long long)l.skip, (long long)l.limit,
				   l.status ? l.status : "-"),
		      &fs);
	}
	test_printing(a);
	is_int(query_read(a, NULL, "", NULL, &none), OK,
	       "where no parameter is allowed, none is fine");
	is_int(query_read(a, NULL, "a=1&b", NULL, &none), E_INVALID, "and any is refused");
	is_text(faults_text(a, &none), "a:extra_forbidden b:extra_forbidden ", "by name");
	arena_free(&a);
	return tap_end();
}
