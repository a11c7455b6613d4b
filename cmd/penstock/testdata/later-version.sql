-- What a program two versions on does: the programs of the first must not write any more.
INSERT INTO penstock.migrations (number, oldest) SELECT max(number) + 1, max(number) FROM penstock.migrations;
UPDATE penstock.nodes SET changes = changes + 1;
