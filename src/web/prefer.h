/*
 * prefer: what the client would like (RFC 7240), of what we know.
 */
#ifndef PREFER_H
#define PREFER_H

#include <stdbool.h>

/* Does `prefer`, the header's value, say respond-async? */
bool prefer_async(const char *prefer);

#endif
