/* smtp: libcurl's upload, and what its many ends mean to us. */
#include "smtp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "arena.h"

enum { IDLE_S = 30, CONNECT_MS = 10000 };

struct smtp {
	const struct smtp_conf *conf;
	CURL *curl;
	const char *rest; /* of the message, not sent yet */
	size_t rest_len;
	bool addressed; /* the server knows for whom it is: what it says now is about this mail */
	char why[128];	/* codes of its last answer, or libcurl's word */
};

static size_t
on_read(char *to, size_t size, size_t n, void *arg)
{
	struct smtp *s = arg;
	size_t len = size * n < s->rest_len ? size * n : s->rest_len;

	memcpy(to, s->rest, len);
	s->rest += len;
	s->rest_len -= len;
	return len;
}

/* Of a refusal "550" and, where it follows, "5.1.1"; not the words, which may name people. */
static void
keep_codes(struct smtp *s, const char *line, size_t len)
{
	size_t n = 0;

	if (len == 0 || (line[0] != '4' && line[0] != '5'))
		return;
	while (n < len && n < 24 &&
	       (isdigit((unsigned char)line[n]) || line[n] == '.' ||
		((line[n] == ' ' || line[n] == '-') && n == 3)))
		n++;
	snprintf(s->why, sizeof(s->why), "%.*s", (int)n, line);
}

/* What was said by whom. Never printed: a login is among it. */
static int
on_talk(CURL *curl, curl_infotype type, char *text, size_t len, void *arg)
{
	struct smtp *s = arg;

	(void)curl;
	if (type == CURLINFO_HEADER_OUT && len > 8 && strncmp(text, "RCPT TO:", 8) == 0)
		s->addressed = true;
	if (type == CURLINFO_HEADER_IN)
		keep_codes(s, text, len);
	return 0;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct smtp *s = arg;

	(void)a, (void)b, (void)c, (void)d;
	return s->conf->give_up();
}

/* What does not change from mail to mail. A login is only ever sent under TLS. */
static void
set_up(struct smtp *s)
{
	bool tls = s->conf->tls_required || strchr(s->conf->url, '@') != NULL;
	CURL *c = s->curl;

	curl_easy_setopt(c, CURLOPT_URL, s->conf->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
	if (s->conf->ca_file != NULL)
		curl_easy_setopt(c, CURLOPT_CAINFO, s->conf->ca_file);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(s->conf->wait_ms < CONNECT_MS ? s->conf->wait_ms : CONNECT_MS));
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)s->conf->wait_ms);
	curl_easy_setopt(c, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(s->conf->wait_ms + 999) / 1000);
	curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)IDLE_S);
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(c, CURLOPT_READDATA, s);
	curl_easy_setopt(c, CURLOPT_VERBOSE, 1L); /* for on_talk */
	curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_talk);
	curl_easy_setopt(c, CURLOPT_DEBUGDATA, s);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
}

struct smtp *
smtp_open(const struct smtp_conf *conf)
{
	struct smtp *s = must_alloc(sizeof(*s));

	*s = (struct smtp){ .conf = conf };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (s->curl = curl_easy_init()) == NULL)
		abort();
	set_up(s);
	return s;
}

void
smtp_close(struct smtp **s)
{
	if (*s == NULL)
		return;
	curl_easy_cleanup((*s)->curl);
	curl_global_cleanup();
	free(*s);
	*s = NULL;
}

/* A refusal before the recipient was named would meet every mail. */
static enum err
outcome(struct smtp *s, CURLcode rc)
{
	long code = 0;

	if (rc == CURLE_OK)
		return OK;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &code);
	if (s->addressed && code >= 400 && code < 500)
		return E_BUSY;
	if (s->addressed && code >= 500 && code < 600)
		return E_INVALID;
	if (code < 400 || code >= 600)
		snprintf(s->why, sizeof(s->why), "%s", curl_easy_strerror(rc));
	return E_UNAVAILABLE;
}

enum err
smtp_send(struct smtp *s, const char *from, const char *to, const char *message, size_t len,
	  const char **why_r)
{
	struct curl_slist *rcpt = curl_slist_append(NULL, to);
	CURLcode rc;

	if (rcpt == NULL)
		abort();
	s->rest = message;
	s->rest_len = len;
	s->addressed = false;
	s->why[0] = '\0';
	curl_easy_setopt(s->curl, CURLOPT_MAIL_FROM, from);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, rcpt);
	curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
	rc = curl_easy_perform(s->curl);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, NULL);
	curl_slist_free_all(rcpt);
	*why_r = s->why;
	return outcome(s, rc);
}
