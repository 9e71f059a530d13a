/* controller/cli/progress.h - one line on standard error while something takes long: "| 12 of 40 ways probed". Only on a
 * terminal, only after half a second, and wiped at the end, so that nothing of it stays. */
#ifndef TW_CLI_PROGRESS_H
#define TW_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t next_ns;
    unsigned frame;
    bool on, shown;
};

void progress_begin(struct progress *p);
/* Call as often as you like. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Before anything else is printed. */
void progress_end(struct progress *p);

#endif
