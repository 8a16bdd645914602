/*
 * handlers: what each row of the route table calls, about ten lines each.
 *
 * A handler is called when the gate has let the request in: path, rights, query and body
 * are in order. It calls one use case and hands the result to reply.
 */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "http.h"

/* h_user.c */
enum err get_user(struct req *rq);
enum err get_user_state(struct req *rq);
enum err get_users(struct req *rq);
enum err search_user(struct req *rq);
enum err post_user(struct req *rq);
enum err patch_user(struct req *rq);
enum err put_user(struct req *rq);
enum err delete_user(struct req *rq);
enum err delete_user_again(struct req *rq); /* the session is over: by this request? */

/* h_auth.c */
enum err post_login(struct req *rq);
enum err post_refresh(struct req *rq);
enum err post_token(struct req *rq); /* in oauth.c */
enum err get_jwks(struct req *rq);
enum err post_logout(struct req *rq);
enum err get_sessions(struct req *rq);
enum err delete_session(struct req *rq);
enum err delete_session_again(struct req *rq);

/* h_account.c */
enum err post_verify_email(struct req *rq);
enum err post_password(struct req *rq);
enum err post_password_forgot(struct req *rq);
enum err post_password_reset(struct req *rq);

/* h_activity.c */
enum err get_activities(struct req *rq);
enum err post_activity(struct req *rq);

/* What their answers hold, where no use case says it. */
extern const struct shape STATS_PAGE, HEALTH, READINESS;

/* h_profile.c */
enum err get_profile(struct req *rq);
enum err put_profile(struct req *rq);

/* h_saga.c */
enum err post_user_with_profile(struct req *rq);
enum err get_saga(struct req *rq);

/* h_event.c */
enum err post_event(struct req *rq);
enum err get_events(struct req *rq);
enum err get_user_events(struct req *rq);
enum err get_stats(struct req *rq);

/* h_ops.c */
enum err get_healthz(struct req *rq);
enum err get_readyz(struct req *rq);
enum err get_openapi(struct req *rq);
enum err get_metrics(struct req *rq);

#endif
