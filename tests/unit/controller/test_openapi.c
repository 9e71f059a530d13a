/* The table of routes against the service and the document; docs/openapi.json is written anew with
 * TW_UPDATE_GOLDEN=1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "controller/controller.h"
#include "controller/http/api.h"

/* Methods that have pages of their own, with more than the message. */
static const char *const own_pages[] = { "AgentList", "Results", "Report",    "Clock",
                                         "Outages",   "Flight",  "FlightList" };

static bool has_page(const char *method)
{
    for (size_t i = 0; i < TW_NELEM(own_pages); i++)
        if (!strcmp(own_pages[i], method))
            return true;
    for (size_t i = 0; i < controller_routes_n; i++)
        if (controller_routes[i].fn == http_admin && !strcmp(controller_routes[i].data, method))
            return true;
    return false;
}

static void every_method_has_a_route(void **state)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;

    (void)state;
    for (unsigned i = 0; i < d->n_methods; i++)
        if (!has_page(d->methods[i].name))
            fail_msg("%s cannot be called over HTTP: add a row to controller/http/routes.c",
                     d->methods[i].name);
}

static void every_route_has_its_method(void **state)
{
    (void)state;
    for (size_t i = 0; i < controller_routes_n; i++) {
        const struct http_route *r = &controller_routes[i];

        if (r->fn == http_admin && api_admin_method(r) < 0)
            fail_msg("%s: the service has no method %s", r->path, (const char *)r->data);
        for (size_t k = 0; k < i; k++) {
            const char *a = r->method ? r->method : "GET",
                       *b = controller_routes[k].method ? controller_routes[k].method : "GET";
            if (!strcmp(controller_routes[k].path, r->path) && !strcmp(a, b))
                fail_msg("%s %s is there twice", a, r->path);
        }
    }
}

/* A name in a path must be a member of the request, or the route can never work. */
static void names_in_paths_are_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < controller_routes_n; i++) {
        const struct http_route *r = &controller_routes[i];

        for (const char *at = strchr(r->path, '{'); at && r->fn == http_admin; at = strchr(at + 1, '{')) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
            if (!protobuf_c_message_descriptor_get_field_by_name(
                    tw__admin__descriptor.methods[api_admin_method(r)].input, name))
                fail_msg("%s: the request has no member %s", r->path, name);
        }
    }
}

static void schemas_are_there(void **state)
{
    size_t len;

    (void)state;
    for (size_t i = 0; i < controller_routes_n; i++) {
        const struct api_doc *doc = controller_routes[i].data;
        const char *text;
        cJSON *o;

        if (controller_routes[i].fn == http_admin || !doc)
            continue;
        text = api_schema_file(doc->schema, &len);
        if (!text)
            fail_msg("%s: no schema %s", controller_routes[i].path, doc->schema);
        o = cJSON_ParseWithLength(text, len);
        if (!cJSON_IsObject(o))
            fail_msg("%s is no JSON", doc->schema);
        cJSON_Delete(o);
        if (doc->request && !api_schema_file(doc->request, &len))
            fail_msg("%s: no schema %s", controller_routes[i].path, doc->request);
    }
}

#define PUBLISHED TW_SOURCE_DIR "/docs/openapi.json"

static char *read_published(void)
{
    FILE *f = fopen(PUBLISHED, "r");
    char *text = calloc(1, 1 << 20);

    if (f) {
        assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
    }
    return text;
}

static void the_published_document_is_current(void **state)
{
    cJSON *o = api_openapi(controller_routes, controller_routes_n);
    char *now = cJSON_Print(o), *published = read_published();
    size_t len = strlen(now);

    (void)state;
    if (getenv("TW_UPDATE_GOLDEN")) {
        FILE *f = fopen(PUBLISHED, "w");
        assert_non_null(f);
        fprintf(f, "%s\n", now);
        fclose(f);
    } else if (strncmp(now, published, len) != 0 || strcmp(published + len, "\n") != 0) {
        fail_msg("docs/openapi.json is not what is served: run this with TW_UPDATE_GOLDEN=1 and look at the "
                 "difference");
    }
    free(published);
    cJSON_free(now);
    cJSON_Delete(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_route),          cmocka_unit_test(every_route_has_its_method),
        cmocka_unit_test(names_in_paths_are_members),        cmocka_unit_test(schemas_are_there),
        cmocka_unit_test(the_published_document_is_current),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
