/* controller/core/web_session.h - who is logged in at the page: sessions that begin with an access token and
 * are known by a cookie. Pure: time and random octets are arguments. Not thread-safe.
 *
 * A session's id is 256 random bits; what is kept is its SHA-256, so that who reads our memory cannot go on
 * with it. A session ends with its token, after a life, when nobody has used it for a while, by logout, and
 * when its own token logs in too often: then the one of that token that was used least recently goes. Nobody
 * else's logins end it: when there is no room, it is who comes that is refused. */
#ifndef TW_CONTROLLER_CORE_WEB_SESSION_H
#define TW_CONTROLLER_CORE_WEB_SESSION_H

#include "controller/core/access.h"

#define WEB_SESSION_OCTETS 32
#define WEB_SESSION_TEXT (2 * WEB_SESSION_OCTETS + 1) /* hexadecimal, with the NUL */

struct web_sessions;
struct web_sessions_conf {
    uint32_t max;             /* in all; 0 = 2048 */
    uint32_t max_of_token;    /* 0 = 8 */
    int64_t life_ns, idle_ns; /* 0 = 12 h, 2 h */
};
enum tw_rc web_sessions_new(const struct web_sessions_conf *c, struct web_sessions **ret);
void web_sessions_free(struct web_sessions *s);

/* What is kept of an id. */
struct web_session_key {
    uint8_t digest[32];
};
/* False: by its form the text is no id. */
bool web_session_key_of(const char *id, struct web_session_key *ret);

/* Begins one for who has proved to be `who`; writes its id. `octets` are random. TW_ENOSPC: there are as many
 * as may be, all in use. TW_ENOMEM. */
enum tw_rc web_session_open(struct web_sessions *s, struct tw_now now, const struct access_who *who,
                            const uint8_t octets[WEB_SESSION_OCTETS], char ret_id[WEB_SESSION_TEXT]);
/* Whose is it? Notes the use. False: there is none any more, or its token is good no more, which ends all of
 * that token. */
bool web_session_find(struct web_sessions *s, struct tw_now now, const struct access *a,
                      const struct web_session_key *key, struct access_who *ret);
/* False: there was none. */
bool web_session_close(struct web_sessions *s, const struct web_session_key *key);
/* How long it would still live if it is used all the time; 0: there is none. */
int64_t web_session_left_ns(const struct web_sessions *s, struct tw_now now,
                            const struct web_session_key *key);

/* What a page has to show with each change, so that other sites cannot make a browser do it: a digest of the
 * id under another name. Only who has the id, or was told by an answer that other sites cannot read, has it.
 */
void web_session_csrf(const char *id, char ret[WEB_SESSION_TEXT]);
bool web_session_csrf_ok(const char *id, const char *csrf); /* in constant time; csrf NULL: no */

/* Why sessions have ended. */
enum web_end { WEB_END_LOGOUT, WEB_END_LIFE, WEB_END_IDLE, WEB_END_TOKEN, WEB_END_REPLACED, WEB_ENDS };
const char *web_end_name(enum web_end e);
struct web_sessions_counts {
    uint64_t now, opened, full; /* full: logins refused for want of room */
    uint64_t ended[WEB_ENDS];
};
/* First lets go of those whose time is over. */
void web_sessions_count(struct web_sessions *s, struct tw_now now, struct web_sessions_counts *ret);

#endif
