/* kv: what a turn asks for, and hears together. */
#include "kv_link.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/*
 * Reading
 */

int
kv_ask(struct kv *kv, const char *key)
{
	size_t len = strlen(key);

	if (kv->asked == ASKED_MOST || len >= KEY_SIZE)
		return -1;
	memcpy(kv->key[kv->asked], key, len + 1);
	return kv->asked++;
}

void
kv_ask_rate(struct kv *kv, struct kv_rate *r)
{
	r->heard = false;
	r->next = NULL;
	*kv->rates_end = r;
	kv->rates_end = &r->next;
}

void
kv_ask_size(struct kv *kv, const char *key)
{
	kv->sized = key;
	kv->size = NO_SIZE;
}

int64_t
kv_size(const struct kv *kv)
{
	return kv->size;
}

static void
forget_rates(struct kv *kv)
{
	kv->rates = NULL;
	kv->rates_end = &kv->rates;
}

static bool
append_mget(struct kv *kv)
{
	static const char *argv[ASKED_MOST + 1] = { "MGET" };

	for (int i = 0; i < kv->asked; i++)
		argv[i + 1] = kv->key[i];
	return redisAppendCommandArgv(kv->c, kv->asked + 1, argv, NULL) == REDIS_OK;
}

static bool
append_rate(struct kv *kv, const struct kv_rate *r)
{
	char count[24], seconds[24];
	const char *argv[] = { "EVALSHA", kv->sha[RATE], "1", r->key, count, seconds };

	snprintf(count, sizeof(count), "%lld", (long long)r->count);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)r->seconds);
	return redisAppendCommandArgv(kv->c, NELEM(argv), argv, NULL) == REDIS_OK;
}

static bool
append_rates(struct kv *kv)
{
	for (const struct kv_rate *r = kv->rates; r != NULL; r = r->next) {
		if (!append_rate(kv, r))
			return false;
	}
	return true;
}

static bool
four_numbers(const redisReply *r)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		if (r->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	}
	return true;
}

static void
take_rate(struct kv *kv, struct kv_rate *rate, const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		kv_note_refusal(kv, r);
	if (!four_numbers(r))
		return;
	rate->heard = true;
	rate->too_many = r->element[0]->integer != 0;
	rate->left = r->element[1]->integer;
	rate->wait_ms = r->element[2]->integer;
	rate->rest_ms = r->element[3]->integer;
}

static bool
hear_rates(struct kv *kv)
{
	redisReply *r;

	for (struct kv_rate *rate = kv->rates; rate != NULL; rate = rate->next) {
		if (!kv_next_reply(kv, &r))
			return false;
		take_rate(kv, rate, r);
		freeReplyObject(r);
	}
	return true;
}

static bool
hear_keys(struct kv *kv)
{
	redisReply *r;

	if (kv->asked == 0)
		return true;
	if (!kv_next_reply(kv, &r))
		return false;
	if (r->type == REDIS_REPLY_ARRAY && r->elements == (size_t)kv->asked) {
		kv->heard = r;
		return true;
	}
	log_warn(EV("redis.answered_oddly"),
		 KS("why", r->type == REDIS_REPLY_ERROR ? r->str : "?"));
	freeReplyObject(r);
	kv->c->err = REDIS_ERR_OTHER;
	return false;
}

static bool
append_size(struct kv *kv)
{
	const char *argv[] = { "ZCARD", kv->sized };

	return kv->sized == NULL || redisAppendCommandArgv(kv->c, 2, argv, NULL) == REDIS_OK;
}

static bool
hear_size(struct kv *kv)
{
	redisReply *r;

	if (kv->sized == NULL)
		return true;
	if (!kv_next_reply(kv, &r))
		return false;
	if (r->type == REDIS_REPLY_INTEGER)
		kv->size = r->integer;
	freeReplyObject(r);
	return true;
}

static bool
hear_once(struct kv *kv)
{
	freeReplyObject(kv->heard); /* of a first try */
	kv->heard = NULL;
	kv_begin_trip(kv);
	return append_size(kv) && (kv->asked == 0 || append_mget(kv)) && append_rates(kv) &&
	       kv_collect_owed(kv) && hear_size(kv) && hear_keys(kv) && hear_rates(kv);
}

static bool
hear_rates_once(struct kv *kv)
{
	kv_begin_trip(kv);
	return append_rates(kv) && kv_collect_owed(kv) && hear_rates(kv);
}

/* Where Redis had lost the scripts, rates were not counted: once more, on a new connection. */
static void
trip(struct kv *kv, bool (*once)(struct kv *kv))
{
	for (int try = 0; try < 2 && kv_connected(kv); try++) {
		bool again;

		if (once(kv)) {
			if (!kv->script_lost || kv->rates == NULL)
				return;
			continue;
		}
		again = kv_worth_another(kv);
		if (again && try == 0)
			kv_hang_up(kv);
		else
			kv_back_off(kv, kv->c->errstr);
	}
}

void
kv_hear(struct kv *kv)
{
	int64_t from, took;

	if (kv->asked == 0 && kv->rates == NULL) {
		kv->size = NOT_SIZED; /* not worth a trip of its own */
		return;
	}
	from = clock_read_us();
	trip(kv, hear_once);
	kv->heard_on = kv->c == NULL || kv->c->err != 0 ? -1 : kv->connections;
	took = clock_read_us() - from;
	if (kv->slow_us > 0 && took > kv->slow_us)
		log_warn(EV("redis.was_slow"), KI("keys", kv->asked), KMS("ms", took));
	forget_rates(kv);
}

void
kv_rate(struct kv *kv, struct kv_rate *r)
{
	forget_rates(kv);
	kv_ask_rate(kv, r);
	trip(kv, hear_rates_once);
	forget_rates(kv);
}

const char *
kv_heard(const struct kv *kv, int slot, size_t *len_r)
{
	const redisReply *r;

	if (kv->heard == NULL || slot < 0 || (size_t)slot >= kv->heard->elements)
		return NULL;
	r = kv->heard->element[slot];
	if (r->type != REDIS_REPLY_STRING)
		return NULL;
	*len_r = r->len;
	return r->str;
}

void
kv_turn_over(struct kv *kv)
{
	int done = 0;

	freeReplyObject(kv->heard);
	kv->heard = NULL;
	kv->asked = 0;
	kv->heard_on = 0;
	kv->sized = NULL;
	kv->size = NOT_SIZED;
	forget_rates(kv);
	while (kv->owed > 0 && kv->c != NULL && !done) {
		if (redisBufferWrite(kv->c, &done) != REDIS_OK)
			kv_back_off(kv, kv->c->errstr);
	}
}
