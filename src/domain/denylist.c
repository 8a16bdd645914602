/* denylist: a binary search over bytes, not lines: no index has to be kept. */
#include "denylist.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static struct {
	const char *text; /* no NUL behind it */
	size_t len;
} list = { "", 0 };

/* Where the line at `from` ends, and how long it is without its CR. */
static size_t
line_end(size_t from, size_t *len_r)
{
	const char *lf = memchr(list.text + from, '\n', list.len - from);
	size_t end = lf == NULL ? list.len : (size_t)(lf - list.text);

	*len_r = end - from;
	if (*len_r > 0 && list.text[end - 1] == '\r')
		--*len_r;
	return end;
}

/* <0, 0 or >0, by bytes. */
static int
order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int by_bytes = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return by_bytes != 0 ? by_bytes : (a_len > b_len) - (a_len < b_len);
}

/* The first line that is not after the one before it; 0: all is in order. */
static int64_t
line_out_of_order(void)
{
	size_t before = 0, before_len = 0, len;
	int64_t n = 1;

	for (size_t at = 0; at < list.len; at = line_end(at, &len) + 1, n++) {
		line_end(at, &len);
		if (n > 1 && order(list.text + before, before_len, list.text + at, len) >= 0)
			return n;
		before = at;
		before_len = len;
	}
	return 0;
}

static bool
map(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st = { 0 };
	void *text = NULL;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (text != NULL && text != MAP_FAILED) {
		list.text = text;
		list.len = (size_t)st.st_size;
	}
	return text != MAP_FAILED;
}

enum err
denylist_open(const char *path)
{
	int64_t line;

	if (list.len > 0)
		munmap((void *)(uintptr_t)list.text, list.len);
	list.text = "";
	list.len = 0;
	if (path == NULL)
		return OK;
	if (!map(path))
		return log_error(EV("denylist.unreadable"), KS("setting", "PASSWORD_DENYLIST_FILE"),
				 KS("file", path), KS("why", strerror(errno)),
				 KS("mend", "name a file that can be read, or /dev/null for none")),
		       E_BUG;
	if ((line = line_out_of_order()) != 0)
		return log_error(EV("denylist.unsorted"), KS("setting", "PASSWORD_DENYLIST_FILE"),
				 KS("file", path), KI("line", line),
				 KS("mend", "LC_ALL=C sort -u")),
		       E_BUG;
	if (list.len > 0) /* we have seen every page of it: let go of them */
		madvise((void *)(uintptr_t)list.text, list.len, MADV_DONTNEED);
	return OK;
}

/* Between `low` and `high`, which are where lines begin, or the end. */
bool
denylist_has(const char *password)
{
	size_t want = strlen(password), low = 0, high = list.len;

	while (low < high) {
		size_t at = low + (high - low) / 2, end, len;
		int way;

		while (at > low && list.text[at - 1] != '\n')
			at--;
		end = line_end(at, &len);
		way = order(password, want, list.text + at, len);
		if (way == 0)
			return true;
		if (way < 0)
			high = at;
		else
			low = end + 1;
	}
	return false;
}
