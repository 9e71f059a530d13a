/* A selector of agents by their labels, as an operator or a document may say it. */
#include <stdint.h>
#include <string.h>
#include "common/selector.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tw_label labels[] = { { "role", "core" }, { "site", "ams" }, { "tier", "1" } };

/* What holds of every selector. */
static void check(const char *text, const struct selector *s)
{
    struct selector *again = NULL;
    bool match = selector_match(s, labels, TW_NELEM(labels), "ams-1");

    CHECK(strlen(text) < SELECTOR_TEXT_MAX);
    CHECK(selector_parse(text, &again, NULL) == TW_OK);
    CHECK(selector_match(again, labels, TW_NELEM(labels), "ams-1") == match);
    (void)selector_match(s, NULL, 0, "x");
    selector_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* its own block: a read behind the end shows */
    struct selector *s = NULL;
    struct tw_err err = { 0 };

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (selector_parse(text, &s, &err) == TW_OK)
        check(text, s);
    else
        CHECK(!s && err.rc == TW_EINVAL && *err.text && err.column <= strlen(text) + 1);
    selector_free(s);
    free(text);
    return 0;
}
