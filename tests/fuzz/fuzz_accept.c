/* The Accept header of a request for metrics. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/http_accept.h"
#include "common/rc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More of a header that wants nothing else cannot change the choice, and neither can an empty element. */
static void check(const char *text, const struct http_offer *offers, size_t n)
{
    size_t len = strlen(text), chosen = http_accept_choose(text, offers, n);
    char *more = malloc(len + 16);

    if (chosen >= n)
        abort();
    if (!more)
        return;
    memcpy(more, " ,", 2);
    memcpy(more + 2, text, len + 1);
    if (http_accept_choose(more, offers, n) != chosen)
        abort();
    free(more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_offer offers[] = {
        { "text/plain; version=0.0.4; charset=utf-8" },
        { "application/openmetrics-text; version=1.0.0; charset=utf-8" },
        { "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited" },
    };
    char *text = malloc(size + 1);
    struct http_offer own;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    check(text, offers, TW_NELEM(offers));
    own.type = text; /* also as what is on offer: it is only ever ours, but parsed by the same code */
    check(text, &own, 1);
    free(text);
    return 0;
}
