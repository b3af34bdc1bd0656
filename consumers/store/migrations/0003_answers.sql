-- What a result of version 2 has beside its answers. Columns of `results` that only version 1 knows have the values of
-- the only question; where there are several, they are empty.
ALTER TABLE results ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE results ADD COLUMN task_name TEXT;
ALTER TABLE results ADD COLUMN task_digest TEXT;

-- One row a question of a result, of either version. The only question of a result of version 1 has the id "answer".
CREATE TABLE answers (
    topic TEXT NOT NULL,               -- the result that it belongs to
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    number INTEGER NOT NULL,           -- order in the result, from 0
    recorded_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    question_id TEXT NOT NULL,
    question TEXT NOT NULL,
    status TEXT NOT NULL,              -- answered, invalid, skipped or refused
    detail TEXT,                       -- why there is no value
    value TEXT,                        -- JSON: 'null' where the answer is null, NULL where there is none
    valid INTEGER NOT NULL,
    confidence REAL,                   -- probability of the whole value; NULL when the engine gives none
    confidence_kind TEXT NOT NULL,     -- exact, path, top_logprobs or none
    confidence_fields TEXT,            -- JSON object: probability of each plain value inside, by JSON Pointer
    confidence_choices TEXT,           -- JSON array: the likeliest choices with their probabilities, best first
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, "offset", number)
);

INSERT INTO answers
SELECT topic, partition, "offset", 0, recorded_ms, request_id, product_id, 'answer', question, 'answered', NULL,
       json_quote(conclusion), complete, NULL, 'none', NULL, NULL, finish_reason, prompt_tokens, completion_tokens,
       CASE WHEN json_valid(record) THEN coalesce(json_extract(record, '$.cached'), 0) ELSE 0 END
FROM results;

CREATE INDEX answers_by_product ON answers (product_id);
CREATE INDEX answers_by_question ON answers (question_id, confidence);
