#include "db/sqlite/statements.h"
#include "db/sqlite/day.h"

extern const struct sq_migration store_migrations[];
extern const size_t store_migrations_n;

#define GENERATION_COLUMNS                                                               \
    "number, first, time_ns, author, what, reason, ifnull(pairs, -1), ifnull(added, 0)," \
    " ifnull(removed, 0), ifnull(changed, 0), complete FROM generation"

#define GAP_COLUMNS "agent_id, first_seq, last_seq, reason, received_ns, from_ns, until_ns FROM gap"

static const char *const statements[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_AGENT_INSERT] =
        "INSERT INTO agent (name, public_key, approved, first_seen_ns, approved_ns, last_contact_ns,"
        " software, enrolment, ops) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    [ST_AGENT_UPDATE] =
        "UPDATE agent SET name = ?, public_key = ?, approved = ?, first_seen_ns = ?, approved_ns = ?,"
        " last_contact_ns = ?, software = ?, enrolment = ?, ops = ? WHERE id = ? RETURNING id",
    [ST_AGENT_CONTACT] = "UPDATE agent SET last_contact_ns = ?2, software = ?3, enrolment = ?4 WHERE id = ?1",
    [ST_AGENT_DELETE] = "DELETE FROM agent WHERE id = ? RETURNING id",
    [ST_AGENT_EACH] =
        "SELECT id, name, public_key, approved, first_seen_ns, approved_ns, last_contact_ns, software,"
        " enrolment, ops FROM agent ORDER BY id",
    [ST_RENAME_SOURCE] = "UPDATE pair SET source = ?2 WHERE source = ?1",
    [ST_RENAME_TARGET] = "UPDATE pair SET target = ?2 WHERE target = ?1",
    [ST_RENAME_GAP] = "UPDATE gap SET source = ?2 WHERE source = ?1",
    [ST_RENAME_FORMER] = "UPDATE agent_former SET name = ?2 WHERE name = ?1",
    [ST_RENAME_MAINTENANCE] = "UPDATE agent_maintenance SET agent = ?2 WHERE agent = ?1",
    [ST_MAINTENANCE_DROP] = "DELETE FROM agent_maintenance WHERE agent = ?1 AND from_ns >= ?2",
    [ST_MAINTENANCE_CUT] = "UPDATE agent_maintenance SET to_ns = ?2 WHERE agent = ?1 AND to_ns > ?2",
    [ST_MAINTENANCE_PUT] = "INSERT INTO agent_maintenance (agent, from_ns, to_ns) VALUES (?, ?, ?)",
    [ST_RETAIN_MAINTENANCE] = "DELETE FROM agent_maintenance WHERE to_ns < ?",
    [ST_READ_MAINTENANCE] =
        "SELECT from_ns, to_ns FROM agent_maintenance WHERE agent = ?1 AND from_ns < ?3 AND to_ns > ?2"
        " ORDER BY from_ns, to_ns",
    [ST_RENAME_ABSENCE] = "UPDATE absence SET source = ?2 WHERE source = ?1",
    [ST_AGENT_KNOWN] = "SELECT 1 FROM agent WHERE id = ?",
    [ST_AGENT_NAMED] =
        "SELECT id FROM agent WHERE name = ?1 UNION ALL SELECT id FROM agent_former WHERE name = ?1",
    [ST_MESH_PUT] = "INSERT OR REPLACE INTO mesh (name, document, paused, generation, changed_ns, author)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
    [ST_MESH_DELETE] = "DELETE FROM mesh WHERE name = ? RETURNING name",
    [ST_MESH_EACH] = "SELECT name, document, paused, generation, changed_ns, author FROM mesh ORDER BY name",
    [ST_PAIR_FIND] = "SELECT id FROM pair WHERE mesh = ? AND class_name = ? AND source = ? AND target = ?",
    [ST_PAIR_INSERT] =
        "INSERT INTO pair (mesh, class_name, source, target, id, slot) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO NOTHING RETURNING id",
    [ST_PAIR_EACH] = "SELECT id, mesh, class_name, source, target, slot FROM pair ORDER BY id",
    [ST_PAIR_OF] = "SELECT id, mesh, class_name, source, target, slot FROM pair"
                   " WHERE mesh = ? AND class_name = ? AND source = ?",
    [ST_PAIR_AFTER] = "SELECT id, mesh, class_name, source, target, slot FROM pair"
                      " WHERE id > ? ORDER BY id LIMIT ?",
    [ST_PAIR_SLOT] = "UPDATE pair SET slot = ?2 WHERE id = ?1 RETURNING id",
    [ST_RULE_PUT] = "INSERT OR IGNORE INTO times_rule (id, octets) VALUES (?, ?)",
    [ST_INTERVAL_SAME] = "SELECT ifnull(period_ns = ?2 AND flows = ?3 AND rule_id = ?4 AND spacing_ns = ?5"
                         " AND exponential = ?6 AND slot = ?7, 0)"
                         " FROM pair_interval WHERE pair_id = ?1 AND until_ns IS NULL",
    [ST_INTERVAL_OPEN] =
        "INSERT INTO pair_interval (pair_id, period_ns, flows, rule_id, spacing_ns, exponential,"
        " slot, generation, from_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_INTERVAL_CLOSE] = "UPDATE pair_interval SET until_ns = max(from_ns, ?2) WHERE pair_id = ?1"
                          " AND until_ns IS NULL",
    [ST_ABSENCE_PUT] =
        "INSERT INTO absence (source, pair_id, cause, reason, from_ns) SELECT ?1, ?2, ?3, ?4, ?5"
        " WHERE NOT EXISTS (SELECT 1 FROM absence WHERE source = ?1 AND pair_id = ?2 AND cause = ?3"
        " AND until_ns IS NULL)",
    [ST_ABSENCE_DOWN] = "UPDATE absence SET cause = 'agent_down', until_ns = ?2 WHERE source = ?1"
                        " AND cause = 'awaited' AND until_ns IS NULL AND from_ns < ?2",
    [ST_ABSENCE_FORGET] = "DELETE FROM absence WHERE source = ?1 AND cause = 'awaited' AND until_ns IS NULL",
    [ST_ABSENCE_END] = "UPDATE absence SET until_ns = max(from_ns, ?2) WHERE id = ?1",
    [ST_ABSENCE_REFUSED] =
        "SELECT id, pair_id FROM absence WHERE source = ? AND cause = 'refused' AND until_ns IS NULL",
    [ST_GENERATION_PUT] =
        "INSERT INTO generation (number, first, time_ns, author, what, reason, pairs, added,"
        " removed, changed, complete) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
    [ST_GENERATION_LAST] = "SELECT ifnull(max(number), 0) FROM generation",
    [ST_GENERATION_MERGE] = "DELETE FROM generation WHERE number >= ? AND number < ?",
    [ST_DOCUMENT_FIND] = "SELECT id FROM document WHERE hash = ? AND text = ?",
    [ST_DOCUMENT_PUT] = "INSERT INTO document (hash, text) VALUES (?, ?) RETURNING id",
    [ST_VERSION_PUT] = "INSERT OR REPLACE INTO mesh_version (mesh, generation, document, paused)"
                       " VALUES (?, ?, ?, ?)",
    [ST_RETAIN_GENERATION] = "DELETE FROM generation WHERE time_ns < ?"
                             " AND number < (SELECT max(number) FROM generation)",
    [ST_RETAIN_VERSION] =
        "DELETE FROM mesh_version WHERE EXISTS (SELECT 1 FROM mesh_version AS later"
        " WHERE later.mesh = mesh_version.mesh AND later.generation > mesh_version.generation"
        " AND later.generation <= (SELECT min(first) FROM generation))",
    [ST_RETAIN_DELETED] = "DELETE FROM mesh_version WHERE document IS NULL"
                          " AND generation < (SELECT min(first) FROM generation)",
    [ST_RETAIN_DOCUMENT] = "DELETE FROM document WHERE NOT EXISTS"
                           " (SELECT 1 FROM mesh_version WHERE document = document.id)",
    [ST_CURSOR_EACH] = "SELECT agent_id, spool_id, through_seq FROM cursor",
    [ST_CURSOR_PUT] = "INSERT OR REPLACE INTO cursor (agent_id, spool_id, through_seq) VALUES (?, ?, ?)",
    [ST_CURSOR_FORGET] = "DELETE FROM cursor WHERE agent_id = ?",
    [ST_AHEAD_FORGET] = "DELETE FROM cursor_ahead WHERE agent_id = ?",
    [ST_AHEAD_EACH] = "SELECT agent_id, spool_id, first_seq, last_seq FROM cursor_ahead",
    [ST_AHEAD_OF] =
        "SELECT first_seq, last_seq FROM cursor_ahead WHERE agent_id = ? AND spool_id = ? ORDER BY first_seq",
    [ST_AHEAD_DELETE] = "DELETE FROM cursor_ahead WHERE agent_id = ? AND spool_id = ?",
    [ST_AHEAD_PUT] = "INSERT INTO cursor_ahead (agent_id, spool_id, first_seq, last_seq) VALUES (?, ?, ?, ?)",
    [ST_FLOOR_PUT] = "UPDATE schema_floor SET oldest = ? WHERE one = 1",
    /* The name is for the release before, which knows nothing of numbers. */
    [ST_GAP_PUT] =
        "INSERT INTO gap (agent_id, source, spool_id, first_seq, last_seq, reason, received_ns, from_ns, "
        "until_ns)"
        " VALUES (?1, ifnull((SELECT name FROM agent WHERE id = ?1), ''), ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [ST_LATEST_PUT] = "INSERT INTO latest (pair_id, flow, start_ns, day, row) VALUES (?1, ?2, ?3, ?4, ?5)"
                      " ON CONFLICT DO UPDATE SET start_ns = excluded.start_ns, day = excluded.day,"
                      " row = excluded.row WHERE excluded.start_ns >= start_ns OR start_ns > ?6",
    [ST_TEST_PUT] = "INSERT OR REPLACE INTO test (id, started_ns, ended_ns, author, what, settings, count,"
                    " duration_ns, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_TEST_RUN_PUT] =
        "INSERT OR REPLACE INTO test_run (test_id, pair_id, state, reason, started_ns, ended_ns)"
        " VALUES (?, ?, ?, ?, ?, ?)",
    [ST_TEST_LAST] = "SELECT ifnull(max(id), 0) FROM test",
    [ST_TEST_NOTE] = "INSERT OR IGNORE INTO test (id, started_ns, ended_ns, author, what, settings, count,"
                     " duration_ns, state) VALUES (?, ?, 0, '', '', '', 0, 0, '')",
    [ST_TEST_RUN_NOTE] =
        "INSERT OR IGNORE INTO test_run (test_id, pair_id, state, reason, started_ns, ended_ns)"
        " VALUES (?, ?, '', '', 0, 0)",
    [ST_RETAIN_TEST_RUN] = "DELETE FROM test_run WHERE test_id IN (SELECT id FROM test WHERE started_ns < ?)",
    [ST_RETAIN_TEST] = "DELETE FROM test WHERE started_ns < ?",
    [ST_RETAIN_LATEST] = "DELETE FROM latest WHERE day = ?",
    [ST_RETAIN_GAP] = "DELETE FROM gap WHERE received_ns < ?",
    [ST_RETAIN_INTERVAL] = "DELETE FROM pair_interval WHERE until_ns < ?",
    [ST_KEPT_MESHES] = "SELECT DISTINCT mesh FROM pair",
    [ST_KEPT_PAIRS] = "SELECT id FROM pair WHERE mesh = ? ORDER BY id",
    [ST_KEPT_EACH] = "SELECT mesh, level, from_ns, done_ns FROM level_kept",
    [ST_KEPT_PUT] = "INSERT OR REPLACE INTO level_kept (mesh, level, from_ns, done_ns) VALUES (?, ?, ?, ?)",
    [ST_RETAIN_PAIR_LATEST] = "DELETE FROM latest WHERE pair_id = ? AND day < ?",
    [ST_DAY_EACH] = "SELECT day, last, through, until, next_pair FROM rollup_day ORDER BY day",
    [ST_DAY_PUT] =
        "INSERT OR REPLACE INTO rollup_day (day, last, through, until, next_pair) VALUES (?, ?, ?, ?, ?)",
    [ST_DAY_DELETE] = "DELETE FROM rollup_day WHERE day = ?",
    [ST_PART_EACH] = "SELECT level, first_day, n_rows, octets FROM level_part ORDER BY level, first_day",
    [ST_PART_ADD] =
        "INSERT INTO level_part (level, first_day, n_rows, octets) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET n_rows = n_rows + excluded.n_rows, octets = octets + excluded.octets",
    [ST_PART_DELETE] = "DELETE FROM level_part WHERE level = ? AND first_day = ?",
    [ST_READ_DAYS] = "SELECT day, last, through, until, next_pair FROM rollup_day WHERE day >= ? AND day <= "
                     "? ORDER BY day",
    [ST_READ_KEPT] = "SELECT p.mesh, ifnull(k.level, -1), ifnull(k.from_ns, 0) FROM pair AS p"
                     " LEFT JOIN level_kept AS k ON k.mesh = p.mesh WHERE p.id = ?",
    [ST_RETAIN_ABSENCE] = "DELETE FROM absence WHERE until_ns < ?",
    [ST_RETAIN_RULE] = "DELETE FROM times_rule WHERE id NOT IN (SELECT rule_id FROM pair_interval"
                       " WHERE rule_id IS NOT NULL)",
    [ST_READ_LATEST_DAYS] = "SELECT pair_id, day FROM latest ORDER BY pair_id",
    [ST_READ_LATEST] = "SELECT day, row FROM latest WHERE pair_id = ? ORDER BY flow",
    [ST_READ_INTERVALS] = "SELECT period_ns, flows, from_ns, ifnull(until_ns, 9223372036854775807),"
                          " ifnull(rule_id, 0), spacing_ns, exponential, slot, octets,"
                          " rule_id IS NULL OR rule_id != 0 AND octets IS NULL FROM pair_interval"
                          " LEFT JOIN times_rule ON times_rule.id = rule_id AND rule_id != 0"
                          " WHERE pair_id = ?1 AND from_ns < ?3 AND from_ns >= ifnull((SELECT max(from_ns)"
                          " FROM pair_interval WHERE pair_id = ?1 AND from_ns <= ?2), ?2)"
                          " AND ifnull(until_ns, 9223372036854775807) > ?2 ORDER BY from_ns",
    [ST_READ_TESTS] = "SELECT id, started_ns, ended_ns, author, what, settings, count, duration_ns, state,"
                      " (SELECT count(*) FROM test_run WHERE test_id = id),"
                      " (SELECT count(*) FROM test_run r WHERE test_id = id AND r.reason <> '')"
                      " FROM test WHERE ?1 = 0 OR id = ?1 ORDER BY id DESC LIMIT ?2",
    [ST_READ_TEST_RUNS] =
        "SELECT p.id, p.mesh, p.class_name, p.source, p.target, r.state, r.reason, r.started_ns,"
        " r.ended_ns FROM test_run r JOIN pair p ON p.id = r.pair_id WHERE r.test_id = ?"
        " ORDER BY p.class_name, p.source, p.target",
    [ST_READ_ABSENCES] =
        "SELECT pair_id, cause, reason, from_ns, ifnull(until_ns, 9223372036854775807) FROM absence"
        " WHERE source = ?1 AND from_ns < ?3 AND ifnull(until_ns, 9223372036854775807) > ?2",
    [ST_READ_GAPS] = "SELECT " GAP_COLUMNS " WHERE agent_id = ?1 AND received_ns >= ?2 AND received_ns < ?3",
    [ST_READ_GAPS_SPOOLED] =
        "SELECT " GAP_COLUMNS " WHERE agent_id = ?1 AND from_ns < ?3 AND until_ns > ?2 AND until_ns > 0",
    [ST_READ_GENERATIONS] = "SELECT " GENERATION_COLUMNS " WHERE number < ? ORDER BY number DESC LIMIT ?",
    [ST_READ_GENERATION] =
        "SELECT " GENERATION_COLUMNS " WHERE first <= ?1 AND number >= ?1 ORDER BY number LIMIT 1",
    [ST_READ_MESH_CHANGES] =
        "SELECT v.mesh, v.document IS NOT NULL, d.text, v.paused, p.document IS NOT NULL, pd.text,"
        " ifnull(p.paused, 0) FROM mesh_version AS v LEFT JOIN document AS d ON d.id = v.document"
        " LEFT JOIN mesh_version AS p ON p.mesh = v.mesh AND p.generation = (SELECT max(generation)"
        " FROM mesh_version WHERE mesh = v.mesh AND generation < v.generation)"
        " LEFT JOIN document AS pd ON pd.id = p.document WHERE v.generation = ? ORDER BY v.mesh",
    [ST_READ_MESHES_AT] =
        "SELECT v.mesh, d.text, v.paused, v.generation FROM mesh_version AS v"
        " JOIN document AS d ON d.id = v.document WHERE v.generation = (SELECT max(generation)"
        " FROM mesh_version WHERE mesh = v.mesh AND generation <= ?) ORDER BY v.mesh",
    [ST_ALERT_PUT] = "INSERT OR REPLACE INTO alert (id, open, changed_ns, body) VALUES (?, ?, ?, ?)",
    [ST_ALERT_REMOVE] = "DELETE FROM alert WHERE id = ?",
    [ST_ALERT_LAST] = "SELECT ifnull(max(id), 0) FROM alert",
    [ST_ALERT_EACH] = "SELECT id, open, changed_ns, body FROM alert WHERE open = 1 OR id IN"
                      " (SELECT id FROM alert WHERE open = 0 ORDER BY id DESC LIMIT ?) ORDER BY id",
    [ST_ALERT_FIND] = "SELECT id, open, changed_ns, body FROM alert WHERE id = ?",
    [ST_ALERT_DOCUMENT_PUT] = "INSERT OR REPLACE INTO alert_document (version, time_ns, author, reason, "
                              "text) VALUES (?, ?, ?, ?, ?)",
    [ST_ALERT_DOCUMENTS] = "SELECT version, time_ns, author, reason, text FROM alert_document"
                           " WHERE ?1 = 0 OR version = ?1 ORDER BY version DESC LIMIT ?2",
    [ST_ALERT_SILENCE_PUT] = "INSERT OR REPLACE INTO alert_silence (id, end_ns, body) VALUES (?, ?, ?)",
    [ST_ALERT_SILENCE_EACH] = "SELECT id, end_ns, body FROM alert_silence WHERE end_ns > ? ORDER BY id",
    [ST_ALERT_SILENCE_LAST] = "SELECT ifnull(max(id), 0) FROM alert_silence",
    [ST_ALERT_BASELINE_PUT] = "INSERT OR REPLACE INTO alert_baseline (pair_id, slot, body) VALUES (?, ?, ?)",
    [ST_ALERT_BASELINE_EACH] = "SELECT pair_id, slot, body FROM alert_baseline",
    [ST_ALERT_NOTICE_PUT] =
        "INSERT OR REPLACE INTO alert_notice (id, made_ns, receiver, key, body) VALUES (?, ?, ?, ?, ?)",
    [ST_ALERT_NOTICE_REMOVE] = "DELETE FROM alert_notice WHERE id = ?",
    [ST_ALERT_NOTICE_EACH] = "SELECT id, made_ns, receiver, key, body FROM alert_notice ORDER BY id",
    [ST_ALERT_NOTICE_LAST] = "SELECT ifnull(max(id), 0) FROM alert_notice",
    [ST_RETAIN_ALERT] = "DELETE FROM alert WHERE open = 0 AND changed_ns < ?",
    [ST_RETAIN_ALERT_SILENCE] = "DELETE FROM alert_silence WHERE end_ns < ?",
    [ST_RETAIN_ALERT_DOCUMENT] = "DELETE FROM alert_document WHERE time_ns < ?"
                                 " AND version < (SELECT max(version) FROM alert_document)",
    [ST_JOIN_TOKEN_PUT] = "INSERT OR REPLACE INTO join_token (id, digest, created_ns, expires_ns, "
                          "revoked_ns, uses, used, approve, "
                          "name_glob, labels, author) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_JOIN_TOKEN_EACH] = "SELECT id, digest, created_ns, expires_ns, revoked_ns, uses, used, approve, "
                           "name_glob, labels, author "
                           "FROM join_token ORDER BY created_ns, id",
    [ST_RETAIN_JOIN_TOKEN] =
        "DELETE FROM join_token WHERE expires_ns < ?1 OR (revoked_ns != 0 AND revoked_ns < ?1)",
    [ST_CERTIFICATE_PUT] = "INSERT OR REPLACE INTO certificate (serial, public_key, issued_ns, not_after_ns, "
                           "der) VALUES (?, ?, ?, ?, ?)",
    [ST_CERTIFICATE_TRIM] =
        "DELETE FROM certificate WHERE public_key = ?1 AND serial NOT IN (SELECT serial FROM certificate "
        "WHERE public_key = ?1 ORDER BY issued_ns DESC LIMIT ?2)",
    [ST_CERTIFICATE_EACH] = "SELECT serial, public_key, issued_ns, not_after_ns, der FROM certificate ORDER "
                            "BY public_key, issued_ns",
    [ST_CERTIFICATE_REMOVE] = "DELETE FROM certificate WHERE public_key = ?",
    [ST_ACCESS_PUT] = "INSERT OR REPLACE INTO access_token (id, digest, role, name, author, created_ns, "
                      "expires_ns, revoked_ns,"
                      " used_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_ACCESS_USED] = "UPDATE access_token SET used_ns = ?2 WHERE id = ?1 AND used_ns < ?2",
    [ST_ACCESS_REMOVE] = "DELETE FROM access_token WHERE id = ?",
    [ST_ACCESS_EACH] = "SELECT id, digest, role, name, author, created_ns, expires_ns, revoked_ns, used_ns "
                       "FROM access_token",
    [ST_AUDIT_PUT] = "INSERT OR REPLACE INTO audit (id, time_ns, who, role, token_id, way, origin, method, "
                     "subject, status,"
                     " detail, request, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_AUDIT_LAST] = "SELECT ifnull(max(id), 0) FROM audit",
    [ST_RETAIN_AUDIT] = "DELETE FROM audit WHERE time_ns < ?",
    [ST_READ_AUDIT] = "SELECT id, time_ns, who, role, token_id, way, origin, method, subject, status, "
                      "detail, request, before,"
                      " after FROM audit WHERE time_ns >= ?1 AND time_ns < ?2 AND (?3 = '' OR who = ?3)"
                      " AND (?4 = '' OR instr(lower(method), lower(?4)) OR instr(lower(subject), lower(?4)))"
                      " AND (NOT ?5 OR status > 0) AND id < ?6 ORDER BY id DESC LIMIT ?7",
};

/* wal_autocheckpoint: 80 MB of WAL; a checkpoint per 1,000 pages halves the ingest at millions of rows. */
const struct sq_spec store_spec = {
    .what = "history database",
    .application_id = 0x74776d68, /* "twmh" */
    .migrations = store_migrations,
    .n_migrations = &store_migrations_n,
    .keep_copy = true,
    .bulk_glob = DAY_GLOB,
    .pragmas = "PRAGMA wal_autocheckpoint = 20000; PRAGMA cache_size = -65536;",
    .sql = statements,
    .n_sql = ST_COUNT,
};
