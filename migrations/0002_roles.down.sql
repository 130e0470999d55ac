-- Gives the schema to the user who runs this. A role goes only if nobody needs it: no other database of the cluster has
-- granted it something, nobody is a member.
set local role none;
do $$
declare
    v_role text;
    v_command text;
begin
    for v_command in
        select format('revoke all on %s ladder.%I from ladder_app%s', case c.relkind when 'S' then 'sequence' else 'table' end, c.relname,
                      case when c.relowner <> 'ladder_worker'::regrole then ', ladder_worker' else '' end)
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace
          and c.relacl is not null
        union all
        select format('revoke all on routine ladder.%I(%s) from ladder_app, ladder_worker', p.proname, pg_get_function_identity_arguments(p.oid))
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace
    loop
        execute v_command;
    end loop;
    revoke all on schema ladder from ladder_app, ladder_worker;
    alter default privileges for role ladder_migrate grant execute on functions to public;

    execute format('alter schema ladder owner to %I', session_user);
    for v_command in
        select format('alter %s ladder.%I owner to %I', case c.relkind when 'S' then 'sequence' else 'table' end, c.relname, session_user)
        from pg_class c
        where c.relnamespace = 'ladder'::regnamespace
          and c.relkind in ('r', 'p', 'S')
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i' and c.relkind = 'S')
        union all
        select format('alter type ladder.%I owner to %I', t.typname, session_user)
        from pg_type t
        where t.typnamespace = 'ladder'::regnamespace
          and t.typtype = 'e'
        union all
        select format('alter routine ladder.%I(%s) owner to %I', p.proname, pg_get_function_identity_arguments(p.oid), session_user)
        from pg_proc p
        where p.pronamespace = 'ladder'::regnamespace
    loop
        execute v_command;
    end loop;

    foreach v_role in array array['ladder_migrate', 'ladder_app', 'ladder_worker'] loop
        begin
            if not exists (select from pg_auth_members m join pg_roles r on r.oid = m.roleid where r.rolname = v_role) then
                execute format('drop role %I', v_role);
            end if;
        exception
            when dependent_objects_still_exist or insufficient_privilege or object_in_use then
                null; -- somebody else's still
        end;
    end loop;
end
$$;
alter table ladder.schema_migration alter column applied_by set default current_user;
