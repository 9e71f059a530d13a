"""The table of fuzz targets: for each what bytes it reads, the files that it is responsible for, the decoders that it calls, and what
must hold of whatever comes. In the order of risk: what strangers reach first. docs/fuzzing.md is written from this and from record.json.

`decoders`: tests/fuzz/check_table.py looks for functions in headers that read what others wrote, and each must be in some row."""
import json
import os
import re
import threading

here = os.path.dirname(os.path.abspath(__file__))
top = os.path.dirname(os.path.dirname(here))
RECORD = os.path.join(here, "record.json")
DOCS = os.path.join(top, "docs", "fuzzing.md")
_lock = threading.Lock()


def row(reads, holds, files, decoders="", max_len=4096):
    return {"reads": reads, "holds": holds, "files": files.split(), "decoders": decoders.split(), "max_len": max_len}


ROWS = {
    "reflect": row("datagrams from strangers to the reflector, many senders, STAMP and TWAMP, with access list and limits",
                   "each is answered or counted exactly once; never longer than the request (or 41 octets); never to a reflector's port; denied "
                   "sources get nothing", "agent/core/reflect.c agent/core/source_limit.c"),
    "stamp_tlv": row("what follows a STAMP packet: TLVs, as request and as answer, signed or not",
                     "the answer keeps every boundary, type and unknown value; flags are right; our sender reads what our reflector wrote",
                     "agent/core/stamp_tlv.c agent/core/stamp_tlv_kinds.c", "stamp_tlv_read"),
    "stamp_pkt": row("STAMP packets, with and without keys", "taken if and only if whole and signed; written again the octets are the same",
                     "agent/core/stamp_pkt.c", "stamp_read_probe stamp_read_reply"),
    "twamp_pkt": row("TWAMP-Test packets, unauthenticated", "written again the octets are the same; nothing short is taken", "agent/core/twamp_pkt.c",
                     "twamp_decode_probe twamp_decode_reply"),
    "twamp_form": row("TWAMP-Test packets in every mode and feature, whole, spoilt or short", "the error names the reason; round trips",
                      "agent/core/twamp_form.c", "twamp_form_read_reply twamp_form_read_probe"),
    "ctl_server": row("TWAMP-Control, as server: a hostile client, sealed or not, and a careless shell",
                      "each session ends once; nothing after its end; output bounded", "agent/core/twamp_ctl_server.c agent/core/twamp_ctl_login.c "
                      "agent/core/twamp_ctl_commands.c", "ctl_rx_put"),
    "ctl_client": row("TWAMP-Control, as client: a hostile server", "sessions go their states in order; output bounded",
                      "agent/core/twamp_ctl_client.c agent/core/twamp_ctl_greeted.c agent/core/twamp_ctl_asked.c"),
    "ctl_msg": row("every message of TWAMP-Control by itself", "read, written and read again it is the same; numbers within the RFC's bounds",
                   "agent/core/twamp_ctl_msg.c agent/core/twamp_ctl_request.c"),
    "frame": row("what a stranger sends to an RPC port: frames, both HELLOs, a request", "frames within their bounds; round trips; names printable; "
                 "every refusal says why", "common/net/rpc_frame.c common/net/rpc_hello.c common/net/rpc_check.c common/net/arena.c",
                 "rpc_frame_cut rpc_frame_unpack rpc_body_unpack"),
    "rpc_conn": row("everything that may happen on RPC connections: HELLO and welcome of a stranger, agent, operator and joiner, calls both "
                    "ways, DATA, CANCEL, GOAWAY, cuts, clogged peers, time; as server and as client of a hostile server",
                    "hooks in pairs; every call of ours ends once; no call of theirs is answered twice, or by a service that it may not use; "
                    "what goes out can be read; accepted = failed + timed out + evicted + welcomed + waiting",
                    "common/net/rpc_peer.c common/net/rpc_call.c common/net/rpc_decode.c common/net/rpc_server.c common/net/rpc_client.c "
                    "common/net/rpc_side.c"),
    "controller": row("every method of the services Admin, FleetController and Join, DATA, and agents' replies to every method of FleetAgent, "
                      "on a whole controller with a store (methods and fields are walked, new ones are covered)",
                      "every call is answered once, with a message of its type or a reason; the controller stops, and starts again with what "
                      "it stored", "controller/admin.c controller/admin_access.c controller/admin_agents.c controller/admin_alert.c "
                      "controller/admin_alert_rules.c controller/admin_apply.c controller/admin_gate.c controller/admin_describe.c "
                      "controller/admin_report.c controller/admin_results.c controller/admin_schedule.c controller/admin_test.c "
                      "controller/admin_token.c controller/agent_edit.c controller/enrolment.c controller/fleet.c controller/ingest.c "
                      "controller/joining.c controller/joining_calls.c controller/ondemand.c controller/ondemand_plan.c controller/flight.c",
                      "ingest_decode ingest_batch_decode enrolment_from_json rpc_body_unpack", 2048),
    "http": row("requests to every route of the table of HTTP: method, path, query, headers, content, with and without tokens",
                "one answer to each, with a status and type that fit; JSON can be read; no connection is resumed twice or left suspended",
                "common/net/httpd.c common/net/httpd_conn.c common/net/httpd_req.c common/net/httpd_answer.c "
                "common/net/http_path.c common/net/http_stream.c common/net/http_text.c controller/gate.c "
                "controller/http/api.c controller/http/api_admin.c controller/http/login.c controller/http/page.c controller/http/export.c "
                "controller/http/api_v1_matrix.c controller/http/api_v1_series.c controller/http/api_v1_timeline.c "
                "controller/http/api_v1_flight.c controller/http/api_v1_report.c controller/http/report_text.c controller/http/report_html.c",
                "", 2048),
    "agent": row("every method of FleetAgent, answers to what an agent asks (Enrol, Ack, Report), acknowledgements, connections that come and go: a "
                 "hostile controller", "each call is answered once; no session beyond the agent's limits or where it may not send; what goes out "
                 "can be read; the agent stops", "agent/uplink.c agent/schedule_run.c agent/ondemand.c agent/recorder.c agent/frozen.c "
                 "agent/flight_pb.c agent/refusals.c agent/pair_names.c agent/core/lanes.c common/seqset.c common/net/rpc_ahead.c", "ahead_unpack", 2048),
    "join": row("the service Join before an agent that wants to join: certificates of our and of a foreign CA, spoilt ones, refusals, cuts",
                "the token is shown to its CA alone; no other CA is trusted; no certificate is taken but one for its own name and key",
                "agent/join.c agent/credentials.c", "", 1024),
    "twampctl": row("any answers of a controller to every command of twampctl, in every format",
                    "it ends with a code of its own; JSON can be read; what it prints is UTF-8; failures say why",
                    "controller/cli/answer.c controller/cli/out_table.c controller/cli/out_listing.c controller/cli/out_records.c "
                    "controller/cli/out_json.c controller/cli/out_num.c controller/cli/cmd_flight.c controller/cli/cmd_agent_show.c "
                    "controller/cli/cmd_alert.c controller/cli/cmd_doctor.c controller/cli/plan.c", "", 2048),
    "spool_file": row("a spool file that is damaged, or is none", "refused with a reason, or it works: numbers in order and never twice, gaps "
                      "only where something is missing, what is appended can be read", "db/sqlite/spool.c db/sqlite/spool_trim.c",
                      "spool_get_value", 1024),
    "store_file": row("a database with damaged pages, or with any value in any column", "the controller refuses it with a reason, or starts, "
                      "answers every call that reads, and stops", "db/sqlite/history.c db/sqlite/history_read.c db/sqlite/history_span.c "
                      "db/row_cols.c db/sqlite/row.c db/sqlite/runs.c db/sqlite/cells.c db/sqlite/day.c controller/load.c controller/alert_past.c",
                      "store_reader_open sq_open_reader sq_check_file row_decode store_check absences_read store_read_absences store_read_dropped "
                      "sq_get_int", 1024),
    "text": row("every small text: times, addresses, names of things, join tokens, contexts of twampctl, objectives, alerts and agents as the "
                "database keeps them, what controllers say of themselves, paths", "what is taken and printed means the same again; what is refused says why and changes nothing",
                "common/clk_text.c common/addr.c common/prefix.c common/dscp.c common/net/join_token.c controller/cli/config.c "
                "controller/sla_doc.c controller/alert_row.c controller/registry_row.c controller/registry_homes.c controller/agent_ops.c controller/enrolment.c controller/core/alert_track.c "
                "common/net/http_path.c",
                "tw_wall_parse tw_local_parse tw_duration_parse filter_parse_time tw_addr_parse tw_prefix_parse listen_check dscp_parse "
                "tw_direction_parse tw_status_parse store_level_parse log_level_parse dbjob_kind_parse access_role_parse alert_metric_parse "
                "alert_severity_parse cell_metric_parse report_by_parse report_sort_check join_token_parse join_labels_parse config_parse "
                "sla_doc_parse alert_row_read alert_silence_read alert_baseline_load agent_ops_from_json enrolment_from_json "
                "registry_row_read homes_take"),
    "pki": row("what a stranger sends to get a certificate, or shows as one: PEM, DER, CSR", "none of a foreign CA passes; names within bounds",
               "common/net/pki.c common/net/pki_issue.c", "pki_key_from_pem pki_cert_from_der pki_cert_from_pem pki_csr_from_der"),
    "reflect_session": row("datagrams into the reflector of a controlled session", "answered or counted exactly once; only what is authentic is "
                           "answered", "agent/core/reflect_session.c"),
    "session": row("a hostile reflector and a host in trouble against a sender's session, with clock jumps and stalls",
                   "sent = received + lost + in flight at every moment; every summary is valid", "agent/core/session.c agent/core/session_answer.c "
                   "agent/core/session_period.c agent/core/session_order.c agent/core/session_runs.c agent/core/form.c", "form_read_reply"),
    "summary": row("results that an agent sends (DATA)", "what is taken survives merging, storing and sending on, equal", "common/net/summary_pb.c "
                   "common/stats_validate.c common/unavail.c", "unavail_decode ingest_decode ingest_batch_decode"),
    "ch_answer": row("what a ClickHouse server answers to a SELECT of summaries, in pieces", "rows that are taken are written the same again; "
                     "whatever is no row is an error that says why", "db/clickhouse/ch_wire.c db/clickhouse/ch_row.c db/clickhouse/ch_rows.c "
                     "db/clickhouse/ch_error.c db/row_cols.c", "row_decode ch_error_parse"),
    "etcd_answer": row("what a server says in place of etcd: answers, messages of a watch, refusals", "no key without a name and a revision; whatever is no "
                       "answer is an error that says why", "db/etcd/etcd_answer.c", "etcd_answer_parse etcd_refusal_parse"),
    "hist": row("histograms, from agents and the database", "buckets in order, counts add up, merges and round trips are exact",
                "common/hist_codec.c", "hist_decode"),
    "accept": row("Accept-Encoding headers", "agrees with a reading by hand", "common/net/http_accept.c"),
    "web_headers": row("Cookie, Origin and Host headers", "no cookie but what the header holds; origin and host agree only if equal",
                       "controller/core/web_cookie.c", "web_cookie_get"),
    "access_token": row("access tokens", "only the right one is known; nothing of the caller changes on refusal",
                        "controller/core/access.c common/id_secret.c", "base64url_decode id_secret_parse"),
    "query": row("queries of reports over HTTP", "what is taken is within bounds, what is not says why", "controller/http/query.c"),
    "pb_json": row("JSON and queries over HTTP as the request of every Admin method", "what is taken can be packed and shown again",
                   "controller/http/pb_json_read.c controller/http/pb_json.c"),
    "mesh_doc": row("mesh documents (YAML, JSON)", "what is taken expands to pairs in order, none with itself, and has a cost; refusals have a line",
                    "controller/mesh_doc.c controller/mesh_doc_class.c controller/mesh_doc_groups.c controller/mesh_doc_times.c common/doc.c "
                    "common/doc_load.c", "mesh_doc_parse doc_get flatten_check_group", 16384),
    "conf_file": row("configuration files of daemons", "what is taken is good or an error with its place; printed and read again it is the same",
                     "common/conf_file.c common/conf_print.c common/conf_values.c", "conf_file_read_text", 8192),
    "alert_doc": row("alert documents", "every rule and receiver that is taken can be used; refusals say why",
                     "controller/alert_doc.c controller/alert_doc_rule.c controller/alert_doc_route.c", "alert_doc_parse", 16384),
    "schedule_merge": row("differences of schedules from the controller", "the list agrees with base and difference, or there is none",
                          "agent/schedule_merge.c"),
    "session_spec": row("what a controller wants an agent to run", "what is taken is within the agent's bounds and the same again",
                        "agent/session_spec.c"),
    "diagnose": row("the controller's Diagnose calls, with a network and a clock made up", "each is answered once and in time; packets and targets "
                    "within what is promised", "agent/diagnose.c agent/diagnose_call.c"),
    "diagnose_reply": row("agents' answers to Diagnose", "every text of every finding ends where it should", "controller/doctor_reply.c"),
    "relay": row("what stands in etcd in place of other controllers' calls and answers", "no call is made twice, each of ours ends once, what we say can "
                 "be read", "controller/relay_text.c controller/relay_ours.c controller/relay_theirs.c", "relay_text_read"),
    "probe_run": row("answers of an unknown reflector to `twamp probe`", "it ends; what it finds does not contradict itself",
                     "agent/core/probe_run.c agent/core/probe_classify.c", "probe_answer_read"),
    "times": row("rules of times, from schedules and as cron texts", "they answer quickly and without contradiction", "common/times.c "
                 "common/times_cron.c common/times_pack.c", "times_cron_parse times_unpack"),
    "test_settings": row("settings of a test on demand", "keeps the rules of a class; the same again", "controller/ondemand_class.c"),
    "acl": row("access lists", "the list agrees with a look at every rule", "common/acl.c", "acl_rules_parse"),
    "selector": row("selectors of agents", "the text that it is printed as means the same", "common/selector.c", "selector_parse"),
    "hostname": row("names of hosts with ports", "no name that is an address; the same again", "common/hostname.c", "hostname_parse tw_addr_parse"),
}

# What is to have an hour of processor time each, and of which targets. Those that are worth four of the others come with a star.
GROUPS = {
    "packets": "reflect* stamp_tlv stamp_pkt twamp_pkt twamp_form reflect_session session* probe_run acl",
    "TWAMP-Control": "ctl_server* ctl_client* ctl_msg",
    "envelope of RPC": "frame rpc_conn* join pki access_token",
    "messages of RPC": "controller* agent* twampctl* summary session_spec schedule_merge diagnose diagnose_reply times test_settings text relay",
    "documents": "mesh_doc* conf_file alert_doc* selector hostname",
    "HTTP": "http* pb_json* query accept web_headers",
    "spool": "spool_file",
    "database": "store_file* ch_answer etcd_answer hist",
}


def group_of(target):
    """Its group and its weight there."""
    for group, names in GROUPS.items():
        for name in names.split():
            if name.rstrip("*") == target:
                return group, 4 if name.endswith("*") else 1
    return None, 1


# Functions that look like decoders and have no target of their own, and why.
EXEMPT = {
    "identity_load": "a file of ours, for us alone; OpenSSL reads it",
    "keyfile_read": "reads octets, for pki_*", "keyfile_read_line": "reads one line, for tokens", "keyfile_check": "looks at a file's mode",
    "http_cert_load": "files that the operator names; GnuTLS reads them", "secrets_load": "a file of ours, for us alone",
    "token_read_file": "reads one line, for access_token", "config_load": "reads a file, for config_parse",
    "side_check_url": "the operator's own option", "ch_location_parse": "the operator's own option", "http_location_parse": "the operator's own option", "cli_read_generation": "the operator's own argument",
    "cli_read_document": "reads a file, for the controller to parse", "alerts_read_id": "the operator's own argument",
    "host_parse": "the user's own argument", "peer_cut": "the inside of rpc_conn",
    "doctor_check_find": "looks up a word", "store_put_refusals": "writes", "store_put_version": "writes",
    **{f"tool_parse_{w}": "the user's own argument" for w in ("octet", "dscp", "interval", "padding", "metrics", "tlvs", "modes", "features",
                                                             "ports")},
}


def in_order():
    """Of what CMakeLists.txt has, in the order of the table; what has no row comes last."""
    with open(os.path.join(here, "CMakeLists.txt"), encoding="utf-8") as f:
        built = re.findall(r"^tw_fuzz_target\((\w+) ", f.read(), re.M)
    return [t for t in ROWS if t in built] + [t for t in built if t not in ROWS]


# ---- What was done so far ----

def load(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def _change(path, target, change):
    with _lock:
        record = load(path)
        change(record.setdefault(target, {"seconds": 0, "executions": 0, "edges": 0, "found": 0}))
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(record, f, indent=1, sort_keys=True)
            f.write("\n")
        os.replace(path + ".new", path)
        if os.path.abspath(path) == RECORD:
            write_docs()


def add_run(path, run):
    def change(r):
        r["seconds"] = round(r["seconds"] + run["seconds"])
        r["executions"] += run["executions"]
        r["edges"] = max(r["edges"], run["edges"])
        r["found"] += len(run["crashes"])
    _change(path, run["target"], change)


def add_coverage(path, target, share):
    _change(path, target, lambda r: r.update(share))


# ---- docs/fuzzing.md ----

def percent(pair):
    return f"{100 * pair[0] / pair[1]:.0f} %" if pair and pair[1] else "-"


def group_minutes(record):
    return {group: sum(record.get(name.rstrip("*"), {}).get("seconds", 0) for name in names.split()) / 60 for group, names in GROUPS.items()}


def groups_text(record):
    lines = ["| what is read | targets | minutes |", "|---|---|---|"]
    for group, minutes in group_minutes(record).items():
        targets = ", ".join(f"`{name.rstrip('*')}`" for name in GROUPS[group].split())
        lines.append(f"| {group} | {targets} | {minutes:.0f} |")
    return lines


def table_text():
    record = load(RECORD)
    lines = groups_text(record) + ["", "| target | reads | holds | its files | lines | branches | minutes | executions |", "|---|---|---|---|---|---|---|---|"]
    for t in in_order():
        r, row_ = record.get(t, {}), ROWS[t]
        files = ", ".join(f"`{f}`" for f in row_["files"])
        lines.append(f"| `{t}` | {row_['reads']} | {row_['holds']} | {files} | {percent(r.get('lines'))} | {percent(r.get('branches'))} | "
                     f"{r.get('seconds', 0) / 60:.1f} | {r.get('executions', 0):,} |")
    minutes = sum(r.get("seconds", 0) for r in record.values()) / 60
    lines.append("")
    lines.append(f"In all {minutes:,.0f} minutes of processor time and {sum(r.get('executions', 0) for r in record.values()):,} executions.")
    return "\n".join(lines)


BEGIN, END = "<!-- begin: written by tests/fuzz/campaign -->", "<!-- end -->"


def docs_text():
    with open(DOCS, encoding="utf-8") as f:
        text = f.read()
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n" + table_text() + "\n" + END + rest.split(END)[1]


def write_docs():
    if not os.path.exists(DOCS):
        return
    text = docs_text()
    with open(DOCS, "w", encoding="utf-8") as f:
        f.write(text)
