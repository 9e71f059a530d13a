/* tests/fuzz/fake_mhd.h - requests to common/net/httpd.c without libmicrohttpd: its functions are here, and a
 * request is what a target says, one at a time. What libmicrohttpd does to octets before (lines, %XX) is not
 * ours to test. */
#ifndef TESTS_FUZZ_FAKE_MHD_H
#define TESTS_FUZZ_FAKE_MHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_ITEMS 80

struct fake_item {
    const char *name, *value;
    size_t name_len, value_len;
};
struct fake_request {
    const char *method, *path;
    struct fake_item query[FAKE_ITEMS], headers[FAKE_ITEMS];
    size_t n_query, n_headers;
    const char *body;
    size_t body_len;
    bool from_afar; /* not from loopback */
};
/* Calls the server's handler with the head. False: it closes the connection. */
bool fake_mhd_begin(const struct fake_request *rq);
/* The loop has run: the content, if the server goes on to read it; the answer, and the end of the request;
 * false: it is still being made. Valid until the next request. */
struct fake_response {
    unsigned status;  /* 0: the connection was closed */
    const char *type; /* "" without */
    const char *body;
    size_t len;
    bool stream, packed;
};
bool fake_mhd_end(struct fake_response *ret);
/* A stream that has begun and may go on for ever does so, beside the requests that follow. *ret: what there
 * was so far. */
bool fake_mhd_park(struct fake_response *ret);
/* Everything of it has been freed. */
bool fake_mhd_clean(void);

#endif
