-- A role for Penstock with no more than it needs: a schema of its own in one
-- database. Run it in that database as a superuser or as the database's owner:
--
--   psql -d metering -v password='a long secret' -f postgresql-role.sql
--
-- Penstock makes and migrates its tables in the schema as the role penstock. It
-- can read and write nothing else. People and dashboards read as members of
-- penstock_reader.

CREATE ROLE penstock LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE ROLE penstock_reader NOLOGIN;

CREATE SCHEMA penstock AUTHORIZATION penstock;
GRANT CONNECT ON DATABASE :"DBNAME" TO penstock, penstock_reader;
GRANT USAGE ON SCHEMA penstock TO penstock_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE penstock IN SCHEMA penstock GRANT SELECT ON TABLES TO penstock_reader;
