/* controller/core/text_diff.h - which lines of a text changed, as unified diffs show it. Pure. */
#ifndef TW_CONTROLLER_TEXT_DIFF_H
#define TW_CONTROLLER_TEXT_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

struct text_diff {
    char *text; /* hunks: "@@ -3,4 +3,5 @@" and lines with ' ', '-' or '+' before them; malloc'ed; "" if the texts are the same */
    bool truncated; /* to max_octets, at the end of a line */
    uint32_t added, removed; /* lines, all of them */
};
/* With two lines around each change. The fewest lines are marked, unless more than a million pairs of lines would have to be compared: then
 * all between the first and the last difference are. */
enum tw_rc text_diff(const char *before, const char *after, size_t max_octets, struct text_diff *ret);

#endif
