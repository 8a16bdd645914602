/*
 * oauth: the token endpoint of RFC 6749, for stock clients and manual pages: the grants
 * password (4.3) and refresh_token (6), which do what login and refresh do.
 *
 * All clients are public and have no names: client_id, client_secret and scope are passed
 * over, like all that the endpoint does not know (3.2).
 */
#ifndef OAUTH_H
#define OAUTH_H

#include "http.h"

struct token_request {
	const char *grant_type, *username, *password, *refresh_token;
};

/* A refusal (5.2). */
struct oauth_error {
	const char *error, *error_description;
};

extern const struct shape TOKEN_REQUEST, OAUTH_ERROR;

/* In place of a problem document: {error, error_description}, in English and ASCII as the RFC
 * wants it, with the status 400 where the caller is at fault. */
void oauth_refuse(struct req *rq, enum err e);

#endif
