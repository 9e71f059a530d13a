/* tests/bench/sender_irtt.c - the same load by irtt: a server on one CPU, a client per flow on the other.
 * What counts is a window inside the run, so that neither start nor end of all the clients does. irtt leaves
 * out what it has missed, too. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include <netinet/in.h>
#include "common/hist.h"
#include "common/net/now.h"
#include "tests/bench/sender.h"

#define LEAD_NS TW_NS_PER_S /* before the window, and after it */
#define FILE_MAX (64 << 20)

enum { CLIENTS_MAX = 64 };

struct irtt {
    const struct sender_load *load;
    char dir[64], address[32];
    pid_t server, client[CLIENTS_MAX];
    struct hist late;
    uint64_t sent, lost;
};

static void be_child(int cpu, const char *const *argv)
{
    int null = open("/dev/null", O_RDWR);
    cpu_set_t set;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CPU_ZERO(&set);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
    dup2(null, 1);
    dup2(null, 2);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

static pid_t start(int cpu, const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0)
        be_child(cpu, argv);
    return pid;
}

static bool is_installed(void)
{
    const char *argv[] = { "irtt", "version", NULL };
    pid_t pid = start(OTHER_CPU, argv);
    int status = 0;

    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 127;
}

static void pick_address(struct irtt *t)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    bind(fd, (struct sockaddr *)&a, sizeof a);
    getsockname(fd, (struct sockaddr *)&a, &len);
    close(fd);
    snprintf(t->address, sizeof t->address, "127.0.0.1:%u", ntohs(a.sin_port));
}

static void start_all(struct irtt *t)
{
    const char *server[] = { "irtt", "server", "-b", t->address, "-i", "0", NULL };
    char interval[32], duration[32], file[128];
    const char *client[] = { "irtt", "client", "-i", interval,    "-d",       duration,
                             "-Q",   "-o",     file, "--wait=1s", t->address, NULL };

    t->server = start(OTHER_CPU, server);
    usleep(300000);
    snprintf(interval, sizeof interval, "%lldns", (long long)t->load->spacing_ns);
    snprintf(duration, sizeof duration, "%lldns",
             (long long)((int64_t)t->load->seconds * TW_NS_PER_S + 2 * LEAD_NS));
    for (unsigned i = 0; i < t->load->flows; i++) {
        snprintf(file, sizeof file, "%s/%u.json", t->dir, i);
        t->client[i] = start(SENDER_CPU, client);
    }
}

static double cpu_of_clients(const struct irtt *t)
{
    double sum = 0;

    for (unsigned i = 0; i < t->load->flows; i++) {
        struct timespec s;
        clockid_t id;
        if (!clock_getcpuclockid(t->client[i], &id) && !clock_gettime(id, &s))
            sum += (double)s.tv_sec + (double)s.tv_nsec / 1e9;
    }
    return sum;
}

static bool end_all(struct irtt *t)
{
    bool ok = true;

    for (unsigned i = 0; i < t->load->flows; i++) {
        int status = 0;
        ok &= waitpid(t->client[i], &status, 0) == t->client[i] && status == 0;
    }
    kill(t->server, SIGKILL);
    waitpid(t->server, NULL, 0);
    return ok;
}

/* ---- What a client wrote ---- */

static cJSON *read_json(const char *file)
{
    FILE *f = fopen(file, "re");
    char *text = f ? malloc(FILE_MAX) : NULL;
    size_t len = text ? fread(text, 1, FILE_MAX - 1, f) : 0;
    cJSON *ret = NULL;

    if (text) {
        text[len] = '\0';
        ret = cJSON_Parse(text);
    }
    free(text);
    if (f)
        fclose(f);
    return ret;
}

static int64_t sent_at(const cJSON *trip)
{
    const cJSON *at = cJSON_GetObjectItem(trip, "timestamps");

    at = cJSON_GetObjectItem(cJSON_GetObjectItem(at, "client"), "send");
    at = cJSON_GetObjectItem(at, "monotonic");
    return cJSON_IsNumber(at) ? (int64_t)at->valuedouble : -1; /* since the start of the client: exact */
}

/* From the nearest time of its grid: irtt's timer learns how late it is, and is as often early. In its
 * favour: what is late by more than half an interval looks early by less. */
static int64_t off_by(int64_t since, int64_t spacing)
{
    int64_t late = since % spacing;

    return late > spacing / 2 ? spacing - late : late;
}

static void take_client(struct irtt *t, const cJSON *doc)
{
    const cJSON *trips = cJSON_GetObjectItem(doc, "round_trips"), *trip;
    int64_t end = LEAD_NS + (int64_t)t->load->seconds * TW_NS_PER_S, first = -1;

    cJSON_ArrayForEach(trip, trips)
    {
        const char *lost = cJSON_GetStringValue(cJSON_GetObjectItem(trip, "lost"));
        int64_t since = sent_at(trip);
        if (first < 0)
            first = since;
        since -= first;
        if (since < LEAD_NS || since >= end)
            continue;
        t->sent++;
        t->lost += lost && strcmp(lost, "false") != 0;
        hist_add(&t->late, off_by(since, t->load->spacing_ns));
    }
}

static bool take_results(struct irtt *t)
{
    char file[128];
    bool ok = true;

    for (unsigned i = 0; i < t->load->flows; i++) {
        cJSON *doc;
        snprintf(file, sizeof file, "%s/%u.json", t->dir, i);
        doc = read_json(file);
        ok &= doc != NULL;
        take_client(t, doc);
        cJSON_Delete(doc);
        unlink(file);
    }
    rmdir(t->dir);
    return ok;
}

static void fill(const struct irtt *t, struct sender_result *ret)
{
    ret->due =
        (uint64_t)t->load->flows * (uint64_t)((int64_t)t->load->seconds * TW_NS_PER_S / t->load->spacing_ns);
    ret->sent = t->sent;
    ret->skipped = ret->due > t->sent ? ret->due - t->sent : 0;
    ret->lost = t->lost;
    sender_lateness(&t->late, ret);
}

bool sender_irtt(const struct sender_load *load, struct sender_result *ret)
{
    struct irtt t = { .load = load, .dir = "/tmp/bench-irtt-XXXXXX" };
    bool ok;

    if (load->flows > CLIENTS_MAX || !is_installed()) {
        printf("irtt is not installed (deploy/install-deps bench): left out\n");
        return false;
    }
    if (!mkdtemp(t.dir))
        return false;
    hist_init(&t.late);
    pick_address(&t);
    start_all(&t);
    usleep((useconds_t)(LEAD_NS / TW_NS_PER_US));
    ret->cpu = -cpu_of_clients(&t);
    usleep((useconds_t)(load->seconds * 1e6));
    ret->cpu = (ret->cpu + cpu_of_clients(&t)) / load->seconds;
    ok = end_all(&t);
    ok &= take_results(&t);
    if (ok)
        fill(&t, ret);
    else
        printf("irtt: a client failed, or its results cannot be read\n");
    hist_free(&t.late);
    return ok;
}
