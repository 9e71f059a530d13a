/* controller/cli/filter.h - which pairs and what time: the options that results, report and watch share. */
#ifndef TW_CLI_FILTER_H
#define TW_CLI_FILTER_H

#include "controller/cli/cli.h"

/* RFC 3339 with zone ("2026-11-23T12:00:00Z"), Unix seconds, "now", or back from now: "-15m". */
enum tw_rc filter_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns);
/* From the options; says what is wrong with them. The texts in *f belong to the options. */
enum cli_exit filter_fill(struct cli *c, Tw__PairFilter *f);

/* Rows of a command's table. */
#define FILTER_OPTS_NAMES                                                                                    \
    { .name = "mesh",                                                                                        \
      .short_name = 'm',                                                                                     \
      .type = CONF_STR,                                                                                      \
      .offset = CLI_FIELD(mesh),                                                                             \
      .arg = "MESH",                                                                                         \
      .help = "Only pairs of this mesh." },                                                                  \
        { .name = "class",                                                                                   \
          .type = CONF_STR,                                                                                  \
          .offset = CLI_FIELD(class_name),                                                                   \
          .arg = "CLASS",                                                                                    \
          .help = "Only pairs of this class." },                                                             \
        { .name = "source",                                                                                  \
          .short_name = 's',                                                                                 \
          .type = CONF_STR,                                                                                  \
          .offset = CLI_FIELD(source),                                                                       \
          .arg = "AGENT",                                                                                    \
          .help = "Only pairs from this agent." },                                                           \
    {                                                                                                        \
        .name = "target", .short_name = 't', .type = CONF_STR, .offset = CLI_FIELD(target), .arg = "TARGET", \
        .help = "Only pairs to this target."                                                                 \
    }
#define FILTER_OPTS_TIMES                                                                                   \
    { .name = "from",                                                                                       \
      .type = CONF_STR,                                                                                     \
      .offset = CLI_FIELD(from),                                                                            \
      .arg = "TIME",                                                                                        \
      .help = "Begin of the span: 2026-11-23T12:00:00Z, Unix seconds, now, or back from now such as -15m. " \
              "Without it one "                                                                             \
              "hour before --to." },                                                                        \
    {                                                                                                       \
        .name = "to", .type = CONF_STR, .offset = CLI_FIELD(to), .arg = "TIME",                             \
        .help = "End of the span, not included. "                                                           \
                "Without it now."                                                                           \
    }

#endif
