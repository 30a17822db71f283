-- When somebody last followed a running answer from another process than the one that writes it: the writer's own
-- readers may all have left, and it must not take itself for alone. It stands behind content, as again and continues do.
ALTER TABLE messages ADD COLUMN watched_ms INTEGER;
