/* Control state in a real etcd: the suite that SQLite passes, too, and three controllers on three members
 * that are killed, or stand still, at any moment. */
#include <curl/curl.h>

#include "tests/cluster/etcd_server.h"
#include "tests/unit/db/etcd/mirror_fx.h"

#define SETTLE (15 * TW_NS_PER_S)

static struct etcd_cluster cluster;
static struct http_location place;
static char location[600];

static void find_place(const char *name)
{
    char hosts[128];

    etcd_cluster_hosts(&cluster, hosts, sizeof hosts);
    snprintf(location, sizeof location, "%s/%s", hosts, name);
    CHECK_OK(http_location_parse(location, &etcd_location, &place, &test_err));
}

/* ---- The suite ---- */

static struct controller alone;

static void make(char name[CONTROL_PLACE])
{
    static unsigned n;

    snprintf(name, CONTROL_PLACE, "conform%u", n++);
    find_place(name);
    alone.file[0] = '\0';
}

static void open_mirror(const char *name, struct store **ret, struct store_reader **ret_reader)
{
    (void)name;
    if (alone.file[0])
        controller_restart(&alone, &place, SETTLE);
    else
        controller_start(&alone, &place, SETTLE);
    *ret = alone.s;
    *ret_reader = alone.r;
}

static void close_mirror(struct store *s, struct store_reader *r)
{
    (void)s;
    (void)r;
    controller_stop(&alone);
}

/* ---- Three controllers ---- */

struct havoc {
    unsigned victim;
    bool down;
};

/* Every so often a member, mostly the one that leads, goes and comes back. */
static void wreak(void *ctx, unsigned round)
{
    struct havoc *h = ctx;
    char line[64], command[64];

    if (round % 30 == 10) {
        h->victim = etcd_cluster_leader(&cluster);
        etcd_member_kill(&cluster, h->victim);
    } else if (round % 30 == 18) {
        etcd_member_again(&cluster, h->victim);
    } else if (round % 30 == 22) {
        h->victim = etcd_cluster_leader(&cluster);
        etcd_member_pause(&cluster, h->victim, true);
        h->down = true;
    } else if (round % 30 == 28) {
        etcd_member_pause(&cluster, h->victim, false);
        h->down = false;
    } else if (round % 30 == 5 && round > 30) {
        etcd_cluster_ctl(&cluster,
                         "endpoint status --write-out=json | grep -o '\"revision\":[0-9]*' | grep -o "
                         "'[0-9]*' | sort -n | tail -n 1",
                         line, sizeof line);
        snprintf(command, sizeof command, "compact %.20s", line);
        etcd_cluster_ctl(&cluster, command, line, sizeof line);
        assert_non_null(strstr(line, "compacted"));
    }
}

static void three_controllers_lose_and_double_nothing(void **state)
{
    struct controller c[3];
    struct havoc havoc = { 0 };
    const char *given = getenv("CONFORM_SEED");
    struct crowd w = { .c = c,
                       .n = 3,
                       .at = &place,
                       .settle_ns = SETTLE,
                       .now = malloc(sizeof *w.now),
                       .seed = given ? strtoull(given, NULL, 10) : 4,
                       .before = wreak,
                       .ctx = &havoc };

    (void)state;
    assert_non_null(w.now);
    find_place("three");
    model_start(w.now);
    for (unsigned i = 0; i < 3; i++)
        controller_start(&c[i], &place, SETTLE);
    crowd_run(&w, 300);
    crowd_check(&w, "at the end");
    print_message("%u done, %u conflicts, %u not known, %u ended then\n", w.done, w.conflicts, w.doubts,
                  w.kills);
    assert_true(w.done > 100);
    for (unsigned i = 0; i < 3; i++)
        controller_stop(&c[i]);
    free(w.now);
}

int main(void)
{
    const struct control_backend mirror = {
        .name = "control state in etcd", .make = make, .open = open_mirror, .close = close_mirror
    };
    const struct CMUnitTest tests[] = { cmocka_unit_test(three_controllers_lose_and_double_nothing) };
    int failed;

    if (make_dir(NULL))
        return 1;
    mirror_folder = test_dir;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    etcd_cluster_start(&cluster, 1, false);
    failed = conform_control(&mirror);
    etcd_cluster_stop(&cluster);
    etcd_cluster_start(&cluster, 3, false);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    etcd_cluster_stop(&cluster);
    curl_global_cleanup();
    return remove_dir(NULL) || failed;
}
