/* What a server says in place of etcd: answers, messages of a watch, refusals. */
#include <stdlib.h>
#include <string.h>

#include "db/etcd/etcd_answer.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct etcd_answer *a)
{
    CHECK(a->revision >= 0 && a->token && a->reason);
    for (size_t i = 0; i < a->n; i++) {
        const struct etcd_kv *kv = &a->kv[i];
        CHECK(kv->key[0] && kv->mod_revision > 0);
        CHECK(kv->value[kv->value_len] == '\0');
    }
}

static void check_refusal(const char *text, size_t len, long status)
{
    struct etcd_refusal r;

    etcd_refusal_parse(text, len, status, &r);
    CHECK(r.rc != TW_OK && strlen(r.why) < ETCD_WHY_MAX);
    for (const char *p = r.why; *p; p++)
        CHECK(*p >= ' ' && *p <= '~');
    CHECK(!r.token || r.rc == TW_EPERM);
}

/* A copy without a NUL behind it: what is read beyond is found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1);
    struct etcd_answer a;
    struct tw_err err = { 0 };
    enum tw_rc rc;

    CHECK(text);
    memcpy(text, data, size);
    rc = etcd_answer_parse(text, size, &a, &err);
    if (!rc) {
        check_answer(&a);
        etcd_answer_free(&a);
    } else {
        CHECK(!strncmp(err.text, "etcd: ", 6));
    }
    check_refusal(text, size, size ? 100 + data[0] * 2L : 0);
    free(text);
    return 0;
}
