/* Cookie and Origin headers: up to the first NUL a Cookie header, to the second an Origin, the rest a Host.
 */
#include <stdlib.h>
#include <string.h>
#include "controller/core/web_cookie.h"
#include "controller/core/web_session.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *take(const uint8_t **data, size_t *size)
{
    size_t len = strnlen((const char *)*data, *size);
    char *text = strndup((const char *)*data, len); /* of its own, so that reading past it shows */

    *data += len + (len < *size);
    *size -= len + (len < *size);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *cookie = take(&data, &size), *origin = take(&data, &size), *host = take(&data, &size),
         csrf[WEB_SESSION_TEXT];
    struct web_session_key key;
    char value[80];

    if (web_cookie_get(cookie, "__Host-twampmesh", value, sizeof value)) {
        CHECK(*value && strlen(value) < sizeof value && !strchr(value, ';') && strstr(cookie, value));
        if (web_session_key_of(value, &key)) {
            web_session_csrf(value, csrf);
            CHECK(web_session_csrf_ok(value, csrf) && !web_session_csrf_ok(value, value));
        }
        CHECK(!web_session_csrf_ok(value, cookie));
    }
    if (web_origin_is_own(origin, host, true))
        CHECK(web_origin_is_own(origin, host, false) && strlen(origin) == strlen(host) + 8);
    free(cookie);
    free(origin);
    free(host);
    return 0;
}
