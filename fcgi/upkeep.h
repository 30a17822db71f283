/*
 * upkeep: what has to be done now and then, by one process at a time: erase conversations older than
 * RETENTION_DAYS, empty sessions, visitors who never came back, old audit lines.
 */
#ifndef PARLEY_UPKEEP_H
#define PARLEY_UPKEEP_H

struct app;
struct upkeep;
struct uv_loop_s;

/* A timer on the loop; the work is done on a request thread. NULL when out of memory. */
struct upkeep *upkeep_open(struct uv_loop_s *loop, const struct app *app);

/* A job that runs breaks off at its next portion. The loop must run on until it has ended and the timer is
 * closed. NULL is fine. */
void upkeep_close(struct upkeep *upkeep);

/* Now, on this thread, if it is due and no other process does it: for processes without a timer (CGI). What
 * is not done after a second or two is left for the next time. */
void upkeep_run_once(const struct app *app);

#endif
