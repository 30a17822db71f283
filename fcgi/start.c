/*
 * start: options, log, randomness. Runs once, in the first process, before any thread or fork.
 */
#include "fcgi/start.h"

#include <stdio.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/log.h"
#include "common/config.h"

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {
    { "error", LOG_ERROR },
    { "warn", LOG_WARN },
    { "info", LOG_INFO },
    { "debug", LOG_DEBUG },
};

bool start_log(const struct config *config)
{
    int error;

    log_set_level(LOG_INFO);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i].name, config->log_level) == 0)
            log_set_level(levels[i].level);
    }
    if (config->debug)
        log_set_level(LOG_DEBUG);
    log_set_json(strcmp(config->log_format, "text") != 0);
    error = log_open(config->log_file);
    if (error != 0)
        fprintf(stderr, "parley: LOG_FILE %s cannot be opened: %s\n", config->log_file,
                strerror(error));
    return error == 0;
}

bool start_up(struct config *config, const char *program)
{
    struct fault fault = { 0 };

    if (config_load(config, program, &fault) != RESULT_OK) {
        fprintf(stderr, "parley: %s\n", fault.text);
        return false;
    }
    if (!id_init()) {
        fprintf(stderr, "parley: the system gives no random numbers\n");
        config_free(config);
        return false;
    }
    if (!start_log(config)) {
        config_free(config);
        return false;
    }
    return true;
}
