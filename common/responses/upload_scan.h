/*
 * upload_scan: the body of an upload, {"fileObject":{"name":"...","content":"<base64>"}}, read piece by piece, so that
 * a file never stands in memory. Pure; one owner at a time.
 *
 * Base64 as lenient as the original's: either alphabet, with or without padding, anything else skipped.
 */
#ifndef PARLEY_RESPONSES_UPLOAD_SCAN_H
#define PARLEY_RESPONSES_UPLOAD_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

#define UPLOAD_SCAN_DEPTH 32

/* The file's next bytes. False: they cannot be kept, and the scan ends. */
typedef bool upload_scan_sink(void *ctx, const void *bytes, size_t len);

struct upload_scan {
    upload_scan_sink *sink;
    void *ctx;
    struct buf name;
    bool name_wrong; /* it is no string */
    bool has_content;
    bool failed; /* no JSON, or the sink said no */
    bool sink_failed;

    /* private */
    char stack[UPLOAD_SCAN_DEPTH]; /* '{' and '[' that are open */
    size_t depth;
    bool started, in_string, is_key, expect_key, in_file;
    int escape;     /* 0 none, 1 behind a backslash, 2 to 5 digits of \u */
    unsigned code;  /* of \u so far */
    unsigned high;  /* surrogate that waits for its other half */
    struct buf key; /* of the member that comes */
    int target;     /* of the string that is being read */
    unsigned bits;  /* of base64 */
    int bit_count;
    bool padded;
    unsigned char out[4096];
    size_t out_len;
};

void upload_scan_init(struct upload_scan *scan, upload_scan_sink *sink, void *ctx);
void upload_scan_free(struct upload_scan *scan);

/* False when it has failed; further bytes are then ignored. */
bool upload_scan_feed(struct upload_scan *scan, const char *bytes, size_t len);
/* The body is over: true when it was a whole object with fileObject.content. */
bool upload_scan_end(struct upload_scan *scan);

#endif
