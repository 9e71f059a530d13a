/* agent/tool/cmd_dscptable.c - twamp dscptable: every code point, its name, and the TOS octet it makes. */
#include <stdio.h>
#include "agent/tool/tool.h"
#include "common/dscp.h"

static const char *bits(uint8_t octet, char buf[9])
{
    for (int i = 0; i < 8; i++)
        buf[i] = octet & 0x80 >> i ? '1' : '0';
    buf[8] = '\0';
    return buf;
}

static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    char text[9];

    (void)o;
    (void)args;
    printf("%-12s  %5s  %8s  %7s\n", "NAME", "DSCP", "TOS BIN", "TOS HEX");
    for (uint8_t dscp = 0; dscp < 64; dscp++) {
        uint8_t tos = dscp_to_tos(dscp, 0);
        printf("%-12s  %5u  %s     0x%02x\n", dscp_name(dscp), dscp, bits(tos, text), tos);
    }
    return ferror(stdout) ? tool_fail(TOOL_FAILED, "cannot write to standard output") : TOOL_OK;
}

const struct tool_cmd cmd_dscptable = {
    .name = "dscptable",
    .summary = "list the DSCP names with their TOS octets",
    .doc = "Lists all 64 DSCP code points: name (the number where there is none), value, and the TOS or "
           "Traffic Class "
           "octet that carries it, in binary and hexadecimal. The names may be given to --dscp.",
    .examples = "  twamp dscptable | grep -w EF\n",
    .shares = TOOL_SHARES_LOG,
    .run = run,
};
