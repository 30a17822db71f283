/*
 * dump: the stack of a process that is stuck or crashes, as one log line.
 */
#ifndef PARLEY_PROCESS_DUMP_H
#define PARLEY_PROCESS_DUMP_H

/*
 * From here on SIGABRT (which is also how the watchdog asks), SIGSEGV, SIGBUS, SIGFPE and SIGILL log the stack
 * of the thread they hit, and then do what they always do. Those that somebody else handles already, a sanitizer
 * for instance, are left alone.
 */
void dump_on_fatal_signals(void);

#endif
