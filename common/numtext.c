#include "common/numtext.h"

#include <stdio.h>
#include <stdlib.h>

const char *numtext_exact(double v, char buf[NUMTEXT_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, NUMTEXT_MAX, "%.*g", digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
    return buf;
}
