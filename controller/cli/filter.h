/* controller/cli/filter.h - which pairs and what time: the options that results, report and watch share. */
#ifndef TW_CLI_FILTER_H
#define TW_CLI_FILTER_H

#include "controller/cli/cli.h"

/* RFC 3339 with zone ("2026-11-23T12:00:00Z"), Unix seconds, "now", back from now: "-15m", or ahead: "+2h".
 */
enum tw_rc filter_parse_time(const char *text, int64_t now_ns, int64_t *ret_ns);
/* An option's time; says what is wrong with it. text NULL: leaves *ret_ns alone. */
enum cli_exit filter_time(struct cli *c, const char *option, const char *text, int64_t *ret_ns);
/* From the options; says what is wrong with them. The texts in *f belong to the options. */
enum cli_exit filter_fill(struct cli *c, Tw__PairFilter *f);

/* Rows of a command's table. */
#define FILTER_OPT_SELECT(what)                                                             \
    {                                                                                       \
        .name = "select", .short_name = 'l', .type = CONF_STR, .offset = CLI_FIELD(select), \
        .arg = "SELECTOR", .help = what                                                     \
    }
#define FILTER_OPT_TARGET_SELECT                                                                          \
    {                                                                                                     \
        .name = "target-select", .type = CONF_STR, .offset = CLI_FIELD(target_select), .arg = "SELECTOR", \
        .help = "Only pairs to targets with such labels."                                                 \
    }
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
        FILTER_OPT_SELECT("Only pairs from agents with such labels: site=ams,role!=edge."),                  \
        FILTER_OPT_TARGET_SELECT,                                                                            \
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
