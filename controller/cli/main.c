/* controller/cli/main.c - the process; the commands are in commands.c, how the command line is read in cli.c.
 */
#include <locale.h>
#include <stdlib.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/cli/cli.h"

static int64_t wall_ns(void)
{
    return tw_wall_now().ns;
}

int main(int argc, char **argv)
{
    /* Only to know how wide characters are: numbers are printed the same everywhere. */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    log_init("twampctl", LOG_ERROR_, LOG_TEXT);
    return cli_main(argc, argv, wall_ns);
}
