/*
 * title: a name for a conversation. Pure.
 */
#ifndef PARLEY_CHAT_TITLE_H
#define PARLEY_CHAT_TITLE_H

#include <stddef.h>

#include "common/base/caps.h"

#define TITLE_CHARS     60  /* code points of a title that is made */
#define TITLE_CHARS_MAX 120 /* code points of a title that somebody gives */

/*
 * The beginning of the first question (valid UTF-8) as one line: at most TITLE_CHARS code points, cut where
 * a word ends and then marked by an ellipsis; in one long word, or a script without spaces, cut anywhere.
 */
void title_make(const char *text, size_t len, char out[CAP_TITLE]);

#endif
