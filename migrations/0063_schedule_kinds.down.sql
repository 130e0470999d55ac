-- The values stay: PostgreSQL cannot remove one from an enum. Migrating up finds them.
select 1;
