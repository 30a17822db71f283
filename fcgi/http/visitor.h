/*
 * visitor: the cookie by which a visitor without login is known again: "v1.<id>.<mac>". Whoever has not got it
 * from us cannot make one up.
 */
#ifndef PARLEY_HTTP_VISITOR_H
#define PARLEY_HTTP_VISITOR_H

#include <stdbool.h>

#include "common/base/caps.h"

#define VISITOR_KEY_SIZE    32
#define VISITOR_COOKIE_SIZE (CAP_ID + 80) /* of the value, NUL included */
#define VISITOR_PREFIX      "vis_"
#define VISITOR_SHORT_SIZE  13 /* of the id as people are shown it, NUL included */

/*
 * Two names: the cookie that a page of another site gets (SameSite=None) must not take the place of the one that
 * our own page got, which that site's requests do not carry.
 */
#define VISITOR_COOKIE       "parley_visitor"
#define VISITOR_COOKIE_CROSS "parley_visitor_x"

/* The key for cookies from a SECRET_KEY of any length. */
void visitor_key(const char *secret, unsigned char out[VISITOR_KEY_SIZE]);

/* The cookie's value for an id. `out` has VISITOR_COOKIE_SIZE bytes. */
void visitor_sign(const unsigned char key[VISITOR_KEY_SIZE], const char *id, char *out);

/* The id of a value that was signed with this key; false for all others. `id` has CAP_ID bytes. */
bool visitor_verify(const unsigned char key[VISITOR_KEY_SIZE], const char *value, char *id);

#endif
