/* controller/cli/progress.h - how far something is that takes long, on standard error: for people one line, "| 12 of 40 ways
 * probed", only on a terminal, only after half a second, and wiped at the end, so that nothing of it stays; with --progress json
 * for scripts a JSON object a line:
 *
 *     {"progress":"doctor","done":12,"total":40,"text":"12 of 40 ways probed"}
 *     {"progress":"doctor","done":40,"total":40,"over":true}
 *
 * total is null where nobody knows it. */
#ifndef TW_CLI_PROGRESS_H
#define TW_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* As users choose it by --progress; progress_names[] are its words. */
enum progress_mode { PROGRESS_AUTO, PROGRESS_NONE, PROGRESS_JSON };
extern const char *const progress_names[]; /* ends with NULL */

struct progress {
    enum progress_mode mode;
    const char *work; /* "doctor", "rollout", "test" */
    int64_t next_ns;
    uint64_t done, total;
    unsigned frame;
    bool on, shown;
};

void progress_begin(struct progress *p, enum progress_mode mode, const char *work);
/* Call as often as you like; total 0 is not known. */
void progress_say(struct progress *p, uint64_t done, uint64_t total, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Before anything else is printed. */
void progress_end(struct progress *p);

#endif
