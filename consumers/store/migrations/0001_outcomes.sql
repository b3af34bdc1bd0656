-- Where each partition is read from next. Changed in the same transaction as the rows below.
CREATE TABLE positions (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

-- Kafka's own identity of each topic: a topic made again under the same name has another.
CREATE TABLE topics (
    topic TEXT PRIMARY KEY,
    topic_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE results (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,      -- the record's timestamp on Kafka, milliseconds since 1970
    source_topic TEXT,                 -- the request's place; NULL when the headers do not name it
    source_partition INTEGER,
    source_offset INTEGER,
    request_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    question TEXT NOT NULL,
    summary TEXT NOT NULL,
    caption TEXT NOT NULL,
    reasoning TEXT NOT NULL,
    conclusion TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    complete INTEGER NOT NULL,
    image_uri TEXT NOT NULL,
    image_sha256 TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model_revision TEXT,
    model_weights_sha256 TEXT,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    seconds_total REAL NOT NULL,
    completed_at TEXT NOT NULL,        -- ISO 8601, UTC
    record TEXT NOT NULL,              -- the whole result, as it stood on the topic
    PRIMARY KEY (topic, partition, "offset")
);

CREATE TABLE dead_letters (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    source_topic TEXT NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset INTEGER NOT NULL,
    request_id TEXT,                   -- NULL when the request itself could not be read
    product_id TEXT,
    reason TEXT NOT NULL,
    stage TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failed_at TEXT NOT NULL,
    "key" BLOB,                        -- the original request, byte for byte
    value BLOB,
    headers TEXT NOT NULL,             -- JSON: [[name, base64 or null], ...]
    PRIMARY KEY (topic, partition, "offset")
);

-- Records that are neither a result nor a dead letter of ours: kept, so that rows equal the topic.
CREATE TABLE unreadable (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    "key" BLOB,
    value BLOB,
    headers TEXT NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);

CREATE INDEX results_by_product ON results (product_id);
CREATE INDEX results_by_request ON results (request_id);
CREATE INDEX results_by_source ON results (source_topic, source_partition, source_offset);
CREATE INDEX results_by_time ON results (recorded_ms);
CREATE INDEX dead_letters_by_product ON dead_letters (product_id);
CREATE INDEX dead_letters_by_key ON dead_letters ("key");
CREATE INDEX dead_letters_by_request ON dead_letters (request_id);
CREATE INDEX dead_letters_by_source ON dead_letters (source_topic, source_partition, source_offset);
CREATE INDEX dead_letters_by_time ON dead_letters (recorded_ms);

-- What each request came to: one row an outcome, whichever it is.
CREATE VIEW outcomes AS
SELECT 'answered' AS status, request_id, product_id, NULL AS "key", recorded_ms, topic, partition, "offset",
       source_topic, source_partition, source_offset
FROM results
UNION ALL
SELECT 'dead', request_id, product_id, "key", recorded_ms, topic, partition, "offset",
       source_topic, source_partition, source_offset
FROM dead_letters;
