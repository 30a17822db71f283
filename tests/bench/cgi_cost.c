/*
 * cgi_cost: stands where a web server expects the CGI program, runs the real one and notes what that cost.
 * Built by cgi.mjs with -DPROGRAM, -DENV_FILE and -DLOG. Each line of LOG: user and system time in microseconds.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long us_of(struct timeval time)
{
    return time.tv_sec * 1000000L + time.tv_usec;
}

int main(void)
{
    struct rusage used;
    char line[64];
    int status;

    signal(SIGTERM, SIG_IGN); /* lighttpd sends it to whoever is still there after the answer */
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        setenv("PARLEY_ENV", ENV_FILE, 1);
        execl(PROGRAM, "parley.cgi", (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
        return 1;
    int log = open(LOG, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int len = snprintf(line, sizeof(line), "%ld\n", us_of(used.ru_utime) + us_of(used.ru_stime));
    if (log < 0 || write(log, line, (size_t)len) != len)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
