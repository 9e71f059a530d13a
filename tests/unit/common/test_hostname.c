#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "common/hostname.h"

#define L63 "abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEFGHIJKLMNOPQRSTUVWXY"

static void names(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        { "r1", true },
        { "router.example.net", true },
        { "Router.Example.NET.", true },
        { "_twamp._udp.example", true },
        { "4.example", true },
        { "1st-floor", true },
        { "0xyz", true },
        { L63 "." L63 "." L63 ".example", true },
        { L63 "." L63 "." L63 "." L63, false }, /* 255 octets */
        { L63 "a.example", false },
        { "", false },
        { ".", false },
        { ".example", false },
        { "a..example", false },
        { "-a.example", false },
        { "a-.example", false },
        { "192.0.2.1", false },
        { "127.1", false }, /* to resolvers an address */
        { "2130706433", false },
        { "0x7f000001", false },
        { "127.0X1", false },
        { "0x", false },
        { "2001:db8::1", false },
        { "[::1]", false },
        { "a b", false },
        { "a\nb", false },
        { "a%eth0", false },
        { "a/../b", false },
        { "\xc3\xa4.example", false },
        { "a;reboot", false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (hostname_ok(rows[i].text) != rows[i].ok)
            fail_msg("\"%s\"", rows[i].text);
}

static void with_ports(void **state)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        uint16_t port;
    } rows[] = {
        { "R1", "r1", 862 },
        { "r1.example:8620", "r1.example", 8620 },
        { "r1:1", "r1", 1 },
        { "r1:65535", "r1", 65535 },
        { "r1:65536", NULL, 0 },
        { "r1:0", NULL, 0 },
        { "r1:", NULL, 0 },
        { "r1:+1", NULL, 0 },
        { "r1: 1", NULL, 0 },
        { "r1:1:2", NULL, 0 },
        { ":862", NULL, 0 },
        { "192.0.2.1:862", NULL, 0 },
        { "fifteen-letters", "fifteen-letters", 862 },
        { "sixteen--letters", NULL, 0 }, /* no room */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char host[16] = "untouched";
        uint16_t port = 7;
        enum tw_rc rc = hostname_parse(rows[i].text, 862, host, sizeof host, &port);

        if (rows[i].host ? rc || strcmp(host, rows[i].host) || port != rows[i].port
                         : rc != TW_EINVAL || strcmp(host, "untouched") || port != 7)
            fail_msg("\"%s\": %d, \"%s\", port %u", rows[i].text, rc, host, port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(with_ports) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
