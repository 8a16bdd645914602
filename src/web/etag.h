/*
 * etag: entity tags of ours, which are versions, "7", and where changes are written behind the
 * version and how many of them are pending, "7.2".
 */
#ifndef ETAG_H
#define ETAG_H

#include <stdbool.h>
#include <stdint.h>

struct etag {
	bool any;	 /* it was '*' */
	bool weak;	 /* W/"7" */
	int64_t version; /* 0: a tag, but none of ours */
	int64_t pending;
};

/* The next of a list of tags (RFC 9110, 8.8.3) at *list, which moves on; false at its end. */
bool etag_next(const char **list, struct etag *out_r);

#endif
