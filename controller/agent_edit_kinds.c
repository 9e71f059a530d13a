#include "controller/agent_edit_kinds.h"
#include <stdio.h>
#include <string.h>
#include "common/clk.h"
#include "common/net/rpc_hello.h"

#define SPAN_MAX_NS (366 * 86400 * TW_NS_PER_S)

static bool printable(const char *text, size_t max)
{
    if (strlen(text) >= max)
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

enum tw_rc agent_edit_check_texts(const Tw__AgentRequest *rq, struct tw_err *err)
{
    if (!printable(rq->author, AGENT_AUTHOR_MAX))
        return tw_err_set(err, TW_EINVAL, "the author has control characters, or more than %d octets",
                          AGENT_AUTHOR_MAX - 1);
    if (!printable(rq->reason, AGENT_REASON_MAX))
        return tw_err_set(err, TW_EINVAL, "the reason has control characters, or more than %d octets",
                          AGENT_REASON_MAX - 1);
    return TW_OK;
}

static void set_mark(struct agent_mark *m, const Tw__AgentRequest *rq, int64_t now_ns)
{
    if (m->at_ns)
        return; /* it stays whose it was */
    m->at_ns = now_ns;
    snprintf(m->author, sizeof m->author, "%s", rq->author);
    snprintf(m->reason, sizeof m->reason, "%s", rq->reason);
}

/* ---- Labels ---- */

static enum tw_rc check_labels(const Tw__AgentRequest *rq, int64_t now_ns, struct tw_err *err)
{
    (void)now_ns;
    if (!rq->n_set_labels && !rq->n_remove_labels)
        return tw_err_set(
            err, TW_EINVAL,
            "expected labels such as site=ams (set), role- (remove), role= (as the agent says)");
    for (size_t i = 0; i < rq->n_set_labels; i++) {
        const Tw__Label *l = rq->set_labels[i];

        if (!label_key_ok(l->key) || (*l->value && !label_word_ok(l->value)))
            return tw_err_set(
                err, TW_EINVAL,
                "\"%.64s=%.64s\" is no label: key and value are 1 to 63 of A-Z a-z 0-9 . _ - / each, "
                "the key is not \"name\"",
                l->key, l->value);
    }
    for (size_t i = 0; i < rq->n_remove_labels; i++)
        if (!label_key_ok(rq->remove_labels[i]))
            return tw_err_set(err, TW_EINVAL,
                              "\"%.64s\" is no key of a label: expected 1 to 63 of A-Z a-z 0-9 . _ - /",
                              rq->remove_labels[i]);
    return TW_OK;
}

static enum tw_rc too_many_labels(enum tw_rc rc, const char *name, struct tw_err *err)
{
    return rc == TW_OK
               ? rc
               : tw_err_set(err, rc, "agent %s has %d labels of operators already", name, TW_LABELS_MAX);
}

static enum tw_rc edit_labels(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                              struct agent_ops *o, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    (void)now_ns;
    for (size_t i = 0; rc == TW_OK && i < rq->n_remove_labels; i++)
        rc = too_many_labels(agent_ops_label(o, rq->remove_labels[i], "", true), name, err);
    for (size_t i = 0; rc == TW_OK && i < rq->n_set_labels; i++)
        rc = too_many_labels(agent_ops_label(o, rq->set_labels[i]->key, rq->set_labels[i]->value, false),
                             name, err);
    return rc;
}

/* ---- Drain and revoke ---- */

static enum tw_rc edit_drain(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                             struct agent_ops *o, struct tw_err *err)
{
    (void)name;
    (void)err;
    set_mark(&o->drained, rq, now_ns);
    return TW_OK;
}

static enum tw_rc edit_undrain(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                               struct agent_ops *o, struct tw_err *err)
{
    (void)rq;
    (void)name;
    (void)now_ns;
    (void)err;
    memset(&o->drained, 0, sizeof o->drained);
    return TW_OK;
}

static enum tw_rc edit_revoke(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                              struct agent_ops *o, struct tw_err *err)
{
    (void)name;
    (void)err;
    set_mark(&o->revoked, rq, now_ns);
    return TW_OK;
}

/* ---- Maintenance ---- */

static enum tw_rc check_maintenance(const Tw__AgentRequest *rq, int64_t now_ns, struct tw_err *err)
{
    int64_t from = rq->from_ns ? rq->from_ns : now_ns;

    if (rq->end)
        return rq->from_ns || rq->to_ns ? tw_err_set(err, TW_EINVAL, "ending maintenance takes no times")
                                        : TW_OK;
    if (from < 0 || rq->to_ns <= from || rq->to_ns <= now_ns)
        return tw_err_set(err, TW_EINVAL, "maintenance needs an end that is after its begin, and to come");
    if (rq->to_ns - from > SPAN_MAX_NS)
        return tw_err_set(err, TW_EINVAL, "maintenance takes at most 366 days");
    return TW_OK;
}

static enum tw_rc edit_maintenance(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                                   struct agent_ops *o, struct tw_err *err)
{
    struct agent_span s = { .from_ns = rq->from_ns ? rq->from_ns : now_ns, .to_ns = rq->to_ns };
    enum tw_rc rc;

    if (rq->end) {
        agent_ops_end_spans(o, now_ns);
        return TW_OK;
    }
    snprintf(s.author, sizeof s.author, "%s", rq->author);
    snprintf(s.reason, sizeof s.reason, "%s", rq->reason);
    rc = agent_ops_add_span(o, &s, now_ns);
    if (rc == TW_ENOSPC)
        return tw_err_set(
            err, rc, "agent %s has %d times of maintenance already: end those that do not count any more",
            name, AGENT_SPANS_MAX);
    return TW_OK; /* TW_EEXIST: as asked */
}

/* ---- Rename ---- */

static enum tw_rc check_rename(const Tw__AgentRequest *rq, int64_t now_ns, struct tw_err *err)
{
    (void)now_ns;
    if (!hello_agent_name_ok(rq->new_name))
        return tw_err_set(err, TW_EINVAL, "\"%.63s\" is no agent name: expected 1 to 63 of a-z 0-9 . -",
                          rq->new_name);
    if (!strcmp(rq->name, rq->new_name))
        return tw_err_set(err, TW_EINVAL, "agent %.63s has this name already", rq->name);
    return TW_OK;
}

static enum tw_rc edit_rename(const Tw__AgentRequest *rq, const char *name, int64_t now_ns,
                              struct agent_ops *o, struct tw_err *err)
{
    (void)rq;
    (void)now_ns;
    (void)err;
    agent_ops_add_former(o, name);
    return TW_OK;
}

const struct agent_edit_rule agent_edit_rules[] = {
    [EDIT_LABEL] = { "label", true, false, true, check_labels, edit_labels },
    [EDIT_DRAIN] = { "drain", true, false, true, NULL, edit_drain },
    [EDIT_UNDRAIN] = { "undrain", true, true, true, NULL, edit_undrain },
    [EDIT_MAINTENANCE] = { "maintenance of", true, false, false, check_maintenance, edit_maintenance },
    [EDIT_REVOKE] = { "revoke", true, true, true, NULL, edit_revoke },
    [EDIT_RENAME] = { "rename", false, false, true, check_rename, edit_rename },
};
