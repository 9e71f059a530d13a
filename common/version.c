#include "common/version.h"

const char tw_version[] = TW_VERSION;
const char tw_software_agent[] = "twamp-agent " TW_VERSION;
const char tw_software_ctl[] = "twampctl " TW_VERSION;
const uint32_t tw_rpc_version_min = TW_RPC_VERSION_MIN, tw_rpc_version_max = TW_RPC_VERSION_MAX;
