/* /healthz: does the loop turn? /readyz: can it do its work? */
#include <stdlib.h>
#include <string.h>
#include "controller/http/api.h"

#define MAX_PROBLEMS 32

void http_healthz(void *ctx, struct http_req *rq)
{
    char *text = strdup("ok\n");

    (void)ctx;
    if (text)
        http_answer(rq, 200, "text/plain; charset=utf-8", text, 3);
    else
        http_answer_error(rq, 503, "out of memory");
}

static void add_list(cJSON *o, const char *name, const char **v, size_t n)
{
    cJSON *list = cJSON_AddArrayToObject(o, name);

    for (size_t i = 0; i < n && i < MAX_PROBLEMS; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(v[i]));
}

void http_readyz(void *ctx, struct http_req *rq)
{
    const char *problems[MAX_PROBLEMS], *warnings[MAX_PROBLEMS];
    size_t n = controller_problems(ctx, problems, MAX_PROBLEMS);
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddBoolToObject(o, "ready", !n);
    add_list(o, "problems", problems, n);
    add_list(o, "warnings", warnings, controller_warnings(ctx, warnings, MAX_PROBLEMS));
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (text)
        http_answer(rq, n ? 503 : 200, "application/json", text, strlen(text));
    else
        http_answer_error(rq, 503, "out of memory");
}
