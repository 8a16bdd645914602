/*
 * err: every way a call can end, and what that means to each reader.
 *
 * One table answers the client (status, code, sentence), the log (whose fault) and
 * the consumer of events (may it be tried again). It never logs and never prints.
 */
#ifndef ERR_H
#define ERR_H

#include <stdbool.h>

enum fault { CALLER, OURS };

/* clang-format off */
/*    name          http  code                  fault   again   English, Korean */
#define ERR_LIST(X)                                                                        \
	X(MALFORMED,     400, "malformed",           CALLER, false,                        \
	  "The request could not be read", "요청을 읽을 수 없습니다")                      \
	X(EMAIL_TAKEN,   400, "email_taken",         CALLER, false,                        \
	  "This email address is already in use", "이미 존재하는 이메일입니다")            \
	X(GRANT_TYPE,    400, "unsupported_grant_type", CALLER, false,                     \
	  "This grant type is not supported", "지원하지 않는 grant_type 입니다")           \
	X(NO_TOKEN,      401, "token_missing",       CALLER, false,                        \
	  "An access token is required", "접근 토큰이 필요합니다")                         \
	X(BAD_TOKEN,     401, "token_invalid",       CALLER, false,                        \
	  "The access token is not valid, has expired or its session has ended",           \
	  "접근 토큰이 올바르지 않거나 만료되었거나 세션이 종료되었습니다")                \
	X(DENIED,        401, "bad_credentials",     CALLER, false,                        \
	  "Wrong email or password", "이메일 또는 비밀번호가 올바르지 않습니다")           \
	X(BAD_REFRESH,   401, "refresh_invalid",     CALLER, false,                        \
	  "The refresh token is not valid, or its session has ended",                      \
	  "갱신 토큰이 올바르지 않거나 세션이 종료되었습니다")                             \
	X(FORBIDDEN,     403, "forbidden",           CALLER, false,                        \
	  "You may not do this", "권한이 없습니다")                                        \
	X(NO_ROUTE,      404, "not_found",           CALLER, false,                        \
	  "There is nothing at this path", "요청한 경로를 찾을 수 없습니다")               \
	X(NOT_FOUND,     404, "user_not_found",      CALLER, false,                        \
	  "There is no such user", "사용자를 찾을 수 없습니다")                            \
	X(NO_SESSION,    404, "session_not_found",   CALLER, false,                        \
	  "You have no such session", "해당 세션을 찾을 수 없습니다")                      \
	X(NO_PROFILE,    404, "profile_not_found",   CALLER, false,                        \
	  "This user has no profile", "이 사용자의 프로필이 없습니다")                     \
	X(NO_SAGA,       404, "saga_not_found",      CALLER, false,                        \
	  "There is no such saga", "해당 사가를 찾을 수 없습니다")                         \
	X(METHOD,        405, "method_not_allowed",  CALLER, false,                        \
	  "This method is not allowed here", "허용되지 않는 메서드입니다")                 \
	X(CONFLICT,      409, "conflict",            CALLER, false,                        \
	  "The request conflicts with another one", "다른 요청과 충돌합니다")              \
	X(LAST_ADMIN,    409, "last_admin",          CALLER, false,                        \
	  "The last active admin must stay one", "마지막 활성 관리자는 유지되어야 합니다") \
	X(STALE,         412, "stale_version",       CALLER, false,                        \
	  "The resource has changed since you read it", "리소스가 그 사이에 변경되었습니다") \
	X(TOO_LARGE,     413, "too_large",           CALLER, false,                        \
	  "The request is too large", "요청이 너무 큽니다")                                \
	X(URI_TOO_LONG,  414, "uri_too_long",        CALLER, false, /* nginx's alone */    \
	  "The address is too long", "주소가 너무 깁니다")                                 \
	X(MEDIA_TYPE,    415, "unsupported_media_type", CALLER, false,                     \
	  "The body must be application/json", "본문은 application/json 이어야 합니다")    \
	X(INVALID,       422, "invalid",             CALLER, false,                        \
	  "Some values are not valid", "올바르지 않은 값이 있습니다")                      \
	X(LIMITED,       429, "slow_down",           CALLER, true,                         \
	  "Too many requests", "요청이 너무 많습니다")                                     \
	X(BUG,           500, "internal",            OURS,   false,                        \
	  "Something went wrong on our side", "서버 내부 오류가 발생했습니다")             \
	X(BUSY,          503, "busy",                OURS,   true,                         \
	  "The service is busy, try again", "서비스가 혼잡합니다. 다시 시도해 주세요")     \
	X(UNAVAILABLE,   503, "unavailable",         OURS,   true,                         \
	  "The service is not available just now", "지금은 서비스를 사용할 수 없습니다")   \
	X(UNCERTAIN,     503, "uncertain",           OURS,   false,                        \
	  "The connection broke before the outcome was known",                             \
	  "결과를 확인하기 전에 연결이 끊어졌습니다")                                      \
	X(TIMEOUT,       504, "timeout",             OURS,   false, /* nginx's alone */    \
	  "The answer took too long", "응답 시간이 초과되었습니다")

#define X(name, ...) E_##name,
enum err { OK, ERR_LIST(X) ERR_COUNT };
#undef X
/* clang-format on */

struct err_row {
	const char *name; /* as in the source: NOT_FOUND */
	int http;
	const char *code; /* the public word; a closed, documented list */
	enum fault fault;
	bool again; /* the same call may succeed later */
	const char *en, *ko;
};

/* The row of `e`, which is neither OK nor out of range. Never NULL. */
const struct err_row *err_row(enum err e);

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
