-- What a program of the next version may make of the tables while older ones write.
ALTER TABLE penstock.samples ADD COLUMN region text;
ALTER TABLE penstock.nodes ADD COLUMN region text NOT NULL DEFAULT 'north';
ALTER TABLE penstock.settled ADD COLUMN region text NOT NULL DEFAULT 'north';
CREATE TABLE penstock.regions (name text PRIMARY KEY);
INSERT INTO penstock.migrations (number, oldest) SELECT max(number) + 1, max(number) FROM penstock.migrations;
