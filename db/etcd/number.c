#include "db/etcd/number.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tw_rc draw(int64_t *ret, struct tw_err *err)
{
    uint64_t n = 0;

    while (!(n &= INT64_MAX))
        if (RAND_bytes((unsigned char *)&n, sizeof n) != 1)
            return tw_err_set(err, TW_EIO, "no random numbers");
    *ret = (int64_t)n;
    return TW_OK;
}

/* Puts ours if there is none: once, however often it is asked for. */
static enum tw_rc ask(struct etcd *e, const char *key, const char *ours, struct etcd_answer *ret, struct tw_err *err)
{
    const struct etcd_compare none = { key, 0, false };
    const struct etcd_op put = { ETCD_PUT, key, ours, strlen(ours), 0 };
    struct etcd_answer a;
    enum tw_rc rc = etcd_txn(e, &(struct etcd_txn){ &none, 1, &put, NULL, 1, 0 }, &a, err);

    if (rc)
        return rc;
    etcd_answer_free(&a);
    return etcd_get(e, key, ret, err);
}

static enum tw_rc read_number(const char *key, const struct etcd_answer *a, int64_t *ret, struct tw_err *err)
{
    char *end = NULL;
    int64_t n = a->n ? strtoll(a->kv[0].value, &end, 10) : 0;

    if (n <= 0 || *end)
        return tw_err_set(err, TW_ECORRUPT, "etcd: %.100s is no number: this is no control state of twampmesh", key);
    *ret = n;
    return TW_OK;
}

enum tw_rc etcd_number(const struct http_location *at, int64_t stall_ns, int64_t *ret, struct tw_err *err)
{
    char key[128], ours[24];
    struct etcd_answer a;
    struct etcd *e;
    int64_t n = 0;
    enum tw_rc rc = draw(&n, err);

    if (!rc)
        rc = etcd_new(at, stall_ns, &e, err);
    if (rc)
        return rc;
    snprintf(key, sizeof key, "/twampmesh/%s/number", at->name);
    snprintf(ours, sizeof ours, "%" PRId64, n);
    rc = ask(e, key, ours, &a, err);
    etcd_free(e);
    if (rc)
        return rc;
    rc = read_number(key, &a, ret, err);
    etcd_answer_free(&a);
    return rc;
}
