/*
 * usher-echo: the same turn loop with nothing behind it. scripts/bench measures usher-api
 * against it; it is not installed.
 */
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "service.h"

#include "turn.h"

static const char ANSWER[] =
	"Status: 200 OK\r\nContent-Type: application/json\r\n\r\n"
	"{\"id\":1,\"name\":\"echo\",\"email\":\"echo@example.com\",\"age\":null,\"phone\":null,"
	"\"nickname\":null,\"status\":\"active\",\"role\":\"user\",\"login_count\":1,"
	"\"created_at\":\"2026-01-01T00:00:00.000000Z\",\"updated_at\":\"2026-01-01T00:00:00.000000Z\"}";

static void
echo_turn(struct req *const *rq, int n)
{
	for (int i = 0; i < n; i++) {
		rq[i]->status = 200;
		http_send(rq[i], ANSWER, sizeof(ANSWER) - 1);
	}
}

static const struct option_row OPTIONS[] = { { 0 } };

static const struct program PROGRAM = { "usher-echo", "the turn loop with nothing behind it",
					OPTIONS };

int
main(int argc, char **argv)
{
	struct ctx nothing = { 0 };

	service_signals();
	service_options(&PROGRAM, argc, argv);
	log_init("usher-echo", "json", "warn");
	http_init();
	return turn_run(STDIN_FILENO, BATCH_MOST, &nothing, echo_turn);
}
