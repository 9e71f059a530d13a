/* The release after this one, for tests: its number and a protocol version more. */
#include "common/version.h"

const char tw_version[] = "0.2.0";
const char tw_software_agent[] = "twamp-agent 0.2.0";
const char tw_software_ctl[] = "twampctl 0.2.0";
const uint32_t tw_rpc_version_min = TW_RPC_VERSION_MIN, tw_rpc_version_max = TW_RPC_VERSION_MAX + 1;
