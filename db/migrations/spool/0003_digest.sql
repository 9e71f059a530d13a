-- additive: what an older program writes has digest 0, which is not compared.
ALTER TABLE record ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE value ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;
