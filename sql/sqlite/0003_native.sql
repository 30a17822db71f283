-- Lists, other answers to the same question, and what people think of an answer.

-- An answer made anew or gone on with. An ordinary answer has NULL in both, which costs nothing to read
-- although the columns stand behind content. `again`: the question that was answered before. `continues`:
-- the row of the answer that this one goes on from, without a break.
ALTER TABLE messages ADD COLUMN again INTEGER;
ALTER TABLE messages ADD COLUMN continues INTEGER;

CREATE TABLE feedback (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    rating     INTEGER NOT NULL,       -- 1 | -1
    comment    TEXT,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- What was said before titles were kept gets one too.
UPDATE conversations SET title = (
    SELECT trim(substr(replace(replace(content, char(10), ' '), char(9), ' '), 1, 60)) FROM messages
    WHERE conversation_id = conversations.id AND role = 'user' ORDER BY id LIMIT 1)
WHERE title IS NULL;
