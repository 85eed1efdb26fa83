-- Which of a credential's secrets a session runs on.

-- The credential's version that brought the secret it has now.
ALTER TABLE credential ADD COLUMN secret_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE session ADD COLUMN secret_version INTEGER;
