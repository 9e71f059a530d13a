/* Content negotiation by the Accept header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "common/net/http_accept.h"
#include "common/rc.h"

enum { TEXT, OPEN, PROTO };
static const struct http_offer offers[] = {
    [TEXT] = { "text/plain; version=0.0.4; charset=utf-8" },
    [OPEN] = { "application/openmetrics-text; version=1.0.0; charset=utf-8" },
    [PROTO] = { "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
                "encoding=delimited" },
};

#define PB "application/vnd.google.protobuf"
#define PB_FULL PB ";proto=io.prometheus.client.MetricFamily;encoding=delimited"
#define OM "application/openmetrics-text"

static const struct {
    const char *accept;
    size_t offer;
} cases[] = {
    { NULL, TEXT },
    { "", TEXT },
    { "*/*", TEXT },
    { "text/*", TEXT },
    { "application/*", OPEN },
    { OM, OPEN },
    { OM "; version=1.0.0", OPEN },
    { OM "; version=\"1.0.0\"", OPEN },
    { OM "; version=0.0.1", TEXT },
    { OM ";version=2.0.0,text/plain;q=0.1", TEXT },
    { PB, PROTO },
    { PB_FULL, PROTO },
    { PB "; proto=io.prometheus.client.MetricFamily; encoding=text", TEXT },
    { PB "; proto=other", TEXT },
    { "APPLICATION/VND.GOOGLE.PROTOBUF;ENCODING=Delimited", PROTO },
    /* Prometheus 2.42: without and with native histograms; Prometheus 3 */
    { OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPEN },
    { PB_FULL "," OM ";version=1.0.0;q=0.8," OM
              ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
      PROTO },
    { OM ";version=1.0.0;escaping=allow-utf-8;q=0.6," OM
         ";version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/"
         "plain;version=0.0.4;q=0.3,"
         "*/*;q=0.2",
      OPEN },
    { "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", TEXT }, /* a browser */
    /* weights */
    { "text/plain;q=0.5, " OM ";q=0.6", OPEN },
    { "text/plain;q=0.600, " OM ";q=0.6", TEXT },
    { OM ";q=0.001", OPEN },
    { OM ";q=0, */*", TEXT },
    { "text/plain;q=0, */*", OPEN },
    { "text/plain;q=0, application/openmetrics-text;q=0, */*;q=0.1", PROTO },
    { "*/*;q=0", TEXT }, /* nothing acceptable */
    { "application/json", TEXT },
    { "text/*;q=0.3, text/plain;q=0.7, " OM ";q=0.5", TEXT },
    { "text/*;q=0.7, text/plain;q=0.3, " OM ";q=0.5", OPEN }, /* the more specific one says */
    { "text/plain;version=0.0.4;q=0.2, text/plain;q=0.9, " OM ";q=0.5", OPEN },
    { "*/*;q=0.9, " PB ";q=0.95", PROTO },
    { OM ";q=1.000", OPEN },
    { OM " ; q=0.8 , text/plain ;q=0.5", OPEN },
    { OM ";q=0.5;extension=1;version=9, text/plain;q=0.4", OPEN }, /* behind the weight: not of the type */
    /* malformed: as if they were not there */
    { OM ";q=1.001", TEXT },
    { OM ";q=2", TEXT },
    { OM ";q=", TEXT },
    { OM ";q=.5", TEXT },
    { OM ";q=0.1234", TEXT },
    { OM ";q=-1", TEXT },
    { OM ";q=nan", TEXT },
    { "openmetrics-text", TEXT },
    { "*/openmetrics-text", TEXT },
    { "application/", TEXT },
    { "/,;,=," OM, OPEN },
    { OM " x, " PB ";q=0.1", PROTO },
    { OM ";version", TEXT },
    { OM ";version=\"1.0.0", TEXT },
    { OM ";version=\"1.0.0,\", " PB ";q=0.5", PROTO }, /* a comma in quotes ends nothing */
    { OM ";;;", OPEN },
    { ",,,", TEXT },
    { " , " OM, OPEN },
    { OM ";a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=1;i=1;j=1;k=1;l=1;m=1;n=1;o=1;p=1;r=1",
      TEXT }, /* too many parameters */
};

static void choices(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        size_t got = http_accept_choose(cases[i].accept, offers, TW_NELEM(offers));

        if (got != cases[i].offer)
            fail_msg("%s: offer %zu, expected %zu", cases[i].accept, got, cases[i].offer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(choices) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
