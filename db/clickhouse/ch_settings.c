#include "db/clickhouse/ch_settings.h"

#include <stdio.h>
#include <string.h>
#include "common/rc.h"

#define DROP_ANY "max_partition_size_to_drop"

static const struct {
    const char *name, *value;
} of_changes[] = {
    { "async_insert", "0" },
    { "deduplicate_insert", "disable" },
    { "deduplicate_insert_select", "disable" },
};

const char ch_settings_query[] =
    "SELECT name FROM system.settings WHERE name IN ('async_insert', 'deduplicate_insert', "
    "'deduplicate_insert_select', '" DROP_ANY "') FORMAT TabSeparated";

static bool is(const char *line, size_t len, const char *name)
{
    return strlen(name) == len && !memcmp(line, name, len);
}

static void take_line(const char *line, size_t len, struct ch_settings *ret)
{
    size_t at = strlen(ret->changes);

    for (size_t i = 0; i < TW_NELEM(of_changes); i++)
        if (is(line, len, of_changes[i].name))
            snprintf(ret->changes + at, sizeof ret->changes - at, "%s%s=%s", at ? "&" : "",
                     of_changes[i].name, of_changes[i].value);
    ret->drop_any |= is(line, len, DROP_ANY);
}

void ch_settings_take(const char *text, size_t len, struct ch_settings *ret)
{
    const char *end = text + len;

    *ret = (struct ch_settings){ .drop_any = false };
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        take_line(text, n, ret);
        text += n + (newline != NULL);
    }
}
