#include "controller/agent_certs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tw_rc add(struct agent_certs *c, const struct pki_info *info, const uint8_t *der, size_t len,
                      int64_t issued_ns)
{
    uint8_t *copy = malloc(len);
    size_t keep = c->n < AGENT_CERTS_MAX ? c->n : AGENT_CERTS_MAX - 1;

    if (!copy)
        return TW_ENOMEM;
    memcpy(copy, der, len);
    memmove(&c->v[1], &c->v[0], keep * sizeof c->v[0]);
    snprintf(c->v[0].serial, sizeof c->v[0].serial, "%s", info->serial);
    c->v[0].issued_ns = issued_ns;
    c->v[0].not_after_ns = info->not_after_ns;
    c->n = keep + 1;
    memcpy(c->key_hash, info->key_hash, sizeof c->key_hash);
    free(c->der);
    c->der = copy;
    c->der_len = len;
    return TW_OK;
}

enum tw_rc agent_certs_add(struct agent_certs **certs, const uint8_t *der, size_t len, int64_t issued_ns)
{
    struct pki_cert *cert = NULL;
    struct pki_info info;
    enum tw_rc rc = pki_cert_from_der(der, len, &cert, NULL);

    if (rc)
        return rc;
    pki_cert_info(cert, &info);
    pki_cert_free(cert);
    if (!*certs)
        *certs = calloc(1, sizeof **certs);
    return *certs ? add(*certs, &info, der, len, issued_ns) : TW_ENOMEM;
}

void agent_certs_free(struct agent_certs *certs)
{
    if (!certs)
        return;
    free(certs->der);
    free(certs);
}

bool agent_certs_have(const struct agent_certs *certs, const char *serial)
{
    for (size_t i = 0; certs && i < certs->n; i++)
        if (*serial && !strcmp(certs->v[i].serial, serial))
            return true;
    return false;
}

void agent_certs_drop(struct agent_certs **certs, const char *serial)
{
    struct agent_certs *c = *certs;
    size_t n = 0;

    if (!agent_certs_have(c, serial))
        return;
    if (!strcmp(c->v[0].serial, serial)) { /* an agent that has it, but none after it, was removed */
        agent_certs_free(c);
        *certs = NULL;
        return;
    }
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].serial, serial) != 0)
            c->v[n++] = c->v[i];
    c->n = n;
}

const struct agent_cert *agent_certs_newest(const struct agent_certs *certs)
{
    return certs && certs->n ? &certs->v[0] : NULL;
}
