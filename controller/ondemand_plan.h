/* controller/ondemand_plan.h - what a test on demand is to do: from the words of a request to pairs with
 * addresses and settings. Loop thread; looks at the inventory and changes nothing. */
#ifndef TW_CONTROLLER_ONDEMAND_PLAN_H
#define TW_CONTROLLER_ONDEMAND_PLAN_H

#include "controller/controller.h"
#include "controller/ondemand_class.h"
#include "controller/report.h"

#define ONDEMAND_RUNS_MAX 10000u     /* of one test */
#define ONDEMAND_COUNT_MAX 10000000u /* probes of a flow; as agent/ondemand.h */
#define ONDEMAND_LASTS_MAX_NS (24 * 3600 * TW_NS_PER_S)
#define ONDEMAND_LASTS_NS (10 * TW_NS_PER_S) /* when nothing is said */
#define ONDEMAND_PARALLEL 2u                 /* runs at once of one source, when nothing is said */
#define ONDEMAND_PARALLEL_MAX 32u
#define ONDEMAND_PERIOD_MAX_NS \
    (60 * TW_NS_PER_S) /* report periods are at most so long, to bring results soon */

struct ondemand_goal {
    char source[STORE_NAME_MAX], target[STORE_NAME_MAX];
    uint32_t class_index, source_index; /* into classes; numbers sources from 0 */
    struct tw_addr address;   /* with a host name only the port counts, and the family if only one will do */
    char host[MESH_HOST_MAX]; /* the agent looks it up; "" = address */
    bool stateful;
    const char *refuse; /* why it cannot run: static; NULL: nothing known */
};
struct ondemand_plan {
    struct ondemand_goal *goals;
    size_t n, n_sources;
    struct mesh_class *classes;
    size_t n_classes;
    uint64_t count;
    int64_t duration_ns;
    uint32_t parallel;
    char what[2 * STORE_NAME_MAX + 16];
    char settings[ONDEMAND_SETTINGS_TEXT];
};

/* Not OK: *err->text is a line for the operator. For one pair what keeps it from running is such an error,
 * too: its source is not connected, or too old. */
Tw__Status ondemand_plan(struct controller *c, const Tw__TestStartRequest *rq, struct ondemand_plan *ret,
                         struct tw_err *err);
void ondemand_plan_free(struct ondemand_plan *p);
/* What its agent is to do, but for the pair's number; room and names are the caller's, the rest is the
 * plan's. */
void ondemand_plan_spec(const struct ondemand_plan *p, size_t goal, char address[TW_ADDR_TEXT],
                        uint32_t imix[MESH_IMIX], Tw__SessionSpec *ret);
/* Why nothing can be asked of an agent; false: it can. */
bool ondemand_absent(struct controller *c, const char *name, char *text, size_t cap);

#endif
