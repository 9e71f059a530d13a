/* agent/keyring.c - see keyring.h. */
#include "agent/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/twamp_ctl.h"
#include "agent/secrets.h"
#include "common/log.h"
#include "common/net/now.h"

#define LOOK_NS (5 * TW_NS_PER_S)
#define RETRY_NS (20 * TW_NS_PER_MS)

struct keyring {
    struct keyring_conf conf;
    struct secrets *secrets;
    uint64_t version;
    struct loop_timer look, retry;
    size_t told; /* workers that have the present keys */
    char error[sizeof((struct tw_err *)0)->text];
};

/* ---- The reflectors ---- */

static enum tw_rc tell_worker(struct keyring *k, struct worker *w)
{
    struct stamp_keys keys = { 0 };
    size_t left = 0;
    enum tw_rc rc = secrets_stamp_keys(k->secrets, NULL, &keys, &left);

    if (rc == TW_OK)
        rc = worker_set_stamp_keys(w, &keys);
    stamp_keys_clear(&keys);
    if (rc == TW_OK && left && w == k->conf.workers[0])
        log_warn("more keys than a reflector of STAMP takes: the last ones are not accepted",
                 LOG_U("left_out", left), LOG_U("taken", STAMP_KEYS_MAX));
    return rc;
}

/* A worker whose ring is full is told a little later. */
static void tell_workers(struct keyring *k)
{
    enum tw_rc rc = TW_OK;

    while (k->told < k->conf.n_workers) {
        rc = tell_worker(k, k->conf.workers[k->told]);
        if (rc == TW_EBUSY) {
            loop_timer_set(k->conf.loop, &k->retry, (struct tw_mono){ tw_mono_now().ns + RETRY_NS });
            return;
        }
        if (rc != TW_OK)
            log_error("a reflector could not be given its keys", LOG_S("reason", tw_rc_name(rc)));
        k->told++;
    }
}

static void on_retry(struct loop_timer *t)
{
    tell_workers(t->ctx);
}

/* ---- The file ---- */

static void complain(struct keyring *k, const struct tw_err *err)
{
    char text[512];

    snprintf(k->error, sizeof k->error, "%s", tw_err_format(err, text, sizeof text));
    log_error("the file of secrets has changed and cannot be used: the keys before stay in use",
              LOG_S("error", text));
}

void keyring_look(struct keyring *k)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = secrets_reload_if_changed(k->secrets, &err);

    if (rc == TW_EAGAIN)
        return;
    if (rc != TW_OK) {
        complain(k, &err);
        return;
    }
    k->version++;
    k->error[0] = '\0';
    k->told = 0;
    log_info("the file of secrets was read anew", LOG_S("file", k->conf.path),
             LOG_U("entries", secrets_count(k->secrets)));
    tell_workers(k);
    if (k->conf.on_changed)
        k->conf.on_changed(k->conf.ctx);
}

static void on_look(struct loop_timer *t)
{
    struct keyring *k = t->ctx;

    keyring_look(k);
    loop_timer_set(k->conf.loop, t, (struct tw_mono){ tw_mono_now().ns + LOOK_NS });
}

/* ---- Lifetime and keys ---- */

enum tw_rc keyring_open(const struct keyring_conf *c, struct keyring **ret, struct tw_err *err)
{
    struct keyring *k = calloc(1, sizeof *k);
    enum tw_rc rc;

    if (!k)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = secrets_load(c->path, &k->secrets, err);
    if (rc != TW_OK) {
        free(k);
        return rc;
    }
    k->conf = *c;
    k->version = 1;
    k->look = (struct loop_timer){ .fn = on_look, .ctx = k };
    k->retry = (struct loop_timer){ .fn = on_retry, .ctx = k };
    tell_workers(k);
    loop_timer_set(c->loop, &k->look, (struct tw_mono){ tw_mono_now().ns + LOOK_NS });
    *ret = k;
    return TW_OK;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    loop_timer_cancel(k->conf.loop, &k->look);
    loop_timer_cancel(k->conf.loop, &k->retry);
    secrets_free(k->secrets);
    free(k);
}

uint64_t keyring_version(const struct keyring *k)
{
    return k->version;
}

size_t keyring_find(const struct keyring *k, const char *key_id, struct form_key *ret, size_t cap)
{
    return secrets_find(k->secrets, key_id, strlen(key_id), ret, cap);
}

const char *keyring_lacks(const struct keyring *k, const char *key_id)
{
    struct form_key key;

    if (!k)
        return "it needs a key and the agent has no file of secrets: start it with --secrets";
    return keyring_find(k, key_id, &key, 1) ? NULL : "its key_id is not in the agent's file of secrets";
}

size_t keyring_secret(const struct keyring *k, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    struct form_key keys[CTL_PASSPHRASES];
    size_t n = secrets_find(k->secrets, key_id, strlen(key_id), keys, TW_NELEM(keys));

    if (which >= n || keys[which].len > cap)
        return 0;
    memcpy(ret, keys[which].octets, keys[which].len);
    return keys[which].len;
}

const char *keyring_error(const struct keyring *k)
{
    return k->error;
}
