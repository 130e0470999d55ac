-- Roles: who owns the schema, and whom it is open to. What each may do is in sql/functions/90_grant.sql.
--
-- Locks: each table for a moment, as its owner changes. Old binaries: go on, if their user owned the schema before: it is
-- a member of the new owner.
-- Undo by hand: 0002_roles.down.sql gives everything back to the user who runs it.
--
-- The three are group roles, of the whole cluster: another database of it may have made them. Users that log in are
-- members. Without the right to make roles they must be there already (docs/operations.md).
do $$
declare
    v_role text;
    v_command text;
begin
    foreach v_role in array array['ladder_app', 'ladder_worker', 'ladder_migrate'] loop
        continue when exists (select from pg_roles where rolname = v_role);
        begin
            execute format('create role %I nologin', v_role);
            execute format('comment on role %I is %L', v_role,
                           case v_role when 'ladder_app' then 'ladder serve: submits, reads, defines boards.'
                                       when 'ladder_worker' then 'ladder work and its jobs from cron: follows, rolls, purges, imports.'
                                       else 'Owns the schema ladder: migrations, games, API keys.' end);
        exception
            when duplicate_object or unique_violation then
                null; -- another database's migration, at this very moment
            when insufficient_privilege then
                raise exception 'the role % is missing and % may not make it: let a superuser run `create role % nologin`',
                    v_role, session_user, v_role using errcode = 'insufficient_privilege';
        end;
    end loop;
    if not pg_has_role('ladder_migrate', 'member') then
        execute format('grant ladder_migrate to %I', session_user);
    end if;
    -- The owner of the parent must be able to attach to it, and to alter it.
    if not pg_has_role('ladder_migrate', 'ladder_worker', 'usage') then
        grant ladder_worker to ladder_migrate;
    end if;

    alter schema ladder owner to ladder_migrate;
    for v_command in
        select format('alter %s ladder.%I owner to ladder_migrate', case c.relkind when 'S' then 'sequence' else 'table' end, c.relname)
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace
          and c.relkind in ('r', 'p', 'S')
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i' and c.relkind = 'S')
        union all
        select format('alter type ladder.%I owner to ladder_migrate', t.typname)
        from pg_type t
        where t.typnamespace = 'ladder'::regnamespace
          and t.typtype = 'e'
        union all
        select format('alter routine ladder.%I(%s) owner to ladder_migrate', p.proname, pg_get_function_identity_arguments(p.oid))
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace
    loop
        execute v_command;
    end loop;
end
$$;

-- Detaching a partition without locking out the others can't be done in a function, and only the parent's owner may do
-- it. So the worker owns the parent; its partitions, as everything else, belong to ladder_migrate (docs/decisions/0010).
grant create on schema ladder to ladder_worker;
alter table ladder.score_event owner to ladder_worker;
revoke create on schema ladder from ladder_worker;

-- New functions are nobody's until 90_grant.sql says whose.
alter default privileges for role ladder_migrate revoke execute on functions from public;
alter table ladder.schema_migration alter column applied_by set default session_user;
