/*
 * msg: what can be wrong with one value, said in every language we speak.
 *
 * `type` is the machine's word for it, as in FastAPI's and pydantic's 422 documents.
 * In the sentences {min}, {max} and {choices} stand for the field's own limits, {mins} and {maxs}
 * for the s of so many.
 */
#ifndef MSG_H
#define MSG_H

#include "buf.h"

/* clang-format off */
/*    name            type                  English, Korean */
#define MSG_LIST(X)                                                                       \
	X(MISSING,        "missing",            "This field is required",                 \
	  "필수 항목입니다")                                                              \
	X(EXTRA,          "extra_forbidden",    "There is no field of this name here",    \
	  "허용되지 않는 항목입니다")                                                     \
	X(EXTRA_PARAMETER, "extra_forbidden",   "There is no parameter of this name here", \
	  "허용되지 않는 매개변수입니다")                                                 \
	X(REPEATED,       "repeated",           "This may be given only once",            \
	  "한 번만 지정할 수 있습니다")                                                   \
	X(NOTHING,        "nothing_to_change",  "At least one field must be given",       \
	  "변경할 항목이 하나 이상 필요합니다")                                           \
	X(JSON,           "json_invalid",       "Must be JSON; here it is not",           \
	  "JSON 이어야 합니다. 이 위치는 JSON 이 아닙니다")                               \
	X(JSON_ENDS,      "json_ends",          "The JSON ends before it is complete",    \
	  "JSON 이 완성되기 전에 끝났습니다")                                             \
	X(JSON_TWICE,     "json_duplicate",     "An object may have a name only once",    \
	  "한 객체에 같은 이름을 두 번 쓸 수 없습니다")                                   \
	X(JSON_NUL,       "json_nul",           "May not contain a NUL character",        \
	  "NUL 문자를 포함할 수 없습니다")                                                \
	X(JSON_NUMBER,    "json_number",        "A number must fit into 64 bits",         \
	  "숫자는 64비트 범위 안에 있어야 합니다")                                        \
	X(JSON_DEPTH,     "json_depth",         "Must not be nested so deeply",           \
	  "너무 깊이 중첩되어 있습니다")                                                  \
	X(NOT_OBJECT,     "dict_type",          "Must be a JSON object",                  \
	  "JSON 객체여야 합니다")                                                         \
	X(NOT_LIST,       "list_type",          "Must be a JSON array of strings",        \
	  "문자열의 JSON 배열이어야 합니다")                                              \
	X(TOO_BIG,        "too_big",            "Must have at most {max} bytes as JSON",  \
	  "JSON 으로 {max}바이트 이하여야 합니다")                                        \
	X(ITEMS,          "items",              "Must have {min} to {max} items",         \
	  "항목이 {min}-{max}개여야 합니다")                                              \
	X(NOT_TEXT,       "string_type",        "Must be a string",                       \
	  "문자열이어야 합니다")                                                          \
	X(NOT_INT,        "int_type",           "Must be a whole number",                 \
	  "정수여야 합니다")                                                              \
	X(NOT_BOOL,       "bool_type",          "Must be true or false",                  \
	  "true 또는 false 여야 합니다")                                                  \
	X(NOT_NULL,       "null_forbidden",     "May not be null",                        \
	  "null 일 수 없습니다")                                                          \
	X(INT_TEXT,       "int_parsing",        "Must be a whole number, in plain digits", \
	  "숫자로 된 정수여야 합니다")                                                    \
	X(NOT_UTF8,       "string_unicode",     "Must be valid UTF-8",                    \
	  "올바른 UTF-8 이어야 합니다")                                                   \
	X(TOO_SHORT,      "string_too_short",   "Must have at least {min} character{mins}", \
	  "{min}자 이상이어야 합니다")                                                    \
	X(TOO_LONG,       "string_too_long",    "Must have at most {max} character{maxs}", \
	  "{max}자 이하여야 합니다")                                                      \
	X(RANGE,          "out_of_range",       "Must be between {min} and {max}",        \
	  "{min}-{max} 사이여야 합니다")                                                  \
	X(CHOICE,         "enum",               "Must be one of: {choices}",              \
	  "다음 중 하나여야 합니다: {choices}")                                           \
	X(CONTROL,        "control_characters", "May not contain control characters",     \
	  "제어 문자를 포함할 수 없습니다")                                               \
	X(EMAIL,          "email",              "Must be a valid email address",          \
	  "올바른 이메일 주소여야 합니다")                                                \
	X(PHONE,          "phone",              "May contain digits, spaces, + - ( ) only", \
	  "숫자, 공백, + - ( ) 만 사용할 수 있습니다")                                    \
	X(EVENT_TYPE,     "event_type",         "Must begin with a letter; letters, digits, _ . - may follow", \
	  "영문자로 시작하고 영문자, 숫자, _ . - 만 사용할 수 있습니다")                  \
	X(RESERVED,       "reserved",           "This name is the service's own",         \
	  "서비스 전용 이름입니다")                                                       \
	X(URL,            "url",                "Must be an http or https address, at most 500 characters", \
	  "500자 이하의 http 또는 https 주소여야 합니다")                                 \
	X(LOCALE,         "locale",             "Must be a language tag such as ko-KR",   \
	  "ko-KR 과 같은 언어 태그여야 합니다")                                           \
	X(TIMEZONE,       "timezone",           "Must have the form of an IANA time zone name, such as Asia/Seoul", \
	  "Asia/Seoul 과 같은 IANA 시간대 이름 형식이어야 합니다")                                  \
	X(UUID,           "uuid",               "Must be a UUID",                         \
	  "UUID 여야 합니다")                                                             \
	X(CURSOR,         "cursor",             "Must be a cursor that a link of this list bore", \
	  "이 목록의 링크에서 받은 커서여야 합니다")                                      \
	X(NOT_BOTH,       "not_both",           "Can't be given together with a cursor",  \
	  "커서와 함께 사용할 수 없습니다")                                               \
	X(KEY,            "idempotency_key",    "Must have 1 to 255 visible ASCII characters", \
	  "1-255자의 ASCII 문자여야 합니다")                                              \
	X(KEY_USED,       "idempotency_key_used", "This key was given with another request", \
	  "다른 요청에 사용된 키입니다")                                                  \
	X(WITH_VERSION,   "not_both",           "Can't be given together with a version", \
	  "버전과 함께 사용할 수 없습니다")                                               \
	X(TIME,           "datetime_parsing",   "Must be a time such as 2026-01-31T09:00:00Z (in an address, + is written %2B)", \
	  "2026-01-31T09:00:00Z 와 같은 시각이어야 합니다 (주소에서 + 는 %2B 로 씁니다)")   \
	X(POSITION,       "position",           "Must be a position that an answer bore", \
	  "응답에서 받은 위치 값이어야 합니다")                                           \
	X(PASSWORD_SHORT, "string_too_short",   "The password must have at least {min} character{mins}", \
	  "비밀번호는 {min}자 이상이어야 합니다")                                         \
	X(PASSWORD_COMMON, "password_common",   "This password is too common",            \
	  "너무 흔한 비밀번호입니다")                                                     \
	X(HASH,           "password_hash",      "Must be a whole hash of a known scheme, and not too costly a one", \
	  "알려진 방식의 온전한 해시여야 하며 비용이 지나치지 않아야 합니다")                 \
	X(PASSWORD_WRONG, "password_wrong",     "This is not the current password",       \
	  "현재 비밀번호가 올바르지 않습니다")                                            \
	X(ONE_TIME_TOKEN, "one_time_token",     "This is not valid, was used before or has expired", \
	  "올바르지 않거나 이미 사용되었거나 만료되었습니다")                             \
	X(AGE_RANGE,      "out_of_range",       "The age must be between {min} and {max}", \
	  "나이는 {min}-{max} 사이여야 합니다")                                           \
	X(SETTING,        "setting",            "is not valid", "올바르지 않습니다")

#define X(name, ...) MSG_##name,
enum msg { MSG_OK, MSG_LIST(X) MSG_COUNT };
#undef X
/* clang-format on */

enum lang { EN, KO, LANG_COUNT };

struct field;

/* "en" or "ko". */
const char *msg_lang(enum lang lang);

/* The machine's word for `m`. */
const char *msg_type(enum msg m);

/* The sentence in `lang`, with the limits of `f` (may be NULL) filled in. */
void msg_print(struct buf *b, enum msg m, enum lang lang, const struct field *f);

#endif
