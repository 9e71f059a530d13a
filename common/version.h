/* common/version.h - what this build is. */
#ifndef TW_COMMON_VERSION_H
#define TW_COMMON_VERSION_H
#define TW_VERSION "0.1.0"
#define TW_RELEASE_DATE "2026-11-27" /* for the manual pages */
/* RPC protocol versions that this program speaks, both inclusive. */
#define TW_RPC_VERSION_MIN 1
#define TW_RPC_VERSION_MAX 1
#endif
