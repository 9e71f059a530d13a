/* Settings of a test on demand over a class: what is accepted keeps the rules of a class and can be written and read
 * again to the same; what is refused says why. Input: lines of "key value". */
#include <stdlib.h>
#include <string.h>

#include "controller/ondemand_class.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_class(const struct mesh_class *c)
{
    CHECK(c->name[0] && c->dscp < 64 && c->ttl && c->flows >= 1 && c->flows <= 32);
    CHECK(c->imix ? !c->size_bytes : c->size_bytes >= mesh_class_min_bytes(c) && c->size_bytes <= 9000);
    CHECK(mesh_auth_allowed(c->protocol, c->auth));
    CHECK(!c->tlvs || c->protocol == MESH_STAMP);
    CHECK(c->spacing_ns >= TW_NS_PER_MS && c->timeout_ns <= c->report_period_ns);
}

/* As a base of another one it is the same but for what is put over it. */
static void check_again(const struct mesh_class *c)
{
    Tw__TestSetting ttl = TW__TEST_SETTING__INIT, *list[] = { &ttl };
    struct mesh_class again = { .ttl = 0 }, want = *c;
    struct tw_err err = { 0 };

    ttl.key = (char *)"ttl";
    ttl.value = (char *)"7";
    want.ttl = 7;
    CHECK(ondemand_class(c, list, 1, &again, &err) == TW_OK);
    CHECK(mesh_class_same(&again, &want));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1), *line, *rest = text, out[ONDEMAND_SETTINGS_TEXT];
    Tw__TestSetting v[ONDEMAND_SETTINGS_MAX + 1], *list[ONDEMAND_SETTINGS_MAX + 1];
    struct mesh_class c = { .ttl = 0 };
    struct tw_err err = { 0 };
    size_t n = 0;

    CHECK(text);
    memcpy(text, data, size);
    while (n < TW_NELEM(v) && (line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');
        tw__test_setting__init(&v[n]);
        if (value)
            *value++ = '\0';
        v[n].key = line;
        v[n].value = value ? value : (char *)"";
        list[n] = &v[n];
        n++;
    }
    if (ondemand_class(NULL, list, n, &c, &err) == TW_OK) {
        check_class(&c);
        CHECK(strlen(ondemand_class_text(&c, out)) < sizeof out);
        check_again(&c);
    } else {
        CHECK(err.text[0]);
    }
    free(text);
    return 0;
}
