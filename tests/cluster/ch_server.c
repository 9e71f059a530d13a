#include "tests/cluster/ch_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/cluster/own_server.h"

#define PROGRAM "clickhouse-server"
#define START_MS 30000

/* The same for 18.16 and for current releases: those read <yandex>, too. */
static const char config[] =
    "<?xml version=\"1.0\"?>\n"
    "<yandex>\n"
    "  <logger><level>warning</level><log>%1$s/log</log><errorlog>%1$s/errors</errorlog></logger>\n"
    "  <http_port>%2$u</http_port>\n"
    "  <https_port>%3$u</https_port>\n"
    "  <openSSL><server><certificateFile>%1$s/cert.pem</certificateFile>"
    "<privateKeyFile>%1$s/key.pem</privateKeyFile><caConfig>%1$s/cert.pem</caConfig>"
    "<verificationMode>none</verificationMode><loadDefaultCAFile>false</loadDefaultCAFile></server></"
    "openSSL>\n"
    "  <listen_host>127.0.0.1</listen_host>\n"
    "  <path>%1$s/data/</path>\n"
    "  <tmp_path>%1$s/tmp/</tmp_path>\n"
    "  <user_files_path>%1$s/files/</user_files_path>\n"
    "  <users_config>%1$s/users.xml</users_config>\n"
    "  <default_profile>default</default_profile>\n"
    "  <default_database>default</default_database>\n"
    "  <mark_cache_size>67108864</mark_cache_size>\n"
    "%4$s"
    "</yandex>\n";
static const char users[] =
    "<?xml version=\"1.0\"?>\n"
    "<yandex>\n"
    "  <profiles><default><max_memory_usage>2000000000</max_memory_usage></default></profiles>\n"
    "  <users><default><password></password><networks><ip>127.0.0.1</ip></networks>\n"
    "    <profile>default</profile><quota>default</quota></default>\n"
    "    <" CH_USER "><password>s3cr&amp;t</password><networks><ip>127.0.0.1</ip></networks>"
    "<profile>default</profile><quota>default</quota></" CH_USER "></users>\n"
    "  <quotas><default></default></quotas>\n"
    "</yandex>\n";

static FILE *file_in(const struct ch_server *s, const char *name)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static int answers(const struct ch_server *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)s->port) };
    static const char ask[] = "GET /ping HTTP/1.0\r\n\r\n";
    char answer[16] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0), ok = 0;

    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, ask, sizeof ask - 1) > 0)
        ok = read(fd, answer, sizeof answer - 1) > 12 && strstr(answer, " 200") != NULL;
    close(fd);
    return ok;
}

static void show_errors(const struct ch_server *s)
{
    char command[160];

    snprintf(command, sizeof command, "tail -n 5 %s/out %s/errors >&2", s->folder, s->folder);
    if (system(command))
        fprintf(stderr, "no log\n");
}

static void run_server(const struct ch_server *s)
{
    const char *current = getenv(CH_CURRENT);
    char path[128], arg[160];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "%s/out", s->folder);
    if (!freopen(path, "a", stdout) || !freopen(path, "a", stderr))
        _exit(126);
    snprintf(arg, sizeof arg, "--config-file=%s/config.xml", s->folder);
    if (current)
        execl(CURRENT_CLICKHOUSE, CURRENT_CLICKHOUSE, current, arg, (char *)NULL);
    else
        execlp(PROGRAM, PROGRAM, arg, (char *)NULL);
    _exit(127);
}

void ch_server_again(struct ch_server *s)
{
    int status, waited = 0;

    s->pid = fork();
    if (s->pid == 0)
        run_server(s);
    assert_true(s->pid > 0);
    while (!answers(s)) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid || waited >= START_MS) {
            show_errors(s);
            s->pid = waited >= START_MS ? s->pid : 0;
            fail_msg(PROGRAM " did not start (deploy/install-deps cluster)");
        }
        usleep(20000);
        waited += 20;
    }
}

void ch_server_start_with(struct ch_server *s, const char *more)
{
    unsigned tls_port = own_server_port();
    FILE *f;

    *s = (struct ch_server){ .port = own_server_port() };
    snprintf(s->folder, sizeof s->folder, "/tmp/twtest-ch-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->endpoint, sizeof s->endpoint, "127.0.0.1:%u", s->port);
    snprintf(s->url, sizeof s->url, "http://%s", s->endpoint);
    snprintf(s->tls_url, sizeof s->tls_url, "https://127.0.0.1:%u", tls_port);
    own_server_certificate(s->folder, s->ca_file, sizeof s->ca_file);
    f = file_in(s, "config.xml");
    fprintf(f, config, s->folder, s->port, tls_port, more);
    fclose(f);
    f = file_in(s, "users.xml");
    fputs(users, f);
    fclose(f);
    ch_server_again(s);
}

void ch_server_start(struct ch_server *s)
{
    ch_server_start_with(s, "");
}

void ch_server_kill(struct ch_server *s)
{
    own_server_kill(&s->pid);
}

void ch_server_stop(struct ch_server *s)
{
    ch_server_kill(s);
    own_server_remove(s->folder);
}
