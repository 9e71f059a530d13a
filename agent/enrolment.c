/* agent/enrolment.c - see enrolment.h. Everything is malloc'ed as protobuf-c's own unpack would do, so its
 * free fits. */
#include "agent/enrolment.h"

#include <stdlib.h>
#include <string.h>

#define CAPABILITIES_MAX 16

static char **copy_list(const char *const *v, size_t n)
{
    char **out = calloc(n + 1, sizeof *out);

    for (size_t i = 0; out && i < n; i++)
        out[i] = strdup(v[i]);
    return out;
}

static Tw__Label *make_label(const char *text)
{
    Tw__Label *l = malloc(sizeof *l);
    const char *eq = strchr(text, '=');

    if (!l)
        return NULL;
    tw__label__init(l);
    l->key = strndup(text, (size_t)(eq - text));
    l->value = strdup(eq + 1);
    return l;
}

static bool complete(const Tw__EnrolRequest *rq)
{
    bool ok = rq->labels && rq->addresses && rq->capabilities;

    for (size_t i = 0; ok && i < rq->n_labels; i++)
        ok = rq->labels[i] && rq->labels[i]->key && rq->labels[i]->value;
    for (size_t i = 0; ok && i < rq->n_addresses; i++)
        ok = rq->addresses[i];
    for (size_t i = 0; ok && i < rq->n_capabilities; i++)
        ok = rq->capabilities[i];
    return ok;
}

/* What fleet.proto calls them. */
static size_t list_capabilities(const struct agent_options *o, const char *ret[CAPABILITIES_MAX])
{
    const struct {
        const char *name;
        bool have;
    } rows[] = {
        { "light", true },
        { "rx-kernel-timestamps", true },
        { "shapes", true },
        { "schedule-delta", true },
        { "stamp", true },
        { "stamp-auth", o->secrets },
        { "twamp", true },
        { "test", true },
        { "stateless", o->reflect_stateless },
        { "demand-auth", o->demand_auth },
        { "times", true },
        { "hosts", true },
    };
    size_t n = 0;

    _Static_assert(TW_NELEM(rows) <= CAPABILITIES_MAX, "raise CAPABILITIES_MAX");
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (rows[i].have)
            ret[n++] = rows[i].name;
    return n;
}

enum tw_rc enrolment_new(const struct agent_options *o, uint16_t reflector_port, uint16_t control_port,
                         Tw__EnrolRequest **ret)
{
    const char *capabilities[CAPABILITIES_MAX];
    size_t n_capabilities = list_capabilities(o, capabilities);
    Tw__EnrolRequest *rq = malloc(sizeof *rq);

    if (!rq)
        return TW_ENOMEM;
    tw__enrol_request__init(rq);
    rq->labels = calloc(o->labels.n + 1, sizeof *rq->labels);
    for (size_t i = 0; rq->labels && i < o->labels.n; i++)
        rq->labels[rq->n_labels++] = make_label(o->labels.v[i]);
    rq->addresses = copy_list((const char *const *)o->advertise.v, o->advertise.n);
    rq->n_addresses = o->advertise.n;
    rq->capabilities = copy_list(capabilities, n_capabilities);
    rq->n_capabilities = n_capabilities;
    rq->reflector_port = reflector_port;
    rq->control_port = control_port;
    rq->max_sessions = (uint32_t)o->max_sessions;
    rq->max_pps = (uint32_t)o->max_pps;
    rq->max_bps = (uint64_t)o->max_bps;
    if (!complete(rq)) {
        enrolment_free(rq);
        return TW_ENOMEM;
    }
    *ret = rq;
    return TW_OK;
}

void enrolment_free(Tw__EnrolRequest *rq)
{
    if (rq)
        tw__enrol_request__free_unpacked(rq, NULL);
}
