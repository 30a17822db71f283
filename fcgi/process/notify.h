/*
 * notify: what a service manager wants to know of its service: sd_notify(3), spoken by ourselves. A datagram of
 * lines NAME=VALUE to the unix socket that NOTIFY_SOCKET names. Without that variable nothing happens.
 *
 * Only the first process speaks (NotifyAccess=main); its id stays the same through SIGUSR2. Never waits: a
 * message that finds no room is lost, and logged once.
 */
#ifndef PARLEY_PROCESS_NOTIFY_H
#define PARLEY_PROCESS_NOTIFY_H

#include <stdint.h>

/* The workers serve (`workers` of them), for the first time or after notify_reloading. */
void notify_ready(int workers);

/* New workers are about to take over; notify_ready must follow, whatever comes of it. */
void notify_reloading(void);

/* The end begins; it may take `most_ms`, for which the manager is asked to wait. */
void notify_stopping(int64_t most_ms);

/* Milliseconds from one sign of life to the next, half of what WATCHDOG_USEC allows; 0 = nobody waits for any. */
int64_t notify_watchdog_ms(void);
void notify_alive(void);

#endif
