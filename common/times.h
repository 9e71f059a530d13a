/* common/times.h - when sessions run: the compiled form of `schedule:` (docs/mesh.md). Pure. The controller
 * compiles rules, agents judge them by their wall clock, and reports count by them what should be there: all
 * by these functions, so they agree, also while the controller is away.
 *
 * A **run** is one occurrence: [begin, end) on the wall clock, named by its begin. It takes place if it
 * begins at an allowed moment, and it ends early where the allowed stretch does. Allowed is what lies in
 * [start, until), in the windows if there are any, and not in a maintenance that stops probes. Windows and
 * weekly maintenance go by what a clock on the wall of their zone shows: an hour that exists twice counts
 * twice.
 *
 *   continuous  each allowed stretch is a run
 *   interval    begins at k * every + phase: aligned to 1970, and each session has a phase of its own
 *   once        begins at `at`
 *   cron        begins where cron says, below
 *
 * max_runs counts by the calendar, from `start` on: runs that the windows let through, whether they took
 * place or maintenance, a pause or an absent agent prevented them. So a restart never repeats one.
 *
 * Cron and clocks that change are as cron(8) of Debian has it: rules with * in minute or hour follow the
 * clock on the wall (nothing in the hour that is skipped, all of it again in the hour that comes twice);
 * others, which name a time of day, run once each: at the moment of the change if their time is skipped, and
 * at the first of two.
 *
 * Each call is bounded: a search that takes more than some hundreds of steps says from where to go on. */
#ifndef TW_COMMON_TIMES_H
#define TW_COMMON_TIMES_H

#include "common/clk.h"
#include "common/zone.h"

#define TIMES_NEVER INT64_MAX
/* Moments lie in [0, TIMES_END_NS): until 2200. */
#define TIMES_END_NS (INT64_C(7258118400) * TW_NS_PER_S)
#define TIMES_EVERY_MIN_NS TW_NS_PER_S
#define TIMES_EVERY_MAX_NS (INT64_C(366) * 86400 * TW_NS_PER_S)
#define TIMES_LENGTH_MAX_NS (INT64_C(31) * 86400 * TW_NS_PER_S)
#define TIMES_COUNT_MAX 1000000
#define TIMES_RUNS_MAX 10000 /* max_runs */
#define TIMES_WEEK_MINUTES (7 * 1440)
#define TIMES_WEEK_MAX 512 /* pieces of a week */
#define TIMES_SPANS_MAX 256

/* ---- Sets of moments ---- */

/* [from, to): nanoseconds since 1970, or minutes of a week that begins on Monday at 00:00. */
struct times_span {
    int64_t from_ns, to_ns;
};
struct times_piece {
    uint16_t from, to;
};
/* All zero: empty. Both lists ascending, without overlap. */
struct times_set {
    struct zone zone; /* of the week */
    struct times_piece *week;
    size_t n_week;
    struct times_span *spans;
    size_t n_spans;
};
/* Keeps the lists in order, whatever came before: [from, to) is merged with what it overlaps or touches. A
 * piece of the week may go over its end. TW_ENOMEM, also at the bounds. */
enum tw_rc times_set_add_week(struct times_set *s, unsigned from_minute, unsigned length_minutes);
enum tw_rc times_set_add_span(struct times_set *s, int64_t from_ns, int64_t to_ns);
void times_set_clear(struct times_set *s);
static inline bool times_set_is_empty(const struct times_set *s)
{
    return !s->n_week && !s->n_spans;
}
/* Is the moment in it, and in what surroundings does that not change (a part of them)? */
bool times_set_at(const struct times_set *s, int64_t at_ns, struct times_span *ret_same);

/* ---- Cron ---- */

struct times_cron {
    uint64_t minutes; /* bit n: n */
    uint32_t hours, days /* 1..31 */;
    uint16_t months;           /* 1..12 */
    uint8_t weekdays;          /* 0 = Sunday */
    bool any_day, any_weekday; /* begins with *: both fields must agree; otherwise one of them is enough */
    bool wild;                 /* * in minute or hour */
};
/* Five fields, or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually. TW_EINVAL: *err says
 * which field and what was expected. */
enum tw_rc times_cron_parse(const char *text, struct times_cron *ret, struct tw_err *err);
/* The first moment after that one; TIMES_NEVER: none in the next 12 years. */
int64_t times_cron_next(const struct times_cron *c, const struct zone *z, int64_t after_ns);

/* ---- Rules ---- */

enum times_kind { TIMES_CONTINUOUS, TIMES_INTERVAL, TIMES_ONCE, TIMES_CRON };

struct times {
    enum times_kind kind;
    int64_t every_ns;           /* interval */
    int64_t at_ns;              /* once */
    int64_t for_ns;             /* length of a run: this, or... */
    uint32_t count;             /* ...so many probes; both 0: continuous */
    int64_t start_ns, until_ns; /* 0, TIMES_NEVER: no such bound */
    uint32_t max_runs;          /* 0: no such bound */
    int64_t last_ns;            /* not interval: no run begins later; times_compile() makes it of max_runs */
    struct times_cron cron;
    struct times_set windows; /* empty: always. Its zone is that of cron, too */
    struct times_set stop;    /* maintenance that stops probes */
    unsigned refs;            /* times_ref(); the thread that has it */
};

/* What of a rule is a session's own. */
struct times_pace {
    int64_t phase_ns;       /* [0, every): interval */
    int64_t spacing_ns;     /* > 0 */
    int64_t probe_phase_ns; /* [0, spacing): see struct session_cfg */
    bool exponential;
};

enum tw_rc times_new(struct times **ret); /* continuous, one reference */
struct times *times_ref(struct times *t); /* NULL is fine in both */
void times_unref(struct times *t);
bool times_same(const struct times *a, const struct times *b);
/* Checks what the fields say together and sets what follows from them. TW_EINVAL: *err says in words what was
 * expected, *err->field names the key. A rule that never runs is refused. */
enum tw_rc times_compile(struct times *t, struct tw_err *err);
/* Do runs of this spacing fit between each other, with that much rest between them? */
enum tw_rc times_check_length(const struct times *t, int64_t spacing_ns, bool exponential, int64_t rest_ns,
                              struct tw_err *err);
/* Of a whole run: fixed spacing sends that many probes, also if `for` is no multiple of it. */
int64_t times_length_ns(const struct times *t, int64_t spacing_ns, bool exponential);

struct times_run {
    bool in;                  /* in a run now */
    int64_t begin_ns, end_ns; /* of it; 0 and TIMES_NEVER if it has none */
    int64_t next_ns;          /* when the next one begins; TIMES_NEVER */
    bool next_sure;           /* else: none was found until then: look again */
};
void times_look(const struct times *t, const struct times_pace *p, int64_t now_ns, struct times_run *ret);
/* Between `start` and `until`, in a window, and not in a maintenance that stops probes? */
bool times_allows(const struct times *t, int64_t at_ns);
/* The first run that begins after `after`, as far as it takes place. False: none; *ret_searched is from where
 * to search on, or TIMES_NEVER. */
bool times_next(const struct times *t, const struct times_pace *p, int64_t after_ns, struct times_span *ret,
                int64_t *ret_searched);
/* Runs that begin in [from, to); at most `cap`. */
uint64_t times_runs(const struct times *t, const struct times_pace *p, int64_t from_ns, int64_t to_ns,
                    uint64_t cap);

/* Summaries that should be there and lie wholly in [from, to): a run of fixed spacing has one for each report
 * period from its first probe to its last. Of exponential spacing only whole periods in a run are certain.
 * t NULL: without rule, whole periods. After TIMES_EXPECTED_RUNS runs the rest is reckoned like them. */
#define TIMES_EXPECTED_RUNS 1000000
uint64_t times_expected(const struct times *t, const struct times_pace *p, int64_t period_ns, int64_t from_ns,
                        int64_t to_ns);

/* What a session costs in the long run. share: of the time that it runs, 0..1. t NULL: always. */
struct times_duty {
    double share, runs_per_day, summaries_per_day;
};
struct times_duty times_duty(const struct times *t, const struct times_pace *p, int64_t period_ns);

/* ---- Packed ---- */

#define TIMES_PACKED_MAX 16384
/* TW_ENOSPC: cap is too small. Equal rules have equal octets, whatever their zones are called. */
enum tw_rc times_pack(const struct times *t, uint8_t *buf, size_t cap, size_t *ret_len);
/* From anywhere. TW_EVERSION: made by a newer program. TW_EINVAL, TW_ETRUNC, TW_ENOMEM. */
enum tw_rc times_unpack(const uint8_t *data, size_t len, struct times **ret);

#endif
