/* fake_http.h - an HTTP server that answers whatever a test wants, octet by octet, on a port of its own. */
#ifndef TW_TEST_FAKE_HTTP_H
#define TW_TEST_FAKE_HTTP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_REQUEST_MAX 65536
struct fake_http {
    char url[64]; /* http://127.0.0.1:PORT */
    /* Under the lock. */
    pthread_mutex_t lock;
    const char *answer; /* whole, with its head; NULL: none, and the connection stays open */
    bool cut;           /* close after the answer */
    const char *question, *its_answer; /* of requests that have it; NULL: none */
    unsigned requests, connections;
    char request[FAKE_REQUEST_MAX]; /* the last one */
    size_t request_len;
    /* Its own. */
    int listener, stop_pipe[2];
    pthread_t thread;
};

void fake_http_start(struct fake_http *f);
void fake_http_stop(struct fake_http *f);
void fake_http_say(struct fake_http *f, const char *answer, bool cut);
/* And that, whole, to requests that have the question in them. */
void fake_http_say_to(struct fake_http *f, const char *question, const char *answer);
unsigned fake_http_requests(struct fake_http *f);
/* Is the text in the last request? */
bool fake_http_has(struct fake_http *f, const char *text);

#endif
