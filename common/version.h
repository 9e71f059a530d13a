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

#endif
