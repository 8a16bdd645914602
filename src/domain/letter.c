/* letter: the table of texts. */
#include "letter.h"

#include <string.h>

#include "clock.h"
#include "mime.h"

#include "onetime.h"
#include "settings.h"

enum { VERIFY_MINUTES = 3 * 24 * 60, RESET_MINUTES = 30 };

/* clang-format off */
static const struct letter {
	const char *kind;
	const char *purpose; /* of the token in its link; NULL: it has none */
	int64_t minutes;     /* that the link is good for */
	int64_t late_s;	     /* after which nobody waits for it any more; 0: always welcome */
	const char *page;    /* of the front end, under PUBLIC_URL */
	struct words {
		const char *subject, *text; /* {link} */
	} in[LANG_COUNT];
} LETTERS[] = {
	{ "welcome", "verify_email", VERIFY_MINUTES, 0, "/verify-email", {
	  [EN] = { "Welcome: please confirm your email address",
	    "Welcome!\n\n"
	    "An account was made with this email address. Please confirm that the address is yours:\n\n"
	    "{link}\n\n"
	    "The link works once, within three days.\n"
	    "If you did not make this account, you need not do anything.\n" },
	  [KO] = { "가입을 환영합니다. 이메일 주소를 확인해 주세요",
	    "환영합니다!\n\n"
	    "이 이메일 주소로 계정이 만들어졌습니다. 본인의 주소가 맞는지 확인해 주세요.\n\n"
	    "{link}\n\n"
	    "이 링크는 3일 안에 한 번만 사용할 수 있습니다.\n"
	    "직접 가입하지 않으셨다면 이 메일을 무시하셔도 됩니다.\n" } } },
	{ "verify_email", "verify_email", VERIFY_MINUTES, 0, "/verify-email", {
	  [EN] = { "Please confirm your new email address",
	    "An account now has this email address. Please confirm that the address is yours:\n\n"
	    "{link}\n\n"
	    "The link works once, within three days.\n"
	    "If the account is not yours, you need not do anything.\n" },
	  [KO] = { "새 이메일 주소를 확인해 주세요",
	    "계정의 이메일이 이 주소로 변경되었습니다. 본인의 주소가 맞는지 확인해 주세요.\n\n"
	    "{link}\n\n"
	    "이 링크는 3일 안에 한 번만 사용할 수 있습니다.\n"
	    "본인의 계정이 아니라면 이 메일을 무시하셔도 됩니다.\n" } } },
	{ "reset_password", "reset_password", RESET_MINUTES, RESET_MINUTES * 60, "/reset-password", {
	  [EN] = { "Choose a new password",
	    "Somebody, we hope you, asked for a new password for your account. Choose it here:\n\n"
	    "{link}\n\n"
	    "The link works once, within thirty minutes.\n"
	    "If it was not you, you need not do anything: your password stays as it is.\n" },
	  [KO] = { "비밀번호 재설정 안내",
	    "계정의 비밀번호 재설정이 요청되었습니다. 아래 링크에서 새 비밀번호를 정해 주세요.\n\n"
	    "{link}\n\n"
	    "이 링크는 30분 안에 한 번만 사용할 수 있습니다.\n"
	    "직접 요청하지 않으셨다면 이 메일을 무시하셔도 됩니다. 비밀번호는 바뀌지 않습니다.\n" } } },
	{ "email_changed", NULL, 0, 0, NULL, {
	  [EN] = { "Your email address was changed",
	    "Your account now has another email address; this one is no longer used.\n\n"
	    "If you did not change it, somebody else may have your password: please tell us at once.\n" },
	  [KO] = { "이메일 주소가 변경되었습니다",
	    "계정의 이메일 주소가 변경되어 이 주소는 더 이상 사용되지 않습니다.\n\n"
	    "직접 변경하지 않으셨다면 다른 사람이 비밀번호를 알고 있을 수 있으니 즉시 알려 주세요.\n" } } },
	{ "password_changed", NULL, 0, 0, NULL, {
	  [EN] = { "Your password was changed",
	    "The password of your account was changed, and you were logged out everywhere else.\n\n"
	    "If you did not change it, please ask for a new password at once.\n" },
	  [KO] = { "비밀번호가 변경되었습니다",
	    "계정의 비밀번호가 변경되었고 다른 곳에서는 모두 로그아웃되었습니다.\n\n"
	    "직접 변경하지 않으셨다면 즉시 비밀번호를 재설정해 주세요.\n" } } },
	{ "session_reused", NULL, 0, 0, NULL, {
	  [EN] = { "A session of yours was ended",
	    "A login of your account was used from two places, as happens when it is stolen.\n"
	    "We have ended that session. Please log in again, and change your password\n"
	    "if you don't know why this happened.\n" },
	  [KO] = { "세션이 종료되었습니다",
	    "계정의 로그인 정보가 두 곳에서 사용되었습니다. 도용되었을 가능성이 있어\n"
	    "해당 세션을 종료했습니다. 다시 로그인해 주시고, 짐작되는 이유가 없다면\n"
	    "비밀번호를 변경해 주세요.\n" } } },
};
/* clang-format on */

static const struct letter *
letter_of(const char *kind)
{
	for (size_t i = 0; i < NELEM(LETTERS); i++) {
		if (strcmp(LETTERS[i].kind, kind) == 0)
			return &LETTERS[i];
	}
	return NULL;
}

/* The text with the link in its place. */
static const char *
filled(struct ctx *c, const char *text, const char *link)
{
	static const char MARK[] = "{link}";
	const char *at = strstr(text, MARK);

	if (at == NULL)
		return text;
	return arena_printf(c->arena, "%.*s%s%s", (int)(at - text), text, link,
			    at + sizeof(MARK) - 1);
}

/* Whether or not PUBLIC_URL ends in a slash. */
static const char *
link_to(struct ctx *c, const char *page, const char *token)
{
	const char *base = c->conf->public_url;
	size_t len = strlen(base);

	len -= len > 0 && base[len - 1] == '/';
	return arena_printf(c->arena, "%.*s%s#token=%s", (int)len, base, page, token);
}

/* The event's id makes it the same mail each time it is sent. */
static const char *
message_id(struct ctx *c, const struct mail *m)
{
	return arena_printf(c->arena, "%s.%s%s", m->event_id, m->kind,
			    strrchr(c->conf->mail_from, '@'));
}

enum err
letter_write(struct ctx *c, const struct mail *m, struct buf *out, const char **why_r)
{
	const struct letter *l = letter_of(m->kind);
	const char *link = "", *token;
	const struct words *words;
	enum err e;

	*why_r = "no such kind";
	if (l == NULL)
		return E_INVALID;
	*why_r = "asked for too long ago";
	if (l->late_s != 0 && m->waited_s > l->late_s)
		return E_NOT_FOUND;
	*why_r = "no longer the user's address";
	if (l->purpose != NULL) {
		e = onetime_make(c, l->purpose, l->minutes, m, &token);
		if (e != OK)
			return e;
		link = link_to(c, l->page, token);
	}
	words = &l->in[strcmp(m->language, "ko") == 0 ? KO : EN];
	*why_r = "the address can't be written to";
	return mime_print(out, &(struct mime){ .from = c->conf->mail_from,
					       .to = m->recipient,
					       .message_id = message_id(c, m),
					       .subject = words->subject,
					       .text = filled(c, words->text, link),
					       .date_s = clock_wall_s() });
}
