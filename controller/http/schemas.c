/* controller/http/schemas.c - the published schemas, as files in the program. */
#include <string.h>
#include "controller/http/api.h"

/* From `id` to `id`_end. */
#define EMBED(id, file)                                                                               \
    __asm__(".pushsection .rodata\n.global schema_" #id "\nschema_" #id ":\n.incbin \"" TW_SCHEMA_DIR \
            "/" file "\"\n.global schema_" #id "_end\nschema_" #id "_end:\n.byte 0\n.popsection\n");  \
    extern const char schema_##id[], schema_##id##_end[]

EMBED(agents, "agents-v1.json");
EMBED(clock, "clock-v1.json");
EMBED(flight, "flight-v1.json");
EMBED(frozen, "frozen-v1.json");
EMBED(login, "login-v1.json");
EMBED(matrix, "matrix-v1.json");
EMBED(outages, "outages-v1.json");
EMBED(pairs, "pairs-v1.json");
EMBED(report, "report-v1.json");
EMBED(series, "series-v1.json");
EMBED(summaries, "summaries-v1.json");
EMBED(timeline, "timeline-v1.json");
EMBED(whoami, "whoami-v1.json");

static const struct {
    const char *name, *at, *end;
} files[] = {
    { "agents-v1.json", schema_agents, schema_agents_end },
    { "clock-v1.json", schema_clock, schema_clock_end },
    { "flight-v1.json", schema_flight, schema_flight_end },
    { "frozen-v1.json", schema_frozen, schema_frozen_end },
    { "login-v1.json", schema_login, schema_login_end },
    { "matrix-v1.json", schema_matrix, schema_matrix_end },
    { "outages-v1.json", schema_outages, schema_outages_end },
    { "pairs-v1.json", schema_pairs, schema_pairs_end },
    { "report-v1.json", schema_report, schema_report_end },
    { "series-v1.json", schema_series, schema_series_end },
    { "summaries-v1.json", schema_summaries, schema_summaries_end },
    { "timeline-v1.json", schema_timeline, schema_timeline_end },
    { "whoami-v1.json", schema_whoami, schema_whoami_end },
};

const char *api_schema_file(const char *name, size_t *ret_len)
{
    for (size_t i = 0; i < TW_NELEM(files); i++) {
        if (strcmp(files[i].name, name) != 0)
            continue;
        *ret_len = (size_t)(files[i].end - files[i].at);
        return files[i].at;
    }
    return NULL;
}

void http_schema(void *ctx, struct http_req *rq)
{
    size_t len;
    const char *at = api_schema_file(http_path(rq, "file"), &len);
    char *copy = at ? strndup(at, len) : NULL;

    (void)ctx;
    if (!at)
        http_answer_error(rq, 404, "no such schema; /api/v1/openapi.json refers to all that there are");
    else
        api_answer(rq, copy, len);
}
