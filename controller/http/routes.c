/* A new page is one more row and a function. */
#include "controller/http/api.h"

const struct http_route controller_routes[] = {
    { "/metrics", "Prometheus text; ?level=pair,agent,mesh,fleet&mesh=NAME", http_metrics },
    { "/healthz", "200 while the controller answers", http_healthz },
    { "/readyz", "200 when it can work, 503 with its problems when not", http_readyz },
    { "/api/v1/agents", "agents and their health", http_agents },
    { "/api/v1/pairs", "pairs as they are now; ?mesh&class&source&target&limit", http_pairs },
    { "/api/v1/summaries", "stored summaries; ?mesh&class&source&target&from&to&limit", http_summaries },
    { "/api/v1/report",
      "numbers of each pair over a span; ?mesh&class&source&target&from&to&limit or &latest=1", http_report },
    { "/api/v1/outages",
      "loss runs, newest first; ?mesh&class&source&target&from&to&min_probes&min_duration&direction&limit", http_outages },
    { "/api/v1/clock", "each agent's clock, as all pairs together show it", http_clock },
    { "/api/v1/flight", "single probes of one pair around a moment; ?mesh&class&source&target&at&span&flow&limit",
      http_flight },
    { "/api/v1/frozen", "what agents keep of their flight recorders; ?mesh&class&source&target&limit",
      http_frozen },
    { "/api/v1/sd", "Prometheus HTTP service discovery: the fleet, and each mesh", http_sd },
};
const size_t controller_routes_n = TW_NELEM(controller_routes);
