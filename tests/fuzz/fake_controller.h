/* tests/fuzz/fake_controller.h - a whole controller without sockets and threads (fake_net.h, fake_db.c), on a
 * real store in a folder in memory. Each input begins with the same database: two agents that are connected,
 * a mesh, results, alerts, tokens. */
#ifndef TESTS_FUZZ_FAKE_CONTROLLER_H
#define TESTS_FUZZ_FAKE_CONTROLLER_H

#include "controller/controller.h"
#include "tests/fuzz/fake_loop.h"
#include "tests/fuzz/pb_make.h"

/* Who is connected, by number. */
enum fake_peer { FAKE_OPERATOR, FAKE_AMS, FAKE_FRA, FAKE_STRANGER, FAKE_PEERS };

/* A call that a peer has made, by number of its connection. */
struct fake_answer {
    enum fake_peer peer;
    uint64_t id;
    Tw__Status status;
    const char *detail;
    const uint8_t *body;
    size_t len;
};

struct fake_controller {
    struct controller *c;
    struct loop *loop;
    /* What happens with frames that the controller sends; may be NULL. */
    void (*on_answer)(void *ctx, const struct fake_answer *a);
    void (*on_call)(void *ctx, enum fake_peer peer, uint64_t id, uint32_t method);
    void *ctx;
};

/* Words for pb_make(): names of what there is, texts that parsers like, documents. */
extern const char *const fake_words[];
extern const size_t fake_words_n;

/* A fresh controller, as it is at the beginning of each input. `http`: with routes (fake_mhd.h). */
void fake_controller_begin(struct fake_controller *f, bool http);
/* The same in steps, for others than that database: a copy of it (malloc'ed); where such octets are put; and
 * a controller on what is there, with an operator, unless it refuses: then there is nothing to end. */
uint8_t *fake_controller_db(size_t *ret_len);
const char *fake_controller_db_path(const uint8_t *db, size_t len);
enum tw_rc fake_controller_begin_on_it(struct fake_controller *f, struct tw_err *err);
/* It stops, and what it has stored can be opened and loaded again if `again`. */
void fake_controller_end(struct fake_controller *f, bool again);
/* Connects and says HELLO, if it is not there. */
void fake_controller_connect(struct fake_controller *f, enum fake_peer peer);
bool fake_controller_is_up(const struct fake_controller *f, enum fake_peer peer);
void fake_controller_cut(struct fake_controller *f, enum fake_peer peer);
/* Each with a frame of its own; the loop has to run then. Returns the id of the call, 0: not connected. */
uint64_t fake_controller_call(struct fake_controller *f, enum fake_peer peer, uint32_t method,
                              const uint8_t *body, size_t len);
void fake_controller_data(struct fake_controller *f, enum fake_peer peer, const uint8_t *body, size_t len);
void fake_controller_reply(struct fake_controller *f, enum fake_peer peer, uint64_t id, Tw__Status status,
                           const uint8_t *body, size_t len);

#endif
