/*
 * denylist: a file of passwords that are refused, looked up where it lies.
 *
 * One a line, in the order of `LC_ALL=C sort -u`, UTF-8, with LF or CRLF. It is mapped, not
 * read: a list of any length costs a worker a few pages. Replace it by renaming another over
 * it, then restart; a file that is cut short under a running worker ends that worker.
 */
#ifndef DENYLIST_H
#define DENYLIST_H

#include "err.h"

#include <stdbool.h>

/* Map the file in place of the one before; NULL or an empty one (/dev/null): nothing is denied.
 * E_BUG, logged, where it can't be read or is out of order (with the line). */
enum err denylist_open(const char *path) MUST_CHECK;

/* Does a line say exactly this? */
bool denylist_has(const char *password);

#endif
