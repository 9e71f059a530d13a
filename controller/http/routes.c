/* A new page is one more row and a function; a new method of the Admin service one more row. */
#include "controller/http/api.h"
#include "controller/http/login.h"
#include "controller/http/page.h"

#define TIMES (QUERY_FROM | QUERY_TO)
#define BODY_MAX (64u << 10)
#define DOCUMENT_MAX (2u << 20)
/* Rows with a handler of their own. */
#define PAGE(at, text, handler) { .path = (at), .help = (text), .fn = (handler) }
/* What needs no token. */
#define OPEN(at, text, handler) { .path = (at), .help = (text), .fn = (handler), .open = true }
/* The same, but who asks is looked at. */
#define OPEN_JSON(at, text, handler, verb, room, answer, content)                                \
    {                                                                                            \
        .path = (at), .help = (text), .fn = (handler), .method = (verb), .body_max = (room),     \
        .data = &(const struct api_doc){ 0, answer, content }, .open = true, .recognised = true, \
        .vital = true                                                                            \
    }
/* Answered however many ask for other things: is it well, and the way in. */
#define VITAL(at, text, handler)                                                   \
    {                                                                              \
        .path = (at), .help = (text), .fn = (handler), .open = true, .vital = true \
    }
/* By programs that know no name of ours. */
#define HEALTH(at, text, handler)                                                                    \
    {                                                                                                \
        .path = (at), .help = (text), .fn = (handler), .open = true, .any_name = true, .vital = true \
    }
#define JSON(at, text, handler, params, file) \
    { .path = (at), .help = (text), .fn = (handler), .data = &(const struct api_doc){ params, file, NULL } }
/* Reads by a method of Admin: what the query says is the request. */
#define READ(at, call, text) { .path = (at), .help = (text), .fn = http_admin, .data = (call) }
/* Changes: what the content, or for DELETE the query, says is the request. */
#define SEND(at, call, text, room) \
    { .path = (at), .help = (text), .fn = http_admin, .method = "POST", .body_max = (room), .data = (call) }
#define POST(at, call, text) SEND(at, call, text, BODY_MAX)
#define DELETE(at, call, text) \
    { .path = (at), .help = (text), .fn = http_admin, .method = "DELETE", .data = (call) }

/* clang-format off: one row is one line */
const struct http_route controller_routes[] = {
    VITAL("/", "the page, for people", http_page),
    VITAL("/assets/{file}", "what the page consists of", http_page),
    VITAL("/favicon.svg", "its sign", http_page),
    OPEN("/api/v1", "this list, as text", http_index),
    OPEN_JSON("/api/v1/whoami", "who asks, and what they may do", http_whoami, NULL, 0, "whoami-v1.json",
              NULL),
    OPEN_JSON("/api/v1/login", "begin a session of the page: an access token for a cookie", http_login,
              "POST", 1024, "whoami-v1.json", "login-v1.json"),
    OPEN_JSON("/api/v1/logout", "end it", http_logout, "POST", 1024, "whoami-v1.json", NULL),
    { .path = "/metrics",
      .help = "for Prometheus: text, OpenMetrics, protobuf; ?level=pair,agent,site,mesh,fleet&mesh=NAME",
      .fn = http_metrics,
      .scraped = true,
      .vital = true },
    HEALTH("/healthz", "200 while the controller answers", http_healthz),
    HEALTH("/readyz", "200 when it can work, 503 with its problems when not", http_readyz),
    OPEN("/api/v1/openapi.json", "this API, as an OpenAPI 3.1 document", http_openapi),
    OPEN("/api/v1/schema/{file}", "JSON Schemas of the answers", http_schema),
    { .path = "/api/v1/sd",
      .help = "Prometheus HTTP service discovery: the fleet, and each mesh",
      .fn = http_sd,
      .scraped = true },

    PAGE("/api/v1/events", "server-sent events: what is new, for pages that look on", http_events),
    JSON("/api/v1/matrix", "one mesh and class as a grid of cells", http_matrix, QUERY_MATRIX,
         "matrix-v1.json"),
    JSON("/api/v1/series", "one pair over time, with a heat map of its delays", http_series, QUERY_SERIES,
         "series-v1.json"),
    JSON("/api/v1/timeline", "what happened, for time axes", http_timeline, QUERY_TEXTS | TIMES,
         "timeline-v1.json"),
    JSON("/api/v1/pairs", "pairs as they are now", http_pairs, QUERY_NAMES | QUERY_LIMIT, "pairs-v1.json"),
    JSON("/api/v1/summaries", "stored summaries", http_summaries,
         QUERY_NAMES | TIMES | QUERY_LIMIT | QUERY_FORMAT, "summaries-v1.json"),
    JSON("/api/v1/report", "numbers of each pair over a span", http_report,
         QUERY_NAMES | TIMES | QUERY_LIMIT | QUERY_LATEST | QUERY_FLOWS | QUERY_SHAPE, "report-v1.json"),
    READ("/api/v1/report/sla", "ReportSla",
         "were objectives kept, for each pair: error budgets, and when a pair was unavailable"),
    JSON("/api/v1/outages", "loss runs, newest first", http_outages,
         QUERY_NAMES | TIMES | QUERY_LIMIT | QUERY_OUTAGES, "outages-v1.json"),
    READ("/api/v1/completeness", "Completeness",
         "of each pair and hour what should be there, what is, and why the rest is not"),
    JSON("/api/v1/clock", "each agent's clock, as all pairs together show it", http_clock, QUERY_SELECT,
         "clock-v1.json"),
    JSON("/api/v1/flight", "single probes of one pair around a moment", http_flight,
         QUERY_NAMES | QUERY_AT | QUERY_SPAN | QUERY_FLOW | QUERY_LIMIT, "flight-v1.json"),
    JSON("/api/v1/frozen", "what agents keep of their flight recorders", http_frozen,
         QUERY_NAMES | QUERY_LIMIT, "frozen-v1.json"),
    POST("/api/v1/frozen", "FlightFreeze", "keep a copy of what was recorded around a moment"),

    JSON("/api/v1/agents", "agents and their health", http_agents, QUERY_SELECT, "agents-v1.json"),
    READ("/api/v1/agents/{name}", "AgentShow", "one agent with everything known of it"),
    POST("/api/v1/agents/{name}/approve", "AgentApprove", "let a pending agent in"),
    DELETE("/api/v1/agents/{name}", "AgentRemove", "forget an agent and cut it off; its results stay"),
    POST("/api/v1/agents/{name}/label", "AgentLabel", "set and remove labels of an agent"),
    POST("/api/v1/agents/{name}/drain", "AgentDrain", "end all sessions from and to an agent for now"),
    POST("/api/v1/agents/{name}/undrain", "AgentUndrain", "measure from and to a drained agent again"),
    POST("/api/v1/agents/{name}/maintenance", "AgentMaintenance",
         "mark what an agent measures while it is worked on"),
    POST("/api/v1/agents/{name}/revoke", "AgentRevoke", "cut an agent off and refuse its key from now on"),
    POST("/api/v1/agents/{name}/rename", "AgentRename",
         "give an agent another name; its history comes along"),

    READ("/api/v1/schedule", "ScheduleList", "all meshes, and which agents run the schedule"),
    SEND("/api/v1/schedule", "ScheduleApply", "put mesh documents in force, or show what they would cost",
         DOCUMENT_MAX),
    READ("/api/v1/schedule/{name}", "ScheduleShow", "one mesh and its document"),
    POST("/api/v1/schedule/{name}/pause", "SchedulePause", "stop measuring a mesh for now"),
    POST("/api/v1/schedule/{name}/resume", "ScheduleResume", "measure a paused mesh again"),
    DELETE("/api/v1/schedule/{name}", "ScheduleDelete", "end a mesh; its results stay"),
    READ("/api/v1/generations", "ScheduleHistory",
         "which generations of the schedule there were, when, by whom and why"),
    READ("/api/v1/generations/{generation}", "ScheduleHistory",
         "one generation, and what it changed in the documents"),
    POST("/api/v1/generations/{generation}/rollback", "ScheduleRollback",
         "put the documents of a generation in force again"),

    POST("/api/v1/doctor", "DoctorStart",
         "look for what is wrong in the fleet; the answer has the number to ask by"),
    READ("/api/v1/doctor/{id}", "DoctorLook", "how far that is, and what has been found"),
    DELETE("/api/v1/doctor/{id}", "DoctorStop", "end it"),
    READ("/api/v1/rollout", "ScheduleRollout", "which agent runs which generation, and what differs"),
    READ("/api/v1/export", "ScheduleExport", "what runs, as documents that can be applied again"),

    READ("/api/v1/tests", "TestList", "the tests on demand that were made"),
    POST("/api/v1/tests", "TestStart",
         "measure a pair, or all pairs of a mesh, now; ask for its progress at least every 5 s"),
    READ("/api/v1/tests/{test_id}", "TestList", "one test on demand, and what became of each pair"),
    READ("/api/v1/tests/{test_id}/progress", "TestProgress", "how a test on demand goes on; keeps it alive"),
    POST("/api/v1/tests/{test_id}/stop", "TestStop", "stop a test on demand"),

    READ("/api/v1/alerts", "AlertList",
         "alerts that go on, worst first; with state=all or resolved others, too"),
    READ("/api/v1/alerts/{id}", "AlertShow", "one alert, what it explains, and who is told of it"),
    POST("/api/v1/alerts/{id}/ack", "AlertAck", "say that somebody works on an alert"),
    READ("/api/v1/alert-rules", "AlertRules", "the rules in force, in the order of their document"),
    READ("/api/v1/alert-rules/explain", "AlertExplain",
         "which rules apply to a pair or an agent, and why not the others"),
    READ("/api/v1/alert-document", "AlertExport",
         "the document of rules, receivers and routes, the newest or of a version"),
    SEND("/api/v1/alert-document", "AlertApply", "put an alert document in force, or only check it",
         DOCUMENT_MAX),
    READ("/api/v1/alert-document/history", "AlertHistory", "who applied which document when, and why"),
    READ("/api/v1/silences", "AlertSilences", "who is not told of what, and until when"),
    POST("/api/v1/silences", "AlertSilence", "tell nobody of alerts with such labels for a while"),
    DELETE("/api/v1/silences/{id}", "AlertUnsilence", "end a silence"),
    READ("/api/v1/alert-receivers", "AlertReceivers", "who is told, and how that goes"),
    READ("/api/v1/database", "DatabaseLook",
         "how far a copy or check of the database is, or what came of the last one"),
    POST("/api/v1/database/{kind}", "DatabaseStart",
         "backup: copy the database on the controller's host; check: is it whole?"),
    DELETE("/api/v1/database", "DatabaseStop", "end what is under way"),
    READ("/api/v1/join-tokens", "JoinTokenList",
         "tokens by which agents may join; with all=true also those that are not usable any more"),
    POST("/api/v1/join-tokens", "JoinTokenCreate",
         "make a token by which agents may join; its text is in this answer alone"),
    DELETE("/api/v1/join-tokens/{id}", "JoinTokenRevoke", "let nobody join by a token any more"),

    READ("/api/v1/access/tokens", "AccessList", "who has an access token, and of which role"),
    POST("/api/v1/access/tokens", "AccessCreate",
         "make one: the answer is the only place where it is ever told"),
    DELETE("/api/v1/access/tokens/{id}", "AccessRevoke", "end one, and what it let in"),
    READ("/api/v1/audit", "AuditList",
         "who changed what, from where, and what was different then; refused tries, too"),

    READ("/api/v1/status", "Status", "is the controller itself well?"),
    READ("/api/v1/debug/threads", "DebugThreads",
         "what each thread of the controller, or of an agent, does, and what waits for it"),
};
/* clang-format on */
const size_t controller_routes_n = TW_NELEM(controller_routes);
