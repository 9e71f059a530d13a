/* common/version.h - what this build is. */
#ifndef TW_COMMON_VERSION_H
#define TW_COMMON_VERSION_H

#include <stdint.h>

#define TW_VERSION "0.1.0"
#define TW_RELEASE_DATE "2026-11-27" /* for the manual pages */
/* RPC protocol versions that this program speaks, both inclusive. */
#define TW_RPC_VERSION_MIN 1
#define TW_RPC_VERSION_MAX 1

/* The same as objects, which is what programs go by: tests/next links them with others, as the release after this one. */
extern const char tw_version[];
extern const char tw_software_agent[], tw_software_ctl[]; /* as in HELLO: "twamp-agent 0.1.0" */
extern const uint32_t tw_rpc_version_min, tw_rpc_version_max;

/* How far a release is from another one, by their MAJOR.MINOR: programs of one and the next work together (docs/upgrade.md). Unknown ones
 * are taken for the same. X.0 may be the next one after any release of the MAJOR before. */
enum tw_skew { TW_SKEW_NONE, TW_SKEW_OLDER, TW_SKEW_NEWER, TW_SKEW_TOO_OLD, TW_SKEW_TOO_NEW };
/* What is `of`, seen from `from`? Texts such as "0.1.0" or "twamp-agent 0.1.0". */
enum tw_skew tw_version_skew(const char *of, const char *from);
const char *tw_skew_name(enum tw_skew s); /* "", "older", "newer", "too_old", "too_new" */

#endif
