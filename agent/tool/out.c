/* agent/tool/out.c - see out.h. */
#include "agent/tool/out.h"

static const struct {
    bool json, compat, csv, raw;
    const struct out_writer *writer;
} choices[] = {
    { false, false, false, false, &out_text },   { true, false, false, false, &out_json },
    { true, false, false, true, &out_json_raw }, { false, true, false, false, &out_compat },
    { false, false, true, false, &out_csv },     { false, false, false, true, &out_raw },
};

enum tw_rc out_choose(const struct tool_options *o, const struct out_writer **ret, struct tw_err *err)
{
    for (size_t i = 0; i < TW_NELEM(choices); i++)
        if (choices[i].json == (o->json == TOOL_JSON_RUN) &&
            choices[i].compat == (o->json == TOOL_JSON_COMPAT) && choices[i].csv == o->csv &&
            choices[i].raw == o->raw) {
            *ret = choices[i].writer;
            return TW_OK;
        }
    return tw_err_set(err, TW_EINVAL,
                      "--json, --json=compat, --csv and --raw cannot go together, but for --json --raw");
}

const char *out_sample_kind(enum sample_kind k)
{
    static const char *const names[] = {
        [SAMPLE_RECEIVED] = "received",
        [SAMPLE_LOST] = "lost",
        [SAMPLE_LATE] = "late",
        [SAMPLE_DUPLICATE] = "duplicate",
        [SAMPLE_SEND_ERROR] = "send_error",
    };

    return names[k];
}
