/* agent/enrolment.c - see enrolment.h. Everything is malloc'ed as protobuf-c's own unpack would do, so its
 * free fits. */
#include "agent/enrolment.h"

#include <stdlib.h>
#include <string.h>

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

enum tw_rc enrolment_new(const struct agent_options *o, uint16_t reflector_port, Tw__EnrolRequest **ret)
{
    static const char *const capabilities[] = { "light", "rx-kernel-timestamps" };
    Tw__EnrolRequest *rq = malloc(sizeof *rq);

    if (!rq)
        return TW_ENOMEM;
    tw__enrol_request__init(rq);
    rq->labels = calloc(o->labels.n + 1, sizeof *rq->labels);
    for (size_t i = 0; rq->labels && i < o->labels.n; i++)
        rq->labels[rq->n_labels++] = make_label(o->labels.v[i]);
    rq->addresses = copy_list((const char *const *)o->advertise.v, o->advertise.n);
    rq->n_addresses = o->advertise.n;
    rq->capabilities = copy_list(capabilities, TW_NELEM(capabilities));
    rq->n_capabilities = TW_NELEM(capabilities);
    rq->reflector_port = reflector_port;
    rq->max_sessions = (uint32_t)o->max_sessions;
    rq->max_pps = (uint32_t)o->max_pps;
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
