#include "db/etcd/mirror_tables.h"

#include "common/rc.h"

const struct mirror_table mirror_tables[] = {
    { .name = "times_rule", .key = { "id" }, .early = true, .late = true },
    { .name = "document", .key = { "id" }, .early = true, .late = true },
    { .name = "agent", .key = { "id" } },
    { .name = "agent_former", .key = { "id" } },
    { .name = "agent_maintenance", .key = { "agent" }, .bundle = true },
    /* A million pairs are a thousand keys. */
    { .name = "pair", .key = { "mesh", "class_name", "source" }, .bundle = true, .early = true },
    /* Whoever dies between has scheduled pairs of a generation that is not there; the planner schedules them
       again, or not. */
    { .name = "pair_interval",
      .key = { "mesh", "class_name", "source" },
      .of = "pair",
      .of_id = "pair_id",
      .bundle = true,
      .local = "id",
      .early = true },
    { .name = "mesh", .key = { "name" } },
    { .name = "generation", .key = { "number" }, .late = true },
    { .name = "mesh_version", .key = { "mesh", "generation" }, .late = true },
    { .name = "level_kept", .key = { "mesh", "level" } },
    { .name = "absence", .key = { "source" }, .bundle = true, .local = "id" },
    { .name = "test", .key = { "id" }, .late = true },
    { .name = "test_run", .key = { "test_id" }, .bundle = true, .late = true },
    { .name = "alert_document", .key = { "version" }, .late = true },
    { .name = "alert", .key = { "id" }, .late = true },
    { .name = "alert_silence", .key = { "id" }, .late = true },
    { .name = "alert_notice", .key = { "id" } },
    { .name = "join_token", .key = { "id" }, .late = true },
    { .name = "certificate", .key = { "serial" }, .late = true },
    { .name = "access_token", .key = { "id" } },
    { .name = "audit", .key = { "id" }, .late = true },
};
const size_t mirror_tables_n = TW_NELEM(mirror_tables);
