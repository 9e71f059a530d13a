/* tests/unit/agent/fake_dns.h - a lookup function whose answers a test chooses, for struct resolver_conf. Its
 * state is static: threads of a resolver may ask when the test is over. */
#ifndef TW_TEST_FAKE_DNS_H
#define TW_TEST_FAKE_DNS_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "agent/resolver.h"

#define DNS_NAMES 8
#define DNS_ANSWERS 4

static struct {
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool held; /* no lookup ends */
    unsigned asked, ended;
    struct {
        char name[64];
        const char *answers[DNS_ANSWERS]; /* numeric; none: it fails */
    } names[DNS_NAMES];
} dns = { .lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER };

static enum tw_rc dns_lookup(const char *name, uint8_t family, struct tw_addr *ret, size_t cap, size_t *ret_n,
                             char why[RESOLVER_WHY])
{
    size_t n = 0;

    (void)family; /* the resolver looks, too */
    pthread_mutex_lock(&dns.lock);
    dns.asked++;
    while (dns.held)
        pthread_cond_wait(&dns.go, &dns.lock);
    for (size_t i = 0; i < DNS_NAMES; i++)
        for (size_t k = 0;
             !strcmp(dns.names[i].name, name) && k < DNS_ANSWERS && dns.names[i].answers[k] && n < cap; k++)
            n += tw_addr_parse(dns.names[i].answers[k], 0, &ret[n]) == TW_OK;
    dns.ended++;
    pthread_mutex_unlock(&dns.lock);
    *ret_n = n;
    if (!n)
        snprintf(why, RESOLVER_WHY, "no such name");
    return n ? TW_OK : TW_ENOENT;
}

/* answers: up to DNS_ANSWERS, ended by NULL. */
__attribute__((unused)) static void dns_set(const char *name, const char *const *answers)
{
    size_t i = 0;

    pthread_mutex_lock(&dns.lock);
    while (i + 1 < DNS_NAMES && dns.names[i].name[0] && strcmp(dns.names[i].name, name) != 0)
        i++;
    snprintf(dns.names[i].name, sizeof dns.names[i].name, "%s", name);
    memset(dns.names[i].answers, 0, sizeof dns.names[i].answers);
    for (size_t k = 0; k < DNS_ANSWERS && answers[k]; k++)
        dns.names[i].answers[k] = answers[k];
    pthread_mutex_unlock(&dns.lock);
}
#define DNS_SET(name, ...) dns_set(name, (const char *const[DNS_ANSWERS + 1]){ __VA_ARGS__ })

__attribute__((unused)) static void dns_hold(bool held)
{
    pthread_mutex_lock(&dns.lock);
    dns.held = held;
    pthread_cond_broadcast(&dns.go);
    pthread_mutex_unlock(&dns.lock);
}

__attribute__((unused)) static unsigned dns_asked(void)
{
    unsigned n;

    pthread_mutex_lock(&dns.lock);
    n = dns.asked;
    pthread_mutex_unlock(&dns.lock);
    return n;
}

__attribute__((unused)) static void dns_reset(void)
{
    dns_hold(false);
    pthread_mutex_lock(&dns.lock);
    memset(dns.names, 0, sizeof dns.names);
    dns.asked = dns.ended = 0;
    pthread_mutex_unlock(&dns.lock);
}

#endif
