/*
 * result: names of the outcomes, and filling a fault. Pure; runs on any thread. Everything that can
 * fail uses it; the translation to HTTP is fcgi/http/response.c's alone.
 */
#include "common/base/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"

static const char *const names[RESULT_COUNT] = {
    [RESULT_OK] = "ok",
    [RESULT_INVALID] = "invalid",
    [RESULT_UNAUTHORIZED] = "unauthorized",
    [RESULT_FORBIDDEN] = "forbidden",
    [RESULT_NOT_FOUND] = "not_found",
    [RESULT_BAD_METHOD] = "bad_method",
    [RESULT_CONFLICT] = "conflict",
    [RESULT_TOO_LARGE] = "too_large",
    [RESULT_UNSUPPORTED_TYPE] = "unsupported_type",
    [RESULT_LIMITED] = "limited",
    [RESULT_INTERNAL] = "internal",
    [RESULT_UPSTREAM_BAD] = "upstream_bad",
    [RESULT_OVERLOADED] = "overloaded",
    [RESULT_UPSTREAM_DOWN] = "upstream_down",
    [RESULT_UPSTREAM_SLOW] = "upstream_slow",
    [RESULT_STORE_DOWN] = "store_down",
    [RESULT_GONE] = "gone",
    [RESULT_CANCELLED] = "cancelled",
};

const char *result_name(enum result result)
{
    if ((unsigned)result >= RESULT_COUNT)
        return "unknown";
    return names[result];
}

enum result fault_set(struct fault *fault, enum result result, const char *code, const char *field,
                      const char *format, ...)
{
    if (!fault)
        return result;

    fault->result = result;
    fault->retry_after_s = 0;
    text_copy(fault->code, sizeof fault->code, code);
    text_copy(fault->field, sizeof fault->field, field ? field : "");

    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    if (wanted < 0)
        fault->text[0] = '\0';
    size_t len = strlen(fault->text);
    if (wanted >= (int)sizeof fault->text)
        fault->text[text_utf8_prefix(fault->text, len, len)] = '\0';
    return result;
}
